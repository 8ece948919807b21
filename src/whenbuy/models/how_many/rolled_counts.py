"""Expected counts from a Poisson rate per step that is rolled out *with* purchases.

The rate of the next step depends on recency, tenure, repeats and amounts only. So after a purchase the state is known: recency 0, repeats
one more, tenure goes on, amounts as they were. The states of a customer are kept apart by the step of her last purchase; within each of
them repeats count as their mean (a closure of the first moment), so that a roll-out of h steps costs h (h + 1) / 2 rates.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import DamagedError, NotEnoughDataError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.kernel import kernel
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.terms import Terms

_AMOUNTS: Final = ("mean_amount", "first_amount", "last_amount")
_TERMS: Final = 20
"""How many weights ``rate`` reads."""
_FAINT: Final = 1e-9
"""States that are less probable than this are not followed."""


@dataclass(frozen=True, slots=True)
class RolledCounts:
    """Poisson regression of the orders between consecutive training cutoffs, rolled out over the grid.

    It learns from how ``frequency`` rises from one cutoff to the next, so it needs no labels, counts several orders within a step, and what
    it knows ends at the latest cutoff. Terms: logarithms of recency, tenure, repeats and total spend with their squares and products, span,
    and own amounts. No step may expect more than the highest rate that was fitted on a training row: it keeps the roll-out from feeding on
    itself.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    ridge
        Strength of the L2 penalty on standardised terms.
    max_rows
        Steps above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    grid_days: tuple[float, ...]
    ridge: float = 10.0
    max_rows: int = 400_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "rolled-counts"

    def fit(self, train: Examples, valid: Examples | None = None) -> RolledCountsModel:
        """Return the rate that the steps between the training cutoffs teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no customer was seen at two consecutive cutoffs, or nobody bought between them.
        """
        from scipy.linalg import LinAlgWarning
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import PoissonRegressor

        del valid
        rows, orders, step_days = _steps(train)
        if orders.sum() <= 0:
            raise NotEnoughDataError(
                f"{len(rows):,} steps between consecutive training cutoffs hold no order.",
                "Counts are learned from steps with an order.",
                "Learn from more cutoffs, or give a longer log.",
            )
        if len(rows) > self.max_rows:
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(rows), self.max_rows, replace=False))
            rows, orders = rows[chosen], orders[chosen]
        table = train.table.take(rows)
        weight = np.ones(len(rows)) if train.weight is None else train.weight[rows]
        unit_days = Terms.learn(table, rich=False).unit_days
        matrix = _terms(table, unit_days)
        centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)  # a term that never changes has no effect
        fitted = PoissonRegressor(alpha=self.ridge / weight.sum(), solver="newton-cholesky", max_iter=200)
        try:
            with warnings.catch_warnings(action="error"):
                fitted.fit((matrix - centre) / spread, orders, sample_weight=weight)
        except (LinAlgWarning, ConvergenceWarning) as error:
            raise NotEnoughDataError(
                "The search for the rate of orders did not converge.", "It needs features of sensible size.", "Look at the largest values."
            ) from error
        weights = np.asarray(fitted.coef_ / spread, float)
        intercept = float(fitted.intercept_ - weights @ centre)
        highest = float(np.exp(np.max(matrix @ weights) + intercept))
        known = [table.column(name) if name in table.names else np.zeros(1) for name in _AMOUNTS]
        typical = np.array([float(np.nanmean(amount)) if np.isfinite(amount).any() else 0.0 for amount in known])
        return RolledCountsModel(self, unit_days, step_days, weights, intercept, highest, typical, int(train.keys.cutoff.max()))


@dataclass(frozen=True, slots=True, eq=False)
class RolledCountsModel:
    """A fitted rate per step: one weight per term, the highest rate on a training row, and the amounts that a new customer is lent."""

    settings: RolledCounts
    unit_days: float
    step_days: float
    weights: Floats
    intercept: float
    highest: float
    typical: Floats
    known_until: int

    def __post_init__(self) -> None:
        if self.weights.shape != (_TERMS,) or self.typical.shape != (len(_AMOUNTS),):
            raise DamagedError(
                f"A roll-out was made of {self.weights.shape} weights and {self.typical.shape} amounts.",
                f"Its compiled loop reads {_TERMS} and {len(_AMOUNTS)}.", "Fit again.",
            )  # fmt: skip

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a key of whom nothing is known is marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the model's last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        grid, table = np.array(self.settings.grid_days, float), examples.table
        steps = int(np.ceil(grid[-1] / self.step_days - 1e-9))
        count, fallen = roll(self.weights, self.intercept, self.unit_days, self.step_days, steps, self.highest, self._states(table))
        left = np.minimum((grid / self.step_days).astype(np.int64), steps - 1)
        share = grid / self.step_days - left
        count, fallen = (part[:, left] + share * (part[:, left + 1] - part[:, left]) for part in (count, fallen))
        prior = np.isnan(table.column("event_recency_days" if "event_recency_days" in table.names else "recency_days"))
        return TimeToEvent.of(examples.keys, grid, np.exp(-fallen), count, self.name, prior=prior, in_sample=in_sample)

    def _states(self, table: Table) -> Floats:
        """Return recency, tenure, repeats (-1 before the first order) and the three amounts of each row (n x 6)."""
        never = np.isnan(table.column("recency_days"))
        times = [np.where(never, 0.0, table.column(name)) for name in ("recency_days", "tenure_days")]
        repeats = np.where(never, -1.0, np.nan_to_num(table.column("frequency")))
        amounts = [np.where(never, lent, _amount(table, name)) for name, lent in zip(_AMOUNTS, self.typical, strict=True)]
        return np.ascontiguousarray(np.stack([*times, repeats, *amounts], axis=1))


