"""Uplift on the purchase curve: how many more orders each offer brings in each stretch of days after it is sent, fewer in some."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.effect import AHEAD, Ahead, CurveEffect
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.effect.gained import DaysGained, Told, learn_days
from whenbuy.models.effect.learned import Z80, mean_effect
from whenbuy.models.effect.modifiers import Modifiers
from whenbuy.models.effect.residual import received
from whenbuy.models.effect.season import Cells, Season, learn_season
from whenbuy.models.effect.trial import Trial
from whenbuy.models.effect.usual import Customers, Reading, Usual
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import monotone, read_columns

_FASTER: Final = 4.0
"""No offer is taken to have made the orders of a stretch more than so many times as many, or as few, when what comes anyway is told."""
_SCATTER: Final = Boosting("poisson", trees=30, learning_rate=0.15, leaves=6, min_leaf=300, feature_fraction=0.5)
"""How it is learned whose orders scatter more than those of others."""
_SCATTERED, _STRAY, _LEAST_FORECAST = 60_000, 50.0, 0.02
"""On so many rows, at most; a row that strays more (in squares over the forecast, which is no less than the last) strays so much."""
_SLOWEST: Final = 0.05
"""No offer slows the orders of a stretch below this share of what comes without it."""


@dataclass(frozen=True, slots=True)
class CurveUplift:
    """Both purchase curves of every customer: without an offer, and with each of them.

    The days after the cutoff are cut into stretches. It is learned by how many days an offer has moved the orders forward by the end of
    the first one and of the last (see ``gained``): days that are given back by the last one were pulled forward. The curve without an
    offer is learned from those who were sent nothing, weighted by inverse propensities: what comes in the first stretch, and at which rate
    it goes on. The hazard of the next order changes by the same factor as the rate of orders.

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
    grow: Boosting = Boosting(trees=60, learning_rate=0.08, leaves=8, min_leaf=50, feature_fraction=0.4)
    folds: int = 2
    numbers: int = 6
    most: int = 300_000
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
        ends = orders[:, _ends(days)]
        each = np.diff(ends, axis=1, prepend=0.0)
        idle = self._some(np.flatnonzero(whole.arm == 0), 0)
        weight = 1 / np.maximum(whole.chance[idle, 0], 1e-6)
        reading = Reading.learn(whole.columns, whole.values, days)
        read = reading.read(whole.values, each.shape[1])
        bought = tuple(replace(self.grow, objective="binary").grow(read.values[idle], count[idle] > 0, weight) for count in orders.T)
        modifiers = Modifiers.of(whole.values, bought[-1].importance()[: len(whole.columns)], self.numbers)
        forecast = self._across(whole, read, each, reading.grow(self.grow))
        told = np.cumsum(forecast, axis=1)
        pace = _pace(forecast, read.later, days)
        gained = learn_days(whole, Told(ends, told, pace[:, _ends(days)], self._scatter(whole, ends, told)), modifiers, days)
        anyway = self._anyway(whole, read, each, forecast, gained, reading.grow(self.grow))
        usual = np.average(np.diff(orders[idle], axis=1, prepend=0.0), axis=0, weights=weight)
        chance = np.array([np.average(count[idle] > 0, weights=weight) for count in orders.T])
        alone = whole.arm == 0
        cells = Cells.of(
            watched.keys.cutoff[alone], _campaigns(watched, len(days))[alone],
            np.diff(orders[alone], axis=1, prepend=0.0).astype(np.float64), _spread(forecast[alone], usual),
            1 / np.maximum(whole.chance[alone, 0], 1e-6),
        )  # fmt: skip
        mean = (gained.gained(whole.values) * pace[:, None, :]).mean(axis=0)
        return CurveUpliftModel(
            self.name, whole.offers, reading, days, whole.known_until, gained, anyway, bought, usual, chance,
            np.diff(mean, axis=1, prepend=0.0), mean_effect(whole)[1],
            learn_season(cells, np.concatenate([[0.0], days[:-1]]), days),
        )  # fmt: skip

    def _across(self, trial: Trial, read: Customers, orders: Floats, grow: Boosting) -> Floats:
        """Return the orders to be expected if nothing is sent, by those of the other folds who were sent nothing (n x 2)."""
        fold, idle, found = trial.folds(self.folds, self.seed), trial.arm == 0, np.empty(orders.shape)
        for part in range(self.folds):
            here, there = fold == part, self._some(np.flatnonzero(idle & (fold != part)), 1 + part)
            weight, these, others = 1 / np.maximum(trial.chance[there, 0], 1e-6), read.take(there), read.take(here)
            for k, count in enumerate(orders.T):
                found[here, k] = Usual.learn(these, k, count[there], weight, grow).orders(others)
        return found

    def _scatter(self, trial: Trial, orders: Floats, forecast: Floats) -> Floats:
        """Return how many times the forecast the variance of the orders is, as the features tell (n x 2)."""
        rows = self._some(np.arange(len(trial)), 1 + self.folds, _SCATTERED)
        square = (orders - forecast) ** 2 / np.maximum(forecast, _LEAST_FORECAST)
        each = [_SCATTER.grow(trial.values[rows], np.minimum(part[rows], _STRAY)).predict(trial.values) for part in square.T]
        return np.clip(np.stack(each, axis=1), 1 / _FASTER, 2 * _FASTER)

    def _anyway(
        self, trial: Trial, read: Customers, orders: Floats, forecast: Floats, gained: DaysGained, grow: Boosting
    ) -> tuple[Usual, ...]:
        """Return what is ordered anyway, as everybody's orders tell once it is known how much faster the offers made them.

        A count whose mean is f times as large counts as 1 / f of it with the weight f: the likelihood is the same (Poisson). Twice as many
        rows as those who were sent nothing say what comes anyway.
        """
        rows = self._some(np.arange(len(trial)), 0)
        some, these = trial.take(rows), read.take(rows)
        pace = _pace(forecast[rows], these.later, gained.days)
        reached = (
            received(some) if some.opened is None else some.opened[:, None] * (some.arm[:, None] == np.arange(1, len(some.offers) + 1))
        )
        added = ((gained.gained(some.values) * reached[:, :, None]).sum(axis=1) * pace)[:, _ends(gained.days)]
        factor = np.clip(1 + np.diff(added, axis=1, prepend=0.0) / np.maximum(forecast[rows], 1e-9), 1 / _FASTER, _FASTER)
        return tuple(Usual.learn(these, k, count / f, f, grow) for k, (count, f) in enumerate(zip(orders[rows].T, factor.T, strict=True)))

    def _some(self, rows: Ints, turn: int, most: int | None = None) -> Ints:
        """Return as many of some rows as forecasts are grown on, or another number."""
        most = self.most if most is None else most
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng([self.seed, turn]).choice(rows, most, replace=False))


