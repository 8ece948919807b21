"""Connections: an answer goes out in one piece, and what is more than the server can do is refused before anything is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

Shed = Callable[[bytes], bytes | None]
"""Given the address of a request, returns the whole refusal of it, or nothing where it is let in."""


class _Answered:
    """Stands for a request that was answered as soon as its head was there: what comes of its body is thrown away."""

    response_complete, keep_alive, disconnected = True, True, False

    class message_event:  # noqa: N801 - as uvicorn calls it
        """Nobody waits for it."""

        @staticmethod
        def set() -> None:
            """Wake nobody."""


_ANSWERED: Final = _Answered()


def connections(protocol: Any, shed: Shed | None) -> Any:
    """Return a protocol of uvicorn whose answers go out in one piece each, and which sheds what is too much.

    A refusal by the application costs nearly as much as an answer; one that is written here costs a tenth of that, so that a server of
    which three times too much is asked has most of its time for what it lets in.
    """

    class Connection(protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Joining(transport, asyncio.get_running_loop()))

    if shed is None or not hasattr(protocol, "on_headers_complete"):  # another parser: the application refuses
        return Connection
    return _shedding(Connection, shed)


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
