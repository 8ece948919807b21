"""A customer who is held ready: what is remembered of her beside her windows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from whenbuy.core.errors import LeakError
from whenbuy.core.log import EventLog
from whenbuy.ingest.reception import SKEW, Event
from whenbuy.serve.classes import Entry
from whenbuy.serve.reading import Curve


@dataclass(slots=True, eq=False)
class Known:
    """A customer who is held ready.

    Parameters
    ----------
    place
        Where her windows are.
    code
        Her code in the log; -1 where it does not know her.
    last
        The instant at which her last event became known; ``MISSING`` where there is none.
    events
        How many of her events are known.
    bought
        Whether one of them is a purchase; None where nobody has asked that of her events in the log.
    orders
        The orders of which a line is known, once a purchase asked for them: ids, or instants of those without one.
    entries
        What each event that the log does not hold says of classes.
    merged
        Whether her events in the log and those that followed lie between each other.
    curve
        What the model said last, where nothing has happened since.
    """

    place: int
    code: int
    last: int
    events: int
    bought: bool | None
    orders: set[str | int] | None = None
    entries: list[Entry] = field(default_factory=list)
    merged: bool = False
    curve: Curve | None = None


def rows_of(known: Known, log: EventLog) -> tuple[int, int]:
    """Return where a customer's rows lie in the log."""
    return (int(log.offsets[known.code]), int(log.offsets[known.code + 1])) if known.code >= 0 else (0, 0)


def has_bought(known: Known, log: EventLog) -> bool:
    """Return whether one of her events is a purchase."""
    if known.bought is None:
        lo, hi = rows_of(known, log)
        known.bought = bool((log.kind[lo:hi] == log.code("purchase")).any())
    return known.bought


def begins_order(known: Known, event: Event, log: EventLog) -> bool:
    """Return whether a purchase is the first known line of its order, and remember that."""
    if known.orders is None:
        known.orders = orders_of(log, *rows_of(known, log))
    order = event.values.get("order_id")
    named = event.time if order is None else str(order)
    if named in known.orders:
        return False
    known.orders.add(named)
    return True


def orders_of(log: EventLog, lo: int, hi: int) -> set[str | int]:
    """Return the orders of which the rows lo … hi hold a line: their ids, or the instants of those without one."""
    rows = lo + np.flatnonzero(log.kind[lo:hi] == log.code("purchase"))
    column = log.columns.get("order_id")
    if column is None or column.dictionary is None:
        return set(log.time[rows].tolist())
    codes = np.asarray(column.values[rows], np.int32)
    bare = log.time[rows[codes < 0]].tolist()
    ids = column.dictionary.ids  # one by one: for the few orders of one customer a gather takes longer
    return {*bare, *(ids[code] for code in set(codes[codes >= 0].tolist()))}


def moment_of(user: str, known: Known, at: int) -> int:
    """Return as of when a customer is forecast: an instant, or just after her last event where clocks differ.

    Raises
    ------
    LeakError
        When that lies further back than clocks may differ.
    """
    if at > known.last:
        return at
    if at < known.last - SKEW:
        raise LeakError(
            f"A forecast of {user!r} was asked for as of an instant before her last event.",
            "The live state knows what is known now, and cannot forget it.", "Ask as of now, or predict from the log.",
        )  # fmt: skip
    return known.last + 1