@dataclass(frozen=True, slots=True, eq=False)
class CurveUpliftModel:
    """Fitted curves.

    Parameters
    ----------
    reading
        How a customer is read.
    days
        Where the stretches end (g).
    gained
        By how many days each offer has moved orders forward when each stretch ends.
    anyway
        Orders of the first stretch, and of all later ones, when nothing is sent (1 or 2).
    bought
        The chance to have bought by the end of each stretch when nothing is sent (g). It is learned by itself, and no season moves it: in
        simulated shops with a year's wave that made it worse.
    usual, chance, mean, error
        The same on average (g, g, m x g), and the standard error of the effect on all of them (m): the answer for strangers, and how
        orders spread over the later stretches.
    season
        By how much more or less everybody orders in each stretch, as the calendar says; absent where it would not have helped.
    """

    name: str
    offers: tuple[str, ...]
    reading: Reading
    days: Floats
    known_until: int
    gained: DaysGained
    anyway: tuple[Usual, ...]
    bought: tuple[Trees, ...]
    usual: Floats
    chance: Floats
    mean: Floats
    error: Floats
    season: Season | None = None

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
        values = read_columns(examples.table, self.reading.columns)
        stranger = np.asarray(np.isnan(values).all(axis=1))
        read = self.reading.read(values, len(self.anyway))
        expected = np.stack([one.orders(read) for one in self.anyway], axis=1)
        each = _spread(expected, self.usual)
        if self.season is not None:
            each = each * self.season.factor(examples.keys.cutoff, _campaigns(examples, len(self.days)))
        chance = monotone(np.stack([trees.predict(read.values) for trees in self.bought], axis=1))
        each[stranger], chance[stranger] = self.usual, monotone(self.chance[None, :])
        pace = _pace(expected, read.later, self.days)
        extra = np.diff(self.gained.gained(values) * pace[:, None, :], axis=2, prepend=0.0)
        extra[stranger] = self.mean
        without = TimeToEvent.of(
            examples.keys, self.days, 1 - chance, np.cumsum(each, axis=1), self.name, prior=stranger, in_sample=in_sample
        )
        factor = np.maximum(1 + extra / np.maximum(each, 1e-9)[:, None, :], _SLOWEST)
        offered = tuple(_faster(without, factor[:, offer]) for offer in range(len(self.offers)))
        middle = np.stack([curve.mean_count[:, -1] - without.mean_count[:, -1] for curve in offered], axis=1)
        spread = np.where(stranger[:, None], self.error, self.gained.error(values) * pace[:, -1:])
        low, high = middle - Z80 * spread, middle + Z80 * spread
        return CurveEffect(examples.keys, self.offers, without, offered, low, high, self.name, stranger, in_sample)


def _spread(orders: Floats, usual: Floats) -> Floats:
    """Return the orders of every stretch (n x g) from those of the first and of all later ones (n x 2), as they usually spread (g)."""
    later = usual[1:] / max(float(usual[1:].sum()), 1e-12)
    return np.hstack([orders[:, :1], orders[:, 1:] * later])


def _campaigns(examples: Examples, stretches: int) -> Floats:
    """Return how many public campaigns run on an average day of each stretch (n x g); none where nothing is said of it."""
    known = AHEAD in examples.blocks
    return examples.block(AHEAD, Ahead).running if known else np.zeros((len(examples), stretches))


def _pace(orders: Floats, later: Floats, days: Floats) -> Floats:
    """Return how many orders a day that was gained brings, by the end of each stretch (n x g).

    After the first stretch orders come as often as until the last one's end (``orders``: of the first, and of all later ones, n x 2; with
    one stretch, of it), after the last one ``later`` times as often (n); between the two it changes evenly.
    """
    rate = orders[:, -1:] / (days[-1] - (days[0] if len(days) > 1 else 0.0))
    since = (days - days[0]) / max(float(days[-1] - days[0]), 1.0)
    return np.asarray(rate * (1 + (later[:, None] - 1) * since))


def _ends(days: Floats) -> list[int]:
    """Return the places of the first stretch and of the last."""
    return [0, -1] if len(days) > 1 else [0]


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
