"""The season: by how much everybody orders more or less than usual in each stretch of days, as far as the calendar tells.

log(orders / forecast) of those who were sent nothing, at each cutoff and in each stretch, is a line: a number of its own for each stretch,
the public campaigns of its days, and one wave a year. What a forecast misses that reads what was
ordered lately, and so follows the year with a delay, is again a wave of a year, with another height and another peak: this one is learned,
not the year's own. One year of log tells no more than one wave, drawn in by a ridge.

Whether that helps is tried on the later cutoffs, from the earlier ones alone. Campaigns count as far as they were announced before the
cutoff: what those bring of which nobody knew yet is in the numbers of the stretches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Instants

_YEAR: Final = 365.25
_OWN, _CAMPAIGN, _WAVE = 0.3, 0.5, 0.05
"""Deviations before the data spoke: of a stretch's own number, of a campaign's effect, and of the wave."""
_ERROR: Final = 0.02
"""What the line itself misses of a stretch, beside chance."""
_VAGUE: Final = 0.5
"""Cells whose logarithm strays more than that by chance say nothing."""
_BLOCKS: Final = 8
"""Into so many blocks the cutoffs are cut to try the calendar, at most; the later half is forecast."""
_FEWEST: Final = 4
"""Blocks without which nothing can be tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """How much faster everybody orders, by the calendar.

    Parameters
    ----------
    middle
        The middle of each stretch, in days after the cutoff (g).
    weights
        The line: one number for each stretch, one for a running campaign, two for the wave (g + 3).
    """

    middle: Floats
    weights: Floats

    def factor(self, cutoff: Instants, running: Floats) -> Floats:
        """Return how many times as much as usual is ordered in each stretch after each cutoff (n x g).

        Parameters
        ----------
        cutoff
            The cutoffs (n), UTC microseconds.
        running
            How many public campaigns run on an average day of each stretch, as far as they were announced (n x g).
        """
        angle = 2 * np.pi * (cutoff[:, None] / DAY + self.middle) / _YEAR
        g = len(self.middle)
        campaign, cosine, sine = self.weights[g:]
        return np.asarray(np.exp(self.weights[:g] + campaign * running + cosine * np.cos(angle) + sine * np.sin(angle)))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Orders and forecasts of those who were sent nothing, by cutoff and stretch.

    Parameters
    ----------
    cutoff
        The cutoffs (c), rising.
    running
        How many campaigns run on an average day (c x g).
    ratio, variance
        log(orders / forecast), and how it strays by chance (c x g); infinite where there is too little to say.
    """

    cutoff: Instants
    running: Floats
    ratio: Floats
    variance: Floats

    @classmethod
    def of(cls, cutoff: Instants, running: Floats, orders: Floats, forecast: Floats, weight: Floats) -> Cells:
        """Return the cells of some rows: cutoffs and weights (n), campaigns, orders and forecasts by stretch (n x g)."""
        each, first, place = np.unique(cutoff, return_index=True, return_inverse=True)
        came, told, square = (
            np.stack([np.bincount(place, part, len(each)) for part in values.T], axis=1)
            for values in (weight[:, None] * orders, weight[:, None] * forecast, (weight[:, None] * (orders - forecast)) ** 2)
        )
        variance = square / np.maximum(came, 1e-9) ** 2
        vague = (came <= 0) | (told <= 0) | (variance > _VAGUE**2)
        ratio = np.log(np.where(vague, 1.0, came) / np.where(vague, 1.0, told))
        return cls(each, running[first], ratio, np.where(vague, np.inf, variance + _ERROR**2))

    def take(self, rows: Bools) -> Cells:
        """Return the cells of some cutoffs."""
        return replace(self, cutoff=self.cutoff[rows], running=self.running[rows], ratio=self.ratio[rows], variance=self.variance[rows])


def learn_season(cells: Cells, first: Floats, last: Floats) -> Season | None:
    """Return what the calendar says, or nothing where it would not have helped.

    Parameters
    ----------
    cells
        What came of those who were sent nothing, beside what was forecast for them without a calendar.
    first, last
        Where each stretch begins and ends, in days after the cutoff (g each).
    """
    tried, middle = list(_tried(cells, float(last[-1]))), (first + last) / 2
    if len(tried) < _FEWEST // 2:
        return None
    missed = sum(_missed(_line(before, middle), after) for before, after in tried)
    return _line(cells, middle) if missed < sum(_missed(None, after) for _, after in tried) else None


def _tried(cells: Cells, length: float) -> Iterator[tuple[Cells, Cells]]:
    """Yield what was known before each of the later blocks of cutoffs, and that block."""
    blocks = min(_BLOCKS, len(cells.cutoff))
    block = np.arange(len(cells.cutoff)) * blocks // max(len(cells.cutoff), 1)
    for one in range(max(_FEWEST // 2, (blocks + 1) // 2), blocks):
        here = block == one
        before = cells.cutoff + round(length * DAY) <= cells.cutoff[here].min()
        if before.any():
            yield cells.take(before), cells.take(here)


def _missed(season: Season | None, cells: Cells) -> float:
    """Return the squared error of what a season forecasts, each cell weighed by how sure it is."""
    said = 0.0 if season is None else np.log(season.factor(cells.cutoff, cells.running))
    return float(((cells.ratio - said) ** 2 / cells.variance).sum())


def _line(cells: Cells, middle: Floats) -> Season:
    """Return the line of greatest posterior density."""
    columns, sure = _columns(cells, middle), 1 / cells.variance.ravel()
    deviation = np.array([*(_OWN for _ in middle), _CAMPAIGN, _WAVE, _WAVE])
    gram = columns.T @ (columns * sure[:, None]) + np.diag(deviation**-2.0)
    return Season(middle, np.asarray(np.linalg.solve(gram, columns.T @ (sure * cells.ratio.ravel())), float))


def _columns(cells: Cells, middle: Floats) -> Floats:
    """Return the columns of the line, a row for each cell (c g x g + 3)."""
    c, g = cells.running.shape
    angle = 2 * np.pi * (cells.cutoff[:, None] / DAY + middle) / _YEAR
    own = np.tile(np.eye(g), (c, 1))
    return np.hstack([own, *(part.reshape(-1, 1) for part in (cells.running, np.cos(angle), np.sin(angle)))])


TYPES: Final[dict[str, type]] = {Season.__name__: Season}
"""What a stored model of this file may be made of."""
