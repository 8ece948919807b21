"""Connections: what is asked most is answered without a task of its own, and what is more than the server can do is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

Shed = Callable[[bytes], bytes | None]
"""Given the address of a request, returns the whole refusal of it, or nothing where it is let in."""
Write = Callable[[bytes, bool], None]
"""Is given a whole answer, and whether nothing more is listened to."""
AtOnce = Callable[[dict[str, Any], bytes, Write], None]
"""Is given a request as ASGI has it, its body, and what is called, once, with the answer."""
_MOST: Final = 65_536
"""Longer bodies are understood in a thread of their own, in bytes."""


class _Answered:
    """Stands for a request that was answered as soon as its head was there: what comes of its body is thrown away."""

    response_complete, keep_alive, disconnected = True, True, False

    class message_event:  # noqa: N801 - as uvicorn calls it
        """Nobody waits for it."""

        @staticmethod
        def set() -> None:
            """Wake nobody."""


_ANSWERED: Final = _Answered()


class _InHand(_Answered):
    """Stands for a request that is answered without a task."""

    def __init__(self, keep_alive: bool) -> None:
        self.response_complete, self.keep_alive = False, keep_alive


def connections(protocol: Any, app: Any) -> Any:
    """Return a protocol of uvicorn for an application that may say, beside ASGI, what it sheds and what it answers at once.

    Answers go out in one piece each. ``app.shed`` writes refusals that cost a tenth of an answer, so that a server of which three times too
    much is asked has most of its time for what it lets in. ``app.at_once`` answers requests that are there as a whole, as most are that
    bring an event, with neither a task nor messages: that halves what the server itself costs. A body that comes in parts goes the usual
    way, where there is a limit to how long it may take.
    """

    class Connection(protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            joins = type(transport).__module__.startswith("uvloop") and transport.get_extra_info("sslcontext") is None
            super().connection_made(transport if joins else _Joining(transport, asyncio.get_running_loop()))

    if not hasattr(protocol, "on_headers_complete"):  # another parser: the application does all of it
        return Connection
    shed, at_once = getattr(app, "shed", None), getattr(app, "at_once", None)
    made = Connection if at_once is None else type("Directly", (_Directly, Connection), {"find": staticmethod(at_once)})
    return made if shed is None else _shedding(made, shed)


def _shedding(connection: Any, shed: Shed) -> Any:
    class Shedding(connection):  # type: ignore[misc]
        cycle: Any

        def on_headers_complete(self) -> None:
            free = (self.cycle is None or self.cycle.response_complete) and not self.pipeline
            refusal = shed(self.url) if free and not self.parser.should_upgrade() else None
            if refusal is None:
                super().on_headers_complete()
                return
            self.cycle = _ANSWERED
            self.transport.write(refusal)
            if not self.parser.should_keep_alive():
                self.transport.close()
            self.on_response_complete()

    return Shedding


class _Directly:
    """What a protocol of uvicorn answers without a task: mixed into it, with ``find`` as an application has it."""

    find: Callable[[bytes], AtOnce | None]
    cycle: Any
    parser: Any
    scope: dict[str, Any]
    url: bytes
    _answer: AtOnce | None = None
    _body: bytes = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self._answer is not None:  # the rest is still on its way
            self._the_usual_way()

    def on_headers_complete(self) -> None:
        if _is_simple(self):
            self._answer, self._body = self.find(self.url), b""
        if self._answer is None:
            super().on_headers_complete()  # type: ignore[misc]

    def on_body(self, body: bytes) -> None:
        if self._answer is None:
            super().on_body(body)  # type: ignore[misc]
            return
        self._body = self._body + body if self._body else body
        if len(self._body) > _MOST:
            self._the_usual_way()

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            super().on_message_complete()  # type: ignore[misc]
            return
        self.scope["method"] = "POST"
        self.cycle = _InHand(self.parser.should_keep_alive())
        answer(self.scope, self._body, partial(_write, self, self.cycle))

    def _the_usual_way(self) -> None:
        """Hand over to the application what has come of a request so far."""
        body, self._answer, self._body = self._body, None, b""
        super().on_headers_complete()  # type: ignore[misc]
        if body:
            super().on_body(body)  # type: ignore[misc]


def _is_simple(connection: Any) -> bool:
    """Return whether a POST of HTTP 1.1 comes to a connection on which nothing is in hand."""
    if (connection.cycle is not None and not connection.cycle.response_complete) or connection.pipeline:
        return False
    if connection.expect_100_continue or connection.flow.write_paused:
        return False
    parser = connection.parser
    return parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and not parser.should_upgrade()


def _write(connection: Any, cycle: _InHand, answer: bytes, close: bool) -> None:
    """Write an answer, and be ready for what comes next."""
    cycle.response_complete = True
    transport = connection.transport
    if transport.is_closing():
        return
    if cycle.keep_alive or close:
        transport.write(answer)
    else:
        transport.write(answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
    if close or not cycle.keep_alive:
        transport.close()
    connection.on_response_complete()


class _Joining:
    """A transport that writes at the end of the loop's turn what was written to it in parts: head and body of an answer in one call."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep data until the end of the turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Write what is kept, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
