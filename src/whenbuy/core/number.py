"""How many: a whole number with its distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import instants
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Keys

_MOST: Final = 100_000
"""No quantile is looked for beyond this number."""


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """How many come within a window: one negative binomial distribution per key.

    The variance is ``mean + dispersion * mean ** 2`` (Cameron & Trivedi 2013, section 3.3, NB2); without dispersion it is Poisson's.

    Parameters
    ----------
    keys
        Who was asked (n).
    mean
        The expected number (n), above 0.
    dispersion
        How much the numbers of alike customers differ beyond chance (n), from 0 on.
    model
        The name of the model that answered.
    prior
        True where nothing was known of the key, so that a prior answered (n); nowhere when absent.
    in_sample
        Whether the model had seen labels from after these cutoffs.
    """

    keys: Keys
    mean: Floats
    dispersion: Floats
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        if not len(self.keys) == len(self.mean) == len(self.dispersion):
            raise WhenbuyError("The parts of a forecast of numbers differ in length.")
        if len(self.keys) and not (np.isfinite(self.mean).all() and np.isfinite(self.dispersion).all()):
            raise WhenbuyError("A forecast of numbers holds a value that is not a finite number.")
        if len(self.keys) and (self.mean.min() <= 0 or self.dispersion.min() < 0):
            raise WhenbuyError("An expected number is not above 0, or its dispersion lies below 0.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Number:
        """Return the numbers of some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), mean=self.mean[rows], dispersion=self.dispersion[rows], prior=prior)

    def log_chance(self, numbers: Floats | Ints) -> Floats:
        """Return log P(exactly so many) of each key (n)."""
        return log_chances(np.asarray(numbers, np.float64), self.mean, self.dispersion)

    def quantile(self, level: float) -> Floats:
        """Return the smallest number that is not exceeded with probability ``level`` (n)."""
        return quantiles(self.mean, self.dispersion, level, _MOST)

    def frame(self) -> pl.DataFrame:
        """Return one row per key: user_id, as_of, mean, none (P(it is 0)), p10, p50 and p90."""
        levels = {f"p{100 * level:.0f}": self.quantile(level) for level in (0.1, 0.5, 0.9)}
        none = np.exp(self.log_chance(np.zeros(len(self))))
        head = {"user_id": self.keys.ids(), "as_of": instants(self.keys.cutoff)}
        return pl.DataFrame(head | {"mean": self.mean, "none": none} | levels)

    def plot(self) -> Any:
        """Return a chart of the numbers: the mean on the 80 % range (at most 20 keys are drawn)."""
        from whenbuy.core.chart.answers import ranges

        some = self.take(slice(0, 20))
        low, middle, high = (some.quantile(level) for level in (0.1, 0.5, 0.9))
        rows = pl.DataFrame({"user_id": some.keys.ids(), "low": low, "middle": middle, "high": high, "mean": some.mean})
        return ranges(rows, "how many: mean (dot), median (line) and 80 % range")

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = f"How many, by {self.model}: {n:,} keys, {self.mean.sum():,.4g} expected."
        return card("Number", words, some.frame(), chart=some.plot() if n else None, rows=n)

    def __repr__(self) -> str:
        return f"Number({len(self)} keys, model={self.model!r})"


@kernel
def log_chances(numbers: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Return the logarithm of the negative binomial chance of each number (n)."""
    found = np.empty(len(numbers))
    for i in range(len(numbers)):
        found[i] = _log_chance(numbers[i], mean[i], dispersion[i])
    return found


@kernel
def quantiles(mean: Floats, dispersion: Floats, level: float, most: int) -> Floats:
    """Return the smallest number whose cumulative chance reaches a level (n)."""
    found = np.empty(len(mean))
    for i in range(len(mean)):
        number, reached = 0, np.exp(_log_chance(0.0, mean[i], dispersion[i]))
        while reached < level and number < most:
            number += 1
            reached += np.exp(_log_chance(float(number), mean[i], dispersion[i]))
        found[i] = number
    return found


@kernel
def _log_chance(number: float, mean: float, dispersion: float) -> float:
    """Return log P(number); with hardly any dispersion Poisson's."""
    if dispersion < 1e-8:
        return number * math.log(mean) - mean - math.lgamma(number + 1.0)
    size = 1.0 / dispersion
    grown = math.log1p(dispersion * mean)
    return (
        math.lgamma(number + size) - math.lgamma(size) - math.lgamma(number + 1.0)
        + number * (math.log(dispersion * mean) - grown) - size * grown
    )  # fmt: skip
