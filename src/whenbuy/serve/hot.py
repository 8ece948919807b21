"""The routes that are asked all the time: events in, forecasts out. Bytes become structures and structures bytes, with nothing between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from whenbuy.core.errors import UsageError
from whenbuy.ingest.cell import BadCellError, instant_of, name_of
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.serve.engine import Engine
from whenbuy.serve.journal import Receipt
from whenbuy.serve.limits import Limits
from whenbuy.serve.routes import Reply, Request, Route, Tell
from whenbuy.serve.wire import Asked, Forecasted, Forecasts, Sent, Taken, encode, refused

LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"})
"""Content types that say: one JSON object a line."""
_LARGE: Final = 65_536
"""Bodies beyond this length are understood in a thread of their own, in bytes."""
_AT_ONCE: Final = 100
"""So many users are forecast before others get their turn."""
_SENDERS: Final = 1_000
"""What so many senders say behind the question mark is remembered."""
_SOURCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_ASKED: Final = msgspec.json.Decoder(Asked)

Wishes = tuple[str, bool, bool, bool]
"""The source of events, whether forecasts are wanted, whether with more than when she buys, and whether with the further answers."""


class Hot:
    """Events in, forecasts out.

    Parameters
    ----------
    engine
        What takes and answers.
    limits
        How much one request may ask.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self._reading = ThreadPoolExecutor(1, "reading")
        self._zone = ZoneInfo(engine.reception.clock.zone)
        self._said: dict[bytes, Wishes] = {}
        self._later: set[asyncio.Future[None]] = set()

    def routes(self) -> list[Route]:
        """Return its routes."""
        return [
            Route("POST", "/v1/events", "events:write", self.events, at_once=self.at_once),
            Route("GET", "/v1/forecasts/{user}", "forecasts:read", self.one),
            Route("POST", "/v1/forecasts", "forecasts:read", self.many),
        ]

    def close(self) -> None:
        """Let the thread go."""
        self._reading.shutdown(wait=False)

    async def events(self, request: Request) -> Reply:
        """Take the events of one request; answer after they are durable."""
        wishes = self._wishes(request)
        raw = await request.body()
        loop = asyncio.get_running_loop()
        if len(raw) > _LARGE:
            rows = await loop.run_in_executor(self._reading, self._rows, request, raw, wishes[0])
        else:
            rows = self._rows(request, raw, wishes[0])
        future: asyncio.Future[Reply] = loop.create_future()

        def tell(found: Reply | Exception) -> None:
            if future.done():
                return
            if isinstance(found, Reply):
                future.set_result(found)
            else:
                future.set_exception(found)

        self._take(rows, wishes, tell)
        return await future

    def at_once(self, request: Request, raw: bytes, tell: Tell) -> None:
        """Take the events of one request whose body is there; tell the answer after they are durable."""
        wishes = self._wishes(request)
        self._take(self._rows(request, raw, wishes[0]), wishes, tell)

    def _rows(self, request: Request, raw: bytes, source: str) -> list[Event | Refused]:
        if not raw.strip():
            raise refused(422, "The body is empty.", "An event is one JSON object.", "Send one event, an array or one a line.")
        lines = any(name == b"content-type" and _says_lines(value) for name, value in request.scope["headers"])
        return understood(self._engine.reception, raw, source, self._engine.now(), lines)

    def _take(self, rows: Sequence[Event | Refused], wishes: Wishes, tell: Tell) -> None:
        _, forecast, everything, further = wishes
        users = tuple(dict.fromkeys(row.user for row in rows if isinstance(row, Event) and row.user is not None)) if forecast else ()

        def told(receipt: Receipt | Exception, found: Sequence[Any] | None) -> None:
            if isinstance(receipt, Exception):
                tell(receipt)
            elif forecast and found is None:
                self._later.add(task := asyncio.ensure_future(self._said_later(rows, receipt, users, wishes, tell)))
                task.add_done_callback(self._later.discard)
            else:
                tell(self._answer(rows, receipt, found, further))

        self._engine.put(rows, users, everything, told)

    async def _said_later(
        self, rows: Sequence[Event | Refused], receipt: Receipt, users: Sequence[str], wishes: Wishes, tell: Tell
    ) -> None:
        """Forecast for a request whose users were too many to be forecast with the commit."""
        try:
            found = await self._forecasts(users, None, *wishes[2:])
        except Exception as error:
            tell(error)
        else:
            tell(self._answer(rows, receipt, found, False))

    def _answer(
        self, rows: Sequence[Event | Refused], receipt: Receipt, found: Sequence[Any] | None, further: bool
    ) -> Reply | Exception:  # fmt: skip
        try:
            if further and found is not None:
                found = self._engine.further(found)
            return self._taken(rows, receipt, found)
        except Exception as error:
            return error

    def _wishes(self, request: Request) -> Wishes:
        """Return the source of events, whether forecasts are wanted, and which answers; it is read once of each sender."""
        said: bytes = request.scope["query_string"]
        found = self._said.get(said)
        if found is None:
            asked = request.query("forecast", "answers", "source")
            found = _source(asked.get("source")), _flag("forecast", asked.get("forecast")), *_answers(asked.get("answers", "when"))
            if len(self._said) < _SENDERS:
                self._said[said] = found
        return found

    def _taken(self, rows: Sequence[Event | Refused], receipt: Receipt, found: Sequence[Any] | None) -> Reply:
        statuses = receipt.statuses
        count = statuses.count
        good, dead = count("accepted"), count("dead")
        if good == len(statuses):
            sent, again, late = [Sent("accepted", seq) for seq in receipt.accepted], 0, 0
        else:
            sent = [Sent(*row) for row in zip(statuses, receipt.accepted, (why or None for why in receipt.reasons), strict=True)]
            again, late = count("duplicate"), count("late")
        standing = self._engine.standing(self._engine.now())
        body = Taken(good, again, dead, late, sent, standing.model, standing.data_age_s, standing.degraded, found)
        none = dead == len(statuses) > 0 and all(isinstance(row, Refused) for row in rows)  # what cleaning took out was an event
        return Reply(422 if none else 200, encode(body))

    async def one(self, request: Request) -> Reply:
        """Answer for one user."""
        asked = request.query("at", "answers")
        which = _answers(asked.get("answers", "usual"))
        found = await self._forecasts([_user(request.text())], self._at(asked.get("at")), *which)
        standing = self._engine.standing(self._engine.now())
        return Reply(200, encode(Forecasted(standing.model, standing.data_age_s, standing.degraded, found[0])))

    async def many(self, request: Request) -> Reply:
        """Answer for many users, in their order."""
        request.query()
        raw = await request.body()
        try:
            asked = _ASKED.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise refused(
                422,
                f"The body cannot be understood ({str(error)[:200]}).",
                '{"users": ["u1", "u2"]} is needed, and "at" may stand beside.',
                "Correct it.",
            ) from None
        if len(asked.users) > self._limits.most_users:
            raise refused(
                422,
                f"{len(asked.users):,} users are asked about.",
                f"At most {self._limits.most_users:,} are answered at a time.",
                "Ask in parts.",
            )
        found = await self._forecasts([_user(user) for user in asked.users], self._at(asked.at), *_ANSWERS[asked.answers])
        standing = self._engine.standing(self._engine.now())
        return Reply(200, encode(Forecasts(standing.model, standing.data_age_s, standing.degraded, found)))

    async def _forecasts(self, users: Sequence[str], at: int | None, everything: bool, further: bool) -> list[Any]:
        moment = self._engine.moment() if at is None else at
        found: list[Any] = []
        for start in range(0, len(users), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            part = self._engine.forecasts(users[start : start + _AT_ONCE], moment, everything)
            found += self._engine.further(part) if further else part
        return found

    def _at(self, said: str | float | None) -> int | None:
        if said is None:
            return None
        try:
            at = instant_of("at", self._zone, self._engine.reception.day_first, said)
        except BadCellError as error:
            raise refused(422, error.got, error.need, "Correct it, or leave it out: then it is now.") from None
        if at is None or at < self._engine.earliest():
            raise refused(
                422, f"at is {said!r}."[:200], "The live state knows the present only: no moment before the last event.",
                "Ask for later, leave it out, or use `whenbuy predict --as-of`.",
            )  # fmt: skip
        return at


def understood(reception: Reception, raw: bytes, source: str, now: int, lines: bool) -> list[Event | Refused]:
    """Return what a reception makes of a body: a JSON array, JSON lines, or one object however it is broken into lines."""
    if lines or raw[:64].lstrip()[:1] == b"[":
        rows = reception.many(raw, source, now)
        if not rows:
            raise UsageError("There is no event in the body.", "At least one is needed.", "Send one event, an array or one a line.")
        return rows
    head, _, tail = raw.strip().partition(b"\n")
    if tail and head.rstrip().endswith(b"}"):
        return reception.many(raw, source, now)
    return [reception.one(raw, source, now)]


@lru_cache(1_000)
def _says_lines(content_type: bytes) -> bool:
    return content_type.decode("latin-1").partition(";")[0].strip().lower() in LINES


def _source(said: str | None) -> str:
    if said is None:
        return "http"
    if not _SOURCE.fullmatch(said):
        raise refused(422, f"source is {said[:60]!r}.", "A source has up to 40 letters, digits and . _ -", "Name it so, or leave it out.")
    return f"http:{said}"


def _flag(name: str, said: str | None) -> bool:
    if said is None or said in _FLAGS:
        return said is not None and _FLAGS[said]
    raise refused(422, f"{name} is {said[:60]!r}.", "true or false is needed.", "Correct it, or leave it out.")


def _answers(said: str) -> tuple[bool, bool]:
    """Return whether more is wanted than when she buys, and whether the further answers are."""
    if said in _ANSWERS:
        return _ANSWERS[said]
    raise refused(422, f"answers is {said[:60]!r}.", "when, usual or all is needed.", "Correct it, or leave it out.")


_ANSWERS: Final = {"when": (False, False), "usual": (True, False), "all": (True, True)}
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def _user(said: str | float) -> str:
    try:
        user = name_of("A user", said, words=False)
    except BadCellError as error:
        raise refused(422, error.got, error.need, "Correct it.") from None
    if user is None:
        raise refused(422, "A user is empty.", "A user is named by an id.", "Name one.")
    return user