@kernel
def rate(weights: Floats, intercept: float, unit: float, recency: float, tenure: float, repeats: float, amounts: Floats) -> float:
    """Return the expected orders of the next step in one state; ``repeats`` below 0 means no order yet."""
    if repeats < 0:
        return np.exp(intercept + weights[6])  # type: ignore[no-any-return]
    r, t, f = np.log1p(recency / unit), np.log1p(tenure / unit), np.log1p(repeats)
    span, single = np.log1p(max(tenure - recency, 0.0) / unit), 1.0 if repeats == 0 else 0.0
    m = np.log1p(amounts[0] * (repeats + 1))
    score = intercept + weights[0] * r + weights[1] * t + weights[2] * f + weights[3] * m
    score += weights[4] * span + weights[5] * single + weights[7] * r * single
    for i in range(3):
        score += weights[8 + i] * np.log1p(amounts[i])
    score += weights[11] * r * r + weights[12] * r * t + weights[13] * r * f + weights[14] * r * m
    score += weights[15] * t * f + weights[16] * t * m + weights[17] * f * f + weights[18] * f * m + weights[19] * m * m
    return np.exp(score)  # type: ignore[no-any-return]


@kernel
def roll(
    weights: Floats, intercept: float, unit: float, step: float, steps: int, highest: float, states: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the expected orders and the cumulative hazard of the first one after 0, 1, …, ``steps`` steps (n x (steps + 1) each).

    State j: the last purchase fell into step j (0: before the cutoff). It holds its probability, and the means of the repeats and of the
    day of the first order. In a step of rate c nobody buys with probability exp(-c); who buys brings c / (1 - exp(-c)) orders on average.
    """
    count, fallen = np.zeros((len(states), steps + 1)), np.zeros((len(states), steps + 1))
    chance, repeats, begun = np.zeros(steps + 1), np.zeros(steps + 1), np.zeros(steps + 1)
    for i in range(len(states)):
        chance[0], repeats[0], begun[0] = 1.0, states[i, 2], -states[i, 1]
        for k in range(steps):
            buys, more, day, new = 0.0, 0.0, 0.0, 0.0
            for j in range(k + 1):
                if j > 0 and chance[j] < _FAINT:
                    continue
                stranger = j == 0 and states[i, 2] < 0
                recency = (k - j) * step + (states[i, 0] if j == 0 else 0.0)
                tenure = max(k * step - begun[j], 0.0)
                c = min(rate(weights, intercept, unit, recency, tenure, repeats[j], states[i, 3:]), highest)
                p = -np.expm1(-c)
                buys += chance[j] * p
                more += chance[j] * (p * repeats[j] + c)
                new += chance[j] * c
                day += chance[j] * p * ((k + 1) * step if stranger else begun[j])
                chance[j] *= 1 - p
                if j == 0:
                    fallen[i, k + 1] = fallen[i, k] + c
            chance[k + 1] = buys
            repeats[k + 1] = max(more / buys, 0.0) if buys > 0 else 0.0
            begun[k + 1] = day / buys if buys > 0 else 0.0
            count[i, k + 1] = count[i, k] + new
    return count, fallen


def _terms(table: Table, unit: float) -> Floats:
    """Return the terms of each row (n x 20), in the order in which ``rate`` reads them."""
    never = np.isnan(table.column("recency_days"))
    recency, tenure, repeats = (np.nan_to_num(table.column(name)) for name in ("recency_days", "tenure_days", "frequency"))
    single, amounts = (repeats == 0) & ~never, [_amount(table, name) for name in _AMOUNTS]
    r, t, f = np.log1p(recency / unit), np.log1p(tenure / unit), np.log1p(repeats)
    m = np.log1p(amounts[0] * (repeats + 1))
    linear = [r, t, f, m, np.log1p(np.maximum(tenure - recency, 0.0) / unit), single * 1.0, never * 1.0, r * single]
    products = [r * r, r * t, r * f, r * m, t * f, t * m, f * f, f * m, m * m]
    return np.stack([*linear, *map(np.log1p, amounts), *products], axis=1)


def _amount(table: Table, name: str) -> Floats:
    return np.maximum(np.nan_to_num(table.column(name)), 0.0) if name in table.names else np.zeros(len(table))


def _steps(train: Examples) -> tuple[Ints, Floats, float]:
    """Return the rows whose next cutoff follows one usual spacing later, the orders in between, and the spacing in days."""
    order = train.keys.order()
    code, cutoff = train.keys.code[order], train.keys.cutoff[order]
    spacing = np.diff(cutoff) / DAY
    follows = np.flatnonzero((code[1:] == code[:-1]) & (spacing > 0))
    if not len(follows):
        return np.empty(0, np.int64), np.empty(0), 1.0
    usual = float(np.round(np.median(spacing[follows])))
    follows = follows[np.abs(spacing[follows] - usual) < 0.5]  # half a day for the change of the clocks
    frequency = train.table.column("frequency")[order]
    seen = np.where(np.isnan(frequency), 0.0, frequency + 1)
    return order[follows], np.maximum(seen[follows + 1] - seen[follows], 0.0), max(usual, 1.0)


TYPES: Final = {kind.__name__: kind for kind in (RolledCounts, RolledCountsModel)}
"""What a stored model of this file may be made of."""
