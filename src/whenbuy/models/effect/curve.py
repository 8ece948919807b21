"""Uplift on the purchase curve: how many more orders each offer brings in each stretch of days after it is sent, fewer in some."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.boosted_curve import monotone, read_columns
from whenbuy.models.effect.learned import Z80, mean_effect
from whenbuy.models.effect.residual import ResidualLearner, Scaled, weighed
from whenbuy.models.effect.trial import Trial
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

_SLOWEST: Final = 0.05
"""No offer slows the orders of a stretch below this share of what comes without it."""


@dataclass(frozen=True, slots=True)
class CurveUplift:
    """Both purchase curves of every customer: without an offer, and with each of them.

    The days after the cutoff are cut into stretches. In each, the orders that an offer adds are learned by the residual learner, relative
    to those that come anyway; a stretch with a dip after one with a rise is what was pulled forward. The curve without an offer is
    learned from those who were sent nothing, weighted by inverse propensities. The hazard of the next order changes by the same factor
    as the rate of orders.

    Parameters
    ----------
    days
        Where the stretches end, rising: the grid of the curves. The labels ``orders_7d``, ``orders_14d``, … say the orders until then.
    grow, folds, halves, seed
        As in ResidualLearner.
    """

    days: tuple[float, ...] = (7.0, 14.0, 28.0, 42.0)
    grow: Boosting = Boosting(trees=120, learning_rate=0.06, leaves=8, min_leaf=50, feature_fraction=0.4)
    folds: int = 2
    halves: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.days or self.days[0] <= 0 or (np.diff(self.days) <= 0).any():
            raise UsageError(f"The stretches of a curve end after {self.days} days.", "They rise from above 0.", "Say 7, 14, 28, 42.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift curve"

    def fit(self, train: Examples, valid: Examples | None = None) -> CurveUpliftModel:
        """Return both curves as the examples teach them; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When an arm has too few customers, or nobody bought.
        """
        del valid
        known = train.label(orders_label(self.days[-1]))
        watched = train.take(np.flatnonzero(known.observed))
        until = [watched.label(orders_label(day)) for day in self.days]
        whole = Trial.of(watched, orders_label(self.days[-1]))
        idle = np.flatnonzero(whole.arm == 0)
        weight = 1 / np.maximum(whole.chance[idle, 0], 1e-6)
        parts, anyway, bought, before = [], [], [], np.zeros(len(watched))
        for day, label in zip(self.days, until, strict=True):
            trial = replace(whole, outcome=label.value - before)
            parts.append(self._stretch(day).grown(trial))
            anyway.append(replace(self.grow, objective="poisson").grow(trial.values[idle], trial.outcome[idle], weight))
            bought.append(replace(self.grow, objective="binary").grow(trial.values[idle], label.value[idle] > 0, weight))
            before = label.value
        usual = np.stack([trees.predict(whole.values[idle]) for trees in anyway], axis=1).mean(axis=0)
        chance = np.array([np.average(label.value[idle] > 0, weights=weight) for label in until])
        mean = np.stack([part.uplift(whole.values).mean(axis=0) for part in parts], axis=1)
        return CurveUpliftModel(
            self.name, whole.offers, whole.columns, np.array(self.days), whole.known_until, tuple(parts), tuple(anyway), tuple(bought),
            usual, chance, mean, mean_effect(whole)[1],
        )  # fmt: skip

    def _stretch(self, day: float) -> ResidualLearner:
        return ResidualLearner(orders_label(day), day, self.grow, self.folds, halves=self.halves, seed=self.seed)


@dataclass(frozen=True, slots=True, eq=False)
class CurveUpliftModel:
    """Fitted curves.

    Parameters
    ----------
    days
        Where the stretches end (g).
    parts
        The effects on the orders of each stretch (g).
    anyway, bought
        Orders of each stretch, and the chance to have bought by its end, when nothing is sent (g each).
    usual, chance, mean, error
        The same on average (g, g, m x g), and the standard error of the effect on all of them (m): the answer for strangers.
    """

    name: str
    offers: tuple[str, ...]
    columns: tuple[str, ...]
    days: Floats
    known_until: int
    parts: tuple[Scaled, ...]
    anyway: tuple[Trees, ...]
    bought: tuple[Trees, ...]
    usual: Floats
    chance: Floats
    mean: Floats
    error: Floats

    def predict(self, examples: Examples, *, in_sample: bool = False) -> CurveEffect:
        """Return both curves of each key; a stranger's are the mean ones, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the model reads.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        values = read_columns(examples.table, self.columns)
        stranger = np.asarray(np.isnan(values).all(axis=1))
        rate = np.stack([trees.predict(values) for trees in self.anyway], axis=1)
        chance = monotone(np.stack([trees.predict(values) for trees in self.bought], axis=1))
        rate[stranger], chance[stranger] = self.usual, monotone(self.chance[None, :])
        extra = np.stack([part.uplift(values) for part in self.parts], axis=2)
        extra[stranger] = self.mean
        without = TimeToEvent.of(
            examples.keys, self.days, 1 - chance, np.cumsum(rate, axis=1), self.name, prior=stranger, in_sample=in_sample
        )
        factor = np.maximum(1 + extra / np.maximum(rate, 1e-9)[:, None, :], _SLOWEST)
        offered = tuple(_faster(without, factor[:, offer]) for offer in range(len(self.offers)))
        middle = np.stack([curve.mean_count[:, -1] - without.mean_count[:, -1] for curve in offered], axis=1)
        spread = np.where(stranger[:, None], self.error, self._spread(values))
        low, high = middle - Z80 * spread, middle + Z80 * spread
        return CurveEffect(examples.keys, self.offers, without, offered, low, high, self.name, stranger, in_sample)

    def _spread(self, values: Singles) -> Floats:
        """Return by how much the incremental orders stray when only half of the customers had been there (n x m)."""
        halves = min(len(part.halves) for part in self.parts)
        if not halves:
            return np.broadcast_to(self.error, (len(values), len(self.offers)))
        squares = np.zeros((len(values), len(self.offers)))
        bases = [part.scale(values) for part in self.parts]
        for half in range(halves):
            strays = [
                size[:, None] * weighed(z, part.halves[half] - part.effects) for part, (size, z) in zip(self.parts, bases, strict=True)
            ]
            squares += np.sum(strays, axis=0) ** 2
        return np.sqrt(squares / halves)


def orders_label(day: float) -> str:
    """Return the name of the label that says how many orders came until a day."""
    return f"orders_{day:g}d"


def _faster(without: TimeToEvent, factor: Floats) -> TimeToEvent:
    """Return a curve whose hazard and rate are multiplied stretch by stretch (n x g)."""
    fallen = np.diff(-np.log(np.maximum(without.survival, 1e-300)), axis=1, prepend=0.0)
    count = np.diff(without.mean_count, axis=1, prepend=0.0)
    survival, mean = np.exp(-np.cumsum(fallen * factor, axis=1)), np.cumsum(count * factor, axis=1)
    return TimeToEvent.of(without.keys, without.grid_days, survival, mean, without.model, prior=without.prior, in_sample=without.in_sample)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (CurveUplift, CurveUpliftModel)}
"""What a stored model of this file may be made of."""
