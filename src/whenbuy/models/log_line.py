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
from whenbuy.models.terms import Terms

RIDGE: Final = 3e-3
"""Strength of the L2 penalty on standardised terms, in units of the mean deviance."""
_STEPS: Final = 40
_ENOUGH: Final = 1e-8
"""A step that gains less than this share of the loss is the last one."""
_FARTHEST: Final = 100.0
"""No fitted logarithm strays farther than this from the mean while the weights are sought."""
_RARE: Final = 1e-4
_BLOCK: Final = 1 << 13
_CURVED: Final = 20_000
"""Rows from which the curvature is taken: it chooses the step, not where the steps end."""


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
    def learn(cls, table: Table, target: Floats, weight: Floats, power: float, ridge: float = RIDGE) -> LogLine:
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
        """
        terms = Terms.learn(table, rich=True)
        matrix = terms.matrix(table)
        centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)  # a term that never changes has no effect
        matrix -= centre
        matrix /= spread
        unit = float(weight @ target / weight.sum())
        found, score = fit_line(matrix, target / unit, weight, power, ridge)
        weights = found[:-1] / spread
        intercept = float(found[-1] - weights @ centre + np.log(unit))
        low, high = np.quantile(score, (_RARE, 1 - _RARE)) + np.log(unit)
        return cls(terms, weights, intercept, float(low), float(high))

    def raw(self, table: Table) -> Floats:
        """Return the logarithm of the expected number of each row (n)."""
        score = np.empty(len(table))
        for rows in _blocks(len(table)):
            matrix = self.terms.matrix(table.take(rows))
            score[rows] = np.ascontiguousarray(matrix * self.weights).sum(axis=1)  # row by row: no bit depends on the other rows
        return np.clip(score + self.intercept, self.low, self.high)


def fit_line(matrix: Floats, target: Floats, weight: Floats, power: float, ridge: float) -> tuple[Floats, Floats]:
    """Return the weights of the terms with the intercept behind them (t + 1), and the scores (n).

    Newton's method with the expected curvature (Fisher scoring), halving a step that does not help. The loss is the mean unit deviance of
    the family, divided by 2, as a function of the mean exp(score), plus ridge / 2 times the squared weights (not the intercept).

    Parameters
    ----------
    matrix
        Standardised terms (n x t).
    target, weight
        What came true, with a mean of 1, and how much each row counts (n each).
    power, ridge
        As for ``LogLine.learn``.
    """
    share, width = weight / weight.sum(), matrix.shape[1]
    every = max(1, len(matrix) // _CURVED)
    some = np.hstack([matrix[::every], np.ones((len(matrix[::every]), 1))])
    part_share = share[::every] / max(float(share[::every].sum()), 1e-300)
    penalty = np.append(np.full(width, ridge), 0.0)
    at, score = np.zeros(width + 1), np.zeros(len(matrix))
    loss = _deviance(score, target, share, power)
    for _ in range(_STEPS):
        mean = np.exp(score)
        pull = share * (target - mean) * mean ** (1 - power)
        slope = np.append(pull @ matrix, pull.sum()) - penalty * at
        curve = np.diag(penalty) + some.T @ (some * (part_share * mean[::every] ** (2 - power))[:, None])
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        for part in 0.5 ** np.arange(12):
            new = at + part * step
            moved = matrix @ new[:-1] + new[-1]
            tried = _deviance(moved, target, share, power) + float(penalty @ new**2) / 2
            if tried < loss:
                break
        else:
            break
        gain, at, score, loss = loss - tried, new, moved, tried
        if gain < _ENOUGH * abs(loss):
            break
    return at, score


def _deviance(score: Floats, target: Floats, share: Floats, power: float) -> float:
    """Return the mean unit deviance / 2 up to what depends on the target alone; infinite where a score strays too far."""
    if not np.abs(score).max() < _FARTHEST:
        return np.inf
    if power == 1:
        return float(share @ (np.exp(score) - target * score))
    return float(share @ (np.exp((2 - power) * score) / (2 - power) - target * np.exp((1 - power) * score) / (1 - power)))


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))


TYPES: Mapping[str, type] = {"LogLine": LogLine}
"""What a stored model of this file may be made of."""
