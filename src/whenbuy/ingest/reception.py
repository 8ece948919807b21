"""Reception: what a sender says, one event at a time, as an event in the log's words, or refused with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.log import CODED, ORDERS, SCALES, EventLog
from whenbuy.ingest.cell import BadCellError, figure_of, instant_of, name_of, number_of, prose_of, shown
from whenbuy.ingest.columns import CANONICAL, known_word
from whenbuy.ingest.frames import BOUGHT, MOST_KINDS
from whenbuy.ingest.known import Known, Plan, Reader, Value
from whenbuy.ingest.mapping import EVERY, kind_of, kind_without_column
from whenbuy.ingest.words import COLUMN_NAMES, plain

if TYPE_CHECKING:
    from whenbuy.config import Settings


SKEW: Final = 5 * 60 * 1_000_000
"""How far ahead of ours a sender's clock may be, in microseconds; such an event happened when it arrived."""
LEAST_LATENESS_DAYS: Final = 1.0
"""An event may always be so long on its way, in days: queues and nightly files are no lateness."""
MOST_ATTRIBUTES: Final = 200
"""With more attributes than this, the names of attributes are not names but values."""
_PLANS: Final = 4_096
_SELDOM_AGAIN: Final = ("event_id", "text")
"""Columns whose texts seldom come again."""
_DECODE: Final = msgspec.json.Decoder().decode
_DECODE_ROWS: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_DECODE_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_AGAIN: Final = "Correct it and send the event again."


class Event(msgspec.Struct, frozen=True):  # a dataclass takes seven times as long to make
    """One accepted event in the log's words.

    Parameters
    ----------
    source
        Where it came from (``http``, ``folder:…``, ``kafka:topic/0``); with ``event_id`` it names the event for ever.
    event_id
        The sender's id; where there is none, a hash of the row and its place in the source.
    user
        Who; None for nobody that is known.
    kind
        What, after the shop's own names of events are translated.
    time
        Instant at which it happened.
    known_at
        Instant at which it arrived here; never before ``time``.
    values
        The further columns of the log that it fills: names as text, numbers in their own unit.
    """

    source: str
    event_id: str
    user: str | None
    kind: str
    time: int
    known_at: int
    values: Mapping[str, Value]


class Refused(msgspec.Struct, frozen=True):
    """What could not become an event, kept as it came.

    Parameters
    ----------
    source
        Where it came from.
    raw
        The bytes as they came.
    reason
        What was got, what is needed, what to do next.
    known_at
        Instant at which it arrived.
    """

    source: str
    raw: bytes
    reason: str
    known_at: int


class Shift(msgspec.Struct, frozen=True):
    """A clock of which it is known by how much it is wrong.

    Parameters
    ----------
    column, name
        What tells its events: the name in a column.
    microseconds
        What is added to its times.
    """

    column: str
    name: str
    microseconds: int

    def of(self, values: Mapping[str, Value]) -> int:
        """Return what is added to the time of an event."""
        return self.microseconds if values.get(self.column) == self.name else 0


