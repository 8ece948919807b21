"""The journal: every event that was ever sent, in the order of its arrival, exactly once, or set aside with the reason.

An acknowledged event is on the disk. What is counted always adds up: sent = accepted + duplicate + dead + late.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from whenbuy.core.arrays import DAY
from whenbuy.ingest.known import Value
from whenbuy.ingest.reception import Event, Reception, Refused, late

Status = Literal["accepted", "duplicate", "dead", "late"]
Held = Literal["dead", "cleaned", "late"]
"""What a row that was set aside is; one that was cleaned counts as a dead letter."""
Key = tuple[str, str]
"""The source of an event and its id: what makes it this event for ever."""
FORMAT: Final = 1
"""The form of the tables; a journal of another form is refused."""


class Receipt(msgspec.Struct, frozen=True):  # made twice for every request
    """What became of a batch, row by row. Who has it may rely on it: it is written after the batch is durable.

    Parameters
    ----------
    accepted
        The place of each row in the journal, None where it was not accepted.
    statuses
        ``accepted``, ``duplicate``, ``dead`` (a dead letter) or ``late`` (kept aside).
    reasons
        Why a row was not accepted; empty where it was.
    events
        The accepted events as they are stored, None for other rows: their ``known_at`` never falls from one to the next.
    """

    accepted: tuple[int | None, ...]
    statuses: tuple[Status, ...]
    reasons: tuple[str, ...]
    events: tuple[Event | None, ...]

    def new(self) -> Iterator[tuple[int, Event]]:
        """Yield what was accepted: its place in the journal, and the event."""
        for seq, event in zip(self.accepted, self.events, strict=True):
            if seq is not None and event is not None:
                yield seq, event


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of everything that was sent."""

    sent: int
    accepted: int
    duplicate: int
    dead: int
    late: int

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing is counted twice."""
        return self.sent == self.accepted + self.duplicate + self.dead + self.late


@dataclass(frozen=True, slots=True)
class Dead:
    """One row that was set aside.

    Parameters
    ----------
    id
        Its number, by which it is replayed.
    status
        ``dead`` where it is no event, ``cleaned`` where a rule of cleaning took it out, ``late`` where it came after the stated lateness.
    source
        Where it came from.
    raw
        The bytes as they came; of an event that was late or cleaned what was understood, as JSON.
    reason
        What was got, what is needed, what to do next.
    known_at
        Instant at which it arrived.
    """

    id: int
    status: Held
    source: str
    raw: bytes
    reason: str
    known_at: int


class Entrance(Protocol):
    """What judges events before they are kept, by events that were kept earlier; see ``entrance``."""

    seq: int

    def suspects(self, batch: Sequence[Event | Refused]) -> frozenset[int]:
        """Return the places in a batch of events that may have to be taken out; most others cannot."""

    def verdicts(self, fresh: Sequence[Event], places: Collection[int]) -> Mapping[int, str]:
        """Return why some of these events, in the order of their arrival, are taken out, by place."""

    def learn(self, events: Iterable[tuple[int, Event]]) -> None:
        """Learn of events that are kept, with their places in the journal; those that are known already change nothing."""


class Journal(Protocol):
    """Where events are kept before anything else is done with them. All methods may be called from many threads."""

    def take(self, batch: Sequence[Event | Refused], position: Key | None = None) -> Receipt:
        """Keep a batch and the position of its source in one durable transaction; return after it is durable.

        Parameters
        ----------
        batch
            What the reception made of what was sent.
        position
            The name of a source and how far it has been read.

        Raises
        ------
        AccessError, DependencyError, BusyError
            When it could not be made durable: nothing of it was kept, and it can be sent again.
        """

    def begin(self, batch: Sequence[Event | Refused]) -> Callable[[], Receipt] | None:
        """Write a batch, all of it accepted as it is, but do not bring it to the disk yet.

        Return what does, in whatever thread, and must be called: it returns and raises as `take`. None where the store would have to be
        waited for, or there is more to be asked about the batch: nothing was done then, and `take` does it.
        """

    def events(self, after: int = 0, limit: int = 10_000) -> Iterator[tuple[int, Event]]:
        """Yield accepted events by their place, in its order."""

    def last(self) -> int:
        """Return the place of the last accepted event; 0 where there is none."""

    def position(self, source: str) -> str | None:
        """Return how far a source has been read, None where it has not."""

    def counts(self) -> Counts:
        """Return what became of everything that was sent."""

    def dead(self, after: int = 0, limit: int = 100) -> list[Dead]:
        """Return rows that were set aside, by number."""

    def replay(self, ids: Collection[int], reception: Reception, now: int) -> Receipt:
        """Receive rows again that were set aside, in the order of their numbers; what is accepted now is set aside no more."""

    def compacted(self) -> int:
        """Return the place up to which the columnar log holds everything."""

    def mark_compacted(self, seq: int) -> None:
        """Say that the columnar log holds everything up to a place."""

    def close(self) -> None:
        """Let the store go. What was taken is durable already."""


# ------------------------------------------------------------------------------- what the stores have in common


class Body(msgspec.Struct, array_like=True):
    """What a store keeps of an event beside its key and its arrival."""

    user: str | None
    kind: str
    time: int
    values: Mapping[str, Value]


_BODY: Final = msgspec.json.Decoder(Body)
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class State:
    """The small facts of a journal, which change with every transaction."""

    seq: int
    known_at: int
    sent: int
    duplicate: int
    late: int


@dataclass(frozen=True, slots=True)
class Aside:
    """A row to be set aside; ``event_id`` is None where none is known."""

    status: Held
    source: str
    event_id: str | None
    known_at: int
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a batch changes in a journal, and the receipt for it."""

    receipt: Receipt
    events: list[tuple[int, Event]]
    aside: list[Aside]
    state: State


