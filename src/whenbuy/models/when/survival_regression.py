"""Survival regressions of the textbook: Cox's proportional hazards and the Weibull accelerated failure time, fitted by lifelines.

They see one row per customer and cutoff, with the lean terms of the pooled hazard. They are here for comparison: a hazard that is
re-read along the silence (``PooledLogistic``) says more with the same features. Lifelines is imported when one of them is fitted, and
only then: what was learned is kept as numbers.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.terms import Terms

_HIGHEST: Final = 30.0
"""Bound of a linear score: beyond it a chance is 0 or 1 anyway."""


@dataclass(frozen=True, slots=True)
class SurvivalRegression:
    """A regression of the days to the next purchase, censored rows included.

    ``cox``: hazard h0(t) exp(x b), with Breslow's baseline (Cox 1972; Breslow 1974). ``weibull``: S(t) = exp(-(t / exp(x b)) ** rho)
    (Kalbfleisch and Prentice 2002, section 2.2.2).

    Parameters
    ----------
    grid_days
        Days at which the curve is read.
    family
        Which of the two.
    ridge
        Strength of the L2 penalty per row on standardised terms (lifelines' ``penalizer``).
    max_rows
        Rows above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    grid_days: tuple[float, ...]
    family: Literal["cox", "weibull"] = "cox"
    ridge: float = 0.001
    max_rows: int = 40_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return {"cox": "cox", "weibull": "weibull-aft"}[self.family]

    def fit(self, train: Examples, valid: Examples | None = None) -> SurvivalRegressionModel:
        """Return the regression that the training examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When there are fewer than two purchases, or the search does not converge.
        UsageError
            When lifelines is not installed.
        """
        del valid
        rows = np.arange(len(train))
        if len(rows) > self.max_rows:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, self.max_rows, replace=False))
        label = train.label("purchase").take(rows)
        if int(label.observed.sum()) < 2:
            raise NotEnoughDataError(
                f"{int(label.observed.sum())} of {len(label):,} training labels saw a purchase.",
                "A survival regression needs at least two.",
                "Give a longer log, or a longer horizon.",
            )
        table = train.table.take(rows)
        terms = Terms.learn(table, rich=False)
        matrix = terms.matrix(table)
        centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
        kept = np.flatnonzero(spread > 1e-9)
        # a log of bare days has purchases 0 days after the cutoff; a time must be above 0
        days = label.value + min(0.5, self.grid_days[0] / 2)
        fitted = _fitted(self, (matrix[:, kept] - centre[kept]) / spread[kept], days, label.observed)
        weights = np.zeros(len(spread))
        weights[kept] = fitted.weights / spread[kept]
        baseline = fitted.intercept - float(weights @ centre)
        until = int(train.label("purchase").end.max())
        return SurvivalRegressionModel(self, terms, weights, baseline, fitted.knots, fitted.fallen, fitted.shape, until)


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalRegressionModel:
    """One weight per term, and a baseline: cumulative hazards at some days (Cox), or a shape (Weibull)."""

    settings: SurvivalRegression
    terms: Terms
    weights: Floats
    intercept: float
    knots: Floats
    fallen: Floats
    shape: float
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; raises LeakError as every model does."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        grid = np.array(self.settings.grid_days)
        score = np.clip((self.terms.matrix(examples.table) * self.weights).sum(axis=1) + self.intercept, -_HIGHEST, _HIGHEST)
        if self.settings.family == "cox":
            fallen = np.exp(score)[:, None] * self._baseline(grid)[None, :]
        else:
            fallen = (grid[None, :] / np.exp(score)[:, None]) ** self.shape
        prior = np.isnan(examples.table.column("event_recency_days"))
        return TimeToEvent.of(examples.keys, grid, np.exp(-fallen), fallen, self.name, prior=prior, in_sample=in_sample)

    def _baseline(self, grid: Floats) -> Floats:
        """Return the cumulative baseline hazard; beyond the last day that was watched its mean slope goes on."""
        inside = np.interp(grid, self.knots, self.fallen)
        slope = self.fallen[-1] / self.knots[-1]
        return np.asarray(inside + np.maximum(grid - self.knots[-1], 0.0) * slope)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    weights: Floats
    intercept: float
    knots: Floats
    fallen: Floats
    shape: float


def _fitted(settings: SurvivalRegression, matrix: Floats, days: Floats, observed: Bools) -> _Fitted:
    """Return what lifelines finds, as numbers."""
    lifelines, frame = _lifelines(matrix, days, observed)
    try:
        with warnings.catch_warnings(action="ignore"):
            if settings.family == "cox":
                cox = lifelines.CoxPHFitter(penalizer=settings.ridge).fit(frame, "days", "came")
                hazard = cox.baseline_cumulative_hazard_.iloc[:, 0]
                knots = np.concatenate([[0.0], hazard.index.to_numpy(float)])
                return _Fitted(cox.params_.to_numpy(float), 0.0, knots, np.concatenate([[0.0], hazard.to_numpy(float)]), 1.0)
            aft = lifelines.WeibullAFTFitter(penalizer=settings.ridge).fit(frame, "days", "came")
            scale, shape = aft.params_["lambda_"], float(np.exp(aft.params_["rho_"]["Intercept"]))
            weights = scale.drop("Intercept").reindex(frame.columns[2:]).to_numpy(float)
            return _Fitted(weights, float(scale["Intercept"]), np.array([0.0, 1.0]), np.array([0.0, 1.0]), shape)
    except (lifelines.exceptions.ConvergenceError, ValueError, np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise NotEnoughDataError(
            "The search for the survival regression did not converge.",
            "It needs purchases and features that differ.",
            "Give a longer log, or leave this learner out.",
        ) from error


def _lifelines(matrix: Floats, days: Floats, observed: Bools) -> tuple[Any, Any]:
    """Return the library, and the data as it wants them."""
    try:
        with warnings.catch_warnings(action="ignore"):
            import lifelines
            import lifelines.exceptions
            import pandas as pd
    except ImportError as error:
        raise UsageError(
            "Lifelines is not installed.", "Cox and Weibull regressions are fitted by it.", "Install it: pip install 'whenbuy[survival]'."
        ) from error
    columns = {f"x{i}": matrix[:, i] for i in range(matrix.shape[1])}
    return lifelines, pd.DataFrame({"days": days, "came": observed.astype(int)} | columns)


TYPES: Final = {kind.__name__: kind for kind in (SurvivalRegression, SurvivalRegressionModel)}
"""What a stored model of this file may be made of."""
