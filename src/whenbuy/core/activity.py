"""Activity: how many events of each kind a log holds, day by day or week by week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.clock import Clock
from whenbuy.core.log import EventLog

LONG_DAYS = 42
"""A log of so many days is counted by the week."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """How the kinds of event run over the days.

    Parameters
    ----------
    unit
        What a row is: a local day, or a full week from Monday on.
    totals
        Events by kind over the whole log, the commonest first; kinds without one are left out.
    days
        Where each day or week begins (d local dates).
    runs
        Events by kind in each of them (d).
    """

    unit: Literal["day", "week"]
    totals: Mapping[str, int]
    days: pl.Series
    runs: Mapping[str, Ints]

    @classmethod
    def of(cls, log: EventLog, clock: Clock) -> Activity:
        """Return the activity of a log in the days of its shop; weeks that the log covers in part are not counted."""
        totals = np.bincount(log.kind, minlength=len(log.kinds))
        order = [int(kind) for kind in np.argsort(-totals, kind="stable") if totals[kind]]
        if not order:
            return cls("day", {}, pl.Series("day", [], dtype=pl.Date), {})
        day = clock.days(log.time)
        first, last = int(day.min()), int(day.max())
        step, shift = (7, 3) if last - first >= LONG_DAYS else (1, 0)  # 1970-01-01 was a Thursday
        begin, size = (first + shift) // step, (last + shift) // step - (first + shift) // step + 1
        place = ((day + shift) // step - begin) * len(log.kinds) + log.kind
        runs = np.bincount(place, minlength=size * len(log.kinds)).reshape(size, -1)
        full = slice(int((first + shift) % step > 0), size - int((last + shift) % step < step - 1))
        starts = pl.Series("day", (np.arange(begin, begin + size) * step - shift)[full], dtype=pl.Int32).cast(pl.Date)
        names = {kind: log.kinds[kind] for kind in order}
        counts = {names[kind]: np.asarray(runs[full, kind], np.int64) for kind in order}
        return cls("day" if step == 1 else "week", {names[kind]: int(totals[kind]) for kind in order}, starts, counts)

    def of_kind(self, kind: str) -> pl.DataFrame:
        """Return how one kind runs: ``day``, ``events``."""
        return pl.DataFrame({"day": self.days, "events": self.runs[kind]})
