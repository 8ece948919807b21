"""History, and the cut in time: Past is what was known strictly before a cutoff, Future is what happened in a window after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.activity import Activity
from whenbuy.core.arrays import DAY, MISSING, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.card import card
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ImmatureError, LeakError, WhenbuyError
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.core.profile import Profile


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A shop's log with its clock and its profiles.

    Parameters
    ----------
    log
        The events.
    clock
        The zone in which the shop counts its days.
    users, items, offers
        Profiles, where the shop has them.
    lateness_days
        How late an event may come and still count. A label is ripe when its window and this much time have passed.
    """

    log: EventLog
    clock: Clock = Clock()
    users: Profile | None = None
    items: Profile | None = None
    offers: Profile | None = None
    lateness_days: float = 0.0

    @property
    def end(self) -> int:
        """The instant up to which the log is complete."""
        return self.log.end

    def keys(self, users: Iterable[str] | None = None, as_of: int | str | None = None) -> Keys:
        """Return one key per user at one cutoff: of the users named, or of all who were known before it.

        A name that the log does not know is kept: it has an empty past, and priors answer for it.
        """
        cutoff = self.end if as_of is None else self.clock.instant(as_of)
        if users is None:
            first = self.log.offsets[:-1]
            has_event = first < self.log.offsets[1:]
            known = np.zeros(len(self.log.users), bool)
            known[has_event] = self.log.known_at[first[has_event]] < cutoff
            code = np.flatnonzero(known).astype(np.int32)
            return Keys("user", code, np.full(len(code), cutoff, np.int64), self.log.users)
        named = list(users)
        code = self.log.users.codes(named)
        strangers = list(dict.fromkeys(name for name, c in zip(named, code, strict=True) if c < 0))
        names = self.log.users.extended(strangers) if strangers else self.log.users
        place = {name: len(self.log.users) + i for i, name in enumerate(strangers)}
        code = np.array([place.get(name, c) for name, c in zip(named, code, strict=True)], np.int32)
        return Keys("user", code, np.full(len(code), cutoff, np.int64), names)

    def panel(self, cutoffs: Instants) -> Keys:
        """Return a key for every user at every cutoff before which she was known, in the order of the sweep."""
        log = self.log
        users = np.flatnonzero(np.diff(log.offsets) > 0)
        alive = log.known_at[log.offsets[users]][:, None] < np.asarray(cutoffs, np.int64)[None, :]
        user, cutoff = np.nonzero(alive)
        return Keys("user", users[user].astype(np.int32), np.asarray(cutoffs, np.int64)[cutoff], log.users)

    def before(self, keys: Keys) -> Past:
        """Return what was known strictly before each key's cutoff."""
        start, stop = _slices(self.log.offsets, self.log.known_at, keys.code, keys.cutoff)
        return Past(keys, self, start, stop, keys.cutoff)

    def within(self, keys: Keys, horizon_days: float) -> Future:
        """Return what happened in the ``horizon_days`` after each key's cutoff, as far as the log reaches."""
        return Future(keys, self, keys.cutoff, keys.cutoff + round(horizon_days * DAY))

    def plot(self) -> Any:
        """Return a chart of the activity: events of the commonest kinds (at most six), week by week, or day by day in a short log."""
        from whenbuy.core.chart.records import activities

        found = Activity.of(self.log, self.clock)
        return activities({kind: found.of_kind(kind) for kind in list(found.totals)[:6]}, found.unit)

    def _repr_html_(self) -> str:
        found, log = Activity.of(self.log, self.clock), self.log
        words = f"{len(log):,} events of {len(log.users):,} users"
        if len(log):
            words += f", {self.clock.show(log.start)[:10]} to {self.clock.show(int(log.time.max()))[:10]} ({self.clock.zone})"
        profiles = [f"{one.entity} profiles" for one in (self.users, self.items, self.offers) if one is not None]
        note = f"Columns: {', '.join(['user_id', 'kind', 'time', *log.columns])}." + (f" And {', '.join(profiles)}." if profiles else "")
        kinds = pl.DataFrame({"kind": list(found.totals), "events": list(found.totals.values())}, {"kind": pl.String, "events": pl.Int64})
        return card("History", f"{words}.", kinds, chart=self.plot() if found.totals else None, note=note)

    def __repr__(self) -> str:
        return f"History({len(self.log):,} events, {len(self.log.users):,} users, {self.clock.zone}, to {self.clock.show(self.end)})"

    def cut(self, instant: int) -> History:
        """Return the history as it stood just before an instant."""
        return History(self.log.cut(instant), self.clock, self.users, self.items, self.offers, self.lateness_days)


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was known about each key strictly before its cutoff.

    There is no public way from here to the log; the feature engines read it under ``start`` and ``stop``.

    Parameters
    ----------
    keys
        Who is asked (n).
    _history
        Where the events lie.
    start, stop
        The rows of the log that each key may see (n each).
    at
        The instant at which the past is read (n): the cutoff, or a later one after a silence.

    Raises
    ------
    LeakError
        When a row may see an event of somebody else, or one known at or after its cutoff.
    """

    keys: Keys
    _history: History
    start: Ints
    stop: Ints
    at: Instants

    def __post_init__(self) -> None:
        log = self._history.log
        filled = np.flatnonzero(self.stop > self.start)
        owner = self.keys.code[filled]
        if len(filled) and (
            owner.max() >= len(log.users)
            or (self.start[filled] < log.offsets[owner]).any()
            or (self.stop[filled] > log.offsets[owner + 1]).any()
        ):
            raise LeakError("A past was built from the events of another user.", "A key may see its own events only.")
        if (log.known_at[self.stop[filled] - 1] >= self.keys.cutoff[filled]).any():
            raise LeakError(
                "A past was built with an event that became known at or after its cutoff.",
                "A past holds only what was known strictly before its cutoff.",
                "Build it with History.before(keys).",
            )
        if (self.at < self.keys.cutoff).any():
            raise LeakError("A past was read before its own cutoff.", "It may be read at its cutoff or after a silence.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Past:
        """Return the past of some of the keys."""
        return Past(self.keys.take(rows), self._history, self.start[rows], self.stop[rows], self.at[rows])

    def silent(self, days: float | Floats) -> Past:
        """Return the same knowledge read ``days`` later (one number, or one per key), had nothing happened since the cutoff."""
        return Past(self.keys, self._history, self.start, self.stop, self.at + np.round(np.multiply(days, DAY)).astype(np.int64))

    def count(self, kind: str | None = None) -> Ints:
        """Return how many events of one kind (of any, by default) each key has (n)."""
        if kind is None:
            return self.stop - self.start
        log = self._history.log
        return _count(log.kind, log.code(kind), self.start, self.stop)

    def last_known(self) -> Instants:
        """Return the instant at which each key's last event became known (n), ``MISSING`` where there is none."""
        filled = self.stop > self.start
        last = np.full(len(self), MISSING, np.int64)
        last[filled] = self._history.log.known_at[self.stop[filled] - 1]
        return last

    def events(self, row: int) -> pl.DataFrame:
        """Return the events that one key may see, as a table."""
        return self._history.log.frame(slice(int(self.start[row]), int(self.stop[row])))

    def attributes(self) -> pl.DataFrame:
        """Return the user attributes that were true before each cutoff (n rows; no columns without a profile)."""
        users = self._history.users
        return pl.DataFrame() if users is None else users.as_of(self.keys.ids(), self.keys.cutoff)


