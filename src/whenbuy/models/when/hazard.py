"""A pooled logistic hazard on person-periods: the chance to buy in the next step, rolled out along the path of silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_known, refuse_leak, require_ripe
from whenbuy.models.fitting.newton import Logistic, fit_line, one_step, standardise
from whenbuy.models.fitting.terms import Terms

_BLOCK: Final = 1 << 14
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
        del valid
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
        centre, spread = standardise(matrix)
        found, _ = fit_line(matrix, Logistic(bought, np.full(len(bought), 1 / len(bought))), self.ridge / len(bought))
        weights = found[:-1] / spread
        intercept = float(found[-1] - weights @ centre)
        known_until = int(train.label("purchase").end.max())
        return HazardModel(self, terms, weights, intercept, known_until, float(self._lived(train).sum()))

    def _lived(self, train: Examples) -> Ints:
        """Return how many steps each row was watched and waited (n), up to the next cutoff."""
        waited = np.floor(train.label("purchase").value / self.step_days)
        return np.minimum(waited, _steps_between_cutoffs(train, self.step_days)).astype(np.int64)

    def _person_periods(self, train: Examples, terms: Terms) -> tuple[Singles, Bools]:
        label, step = train.label("purchase"), self.step_days
        steps = _steps_between_cutoffs(train, step)
        share = min(1.0, self.max_rows / max(1, int(self._lived(train).sum())))
        chosen = np.flatnonzero(np.random.default_rng(self.seed).random(len(train)) < share) if share < 1 else np.arange(len(train))
        place, k = np.repeat(chosen, steps), np.tile(np.arange(steps), len(chosen))
        value = label.value[place]
        whole = value >= (k + 1) * step
        seen = (label.end - train.keys.cutoff)[place] >= np.round((k + 1) * step * DAY)
        buys = label.observed[place] & ~whole & (value >= k * step) & seen
        kept = np.flatnonzero(whole | buys)
        blocks = (kept[start : start + _BLOCK] for start in range(0, len(kept), _BLOCK))
        tables = (train.silence(np.asarray(k[block] * step, np.float64), place[block]) for block in blocks)
        return terms.packed(tables, len(kept)), buys[kept]


@dataclass(frozen=True, slots=True, eq=False)
class HazardModel:
    """A fitted pooled logistic hazard: one weight per term. ``steps`` is how many person-periods taught it."""

    settings: PooledLogistic
    terms: Terms
    weights: Floats
    intercept: float
    known_until: int
    steps: float = 0.0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it."""
        return self.steps > 0

    def update(self, later: Examples) -> HazardModel:
        """Return the hazard after one Newton step on the later person-periods, the earlier ones as its prior.

        At the old weights the earlier loss is flat, and its curvature is taken to be that of the later one, as often as there were earlier
        person-periods: to first order every period ever seen counts alike (recursive Bayes with Laplace's approximation: Spiegelhalter &
        Lauritzen 1990). The terms stay as they are. Only cutoffs from ``known_until`` on teach.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When no step since has been watched.
        """
        label = later.label("purchase")
        refuse_known(self.known_until, later, "purchase")
        fresh = later.take(np.flatnonzero(later.keys.cutoff >= self.known_until))
        steps = float(self.settings._lived(fresh).sum()) if len(fresh) else 0.0
        require_ripe(int(steps), label, "purchase")
        matrix, bought = self.settings._person_periods(fresh, self.terms)
        require_ripe(len(bought), label, "purchase")
        centre, spread = standardise(matrix)
        score = matrix @ np.where(np.isfinite(spread), self.weights * spread, 0.0) + self.intercept + self.weights @ centre
        loss = Logistic(bought, np.full(len(bought), 1 / len(bought)))
        step = one_step(matrix, loss, score, times=1 + self.steps / steps, ridge=self.settings.ridge / steps)
        moved = step[:-1] / spread
        intercept = self.intercept + float(step[-1] - moved @ centre)
        until = int(label.end.max())
        return replace(self, weights=self.weights + moved, intercept=intercept, known_until=until, steps=self.steps + steps)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        step, grid = self.settings.step_days, np.array(self.settings.grid_days)
        steps = int(np.ceil(grid[-1] / step - 1e-9))
        fallen = np.zeros((len(examples), steps + 1))
        path = np.arange(steps) * step
        for rows in np.array_split(np.arange(len(examples)), max(1, len(examples) * steps // _BLOCK)):
            table = examples.silence(np.tile(path, len(rows)), np.repeat(rows, steps))
            score = self.terms.score(table, self.weights) + self.intercept
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