def keys(batch: Sequence[Event | Refused]) -> list[Key]:
    """Return the keys of the events in a batch."""
    return [(row.source, row.event_id) for row in batch if isinstance(row, Event)]


def sort_out(
    batch: Sequence[Event | Refused], known: Collection[Key], state: State, lateness_days: float, entrance: Entrance | None = None
) -> Sorted:
    """Return what a batch changes in a journal: each row is new, a duplicate, a dead letter or late.

    Whether it is a duplicate is asked first: an event that was accepted in time may be sent again at any time. Cleaning comes last.

    Parameters
    ----------
    batch
        The rows.
    known
        Keys in the batch that the journal holds already.
    state
        The journal's facts before the batch.
    lateness_days
        How many days an event may be on its way.
    entrance
        Says which of the events are taken out.
    """
    accepted: list[int | None] = [None] * len(batch)
    statuses: list[Status] = ["accepted"] * len(batch)
    reasons = [""] * len(batch)
    stored: list[Event | None] = [None] * len(batch)
    aside: dict[int, Aside] = {}
    fresh: list[tuple[int, Event]] = []
    met = set(known)
    high, duplicate, tardy = state.known_at, state.duplicate, state.late
    for place, row in enumerate(batch):
        if isinstance(row, Refused):
            statuses[place], reasons[place] = "dead", row.reason
            aside[place] = Aside("dead", row.source, None, row.known_at, row.reason, row.raw)
        elif (key := (row.source, row.event_id)) in met:
            statuses[place], reasons[place] = "duplicate", _DUPLICATE
            duplicate += 1
        elif late(row, lateness_days):
            met.add(key)
            statuses[place], reasons[place] = "late", _late(row, lateness_days)
            aside[place] = Aside("late", row.source, row.event_id, row.known_at, reasons[place], _ENCODE(row))
            tardy += 1
        else:
            met.add(key)
            event = row if row.known_at >= high else msgspec.structs.replace(row, known_at=high)
            high = event.known_at
            fresh.append((place, event))
    for place, why in _cleaned(fresh, entrance).items():
        statuses[place], reasons[place] = "dead", why
    seq, events = state.seq, []
    for place, event in fresh:
        if statuses[place] == "dead":
            aside[place] = Aside("cleaned", event.source, event.event_id, event.known_at, reasons[place], _ENCODE(event))
            continue
        seq += 1
        accepted[place], stored[place] = seq, event
        events.append((seq, event))
    receipt = Receipt(tuple(accepted), tuple(statuses), tuple(reasons), tuple(stored))
    return Sorted(receipt, events, [aside[place] for place in sorted(aside)], State(seq, high, state.sent + len(batch), duplicate, tardy))


