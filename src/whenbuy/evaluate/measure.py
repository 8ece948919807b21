"""Measures: one score each, with its meaning in words, written so that it can be taken again on any resample of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from whenbuy.core.arrays import Bools, Floats

Better = Literal["higher", "lower", "near", "context"]
"""Which way a score is good: ``near`` its aim, or ``context``, which judges nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """A score that is a function of sums over rows: a resample costs one product of matrices.

    Parameters
    ----------
    parts
        What each row adds (n x k). Measures of one kind share one array.
    read
        The score from the sums: (… x k) -> (…).
    """

    parts: Floats
    read: Callable[[Floats], Floats]

    def value(self) -> float:
        """Return the score of the rows as they are."""
        return float(self.read(self.parts.sum(axis=0)))


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A score that needs all rows at once, such as one made of ranks.

    Parameters
    ----------
    rows
        The number of rows n.
    read
        The score when row i counts ``weight[i]`` times: (n) -> a number.
    """

    rows: int
    read: Callable[[Floats], float]

    def value(self) -> float:
        """Return the score of the rows as they are."""
        return self.read(np.ones(self.rows))


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One score of one forecast.

    Parameters
    ----------
    name
        Its name, the horizon behind it: ``auc_7d``.
    statistic
        How it is computed; none where it cannot be, and ``note`` says why.
    better
        Which way it is good.
    definition
        What it is, in words.
    aim
        The value that a ``near`` score should have.
    note
        Why there is no value; empty where there is one.
    """

    name: str
    statistic: Sums | Whole | None
    better: Better
    definition: str
    aim: float = float("nan")
    note: str = ""

    def value(self) -> float:
        """Return the score, NaN where there is none."""
        return float("nan") if self.statistic is None else self.statistic.value()

    def badness(self, values: Floats) -> Floats:
        """Return how bad these values of the score are: the less the better; 0 for context."""
        match self.better:
            case "higher":
                return -values
            case "lower":
                return values
            case "near":
                return np.abs(values - self.aim)
        return np.zeros_like(values)

    def unknown(self, note: str) -> Measure:
        """Return the measure without a value, and why."""
        return replace(self, statistic=None, note=note)

    def named(self, name: str) -> Measure:
        """Return the measure under another name."""
        return replace(self, name=name)

    def among(self, rows: Bools) -> Measure:
        """Return the same score of some of the rows; it still takes all n of them, so that it can be drawn beside that of others."""
        statistic = self.statistic
        if isinstance(statistic, Sums):
            return replace(self, statistic=Sums(statistic.parts * rows[:, None], statistic.read))
        if isinstance(statistic, Whole):
            read = statistic.read
            return replace(self, statistic=Whole(statistic.rows, lambda weight: read(weight * rows)))
        return self


def pooled(parts: Sequence[Measure], sizes: Sequence[int]) -> Measure:
    """Return one score of several sets of rows, such as folds, from the same score of each.

    The rows of the sets stand one after the other. Sums are added up (R² then explains the spread within the sets). A score that needs all
    rows at once is the mean of the sets by their rows: what different models said is not ranked against each other (Airola et al. 2011,
    s. 3). Sets without a value count for nothing.

    Parameters
    ----------
    parts
        The score of each set, all of one name.
    sizes
        How many rows each set has.
    """
    known = [part.statistic for part in parts if part.statistic is not None]
    if not known:
        return parts[0]
    first = next(part for part in parts if part.statistic is not None)
    sums = next((each for each in known if isinstance(each, Sums)), None)
    if sums is not None:
        nothing = [np.zeros((size, sums.parts.shape[1])) for size in sizes]
        found = [part.statistic.parts if isinstance(part.statistic, Sums) else none for part, none in zip(parts, nothing, strict=True)]
        return replace(first, statistic=Sums(np.concatenate(found), sums.read))
    return replace(first, statistic=Whole(sum(sizes), _mean_of([part.statistic for part in parts], sizes)))


def _mean_of(parts: Sequence[Sums | Whole | None], sizes: Sequence[int]) -> Callable[[Floats], float]:
    edges = np.cumsum([0, *sizes]).tolist()

    def read(weight: Floats) -> float:
        total = rows = 0.0
        for part, (start, stop) in zip(parts, pairwise(edges), strict=True):
            mine = weight[start:stop]
            value = part.read(mine) if isinstance(part, Whole) else np.nan
            if np.isfinite(value):
                total, rows = total + value * mine.sum(), rows + mine.sum()
        return float(total / rows) if rows else float("nan")

    return read


def ratio(above: Floats, below: Floats) -> Floats:
    """Return one number over another, NaN where the lower one is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0))