@dataclass(frozen=True, slots=True)
class Reception:
    """How a shop understands what it is sent.

    A key of an event is what ``columns`` calls it, else the column of that name, else the column that a table with such a heading would
    have (``customer``, ``timestamp``, …). Every other key is an attribute: a number where the log holds numbers under that name, text
    everywhere else, so that no later event can contradict an earlier one. The sender's own ``known_at`` is not believed: live, an event
    is known when it arrives.

    Parameters
    ----------
    columns
        Our column -> the sender's key; an empty key says that there is none.
    kinds
        The sender's event -> our kind.
    clock
        The zone of times that name none.
    lateness_days
        How many days an event may be on its way and still count.
    attributes
        The log's attributes: whether each holds numbers.
    known_kinds
        The kinds that the log holds: with all new ones there are never more than ``MOST_KINDS``.
    currency
        Of amounts that name none.
    decimal
        The decimal mark of numbers that are sent as text.
    day_first
        Whether 03/04/2017 is the third of April.
    cancelled
        How the numbers of cancelled orders begin.
    most_bytes
        The longest event that is read, in bytes.
    most_events
        How many events `many` takes at a time.
    shift
        A clock that is wrong, where there is one.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = Clock()
    lateness_days: float = LEAST_LATENESS_DAYS
    attributes: Mapping[str, bool] = field(default_factory=dict)
    known_kinds: tuple[str, ...] = ()
    currency: str | None = None
    decimal: str = "."
    day_first: bool = True
    cancelled: str | None = None
    most_bytes: int = 65_536
    most_events: int = 1_000
    shift: Shift | None = None
    _plans: dict[tuple[str, ...], Plan] = field(default_factory=dict, init=False, repr=False, compare=False)
    _kinds: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _met: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _riding: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(default=ZoneInfo("UTC"), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", ZoneInfo(self.clock.zone))
        self._met.update(self.known_kinds)
        self._riding.update(self.attributes)

    @classmethod
    def of(cls, settings: Settings, log: EventLog | None = None) -> Reception:
        """Return the reception of a shop, by its settings and by what its log holds."""
        source = settings.source
        held = {} if log is None else {n: c.dictionary is None for n, c in log.columns.items() if n not in (*CANONICAL, ORDERS)}
        return cls(
            settings.columns, settings.kinds, Clock(settings.shop.timezone), max(settings.shop.lateness_days, LEAST_LATENESS_DAYS), held,
            () if log is None else log.kinds, settings.shop.currency or None, source.decimal or ".",
            source.day_first if isinstance(source.day_first, bool) else True, source.cancelled.strip("-") or None,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------- what comes

    def one(self, raw: bytes, source: str, now: int, place: str = "") -> Event | Refused:
        """Return one event, sent as a JSON object.

        Parameters
        ----------
        raw
            The object's bytes.
        source
            Where it came from.
        now
            The instant of its arrival.
        place
            Where in the source it stands: tells apart equal rows without an id.
        """
        if len(raw) > self.most_bytes:
            return Refused(source, bytes(raw), _said(*self._too_long(len(raw))), now)
        try:
            row = _DECODE(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return Refused(source, bytes(raw), _said(f"This is no JSON ({error}).", "An event is one JSON object.", _AGAIN), now)
        if type(row) is not dict:
            return Refused(source, bytes(raw), _said(f"This is {shown(row)}.", "An event is one JSON object.", _AGAIN), now)
        return self.row(row, source, now, place, raw)

    def many(self, raw: bytes, source: str, now: int, place: str = "") -> list[Event | Refused]:
        """Return the events of a JSON array, or of lines of JSON, each with its own bytes; what is neither is one refusal.

        Raises
        ------
        UsageError
            When there are more than ``most_events``.
        """
        is_array = raw[:64].lstrip()[:1] == b"["
        if is_array and (plain := self._plain(raw, source, now)) is not None:
            return plain
        if is_array:
            try:
                parts: Sequence[Any] = msgspec.json.decode(raw, type=list[msgspec.Raw])
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                reason = _said(f"This is no JSON ({error}).", "Events come as a JSON array or as one JSON object a line.", _AGAIN)
                return [Refused(source, bytes(raw), reason, now)]
        else:
            parts = [line for line in raw.split(b"\n") if line.strip()]
        if len(parts) > self.most_events:
            raise UsageError(
                f"{len(parts):,} events were sent at once.", f"At most {self.most_events:,} are taken at a time.", "Send them in parts."
            )
        return [self.one(bytes(part), source, now, f"{place}{i}") for i, part in enumerate(parts)]

    def _plain(self, raw: bytes, source: str, now: int) -> list[Event | Refused] | None:
        """Return the events of an array of which each is good and has an id, as most are; None where one may be otherwise."""
        try:
            if len(raw) > self.most_bytes and max(map(len, _DECODE_PARTS(raw)), default=0) > self.most_bytes:
                return None
            rows = _DECODE_ROWS(raw)
            if len(rows) > self.most_events:
                return None
            return [self._event(row, source, now, None, None) for row in rows]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, BadCellError, _NoIdError):
            return None

    def row(self, row: Mapping[str, Any], source: str, now: int, place: str = "", raw: bytes | None = None) -> Event | Refused:
        """Return one event of values by their keys, as a table or a stream of fields gives them.

        Parameters
        ----------
        row
            Text, numbers, truth values, dates, date-times or None by key.
        source, now, place
            As in `one`.
        raw
            The bytes as they came; the values as JSON where there are none.
        """
        try:
            return self._event(row, source, now, place, raw)
        except BadCellError as error:
            return Refused(source, bytes_of(row) if raw is None else bytes(raw), _said(error.got, error.need, error.do), now)

    # ------------------------------------------------------------------------------------------- one event

    def _event(self, row: Mapping[str, Any], source: str, now: int, place: str | None, raw: bytes | None) -> Event:
        plan = self._plans.get(tuple(row))
        if plan is None:
            plan = self._planned(tuple(row))
        said = row[plan.time_key]
        time = plan.times[said] if type(said) is str else plan.time(said)
        if time is None:
            raise _no_time(row)
        values = plan.values(row)
        if self.shift is not None:
            time += self.shift.of(values)
        if time > now:
            if time > now + SKEW:
                raise BadCellError(
                    f"{plan.time_key} is {shown(row[plan.time_key])}, {_ahead(time - now)} ahead.",
                    "Nothing can have happened yet after now.", "Set the sender's clock, and name the zone of its times.",
                )  # fmt: skip
            time = now
        user = values.pop("user_id", None)
        event_id = values.pop("event_id", None)
        if event_id is None:
            if place is None:
                raise _NoIdError
            event_id = _fingerprint(place, bytes_of(row) if raw is None else raw)
        kind = self._kind(values.pop("kind", None), plan, values)
        if kind in BOUGHT:
            kind = self._money(kind, plan, values)
        if self.currency is not None and "currency" not in plan.named:
            values["currency"] = self.currency
        return Event(source, event_id, user, kind, time, now, values)  # type: ignore[arg-type]

    def _kind(self, said: Value | None, plan: Plan, values: Mapping[str, Value]) -> str:
        if said is None:
            if "kind" in plan.named:
                raise BadCellError("kind is empty.", "Every event has a kind, such as view or purchase.")
            return str(kind_without_column(values, self.kinds).value)
        kind = self._kinds.get(said)  # type: ignore[arg-type]
        return self._meaning(str(said)) if kind is None else kind

    def _meaning(self, said: str) -> str:
        given = self.kinds if self.columns.get("kind") else {name: kind for name, kind in self.kinds.items() if name != EVERY}
        kind = str(kind_of(said, given).value)
        if kind not in self._met and len(self._met) >= MOST_KINDS:
            raise BadCellError(
                f"kind is {shown(said)}, which is new, and there are {len(self._met):,} kinds already.",
                f"At most {MOST_KINDS} kinds of event are told apart.", "Send few kinds, and what differs from event to event beside them.",
            )  # fmt: skip
        self._met.add(kind)
        if len(self._kinds) < _PLANS:
            self._kinds[said] = kind
        return kind

    def _money(self, kind: str, plan: Plan, values: dict[str, Value]) -> str:
        """Work out the amount where it must be; return the kind, which is a refund where something is negative."""
        if "amount" not in plan.named and "unit_price" in values:
            values["amount"] = float(values["unit_price"]) * float(values.get("quantity", 1))
        negative = float(values.get("amount", 0)) < 0 or float(values.get("quantity", 0)) < 0
        if negative or (self.cancelled is not None and str(values.get("order_id", "")).startswith(self.cancelled)):
            kind = "refund"
        if kind == "refund":
            for name in ("amount", "quantity", "unit_price"):
                if name in values:
                    values[name] = abs(values[name])  # type: ignore[arg-type]
        return kind

    # ------------------------------------------------------------------------------------------- which key is what

    def _planned(self, keys: tuple[str, ...]) -> Plan:
        meant = self._meant(keys)
        time_key = next((key for key, name in meant.items() if name == "time"), None)
        if time_key is None:
            raise _no_time(keys)
        readers = {key: (name, self._reader(key, name)) for key, name in meant.items() if name not in ("time", "known_at")}
        cells = tuple((key, name, read, None if name in _SELDOM_AGAIN else Known(read)) for key, (name, read) in readers.items())
        reader = partial(instant_of, time_key, self._zone, self.day_first)
        plan = Plan(time_key, reader, Known(reader), cells, frozenset(meant.values()))
        if len(self._plans) < _PLANS:
            self._plans[keys] = plan
        return plan

    def _meant(self, keys: tuple[str, ...]) -> dict[str, str]:
        """Return what each key is: as the shop says, by its own name, by what such a heading means, else an attribute."""
        absent = {name for name, key in self.columns.items() if not key}
        told = {key: name for name, key in self.columns.items() if key}
        meant = {key: told[key] for key in keys if key in told}
        free = [key for key in keys if key not in meant and key not in absent]
        for key in free:
            if (key in CANONICAL or key in self.attributes) and key not in meant.values():
                meant[key] = key
        usual = [(usual, key) for key in free if key not in meant and (usual := _usual(key)) is not None]
        for (_, name), key in sorted(usual):
            if name not in meant.values() and name not in absent:
                meant[key] = name
        for key in free:
            if key not in meant:
                meant[key] = self._attribute(key)
        return {key: meant[key] for key in keys if key in meant}

    def _attribute(self, key: str) -> str:
        if not key.isprintable() or key.strip() != key or not 0 < len(key) <= 100 or key in (*CANONICAL, ORDERS):
            raise BadCellError(f"{shown(key)} is sent as a name.", "The names of an event's values are short words.", "Rename it.")
        if key not in self._riding and len(self._riding) >= MOST_ATTRIBUTES:
            raise BadCellError(
                f"{shown(key)} is a new attribute, and there are {len(self._riding):,} already.",
                f"At most {MOST_ATTRIBUTES} are kept.", "Send what differs from event to event as a value, not as a name.",
            )  # fmt: skip
        self._riding.add(key)
        return key

    def _reader(self, key: str, name: str) -> Reader:
        if name == "text":
            return partial(prose_of, key)
        if name in SCALES:
            return partial(number_of, key, decimal=self.decimal) if self.decimal != "." else partial(number_of, key)
        if name not in (*CODED, "user_id", "kind") and self.attributes.get(name):
            return partial(figure_of, key, decimal=self.decimal)
        return partial(name_of, key)

    def _too_long(self, size: int) -> tuple[str, str, str]:
        return f"The event has {size:,} bytes.", f"At most {self.most_bytes:,} are read.", "Send what it says in fewer words."


class _NoIdError(Exception):
    """An event has no id, and neither its bytes nor its place are at hand."""


def bytes_of(row: Mapping[str, Any]) -> bytes:
    """Return values by their keys as JSON; what JSON has no word for as text."""
    try:
        return msgspec.json.encode(dict(row), enc_hook=str)
    except (UnicodeEncodeError, TypeError):
        return repr(dict(row)).encode(errors="backslashreplace")


def late(event: Event, lateness_days: float) -> bool:
    """Return whether an event happened longer before it arrived than the stated lateness."""
    return event.known_at - event.time > lateness_days * DAY


def _usual(key: str) -> tuple[int, str] | None:
    """Return what a heading such as ``customer`` means, with the place of the word among its like, None where it means nothing."""
    word, whole = known_word(plain(key))
    return (_PLACE[word], COLUMN_NAMES[word]) if word is not None and whole else None


_PLACE: Final = {word: place for place, word in enumerate(COLUMN_NAMES)}


def _no_time(row: Mapping[str, Any] | tuple[str, ...]) -> BadCellError:
    keys = ", ".join(map(repr, list(row)[:20])) or "nothing"
    return BadCellError(
        f"There is no time; there are {keys[:300]}.", "Every event has one, under time, or as [columns] in whenbuy.toml says."
    )


def _ahead(span: int) -> str:
    minutes = span / 6e7
    return f"{minutes:,.0f} minutes" if minutes < 2_880 else f"{minutes / 1_440:,.0f} days"


def _said(got: str, need: str, do: str) -> str:
    return str(WhenbuyError(got, need, do))


def _fingerprint(place: str, raw: bytes) -> str:
    return hashlib.sha256(place.encode() + b"\0" + raw).hexdigest()[:32]
