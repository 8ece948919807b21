"""Newton's method for straight lines of many terms: the weights of least loss with a ridge.

The slope comes from all rows, the curvature from some of them: it chooses the step, not where the steps end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Floats

Numbers = npt.NDArray[np.floating]

_STEPS: Final = 40
_ENOUGH: Final = 1e-8
"""A step that gains less than this share of the loss is the last one."""
_FARTHEST: Final = 100.0
"""No score strays farther than this from 0 while the weights are sought."""
_CURVED: Final = 20_000
"""Rows from which the curvature is taken."""


class Loss(Protocol):
    """What is minimised: the mean over rows, each with its share, of a loss of its score."""

    @property
    def share(self) -> Floats:
        """How much each row counts (n), summing to 1."""

    def of(self, score: Floats) -> float:
        """Return the mean loss of some scores (n), up to what does not depend on them."""

    def pull(self, score: Floats) -> Floats:
        """Return minus its slope in each score, without the share (n)."""

    def curve(self, score: Floats) -> Floats:
        """Return its expected curvature in each score, without the share (n)."""


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """The log-loss of yes or no, where the score is the log-odds."""

    came: Bools
    share: Floats

    def of(self, score: Floats) -> float:
        """Return the mean log-loss."""
        return float(self.share @ np.logaddexp(0.0, np.where(self.came, -score, score)))

    def pull(self, score: Floats) -> Floats:
        """Return what came minus its chance (n)."""
        return np.asarray(self.came - _chance(score))

    def curve(self, score: Floats) -> Floats:
        """Return the chance of both (n)."""
        chance = _chance(score)
        return chance * (1 - chance)


@dataclass(frozen=True, slots=True, eq=False)
class Tweedie:
    """Half the unit deviance of the Tweedie family, where the score is the logarithm of the mean (Dunn & Smyth 2018, ch. 12).

    The variance rises as mean ** power: 1 is Poisson, between 1 and 2 a sum of a Poisson number of gamma amounts.
    """

    target: Floats
    share: Floats
    power: float

    def of(self, score: Floats) -> float:
        """Return half the mean unit deviance."""
        if self.power == 1:
            return float(self.share @ (np.exp(score) - self.target * score))
        first, second = 2 - self.power, 1 - self.power
        return float(self.share @ (np.exp(first * score) / first - self.target * np.exp(second * score) / second))

    def pull(self, score: Floats) -> Floats:
        """Return how far the target lies above the mean, in units of the variance, times the mean (n)."""
        mean = np.exp(score)
        return np.asarray((self.target - mean) * mean ** (1 - self.power))

    def curve(self, score: Floats) -> Floats:
        """Return the Fisher information (n)."""
        return np.asarray(np.exp((2 - self.power) * score))


def fit_line(matrix: Numbers, loss: Loss, ridge: float) -> tuple[Floats, Floats]:
    """Return the weights of the terms with the intercept behind them (t + 1), and the scores (n).

    Newton's method with the expected curvature (Fisher scoring), halving a step that does not help. What is minimised is the mean loss plus
    ridge / 2 times the squared weights (not the intercept).

    Parameters
    ----------
    matrix
        Standardised terms (n x t).
    loss
        Of what came true.
    ridge
        Strength of the penalty.
    """
    width, every = matrix.shape[1], max(1, len(matrix) // _CURVED)
    some = np.hstack([matrix[::every], np.ones((len(matrix[::every]), 1), matrix.dtype)])
    part = loss.share / max(float(loss.share[::every].sum()), 1e-300)
    penalty = np.append(np.full(width, ridge), 0.0)
    at, score = np.zeros(width + 1), np.zeros(len(matrix))
    least = loss.of(score)
    for _ in range(_STEPS):
        pull = loss.share * loss.pull(score)
        slope = np.append(pull.astype(matrix.dtype) @ matrix, pull.sum()) - penalty * at
        force = (part * loss.curve(score))[::every].astype(matrix.dtype)
        step = np.linalg.lstsq(np.diag(penalty) + some.T @ (some * force[:, None]), slope, rcond=None)[0]
        for new in _ever_nearer(at, step):
            moved = (matrix @ new[:-1].astype(matrix.dtype)).astype(np.float64) + new[-1]
            tried = loss.of(moved) + float(penalty @ new**2) / 2 if np.abs(moved).max() < _FARTHEST else np.inf
            if tried < least:
                break
        else:
            break
        gain, at, score, least = least - tried, new, moved, tried
        if gain < _ENOUGH * abs(least):
            break
    return at, score


def one_step(matrix: Numbers, loss: Loss, score: Floats, times: float, ridge: float) -> Floats:
    """Return the Newton step of the weights with the intercept behind them (t + 1) from the scores that they give now (n).

    Parameters
    ----------
    matrix, loss, ridge
        As for ``fit_line``.
    times
        How often the curvature of these rows counts: once for themselves, and once more for as many rows as they stand for.
    """
    width, every = matrix.shape[1], max(1, len(matrix) // _CURVED)
    some = np.hstack([matrix[::every], np.ones((len(matrix[::every]), 1), matrix.dtype)]).astype(np.float64)
    part = loss.share / max(float(loss.share[::every].sum()), 1e-300)
    pull = loss.share * loss.pull(score)
    curve = times * (some.T @ (some * (part * loss.curve(score))[::every][:, None])) + np.diag(np.append(np.full(width, ridge), 0.0))
    slope = np.append(pull.astype(matrix.dtype) @ matrix, pull.sum())
    return np.asarray(np.linalg.lstsq(curve, slope, rcond=None)[0])


def standardise(matrix: Numbers) -> tuple[Floats, Floats]:
    """Make every term (n x t) have mean 0 and spread 1, in place; return centre and spread (t each), inf for terms that never change."""
    centre = matrix.mean(axis=0, dtype=np.float64)
    spread = np.array(
        [float(np.sqrt(np.mean((column - mean) ** 2, dtype=np.float64))) for column, mean in zip(matrix.T, centre, strict=True)]
    )
    spread = np.where(spread > 1e-9, spread, np.inf)
    matrix -= centre
    matrix /= spread
    return centre, spread


def _ever_nearer(at: Floats, step: Floats) -> Iterator[Floats]:
    return (at + part * step for part in 0.5 ** np.arange(12))


def _chance(score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -_FARTHEST, _FARTHEST))))
