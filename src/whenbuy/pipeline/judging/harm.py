"""Harm: faults planted into a log as a shop's systems plant them: lost, doubled, shifted, misread and misplaced events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Instants, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.log import ORDERS, Column, EventLog, order_by_time
from whenbuy.ingest.orders import orders

Draw = Callable[[EventLog, np.random.Generator], EventLog]


@dataclass(frozen=True, slots=True, eq=False)
class Harm:
    """One fault in one strength.

    Parameters
    ----------
    name
        What goes wrong.
    level
        How strong it is, in words.
    plant
        Returns the log, which ends at the moment of the forecast, with the fault in it.
    """

    name: str
    level: str
    plant: Draw

    def __call__(self, log: EventLog, rng: np.random.Generator) -> EventLog:
        """Return the log with the fault planted; its first lines of orders are marked anew, as reading would mark them."""
        return _marked(self.plant(log, rng))


def harms(log: EventLog) -> tuple[Harm, ...]:
    """Return the faults that a log of these columns can have, each in some strengths."""
    found = [lost(0.01), lost(0.05), lost(0.2), outage(1), outage(7), outage(7, 28), doubled(0.01), doubled(0.1), shifted(1), shifted(24)]
    if "amount" in log.columns:
        found += [misread(0.001), misread(0.01)]
    found += [mixed(name, 0.2) for name in ("item_id", "category", "channel") if name in log.columns]
    return (*found, misplaced(0.01), misplaced(0.05))


def lost(share: float) -> Harm:
    """Return the loss of a share of everything that happened, at random: what happened to a user at one instant is lost together."""
    share = _share(share)

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        moment = _moments(log)
        return log.take(np.flatnonzero(rng.random(len(log))[moment] >= share))

    return Harm("events lost", _percent(share), plant)


def outage(days: float, ago_days: float = 0.0) -> Harm:
    """Return a gap of some days in everything that was recorded, which ended so many days before the forecast."""
    if days < 0 or ago_days < 0:
        raise UsageError(f"An outage of {days:g} days, {ago_days:g} days ago, was asked for.", "Both are at least 0.", "Give such numbers.")

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        del rng  # nothing in it is left to chance
        stop = log.end - round(ago_days * DAY)
        return log.take(np.flatnonzero((log.known_at < stop - round(days * DAY)) | (log.known_at >= stop)))

    return Harm("nothing recorded", f"{days:g} d" + (f", {ago_days:g} d ago" if ago_days else ""), plant)


def doubled(share: float) -> Harm:
    """Return the repetition of a share of all rows."""
    share = _share(share)

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        return log.take(np.repeat(np.arange(len(log)), 1 + (rng.random(len(log)) < share)))

    return Harm("rows doubled", _percent(share), plant)


def shifted(hours: float) -> Harm:
    """Return errors of the clocks, normal with so many hours of deviation; what happened to a user at one instant stays together."""

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        error = rng.normal(0.0, hours * DAY / 24, len(log))[_moments(log)].round().astype(np.int64)
        known_at = np.minimum(log.known_at + error, log.end - 1)
        return _rebuilt(log, _owners(log), known_at, log.time + known_at - log.known_at)

    return Harm("clocks wrong", f"{hours:g} h", plant)


def misread(share: float, factor: int = 100) -> Harm:
    """Return amounts that lost their decimal point: a share of them is so many times too large."""
    share = _share(share)

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        column = log.columns["amount"]
        wrong = (rng.random(len(log)) < share) & (column.values != MISSING)
        return _with(log, "amount", replace(column, values=np.where(wrong, column.values * factor, column.values)))

    return Harm("amounts misread", f"{_percent(share)} × {factor}", plant)


def mixed(column: str, share: float) -> Harm:
    """Return names of a column that were exchanged among a share of the events that have one."""
    share = _share(share)

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        of = log.columns[column]
        rows = np.flatnonzero((rng.random(len(log)) < share) & (of.values >= 0))
        values = of.values.copy()
        values[rows] = values[rng.permutation(rows)]
        return _with(log, column, replace(of, values=values))

    return Harm(f"{column} mixed up", _percent(share), plant)


def misplaced(share: float) -> Harm:
    """Return events that were written to another user's account: a share of them, to accounts at random."""
    share = _share(share)

    def plant(log: EventLog, rng: np.random.Generator) -> EventLog:
        owner = _owners(log)
        wrong = (rng.random(len(log)) < share) & (owner < len(log.users))
        owner = np.where(wrong, rng.integers(0, max(len(log.users), 1), len(log)), owner)
        return _rebuilt(log, owner, log.known_at, log.time)

    return Harm("wrong customer", _percent(share), plant)


# ------------------------------------------------------------------------------------------ logs made anew


def _share(share: float) -> float:
    if not 0 <= share <= 1:
        raise UsageError(f"A share of {share:g} was asked for.", "A share lies between 0 and 1.", "Give such a number.")
    return share


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _owners(log: EventLog) -> Ints:
    """Return the user of each row (n), the number of users for nobody."""
    return np.repeat(np.arange(len(log.users) + 1), np.diff(np.append(log.offsets, len(log))))


def _moments(log: EventLog) -> Ints:
    """Return which moment of its user each row belongs to (n): the row at which it begins."""
    owner, row = _owners(log), np.arange(len(log))
    begins = np.ones(len(log), bool)
    begins[1:] = (owner[1:] != owner[:-1]) | (log.known_at[1:] != log.known_at[:-1])
    return np.maximum.accumulate(np.where(begins, row, 0)) if len(log) else row


def _with(log: EventLog, name: str, column: Column) -> EventLog:
    return replace(log, columns={**log.columns, name: column})


def _rebuilt(log: EventLog, owner: Ints, known_at: Instants, time: Instants) -> EventLog:
    """Return the log with other users or instants, grouped and ordered again."""
    order = np.lexsort((known_at, owner))
    offsets = np.searchsorted(owner[order], np.arange(len(log.users) + 1)).astype(np.int64)
    known_at = known_at[order]
    time = time[order] if log.late else known_at
    columns = {name: replace(column, values=column.values[order]) for name, column in log.columns.items()}
    by_time = order_by_time(offsets, time) if log.late else None
    return EventLog(log.users, log.kinds, offsets, known_at, time, log.kind[order], columns, log.end, by_time)


def _marked(log: EventLog) -> EventLog:
    """Return the log with the first line of each order marked anew."""
    first = orders(log.offsets, log.kind, log.code("purchase"), log.time, log.by_time, log.columns.get("order_id"))
    columns = {name: column for name, column in log.columns.items() if name != ORDERS}
    return replace(log, columns=columns if first is None else {**columns, ORDERS: first})
