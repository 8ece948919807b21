"""The grid of days on which curves are kept, read off the shop's own rhythm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS

HOURS: Final = (1 / 24, 3 / 24, 6 / 24, 12 / 24)
"""Grid points below a day, for shops whose log has clock times: the moment to act is often today."""
CHECKED: Final = 0.75
"""What is told of the longest horizon counts as checked where at least this share of it could be watched on later weeks."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The days at which curves are kept, and the step in which hazards are learned.

    The step is a day where a quarter of the gaps between orders is shorter than a week, else a week. The grid has every step up to the
    longest horizon and four more points up to twice of it: beyond the longest horizon a curve is kept for its quantiles only.

    Answers that look over one window take the shortest horizon (what she spends, from which classes she buys) or the middle one (whether
    she redeems an offer).

    ``examples`` is about how many examples the candidates learn from: some are tried from many on.
    """

    days: tuple[float, ...]
    step_days: float
    horizons: tuple[float, ...] = (7.0, 14.0, 28.0)
    examples: int = 0

    @classmethod
    def of(cls, history: History, horizons: tuple[float, ...]) -> Grid:
        """Return the grid for a history and the horizons asked about."""
        gaps = order_gaps(history)
        step = 7.0 if len(gaps) and float(np.quantile(gaps, 0.25)) >= 7.0 else 1.0
        longest = max(horizons)
        days = {*horizons, *np.arange(step, longest + step / 2, step).tolist(), *(longest * (1 + part / 4) for part in range(1, 5))}
        if has_clock_times(history):
            days |= {hours for hours in HOURS if hours < longest}
        return cls(tuple(sorted(days)), step, tuple(sorted(horizons)))

    @property
    def checked(self) -> bool:
        """Whether the horizons over which candidates are compared reach about as far as the longest one asked about.

        The days go on to twice that one. Where candidates can be compared over a part of it only, what is carried on beyond that part is
        left to a single model that was made for it.
        """
        return self.horizons[-1] >= CHECKED * self.days[-1] / 2

    @property
    def shortest(self) -> float:
        """The shortest horizon in days."""
        return self.horizons[0]

    @property
    def middle(self) -> float:
        """The middle horizon in days."""
        return self.horizons[len(self.horizons) // 2]


def order_gaps(history: History) -> Floats:
    """Return the days between each order and the user's order before it."""
    log = history.log
    wanted = log.kind == log.code("purchase") if "purchase" in log.kinds else np.zeros(len(log), bool)
    if ORDERS in log.columns:
        wanted &= log.columns[ORDERS].values == 1
    rows = np.flatnonzero(wanted[: log.offsets[-1]])
    user = np.searchsorted(log.offsets, rows, side="right")
    return np.asarray(np.maximum(np.diff(log.known_at[rows])[user[1:] == user[:-1]], 0) / DAY)


def has_clock_times(history: History) -> bool:
    """Return whether events happen at times of the day; a log of bare days has every event at a local midnight."""
    sample = history.log.time[:: max(1, len(history.log) // 1000)]
    return bool((history.clock.midnight_before(sample) != sample).any())
