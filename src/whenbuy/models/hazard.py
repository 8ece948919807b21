"""A pooled logistic hazard on person-periods: the chance to buy in the next step, rolled out along the path of silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.terms import Terms

_BLOCK: Final = 1 << 16
"""How many person-periods are read at once: it bounds the memory."""


@dataclass(frozen=True, slots=True)
class PooledLogistic:
    """Discrete-time hazard by logistic regression on person-periods (Singer & Willett 1993; Allison 1982).

    Each training cutoff contributes the steps up to the next one, re-read in silence; a step that the censoring cuts is dropped
    for survivors and for buyers alike. A forecast multiplies (1 - hazard) along the path on which nothing happens, exact at every
    step. The expected count is the cumulative hazard, which is a floor: a count model, where one is chosen, replaces it.

    Parameters
    ----------
    grid_days
        Days at which the curve is read.
    step_days
        Length of a person-period in days.
    rich
        Whether every feature of the table enters, or only recency, tenure, repeats and amounts.
    ridge
        Strength of the L2 penalty on standardised terms.
    max_rows
        Person-periods above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    grid_days: tuple[float, ...]
    step_days: float = 1.0
    rich: bool = True
    ridge: float = 1.0
    max_rows: int = 250_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "logistic-rich" if self.rich else "logistic"

    def fit(self, train: Examples, valid: Examples | None = None) -> HazardModel:
        """Return the hazard that the training examples teach.

        Raises
        ------
        NotEnoughDataError
            When nobody bought, or everybody did, in every step.
        """
        from sklearn.linear_model import LogisticRegression

        if not len(train):
            raise NotEnoughDataError(
                "There are no training examples.",
                "The hazard needs steps with a purchase and steps without one.",
                "Learn from more cutoffs, or give a longer log.",
            )
        terms = Terms.learn(train.table, rich=self.rich)
        matrix, bought = self._person_periods(train, terms)
        if not 0 < bought.sum() < len(bought):
            raise NotEnoughDataError(
                f"Of {len(bought):,} steps of {self.step_days:g} days, {int(bought.sum()):,} hold a purchase.",
                "The hazard needs steps with a purchase and steps without one.",
                "Give a longer log, or check which events count as purchases.",
            )
        centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        matrix -= centre
        matrix /= spread
        fitted = LogisticRegression(C=1.0 / self.ridge, solver="newton-cholesky", max_iter=200, tol=1e-6).fit(matrix, bought)
        weights = fitted.coef_[0] / spread
        intercept = float(fitted.intercept_[0] - weights @ centre)
        known_until = int(train.label("purchase").end.max())
        return HazardModel(self, terms, weights, intercept, known_until)

    def _person_periods(self, train: Examples, terms: Terms) -> tuple[Floats, Bools]:
        label, step = train.label("purchase"), self.step_days
        steps = _steps_between_cutoffs(train, step)
        lived = np.minimum(np.floor(label.value / step), steps).astype(np.int64)
        share = min(1.0, self.max_rows / max(1, int(lived.sum())))
        chosen = np.flatnonzero(np.random.default_rng(self.seed).random(len(train)) < share) if share < 1 else np.arange(len(train))
        place, k = np.repeat(chosen, steps), np.tile(np.arange(steps), len(chosen))
        value = label.value[place]
        whole = value >= (k + 1) * step
        seen = (label.end - train.keys.cutoff)[place] >= np.round((k + 1) * step * DAY)
        buys = label.observed[place] & ~whole & (value >= k * step) & seen
        kept = np.flatnonzero(whole | buys)
        parts = np.array_split(np.arange(len(kept)), max(1, len(kept) // _BLOCK))
        matrix = np.empty((0, 0))
        for part in parts:
            rows = kept[part]
            block = terms.matrix(train.silence(np.asarray(k[rows] * step, np.float64), place[rows]))
            if not len(matrix):
                matrix = np.empty((len(kept), block.shape[1]))  # filled part by part: all parts beside their sum would be twice the memory
            matrix[part] = block
        return matrix, buys[kept]


@dataclass(frozen=True, slots=True, eq=False)
class HazardModel:
    """A fitted pooled logistic hazard: one weight per term."""

    settings: PooledLogistic
    terms: Terms
    weights: Floats
    intercept: float
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        step, grid = self.settings.step_days, np.array(self.settings.grid_days)
        steps = int(np.ceil(grid[-1] / step - 1e-9))
        fallen = np.zeros((len(examples), steps + 1))
        path = np.arange(steps) * step
        for rows in np.array_split(np.arange(len(examples)), max(1, len(examples) * steps // _BLOCK)):
            table = examples.silence(np.tile(path, len(rows)), np.repeat(rows, steps))
            score = self.terms.matrix(table) @ self.weights + self.intercept
            fallen[rows, 1:] = np.cumsum(np.logaddexp(0.0, score).reshape(len(rows), steps), axis=1)
        place = grid / step
        left = np.minimum(place.astype(np.int64), steps - 1)
        cumulative = fallen[:, left] + (place - left) * (fallen[:, left + 1] - fallen[:, left])
        prior = np.isnan(examples.table.column("event_recency_days"))
        return TimeToEvent.of(examples.keys, grid, np.exp(-cumulative), cumulative, self.name, prior=prior, in_sample=in_sample)


def _steps_between_cutoffs(train: Examples, step_days: float) -> int:
    """Return how many steps lie between two training cutoffs: each person-period is used once."""
    cutoffs = np.unique(train.keys.cutoff)
    spacing = float(np.median(np.diff(cutoffs))) / DAY if len(cutoffs) > 1 else float(train.label("purchase").value.max(initial=0.0))
    return max(1, round(spacing / step_days))


TYPES: Final = {kind.__name__: kind for kind in (PooledLogistic, HazardModel)}
