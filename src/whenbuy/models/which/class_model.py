"""One model for all classes of things: from which does she buy within the horizon?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Classes
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.bends import finite, require_features
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.which.class_rates import BLOCK, ClassCases, Shrunk, aligned, strangers
from whenbuy.models.which.class_rates import TYPES as RATES

COLUMNS: Final = (
    "recency_days", "frequency", "tenure_days", "orders_7d", "orders_28d", "orders_84d", "orders_decay_8d", "orders_decay_32d",
    "orders_decay_128d", "gap_mean_days", "gap_deviation_days", "gap_last_days", "mean_amount", "last_amount", "spend_28d", "spend_84d",
)  # fmt: skip
"""What the trees of the classes are told of the customer herself, where the table has it."""
_DIRECTIONS: Final = 4
"""Tastes in common: the own shares of the classes are read through the so many directions in which customers differ most."""
_BLOCK: Final = 1 << 13
"""So many keys are read at once: it bounds the memory."""


@dataclass(frozen=True, slots=True)
class ClassTrees:
    """P(buys from a class) = P(buys at all) * P(buys from it, given that she buys): one forest for each factor, whatever the classes.

    The second is learned from the pairs of a training row that bought and a class. A pair is told what the customer did with the class, her
    rates of it drawn towards everybody's, her taste as that of customers alike (the shares of the classes in her orders, projected on the
    directions in which customers differ most), the class's own rate in the place of its name, and how she buys. So what is learned from one
    class serves the others, a class that is rarely bought among them, and the answer never exceeds the chance to buy. The interactions may
    tell of more classes than are asked about, those asked about first: the others tell of her taste.

    Parameters
    ----------
    horizon_days
        The length asked about.
    question
        Whose labels are read (n x k); those of ``purchase`` tell who bought at all.
    grow, buys
        How the trees of the classes, and those of buying at all, are grown.
    columns
        What the trees of the classes are told of the customer herself, where the table has it.
    others
        The share of the pairs without a purchase that is learned from, chosen by ``seed``; each stands for those left out.
    most
        Above this number of pairs whole customers are left out, chosen by ``seed``.
    """

    horizon_days: float
    question: str = "classes"
    grow: Boosting = Boosting(trees=150, learning_rate=0.07, leaves=20, min_leaf=100, feature_fraction=0.3)
    buys: Boosting = Boosting(trees=250, learning_rate=0.03, leaves=12, min_leaf=50, feature_fraction=0.3)
    columns: tuple[str, ...] = COLUMNS
    others: float = 0.25
    most: int = 800_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.others <= 1 or self.most < 1:
            raise UsageError(
                f"Classes were to be learned from {self.others} of the pairs without a purchase, {self.most} pairs at most.",
                "A share above 0 and at least one pair are needed.",
                "Set others to about .25.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "class-trees"

    def fit(self, train: Examples, valid: Examples | None = None) -> ClassTreesModel:
        """Return both forests; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, nobody bought from any class, or everybody who bought did from all.
        """
        del valid
        cases = ClassCases.of(train, self.question)
        bought = _bought(train, cases, self.horizon_days)
        if cases.came[bought].all():
            raise NotEnoughDataError(
                f"All {int(bought.sum()):,} training rows that bought did so from all {len(cases.classes)} classes.",
                "Telling classes apart needs some that were not bought.",
                "Name more classes, or check the column of classes.",
            )
        buys = None if bought.all() else self.buys.grow(finite(cases.table.values), bought.astype(np.float64), cases.weight)
        rows = self._sample(train, cases, bought)
        views = Views.learn(cases, rows, self.horizon_days, tuple(name for name in self.columns if name in cases.table.names))
        pairs = self._pairs(cases, rows, views)
        return ClassTreesModel(
            self, cases.classes, cases.base, train.table.names, views, buys, _share(bought, cases.weight), pairs, cases.known_until
        )

    def _pairs(self, cases: ClassCases, rows: Ints, views: Views) -> Trees:
        """Return the trees of the pairs of some rows that bought and a class."""
        came = cases.came[rows]
        kept = came | (np.random.default_rng(self.seed).random(came.shape) < self.others)
        weight = cases.weight[rows][:, None] * np.where(came, 1.0, 1.0 / self.others)
        values = [views.values(cases.told.take(rows[part]), cases.table.take(rows[part]))[kept[part]] for part in _blocks(len(rows))]
        return self.grow.grow(np.concatenate(values), came[kept].astype(np.float64), weight[kept])

    def _sample(self, train: Examples, cases: ClassCases, bought: Bools) -> Ints:
        """Return the cases that bought (rising), without those of so many customers that the pairs are ``most`` at most."""
        rows = np.flatnonzero(bought).astype(np.int64)
        share = self.most / (len(rows) * len(cases.classes))
        if share >= 1:
            return rows
        stays = np.random.default_rng(self.seed).random(len(train.keys.names)) < share
        kept = rows[stays[train.keys.code[cases.rows[rows]]]]
        return kept if cases.came[kept].any() else rows[: max(1, self.most // len(cases.classes))]


@dataclass(frozen=True, slots=True, eq=False)
class ClassTreesModel:
    """A forest of buying at all (None where everybody did: ``share`` answers), and one of pairs of a customer and a class."""

    settings: ClassTrees
    classes: tuple[str, ...]
    base: Floats
    features: tuple[str, ...]
    views: Views
    buys: Trees | None
    share: float
    pairs: Trees
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and class; of whom nothing is known gets the share of each class.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the examples lack a feature, or tell nothing of a class that the model learned.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        require_features(self.features, examples.table)
        buys = np.full(len(examples), self.share) if self.buys is None else self.buys.predict(finite(examples.table.values))
        unknown = strangers(examples.table)
        chance = np.where(unknown[:, None], self.base, buys[:, None] * self.given_purchase(examples))
        return Classes(examples.keys, self.classes, chance, self.settings.horizon_days, self.name, unknown, in_sample)

    def given_purchase(self, examples: Examples) -> Floats:
        """Return P(buys from the class within the horizon, given that she buys at all) (n x k)."""
        told, k = aligned(examples.block(BLOCK, Interactions), self.views.told), len(self.classes)
        chance = np.empty((len(examples), k))
        for rows in _blocks(len(examples)):
            values = self.views.values(told.take(rows), examples.table.take(rows))
            chance[rows] = self.pairs.predict(values.reshape(-1, values.shape[2])).reshape(-1, k)
        return chance


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """How a pair of a customer and a class becomes a row of numbers.

    Parameters
    ----------
    rates
        How own rates are drawn towards everybody's.
    base
        The share of those who bought that did so from each class (k).
    centre
        The mean of the logarithm of the own share of orders that hold each class (m).
    directions
        The directions of these logarithms in which customers differ most (m x r): the principal components.
    told
        The classes of the interactions (m), first those asked about (k).
    features, columns
        What is taken of the interactions, and of the table.
    """

    rates: Shrunk
    base: Floats
    centre: Floats
    directions: Floats
    told: tuple[str, ...]
    features: tuple[str, ...]
    columns: tuple[str, ...]
    horizon_days: float

    @classmethod
    def learn(cls, cases: ClassCases, rows: Ints, horizon_days: float, columns: tuple[str, ...]) -> Views:
        """Return what some training rows that bought teach."""
        rates = Shrunk.learn(cases, horizon_days)
        told, table, weight = cases.told.take(rows), cases.table.take(rows), cases.weight[rows]
        shares = np.log(rates.own_per_order(told, table))
        centre = (weight[:, None] * shares).sum(axis=0) / weight.sum()
        apart = (shares - centre) * np.sqrt(weight)[:, None]
        directions = np.linalg.eigh(apart.T @ apart)[1][:, ::-1][:, :_DIRECTIONS]
        directions = directions * np.sign(directions.sum(axis=0, keepdims=True) + 1e-12)  # a direction and its opposite are the same
        came = (weight[:, None] * cases.came[rows]).sum(axis=0)
        return cls(
            rates, (came + 0.5) / (weight.sum() + 1), centre, directions, cases.told.classes, cases.told.names, columns, horizon_days
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers of a pair (f)."""
        tastes = [f"{part}_{i + 1}" for i in range(self.directions.shape[1]) for part in ("taste", "taste_of_class")]
        return (
            *("class_share", "own_weekly", "own_per_order", "own_chance", "recency_over_gap", "classes_per_order"),
            *tastes,
            *self.features,
            *(f"user_{name}" for name in self.columns),
        )

    def values(self, told: Interactions, table: Table) -> Singles:
        """Return the numbers of each pair (n x k x f), NaN where there is nothing to measure."""
        k, share = len(self.base), self.rates.own_per_order(told, table)
        out = np.empty((len(told), k, len(self.names)), np.float32)
        recency, gap = (told.feature(name)[:, :k].astype(np.float64) for name in ("recency_days", "gap_mean_days"))
        parts = [
            self.base,
            self.rates.own_weekly(told, table)[:, :k],
            share[:, :k],
            self.rates.chance(told, table, self.horizon_days)[:, :k],
            np.divide(recency, gap, out=np.full(gap.shape, np.nan), where=gap > 0),
            share[:, :k].sum(axis=1, keepdims=True),
            *self._tastes(np.log(share) - self.centre, k),
            *(told.feature(name)[:, :k] for name in self.features),
            *(table.column(name)[:, None] for name in self.columns),
        ]
        for place, part in enumerate(parts):
            out[:, :, place] = part
        return finite(out)

    def _tastes(self, apart: Floats, k: int) -> list[Floats]:
        """Return how far each key lies in each direction (n x 1), and what all directions up to it say of each class (n x k).

        Summed without BLAS, so that a row's bits do not depend on the others.
        """
        found, said = [], np.zeros((len(apart), k))
        for direction in self.directions.T:
            score = np.zeros((len(apart), 1))
            for place, weight in enumerate(direction):
                score[:, 0] += apart[:, place] * weight
            said = said + score * direction[:k]
            found += [score, said]
        return found


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))


def _bought(train: Examples, cases: ClassCases, horizon_days: float) -> Bools:
    """Return which cases bought at all within the horizon."""
    label = train.label("purchase")
    return (label.observed & (label.value < horizon_days))[cases.rows] | cases.came.any(axis=1)


def _share(bought: Bools, weight: Floats) -> float:
    return float((weight @ bought + 0.5) / (weight.sum() + 1))


TYPES: Final[Mapping[str, type]] = {**RATES, **TREES, **{kind.__name__: kind for kind in (ClassTrees, ClassTreesModel, Views)}}
"""What a stored model of this file may be made of."""
