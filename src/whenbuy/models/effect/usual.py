"""What a customer orders anyway, in one stretch of days: what the laws of her gaps and her leaving say, and trees that grow on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.examples import Table
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.renewal import ORDERS, FittedRenewal, Renewal

_LEAST, _FARTHEST, _FASTER = 1e-6, 30.0, 4.0
_ON_LAWS: Final = Boosting("poisson", trees=30, learning_rate=0.06, leaves=6, min_leaf=300, feature_fraction=0.4)
"""What the laws leave to be learned is little."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How customers are read: their features, and beside them what the laws of gaps say.

    Parameters
    ----------
    columns
        The features.
    renewal
        The laws, absent where the features for them are.
    """

    columns: tuple[str, ...]
    renewal: FittedRenewal | None

    @classmethod
    def learn(cls, columns: tuple[str, ...], values: Singles, days: Floats) -> Self:
        """Return how rows of features (n x f) are read, to tell the orders of stretches that end after some days."""
        if not set(ORDERS) <= set(columns):
            return cls(columns, None)
        return cls(columns, Renewal(tuple(sorted({float(days[0]), float(days[-1]), 2 * float(days[-1])}))).fit(Table(columns, values)))

    def grow(self, without: Boosting) -> Boosting:
        """Return how the orders of a stretch are learned, if it would be so without laws."""
        return replace(without, objective="poisson") if self.renewal is None else _ON_LAWS

    def read(self, values: Singles, stretches: int) -> Customers:
        """Return rows of features as they are read, for one stretch, or for a first one and all later ones."""
        if self.renewal is None:
            return Customers(values, np.ones((len(values), stretches)), np.zeros(len(values), bool), np.ones(len(values)))
        table = self.renewal.apply(Table(self.columns, values))
        told = np.stack([table.column(name) for name in self.renewal.names[: stretches + 1]], axis=1).astype(np.float64)
        known, told = (
            np.isfinite(told).all(axis=1),
            np.maximum(np.diff(np.where(np.isfinite(told), told, 1.0), axis=1, prepend=0.0), _LEAST),
        )
        length = np.diff(self.renewal.days, prepend=0.0)
        later = np.where(known, told[:, -1] / told[:, -2] * length[-2] / length[-1], 1.0)
        new = np.asarray(np.isnan(table.column("recency_days")))
        return Customers(table.values, told[:, :-1], new, np.clip(later, 1 / _FASTER, _FASTER))


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Customers as they are read.

    Parameters
    ----------
    values
        Features, and what the laws say (n x f).
    told
        Orders of each stretch by the laws (n x s).
    new
        Who has not bought (n): the laws were not learned from them.
    later
        How many times the orders a day of the last stretch come in as long a time after its end as until it (n): who has bought just now is
        slow at first.
    """

    values: Singles
    told: Floats
    new: Bools
    later: Floats

    def take(self, rows: Ints | Bools) -> Customers:
        """Return some of them."""
        return Customers(self.values[rows], self.told[rows], self.new[rows], self.later[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """Expected orders of one stretch of days.

    Parameters
    ----------
    stretch
        Which one.
    level
        How many times as much comes as the laws say: from those who bought, and from those who did not yet.
    trees
        Poisson trees on top of it.
    """

    stretch: int
    level: tuple[float, float]
    trees: Trees

    @classmethod
    def learn(cls, customers: Customers, stretch: int, orders: Floats, weight: Floats, grow: Boosting) -> Usual:
        """Return what the orders of a stretch and the weights of the rows (n each) teach."""
        told, levels = weight * customers.told[:, stretch], []
        whole = _ratio(float(weight @ orders), float(told.sum()), 1.0)
        for some in (~customers.new, customers.new):
            levels.append(_ratio(float(weight[some] @ orders[some]), float(told[some].sum()), whole))
        empty = cls(stretch, (levels[0], levels[1]), Trees.constant(0.0, customers.values.shape[1], grow.link))
        return cls(stretch, empty.level, grow.grow(customers.values, orders, weight, start=empty.raw(customers)))

    def raw(self, customers: Customers) -> Floats:
        """Return the logarithm of the expected orders (n)."""
        level = np.where(customers.new, self.level[1], self.level[0])
        return np.asarray(np.log(level * customers.told[:, self.stretch]) + self.trees.raw(customers.values))

    def orders(self, customers: Customers) -> Floats:
        """Return the expected orders of each (n)."""
        return np.exp(np.minimum(self.raw(customers), _FARTHEST))


def _ratio(orders: float, told: float, otherwise: float) -> float:
    return max(orders / told, _LEAST) if told > 0 and orders > 0 else otherwise


TYPES: Final[Mapping[str, type]] = {kind.__name__: kind for kind in (Reading, Usual)}
"""What a stored model of this file may be made of."""
