"""The application (ASGI): who asks is known, who asks too much is refused at once, and every answer says what it stands on."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.serve.bodies import Body, GoneError, InHand, Receive
from whenbuy.serve.connection import AtOnce, Write
from whenbuy.serve.engine import Engine
from whenbuy.serve.hot import Hot
from whenbuy.serve.keys import Key, Keys
from whenbuy.serve.limits import Buckets, Gate, Limits
from whenbuy.serve.logs import Log
from whenbuy.serve.metrics import Figure, Metrics
from whenbuy.serve.openapi import document
from whenbuy.serve.replying import CLOSE, SAME, Refusals, Send, overloaded, rendered, reply_of, send_reply
from whenbuy.serve.rest import rest, routes_of
from whenbuy.serve.routes import PUBLIC, Reply, Request, Route, Table
from whenbuy.serve.wire import Refusal, refusal_of, refused

_NAMING_HOSTS: Final = (b"host", b"origin")
_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
_OWN: Final = frozenset({b"localhost", b"127.0.0.1"})
"""What most requests on this machine name."""
_BEAT_S: Final = 0.01


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
    described: dict[tuple[type, type, type], bytes] = {}

    def description() -> bytes:
        answers = engine.live.answer, engine.live.when, engine.live.whole
        if answers not in described:  # another model answers with other horizons
            described.clear()
            described[answers] = document(table, limits, *answers)
        return described[answers]

    refusals = Refusals()
    gate = Gate(2.0 * limits.most_waiting, limits.most_lag_s)
    behind = rest(engine, metrics, about, description, lambda: [*refusals.figures(), *_figures(engine, gate)])
    table = Table([*hot.routes(), *further, *routes_of(behind)])
    return Api(engine, keys, limits, table, behind, hot, gate, metrics, refusals, log or Log(None, engine.now))


def _figures(engine: Engine, gate: Gate) -> list[Figure]:
    """Return what Prometheus is told of the work in hand, and of what the state remembers because the log does not hold it yet."""
    remembered = float(engine.live.seq - engine.live.base)
    return [
        ("whenbuy_work_in_hand", "gauge", "Work in hand; a request with one event is about 1.", {(): gate.inside}),
        ("whenbuy_work_limit", "gauge", "So much work is let in now: less where the server falls behind.", {(): gate.limit}),
        ("whenbuy_events_remembered", "gauge", "Events that are known and not in the log yet.", {(): remembered}),
    ]


class Api:
    """The application; `application` makes it."""

    def __init__(
        self, engine: Engine, keys: Keys, limits: Limits, table: Table, behind: Any, hot: Hot, gate: Gate, metrics: Metrics,
        refusals: Refusals, log: Log,
    ) -> None:  # fmt: skip
        self._engine, self._keys, self._limits, self.table = engine, keys, limits, table
        self._behind, self._hot, self._metrics, self._refusals, self._log = behind, hot, metrics, refusals, log
        self._buckets = Buckets(limits.per_second, limits.burst)
        self._strangers = Buckets(limits.strangers_per_second, 5 * limits.strangers_per_second)
        self.gate, self.in_hand = gate, InHand(limits, gate, refusals)
        self._inside = self._number = self._coming = 0
        self._start = f"{time.time_ns() & 0xFFFFFFFF:08x}"
        self._costly = tuple({route.path.partition("{")[0].encode() for route in table.routes if _costs(route)})
        self._at_once = {route.path.encode(): route for route in table.routes if route.at_once is not None}
        self._too_much = rendered(reply_of(overloaded(), self._id(0)), self._id(0)).split(self._id(0).encode())

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
        """Measure, again and again, how far the loop is behind by its own work: what the machine does for others no refusal mends."""
        clock = asyncio.get_running_loop().time
        while True:
            due, worked = clock() + _BEAT_S, time.process_time()
            await asyncio.sleep(_BEAT_S)
            self.gate.beat(min(clock() - due, time.process_time() - worked))

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        self._number += 1
        self._coming = max(self._coming - 1, 0)
        id = self._id(self._number)
        name, status = "none", 500
        self._inside += 1
        try:
            route, argument = self._route(scope)
            name = f"{route.method} {route.path}"
            key = self._admitted(scope, route)
            if route.answer is None:
                status = await self._passed_on(scope, receive, send, id)
            else:
                body = Body(self.in_hand, scope, receive, costs=_costs(route))
                try:
                    if route.method == "GET":
                        body.enter()
                    reply = await route.answer(Request(scope, argument, body.read, key, id))
                finally:
                    body.release()
                status = reply.status
                await send_reply(send, reply, id)
        except GoneError:
            status = 499
        except Exception as error:
            refusal = self._refusal(error, id, name)
            status = refusal.status
            with suppress(Exception):  # the answer may have begun already
                await send_reply(send, reply_of(refusal, id), id)
        finally:
            self._inside -= 1
            self._metrics.seen(name, status, time.perf_counter() - begun)

    # ------------------------------------------------------------------------------------------- without ASGI

    def at_once(self, target: bytes) -> AtOnce | None:
        """Return what answers a POST to an address as soon as its body is there, without a task of its own; None where nothing does.

        Everything is asked of such a request that is asked of any other.
        """
        path, _, query = target.partition(b"?")
        route = self._at_once.get(path)
        return None if route is None or b"#" in query else partial(self._answer_at_once, route, query)

    def _answer_at_once(self, route: Route, query: bytes, scope: dict[str, Any], raw: bytes, write: Write) -> None:
        assert route.at_once is not None
        begun = time.perf_counter()
        self._number += 1
        self._inside += 1
        self._coming = max(self._coming - 1, 0)
        id, name = self._id(self._number), f"{route.method} {route.path}"
        scope["query_string"] = query
        body = Body(self.in_hand, scope, _nothing, costs=True)

        def tell(found: Reply | Exception) -> None:
            body.release()
            self._inside -= 1
            reply = found if isinstance(found, Reply) else reply_of(self._refusal(found, id, name), id)
            self._metrics.seen(name, reply.status, time.perf_counter() - begun)
            write(rendered(reply, id), CLOSE in reply.headers)

        try:
            key = self._admitted(scope, route)
            body.take(raw)
            route.at_once(Request(scope, "", body.read, key, id), raw, tell)
        except Exception as error:
            tell(error)

    def _route(self, scope: Mapping[str, Any]) -> tuple[Route, str]:
        path = scope["raw_path"].decode("latin-1") if "raw_path" in scope else scope["path"]
        methods, argument = self.table.find(path)
        route = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is not None:
            return route, argument
        if not methods:
            raise refused(404, "There is nothing at this address.", "GET /v1/openapi.json says what there is.", "Correct the address.")
        allowed = ", ".join(sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())}))
        if scope["method"] == "OPTIONS":  # says nothing that the description does not; pages of other sites are told no more than that
            return Route("OPTIONS", path, PUBLIC, _allowing(allowed)), ""
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
                message = {**message, "headers": [*message["headers"], (b"x-request-id", id.encode()), *SAME]}
            await send(message)

        await self._behind({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, receive, note)
        return found

    def _refusal(self, error: Exception, id: str, route: str) -> Refusal:
        """Return the refusal that an error means, and say so in the log."""
        if not isinstance(error, (Refusal, WhenbuyError)):
            self._log.write("bug", request=id, route=route, error=type(error).__name__, at_line=_places(error))
            error = refused(500, "Something is wrong inside whenbuy.", "This is a bug, not your doing.", f"Report it with request {id}.")
        refusal = error if isinstance(error, Refusal) else refusal_of(error)
        self._log.write("refused", request=id, route=route, status=refusal.status)
        return refusal

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
        if _costs(route) and (not self.gate.open or self._inside > self._limits.most_waiting):
            raise self.in_hand.overloaded()
        return key

    # ------------------------------------------------------------------------------------------- what is too much

    def shed(self, url: bytes) -> bytes | None:
        """Return the whole refusal of a request, made beforehand, where there is more than the server can do; nothing where it is let in.

        It is asked when the head of a request is there, before its key is looked at and its body is read: what is asked to see how the
        server fares is let in.
        """
        if self.gate.inside + self._coming < self.gate.limit and self._inside + self._coming <= self._limits.most_waiting:
            self._coming += 1
            return None
        if not url.startswith(self._costly):
            self._coming += 1
            return None
        self._number += 1
        id = self._id(self._number)
        self._refusals.count("load")
        self._metrics.seen("shed", 503, 0.0)
        self._log.write("refused", request=id, route="shed", status=503)
        return id.encode().join(self._too_much)

    def _id(self, number: int) -> str:
        return f"{self._start}-{number:08x}"

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


async def _nothing() -> Mapping[str, Any]:
    """Receive nothing more: the body is there."""
    return {"type": "http.request"}


def _allowing(allowed: str) -> Callable[[Request], Awaitable[Reply]]:
    async def answer(_: Request) -> Reply:
        return Reply(204, b"", headers=((b"allow", allowed.encode()),))

    return answer


def _costs(route: Route) -> bool:
    """Return whether answering is work of which there can be too much."""
    return route.answer is not None and route.permission != PUBLIC


def _require_own_machine(scope: Mapping[str, Any]) -> None:
    """Refuse pages of other sites: where no key is needed, a browser on this machine must not be made to ask."""
    for name, value in scope["headers"]:
        if name not in _NAMING_HOSTS or value in _OWN:
            continue
        said = value.decode("latin-1")
        if _without_port(said if name == b"host" else said.rpartition("//")[2]).lower() not in _HOSTS:
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
