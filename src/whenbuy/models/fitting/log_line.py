"""A line for the logarithm of an expected number: of orders, of money spent. Trees grow on what it says.

On logarithms of rates, silences and amounts a straight line goes on beyond what training has seen, where trees stay flat; trees add the
corners. On 7-day spend the line alone explains more than trees alone, and both together the most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Table
from whenbuy.models.fitting.newton import Tweedie, fit_line, standardise
from whenbuy.models.fitting.terms import Terms

RIDGE: Final = 3e-3
"""Strength of the L2 penalty on standardised terms, in units of the mean deviance."""
_RARE: Final = 1e-4
_BLOCK: Final = 1 << 14
ROWS: Final = 60_000
"""Rows above this number are sampled where nothing else is said: a line of a few hundred terms needs no more to say who buys."""


@dataclass(frozen=True, slots=True, eq=False)
class LogLine:
    """log E[y] as a weighted sum of terms: a generalised linear model of the Tweedie family (Jørgensen 1987; Dunn & Smyth 2018, ch. 12).

    Parameters
    ----------
    terms
        How features become terms.
    weights, intercept
        One weight per term, and what is added.
    low, high
        Scores that one training row in ten thousand goes beyond: no score is read beyond them. A cohort that has hardly begun is asked
        about
        later times than any it was learned from, and the line would carry a few customers anywhere.
    """

    terms: Terms
    weights: Floats
    intercept: float
    low: float
    high: float

    @classmethod
    def learn(cls, table: Table, target: Floats, weight: Floats, power: float, ridge: float = RIDGE, most: int = ROWS) -> LogLine:
        """Return the line of greatest penalised likelihood.

        Parameters
        ----------
        table
            The training rows, with the columns that ``Terms`` reads.
        target
            What came true (n), at least 0 and not all 0 where the weight is.
        weight
            How much each row counts (n).
        power
            How the variance rises with the mean: mean ** power. 1 is Poisson, between 1 and 2 a sum of a Poisson number of gamma amounts.
        ridge
            Strength of the penalty.
        most
            Rows above this number are sampled.
        """
        if len(table) > most:
            rows = np.sort(np.random.default_rng(len(table)).choice(len(table), most, replace=False))
            table, target, weight = table.take(rows), target[rows], weight[rows]
        terms = Terms.learn(table, rich=True)
        matrix = terms.packed((table.take(rows) for rows in _blocks(len(table))), len(table))
        centre, spread = standardise(matrix)
        unit = float(weight @ target / weight.sum())
        found, score = fit_line(matrix, Tweedie(target / unit, weight / weight.sum(), power), ridge)
        weights = found[:-1] / spread
        intercept = float(found[-1] - weights @ centre + np.log(unit))
        low, high = np.quantile(score, (_RARE, 1 - _RARE)) + np.log(unit)
        return cls(terms, weights, intercept, float(low), float(high))

    def raw(self, table: Table) -> Floats:
        """Return the logarithm of the expected number of each row (n)."""
        score = np.empty(len(table))
        for rows in _blocks(len(table)):
            score[rows] = self.terms.score(table.take(rows), self.weights)
        return np.clip(score + self.intercept, self.low, self.high)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))


TYPES: Mapping[str, type] = {"LogLine": LogLine}
"""What a stored model of this file may be made of."""
