"""Uplift on the purchase curve: how many more orders each offer brings in each stretch of days after it is sent, fewer in some."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.boosted_curve import monotone, read_columns
from whenbuy.models.effect.gained import DaysGained, Told, learn_days, rates
from whenbuy.models.effect.learned import Z80, mean_effect
from whenbuy.models.effect.modifiers import Modifiers
from whenbuy.models.effect.trial import Trial
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

_SLOWEST: Final = 0.05
"""No offer slows the orders of a stretch below this share of what comes without it."""


@dataclass(frozen=True, slots=True)
class CurveUplift:
    """Both purchase curves of every customer: without an offer, and with each of them.

    The days after the cutoff are cut into stretches. For the end of each it is learned by how many days an offer has moved the orders
    forward (see ``gained``): days that are given back by the last one were pulled forward. The curve without an offer is learned from
    those who were sent nothing, weighted by inverse propensities. The hazard of the next order changes by the same factor as the rate of
    orders.

    Parameters
    ----------
    days
        Where the stretches end, rising: the grid of the curves. The labels ``orders_7d``, ``orders_14d``, … say the orders until then.
    grow, folds
        How orders are forecast. The forecast of a training row is grown on the other folds.
    numbers
        How many features that are numbers may modify an effect, at most: those that matter most to the orders.
    most
        Forecasts are grown on so many rows, at most; the effects are learned from all.
    seed
        Draws the folds and the rows.
    """

    days: tuple[float, ...] = (7.0, 14.0, 28.0)
    grow: Boosting = Boosting(trees=120, learning_rate=0.06, leaves=8, min_leaf=50, feature_fraction=0.4)
    folds: int = 2
    numbers: int = 6
    most: int = 100_000
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
        orders = np.stack([watched.label(orders_label(day)).value for day in self.days], axis=1).astype(np.float64)
        whole, days = Trial.of(watched, orders_label(self.days[-1])), np.array(self.days)
        each = np.diff(orders, axis=1, prepend=0.0)
        fold, left_alone = whole.folds(self.folds, self.seed), whole.arm == 0
        forecast, grown = self._across(whole, each, fold, np.ones(len(whole), bool))
        idly, anyway = self._across(whole, each, fold, left_alone)
        told = Told(orders, np.cumsum(forecast, axis=1), rates(idly, days))
        modifiers = Modifiers.of(whole.values, grown[0][-1].importance(), self.numbers)
        gained = learn_days(whole, told, modifiers, days)
        idle = self._some(np.flatnonzero(left_alone), 0)
        weight, values = 1 / np.maximum(whole.chance[idle, 0], 1e-6), whole.values[idle]
        bought = tuple(replace(self.grow, objective="binary").grow(values, count[idle] > 0, weight) for count in orders.T)
        usual = np.average(each[idle], axis=0, weights=weight)
        chance = np.array([np.average(count[idle] > 0, weights=weight) for count in orders.T])
        mean = (gained.days(whole.values) * told.rate[:, None, :]).mean(axis=0)
        return CurveUpliftModel(
            self.name, whole.offers, whole.columns, days, whole.known_until, gained, anyway, bought, usual, chance,
            np.diff(mean, axis=1, prepend=0.0), mean_effect(whole)[1],
        )  # fmt: skip

    def _across(self, trial: Trial, orders: Floats, fold: Ints, rows: Bools) -> tuple[Floats, tuple[tuple[Trees, ...], ...]]:
        """Return the orders of each stretch as some rows of the other folds let expect them (n x g), and the trees of each fold."""
        found, grown = np.empty(orders.shape), []
        for part in range(self.folds):
            here, there = fold == part, self._some(np.flatnonzero(rows & (fold != part)), 1 + part)
            weight = None if rows.all() else 1 / np.maximum(trial.chance[there, 0], 1e-6)
            grow = replace(self.grow, objective="poisson")
            grown.append(tuple(grow.grow(trial.values[there], count[there], weight) for count in orders.T))
            found[here] = np.stack([trees.predict(trial.values[here]) for trees in grown[-1]], axis=1)
        return found, tuple(grown)

    def _some(self, rows: Ints, turn: int) -> Ints:
        """Return as many of some rows as forecasts are grown on."""
        if len(rows) <= self.most:
            return rows
        return np.sort(np.random.default_rng([self.seed, turn]).choice(rows, self.most, replace=False))


@dataclass(frozen=True, slots=True, eq=False)
class CurveUpliftModel:
    """Fitted curves.

    Parameters
    ----------
    days
        Where the stretches end (g).
    gained
        By how many days each offer has moved orders forward when each stretch ends.
    anyway
        Orders of each stretch when nothing is sent: their mean over the folds (folds tuples of g).
    bought
        The chance to have bought by the end of each stretch when nothing is sent (g).
    usual, chance, mean, error
        The same on average (g, g, m x g), and the standard error of the effect on all of them (m): the answer for strangers.
    """

    name: str
    offers: tuple[str, ...]
    columns: tuple[str, ...]
    days: Floats
    known_until: int
    gained: DaysGained
    anyway: tuple[tuple[Trees, ...], ...]
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
        rate = np.mean([[trees.predict(values) for trees in fold] for fold in self.anyway], axis=0).T
        chance = monotone(np.stack([trees.predict(values) for trees in self.bought], axis=1))
        rate[stranger], chance[stranger] = self.usual, monotone(self.chance[None, :])
        pace = rates(rate, self.days)
        extra = np.diff(self.gained.days(values) * pace[:, None, :], axis=2, prepend=0.0)
        extra[stranger] = self.mean
        without = TimeToEvent.of(
            examples.keys, self.days, 1 - chance, np.cumsum(rate, axis=1), self.name, prior=stranger, in_sample=in_sample
        )
        factor = np.maximum(1 + extra / np.maximum(rate, 1e-9)[:, None, :], _SLOWEST)
        offered = tuple(_faster(without, factor[:, offer]) for offer in range(len(self.offers)))
        middle = np.stack([curve.mean_count[:, -1] - without.mean_count[:, -1] for curve in offered], axis=1)
        spread = np.where(stranger[:, None], self.error, self.gained.error(values) * pace[:, -1:])
        low, high = middle - Z80 * spread, middle + Z80 * spread
        return CurveEffect(examples.keys, self.offers, without, offered, low, high, self.name, stranger, in_sample)


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
