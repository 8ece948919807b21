"""The floors of series: the last value, the last week, the mean of the last steps. They need no library and no learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling

_SEASONS_BACK: Final = 8
"""How many seasons a seasonal naive forecast looks back for a value that was known."""


@dataclass(frozen=True, slots=True)
class Naive:
    """The last known value, for ever."""

    name: str = "naive"
    cost_s: float = 0.0

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the last value known before each origin; see Family."""
        return lambda rows: _repeated(panel.values[rows], panel.first[rows], origins, horizon, 1, panel.steps)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The values of the last season, repeated: the same weekday of last week; for weekly series the last value.

    Where the value of the last season was not known, that of the season before answers (up to eight of them).
    """

    name: str = "seasonal naive"
    cost_s: float = 0.0

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the last season's values; see Family."""
        return lambda rows: _repeated(panel.values[rows], panel.first[rows], origins, horizon, panel.season, _SEASONS_BACK)


@dataclass(frozen=True, slots=True)
class MovingAverage:
    """The mean of the known values of the last so many days, for ever.

    Parameters
    ----------
    days
        How many; whole weeks, so that each weekday counts alike.
    """

    days: int = 28
    cost_s: float = 0.0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"moving average {self.days} d"

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the mean of the last values; see Family."""
        window = max(self.days // panel.step_days, 1)
        return lambda rows: np.repeat(_means(panel.values[rows], panel.first[rows], origins, window)[:, :, None], horizon, axis=2)


@kernel
def _repeated(values: Singles, first: Ints, origins: Ints, horizon: int, season: int, back: int) -> Singles:
    """Return the value of the latest known season for each step (n x o x horizon); 0 before a series began."""
    n, out = len(values), np.zeros((len(values), len(origins), horizon), np.float32)
    for i in range(n):
        for j in range(len(origins)):
            for k in range(min(season, horizon)):
                place, left = origins[j] - season + k, back
                while place >= first[i] and left > 0 and np.isnan(values[i, place]):
                    place -= season
                    left -= 1
                known = place >= first[i] and not np.isnan(values[i, place])
                for later in range(k, horizon, season):
                    out[i, j, later] = values[i, place] if known else 0.0
    return out


@kernel
def _means(values: Singles, first: Ints, origins: Ints, window: int) -> Singles:
    """Return the mean of the known values in the last ``window`` steps before each origin (n x o); 0 where none is known."""
    out = np.zeros((len(values), len(origins)), np.float32)
    for i in range(len(values)):
        for j in range(len(origins)):
            total, count = 0.0, 0
            for place in range(max(origins[j] - window, first[i]), origins[j]):
                if not np.isnan(values[i, place]):
                    total += values[i, place]
                    count += 1
            out[i, j] = total / count if count else 0.0
    return out
