"""Measures: one score each, with its meaning in words, written so that it can be taken again on any resample of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from whenbuy.core.arrays import Floats

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
        return Measure(self.name, None, self.better, self.definition, self.aim, note)


def ratio(above: Floats, below: Floats) -> Floats:
    """Return one number over another, NaN where the lower one is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0))
