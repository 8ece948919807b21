"""Dates in a column: whether they lie after their row, name the day of a later order, or are facts that were filled in afterwards."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Instants
from whenbuy.core.errors import ColumnError
from whenbuy.core.log import Column
from whenbuy.ingest.parse import DayEvidence
from whenbuy.ingest.times import EARLIEST, LATEST, TimeReader
from whenbuy.pipeline.checking.parts import Leak
from whenbuy.pipeline.checking.sample import Sample

SHARE: Final = 0.9
"""Text is a column of dates where at least this part of its values is one."""
LATER: Final = 0.05
"""Dates are looked at where at least this part of them lies after their row."""
NAMED: Final = 0.5
"""Dates name orders where at least this part of the later ones is the day of an order yet to come, twice what chance makes."""
BEYOND: Final = 20.0
"""Facts end where the log ends. Where plans of the same reach would put this many dates beyond the end, and a tenth of them is there, they
are facts: of 20 expected, 2 or fewer come by chance once in two million (Poisson)."""
SPREAD: Final = 0.5
"""And where they fall on at least this many days per day on which something happened: what ends with the week or the month is a plan, and a
log that ends with a month would hold all of it."""


def dates(column: Column, zone: str) -> Instants | None:
    """Return a column as instants (n), ``MISSING`` where there is none; None where it holds no dates."""
    if column.dictionary is not None:
        there = np.unique(column.values[column.values >= 0])
        if not len(there):
            return None
        read = _read(column.dictionary.ids.gather(there.astype(np.uint32)), zone)
        table = np.full(len(column.dictionary) + 1, MISSING, np.int64)  # the last one answers for code -1
        table[there] = read
        return np.asarray(table[column.values]) if (read != MISSING).mean() >= SHARE else None
    known = column.values != MISSING
    if column.scale != 1 or not known.any() or abs(float(np.median(column.values[known]))) < 19_000_101:
        return None
    found = np.full(len(known), MISSING, np.int64)
    found[known] = _read(pl.Series("date", column.values[known]), zone)
    return found if (found[known] != MISSING).mean() >= SHARE else None


def _read(values: pl.Series, zone: str) -> Instants:
    evidence = DayEvidence()
    if values.dtype == pl.String:
        evidence.see(values)
    try:
        found = TimeReader("date", zone, evidence.verdict()[0]).read(values)
    except ColumnError:  # times with and without a zone
        return np.full(len(values), MISSING, np.int64)
    instants = found.to_physical().fill_null(MISSING).to_numpy()
    return np.where((instants >= EARLIEST) & (instants < LATEST), instants, MISSING)


def date_leak(name: str, of: str, at: Instants, sample: Sample) -> Leak | None:
    """Return the leak that a column of dates is, None where it is none.

    Parameters
    ----------
    name, of
        The column and whose attribute it is.
    at
        Its dates at the rows of the sample, ``MISSING`` where there is none (n).
    """
    clock = sample.history.clock
    there = at != MISSING
    day, own = np.full(len(at), -1, np.int64), clock.days(sample.time)
    day[there] = clock.days(at[there])
    later = there & (day > own)
    if later.sum() < 50 or later.sum() < LATER * there.sum():
        return None
    share = later.sum() / there.sum()
    named, chance = _named(day, later, sample), _named(np.roll(day, len(day) // 2), later, sample)
    words = f"{share:.0%} of its dates lie after their own row"
    if named >= NAMED and named >= 2 * chance:
        last = clock.days(sample.order_time[sample.stop - 1])[sample.user]
        equal = float((day[later] == last[later]).mean())
        what = "the day of the customer's last order in the whole log" if equal >= NAMED else "the day of an order that is yet to come"
        evidence = f"{words}; {max(equal, named):.0%} of these are {what}, {chance:.0%} of another customer's would be"
        return Leak(name, of, "sure", f"it holds {what}", evidence, _leave(of))
    expected, seen = _beyond(at, sample.time, later, sample.log.end)
    spread = len(np.unique(day[later])) / len(np.unique(own[later]))
    if expected >= BEYOND and seen <= expected / 10 and spread >= SPREAD:
        evidence = f"{words}; plans of that reach would put {expected:,.0f} dates beyond the end of the log, and {seen:,.0f} are there"
        return Leak(name, of, "sure", "it is a fact that was filled in after the event", evidence, _leave(of))
    return None


def _leave(of: str) -> str:
    if of == "event":
        return "Leave it out, or send it as an event of its own with the time at which it became known"
    return "Leave it out, or give each row a valid_from"


def _named(day: Instants, later: Bools, sample: Sample) -> float:
    """Return the share of the later dates that are the day of an order of the same customer after the row."""
    order_day = sample.history.clock.days(sample.order_time)
    owner = np.repeat(np.arange(len(sample.start)), sample.stop - sample.start)
    span = int(max(order_day.max(), day.max())) + 2
    keys = np.unique(owner * span + order_day)
    wanted = sample.user[later] * span + np.maximum(day[later], 0)
    place = np.clip(np.searchsorted(keys, wanted), 0, len(keys) - 1)
    return float((keys[place] == wanted).mean())


def _beyond(at: Instants, time: Instants, later: Bools, end: int) -> tuple[float, float]:
    """Return how many dates would lie beyond the end of the log, had the last rows the reach of those before them, and how many do.

    The reach (date less time) is taken from rows whose dates all lie inside: those older than its 99th percentile.
    """
    reach: Floats = (at[later] - time[later]).astype(float)
    most = float(np.quantile(reach, 0.99))
    old = time <= end - most
    share = float(later[old].mean()) if old.any() else 0.0
    usual = np.sort(reach[old[later]])
    if len(usual) < 50:
        return 0.0, 0.0
    left = (end - time[~old]).astype(float)
    expected = share * float((1 - np.searchsorted(usual, left, side="right") / len(usual)).sum())
    return expected, float((at[later] >= end + DAY).sum())