def plain(batch: Sequence[Event | Refused], state: State, lateness_days: float) -> Sorted | None:
    """Return what `sort_out` makes of a batch if all of it is accepted as it is; else None.

    Nothing of it is taken out by cleaning, and nothing is held already or twice in it: that the store has to refuse.
    """
    high, longest = state.known_at, lateness_days * DAY
    for row in batch:
        if type(row) is not Event or row.known_at < high or row.known_at - row.time > longest:
            return None
        high = row.known_at
    count = len(batch)
    events: Any = tuple(batch)
    accepted: Any = ("accepted",) * count
    last = state.seq + count
    places = tuple(range(state.seq + 1, last + 1))
    receipt = Receipt(places, accepted, ("",) * count, events)
    return Sorted(receipt, list(zip(places, events, strict=True)), [], State(last, high, state.sent + count, state.duplicate, state.late))


def _cleaned(fresh: Sequence[tuple[int, Event]], entrance: Entrance | None) -> Mapping[int, str]:
    """Return which new events cleaning takes out, by their place in the batch, and why."""
    if entrance is None or not fresh:
        return {}
    events = [event for _, event in fresh]
    suspects = entrance.suspects(events)
    return {fresh[place][0]: why for place, why in entrance.verdicts(events, suspects).items()} if suspects else {}


def cut(whole: Receipt, sizes: Sequence[int]) -> list[Receipt]:
    """Return the receipts of batches that were sorted out as one."""
    found, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        found.append(Receipt(whole.accepted[part], whole.statuses[part], whole.reasons[part], whole.events[part]))
        start += size
    return found


def again(dead: Dead, reception: Reception, now: int) -> Event | Refused:
    """Return what a reception makes of a row that was set aside."""
    if dead.status == "dead":
        return reception.one(dead.raw, dead.source, now, f"dead letter {dead.id}")
    event: Event = msgspec.json.decode(dead.raw, type=Event)  # late or cleaned
    return msgspec.structs.replace(event, known_at=now)


def still_aside(held: Sequence[Dead], receipt: Receipt) -> list[int]:
    """Return the numbers of rows that a replay sets aside again."""
    return [dead.id for dead, status in zip(held, receipt.statuses, strict=True) if status in ("dead", "late")]


def body_of(event: Event) -> bytes:
    """Return what is kept of an event beside its key and its arrival, as JSON."""
    return _ENCODE((event.user, event.kind, event.time, event.values))  # a `Body`


def event_of(source: str, event_id: str, known_at: int, body: bytes) -> Event:
    """Return an event as it was kept."""
    kept = _BODY.decode(body)
    return Event(source, event_id, kept.user, kept.kind, kept.time, known_at, kept.values)


_DUPLICATE: Final = "This event is held already. One event is counted once. Nothing is to be done."


def _late(event: Event, lateness_days: float) -> str:
    days = (event.known_at - event.time) / 86_400_000_000
    return (
        f"It arrived {days:,.1f} days after it happened. This shop waits {'a day' if lateness_days == 1 else f'{lateness_days:g} days'}. "
        "Raise lateness_days in whenbuy.toml and replay it, or leave it aside."
    )
