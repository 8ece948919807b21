"""The application (ASGI): who asks is known, who asks too much is refused at once, and every answer says what it stands on."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.serve.engine import Engine
from whenbuy.serve.hot import Hot
from whenbuy.serve.keys import Key, Keys
from whenbuy.serve.limits import Buckets, Limits
from whenbuy.serve.logs import Log
from whenbuy.serve.metrics import Counted, Figure, Metrics
from whenbuy.serve.openapi import document
from whenbuy.serve.rest import rest, routes_of
from whenbuy.serve.routes import PUBLIC, Reply, Request, Route, Table
from whenbuy.serve.wire import PROBLEM, Problem, Refusal, encode, refusal_of, refused

Receive = Callable[[], Any]
Send = Callable[[Mapping[str, Any]], Any]
_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
_BEAT_S: Final = 0.01
_BEATS: Final = 5
_SAME: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def application(
    engine: Engine,
    keys: Keys,
    limits: Limits,
    *,
    log: Log | None = None,
    about: Callable[[str], Mapping[str, Any]] = lambda _: {},
    further: tuple[Route, ...] = (),
) -> Api:
    """Return the application.

    Parameters
    ----------
    engine
        What takes events and answers.
    keys
        Who may ask.
    limits
        How much.
    log
        Where it is said what happened.
    about
        What is known of a model, by its id.
    further
        Further routes.

    Raises
    ------
    UsageError
        When a route does not say who may ask it.
    """
    metrics, hot = Metrics(), Hot(engine, limits)
    described: dict[type, bytes] = {}

    def description() -> bytes:
        answer = engine.live.answer
        if answer not in described:  # another model answers with other horizons
            described.clear()
            described[answer] = document(table, limits, answer)
        return described[answer]

    refusals = Refusals()
    behind = rest(engine, metrics, about, description, refusals.figures)
    table = Table([*hot.routes(), *further, *routes_of(behind)])
    return Api(engine, keys, limits, table, behind, hot, metrics, refusals, log or Log(None, engine.now))


class Refusals:
    """How many requests were not let in, by reason."""

    def __init__(self) -> None:
        self._found: dict[str, float] = {}

    def count(self, reason: str) -> None:
        """Count one."""
        self._found[reason] = self._found.get(reason, 0.0) + 1

    def figures(self) -> list[Figure]:
        """Return what Prometheus is told of it."""
        by_reason: Counted = {(("reason", reason),): count for reason, count in self._found.items()}
        return [("whenbuy_refused_total", "counter", "Requests that were not let in, by reason.", by_reason)]


class Api:
    """The application; `application` makes it."""

    def __init__(
        self, engine: Engine, keys: Keys, limits: Limits, table: Table, behind: Any, hot: Hot, metrics: Metrics, refusals: Refusals,
        log: Log,
    ) -> None:  # fmt: skip
        self._engine, self._keys, self._limits, self.table = engine, keys, limits, table
        self._behind, self._hot, self._metrics, self._refusals, self._log = behind, hot, metrics, refusals, log
        self._buckets = Buckets(limits.per_second, limits.burst)
        self._strangers = Buckets(limits.strangers_per_second, 5 * limits.strangers_per_second)
        self._inside = self._held = self._number = 0
        self._start = f"{time.time_ns() & 0xFFFFFFFF:08x}"
        self._lag_s = 0.0

    # ------------------------------------------------------------------------------------------- ASGI

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        beat = asyncio.get_running_loop().create_task(self._beat())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        beat.cancel()
        self._hot.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _beat(self) -> None:
        """Measure how far the loop is behind: the least of the last few times, so that one long step is no load."""
        clock, lags = asyncio.get_running_loop().time, deque([0.0] * _BEATS, maxlen=_BEATS)
        while True:
            due = clock() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            lags.append(max(clock() - due, 0.0))
            self._lag_s = min(lags)

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        self._number += 1
        id = f"{self._start}-{self._number:x}"
        name, status = "none", 500
        self._inside += 1
        try:
            route, argument = self._route(scope)
            name = f"{route.method} {route.path}"
            key = self._admitted(scope, route)
            if route.answer is None:
                status = await self._passed_on(scope, receive, send, id)
            else:
                body = _Body(self, scope, receive)
                try:
                    reply = await route.answer(Request(scope, argument, body.read, key, id))
                finally:
                    body.release()
                status = reply.status
                await _send(send, reply, id)
        except _GoneError:
            status = 499
        except Refusal as refusal:
            status = await self._refuse(send, refusal, id, name)
        except WhenbuyError as error:
            status = await self._refuse(send, refusal_of(error), id, name)
        except Exception as error:
            self._log.write("bug", request=id, route=name, error=type(error).__name__, at_line=_places(error))
            bug = refused(500, "Something is wrong inside whenbuy.", "This is a bug, not your doing.", f"Report it with request {id}.")
            with suppress(Exception):  # the answer may have begun already
                status = await self._refuse(send, bug, id, name)
        finally:
            self._inside -= 1
            self._metrics.seen(name, status, time.perf_counter() - begun)

    def _route(self, scope: Mapping[str, Any]) -> tuple[Route, str]:
        path = scope["raw_path"].decode("latin-1") if "raw_path" in scope else scope["path"]
        methods, argument = self.table.find(path)
        route = methods.get(scope["method"])
        if route is not None:
            return route, argument
        if not methods:
            raise refused(404, "There is nothing at this address.", "GET /v1/openapi.json says what there is.", "Correct the address.")
        allowed = ", ".join(sorted(methods))
        error = refused(405, f"{scope['method'][:20]} was asked.", f"Here is only: {allowed}.", "Use that.")
        error.headers = ((b"allow", allowed.encode()),)
        raise error

    async def _passed_on(self, scope: dict[str, Any], receive: Receive, send: Send, id: str) -> int:
        """Let the application behind answer; return the status that it sent."""
        found = 500

        async def note(message: Mapping[str, Any]) -> None:
            nonlocal found
            if message["type"] == "http.response.start":
                found = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", id.encode()), *_SAME]}
            await send(message)

        await self._behind(scope, receive, note)
        return found

    async def _refuse(self, send: Send, refusal: Refusal, id: str, route: str) -> int:
        error, wait = refusal.error, refusal.wait_s
        problem = Problem(refusal.status, str(error), error.got, error.need, error.do, id)
        headers = refusal.headers
        if wait is not None:
            headers = (*headers, (b"retry-after", str(max(1, -int(-wait // 1))).encode()))
        if refusal.status == 401:
            headers = (*headers, (b"www-authenticate", b"Bearer"))
        if refusal.status in (408, 413):  # the rest of the body is not read
            headers = (*headers, (b"connection", b"close"))
        self._log.write("refused", request=id, route=route, status=refusal.status)
        await _send(send, Reply(refusal.status, encode(problem), PROBLEM, headers), id)
        return refusal.status

    # ------------------------------------------------------------------------------------------- who may ask

    def _admitted(self, scope: Mapping[str, Any], route: Route) -> Key | None:
        """Return the key of a request; refuse what may not be asked, or not now."""
        if route.permission == PUBLIC:
            self._within_rate(scope, None)
            return None
        key = self._known(scope)
        if key is not None and not key.may(str(route.permission)):
            self._refusals.count("scope")
            raise refused(
                403, f"The key {key.id} may: {', '.join(key.scopes)}.", f"This needs {route.permission}.", "Use another key, or make one."
            )
        self._within_rate(scope, key)
        if self._inside > self._limits.most_waiting or self._lag_s > self._limits.most_lag_s:
            self._refusals.count("load")
            raise refused(503, "The server has more to do than it can.", "Requests wait in small numbers.", "Try again in a moment.", 1.0)
        return key

    def _known(self, scope: Mapping[str, Any]) -> Key | None:
        if not self._keys.required:
            _require_own_machine(scope)
            return None
        said = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, secret = said.partition(b" ")
        key = self._keys.find(secret.strip().decode("latin-1")) if scheme.lower() == b"bearer" else None
        state = "unknown" if key is None else key.state(self._engine.now())
        if key is not None and state == "good":
            return key
        self._refusals.count("key")
        if wait := self._strangers.take(_address(scope), time.monotonic()):
            raise refused(429, "Too many requests came without a good key.", "A key is needed.", "Wait, and send one.", wait)
        got = {"unknown": "No good key was sent." if said else "No key was sent."}.get(state, f"The key is {state}.")
        raise refused(401, got, "Authorization: Bearer wb_… is needed.", "Make a key with `whenbuy keys new`.")

    def _within_rate(self, scope: Mapping[str, Any], key: Key | None) -> None:
        sender = _address(scope) if key is None else key.id
        if wait := self._buckets.take(sender, time.monotonic()):
            self._refusals.count("rate")
            raise refused(
                429, "Too many requests came at once.", f"At most {self._limits.per_second:g} a second are taken of one sender.",
                "Wait, and send many events in one request.", wait,
            )  # fmt: skip

    # ------------------------------------------------------------------------------------------- bodies

    def hold(self, size: int) -> None:
        """Count bytes of bodies that are in hand; refuse when there are too many."""
        self._held += size
        if self._held > self._limits.most_held:
            self._refusals.count("memory")
            raise refused(503, "The server holds too much already.", "Bodies wait in small numbers.", "Try again in a moment.", 1.0)

    def release(self, size: int) -> None:
        """Say that bytes are in hand no more."""
        self._held -= size

    @property
    def limits(self) -> Limits:
        """How much is taken."""
        return self._limits


class _GoneError(Exception):
    """The sender went away."""


class _Body:
    """The body of one request, read within the limits."""

    __slots__ = ("_api", "_receive", "_scope", "_size")

    def __init__(self, api: Api, scope: Mapping[str, Any], receive: Receive) -> None:
        self._api, self._scope, self._receive, self._size = api, scope, receive, 0

    async def read(self) -> bytes:
        """Return the body."""
        self._check_headers()
        try:
            async with asyncio.timeout(self._api.limits.body_s):
                return await self._read()
        except TimeoutError:
            raise refused(
                408, "The body did not come in time.", f"It comes within {self._api.limits.body_s:g} s.", "Send it again."
            ) from None

    async def _read(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _GoneError
            part = message.get("body", b"")
            self._size += len(part)
            self._api.hold(len(part))
            self._require_short(self._size)
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self) -> None:
        """Say that it is in hand no more."""
        self._api.release(self._size)

    def _check_headers(self) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit():
                self._require_short(int(value))
            elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise refused(415, "The body is compressed.", "Bodies are sent as they are.", "Send it without Content-Encoding.")

    def _require_short(self, size: int) -> None:
        most = self._api.limits.most_bytes
        if size > most:
            raise refused(413, "The body is too long.", f"At most {most:,} bytes are read.", "Send it in parts.")


async def _send(send: Send, reply: Reply, id: str) -> None:
    length = str(len(reply.body)).encode()
    headers = [(b"content-type", reply.content_type), (b"content-length", length), (b"x-request-id", id.encode()), *_SAME, *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _require_own_machine(scope: Mapping[str, Any]) -> None:
    """Refuse pages of other sites: where no key is needed, a browser on this machine must not be made to ask."""
    for name, value in scope["headers"]:
        said = value.decode("latin-1")
        host = said if name == b"host" else said.rpartition("//")[2] if name == b"origin" else ""
        if _without_port(host).lower() not in _HOSTS:
            raise refused(
                403, f"The request says {name.decode()}: {said[:100]}.", "Without keys only this machine itself may ask.",
                "Ask http://127.0.0.1, or make a key with `whenbuy keys new`.",
            )  # fmt: skip


def _without_port(host: str) -> str:
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _address(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return f"@{client[0]}" if client else "@"


def _places(error: BaseException) -> list[str]:
    """Return where an error arose, without anything that was sent."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