@dataclass(frozen=True, slots=True, eq=False)
class Future:
    """What happened to each key in the window [start, end), cut on the time at which it happened.

    Windows that touch share no event. Only labels may read it.
    """

    keys: Keys
    _history: History
    start: Instants
    end: Instants

    def __post_init__(self) -> None:
        if (self.start < self.keys.cutoff).any() or (self.end < self.start).any():
            raise WhenbuyError("The window of a future begins before its cutoff or ends before it begins.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def ripe(self) -> Instants:
        """The instant up to which the log is sure to hold everything (one number for all keys)."""
        return np.minimum(self.end, self._history.end - round(self._history.lateness_days * DAY))

    def require_ripe(self, what: str) -> None:
        """Raise ImmatureError unless every window has closed."""
        history = self._history
        open_rows = np.flatnonzero(self.end > self.ripe)
        if len(open_rows):
            end = int(self.end[open_rows].max()) + round(history.lateness_days * DAY)
            raise ImmatureError(
                f"{what} can be labelled only after {history.clock.show(end)}, but the log ends on {history.clock.show(history.end)}.",
                "A label counts only when its window has closed.",
                "Ask for an earlier cutoff or a shorter horizon.",
            )

    def first(self, kind: str) -> Instants:
        """Return the instant of the first event of a kind in each window (n), ``MISSING`` where there is none."""
        return self._scan(kind)[0]

    def orders(self, kind: str = "purchase") -> Ints:
        """Return how many orders (or events of another kind) each window holds (n): lines of one order count once."""
        return self._scan(kind)[1]

    def total(self, column: str, kind: str) -> Floats:
        """Return the sum of a column over the events of a kind in each window (n), in the column's own unit."""
        return self._scan(kind, column)[2]

    def first_order(self, column: str, kind: str = "purchase") -> Floats:
        """Return the sum of a column over the first order of each window (n), NaN where there is none or nothing of it is known."""
        return self._scan(kind, column)[3]

    def _scan(self, kind: str, column: str | None = None) -> tuple[Instants, Ints, Floats, Floats]:
        log = self._history.log
        none = np.empty(0, np.int64)
        heads = log.columns[ORDERS].values.astype(np.int64, copy=False) if ORDERS in log.columns and kind == "purchase" else none
        values, scale = (log.columns[column].values.astype(np.int64, copy=False), log.columns[column].scale) if column else (none, 1)
        found = _scan_windows(
            log.offsets, log.time, none if log.by_time is None else log.by_time, log.kind, log.code(kind), heads, values,
            self.keys.code, self.start, self.end,
        )  # fmt: skip
        return found[0], found[1], found[2] / scale, np.where(found[3] == MISSING, np.nan, found[3] / scale)


@kernel
def _place(instants: Instants, order: Ints, lo: int, hi: int, cutoff: int) -> int:
    """Return the first place of [lo, hi) whose instant is at or after the cutoff; places go through ``order`` where it is not empty."""
    while lo < hi:
        middle = (lo + hi) // 2
        if instants[order[middle] if len(order) else middle] < cutoff:
            lo = middle + 1
        else:
            hi = middle
    return lo


@kernel
def _slices(offsets: Ints, known_at: Instants, code: Codes, cutoff: Instants) -> tuple[Ints, Ints]:
    """Return the first row of each key's user and the first row known at or after its cutoff; both 0 for strangers."""
    start, stop, straight = np.zeros(len(code), np.int64), np.zeros(len(code), np.int64), np.empty(0, np.int64)
    for i in range(len(code)):
        if code[i] < len(offsets) - 1:
            start[i] = offsets[code[i]]
            stop[i] = _place(known_at, straight, start[i], offsets[code[i] + 1], cutoff[i])
    return start, stop


@kernel
def _count(kinds: Kinds, kind: int, start: Ints, stop: Ints) -> Ints:
    count = np.zeros(len(start), np.int64)
    for i in range(len(start)):
        for row in range(start[i], stop[i]):
            count[i] += kinds[row] == kind
    return count


@kernel
def _scan_windows(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, kind: int, heads: Ints, values: Ints,
    code: Codes, start: Instants, end: Instants,
) -> tuple[Instants, Ints, Ints, Ints]:  # fmt: skip
    """Return per window: first instant, number of orders, sum of the values, sum over the first order (MISSING where none is known)."""
    n = len(code)
    first, orders = np.full(n, MISSING, np.int64), np.zeros(n, np.int64)
    total, first_total = np.zeros(n, np.int64), np.full(n, MISSING, np.int64)
    for i in range(n):
        if code[i] >= len(offsets) - 1:
            continue
        last = offsets[code[i] + 1]
        for place in range(_place(time, by_time, offsets[code[i]], last, start[i]), last):
            row = by_time[place] if len(by_time) else place
            if time[row] >= end[i]:
                break
            if kinds[row] != kind:
                continue
            if first[i] == MISSING:
                first[i] = time[row]
            orders[i] += heads[row] if len(heads) else 1
            if len(values) and values[row] != MISSING:
                total[i] += values[row]
                if orders[i] <= 1:
                    first_total[i] = values[row] + (first_total[i] if first_total[i] != MISSING else 0)
    return first, orders, total, first_total
