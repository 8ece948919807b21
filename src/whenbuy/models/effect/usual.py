"""What a customer orders anyway, in one stretch of days: a line for the logarithm, and trees that grow on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.examples import Table
from whenbuy.models.fitting.log_line import LogLine
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

_READ: Final = ("recency_days", "frequency", "tenure_days")
"""The features without which no line is learned."""
_FARTHEST: Final = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """Expected orders of one stretch of days.

    Trees alone draw extremes in, and the more so the less there is to see: in a short stretch more than in a long one. A plan weighs what
    comes soon, and would redeem an offer, against what is added later, so both are told by the same line.

    Parameters
    ----------
    line
        The logarithm of the expected number as a line, absent where the features for it are.
    offset
        What is added to it, so that its mean is that of the training rows.
    trees
        Poisson trees on top of it.
    """

    line: LogLine | None
    offset: float
    trees: Trees

    @classmethod
    def learn(cls, columns: tuple[str, ...], values: Singles, orders: Floats, weight: Floats, grow: Boosting) -> Usual:
        """Return what rows of features (n x f), their orders and their weights (n each) teach."""
        counted, table = replace(grow, objective="poisson"), Table(columns, values)
        if not set(_READ) <= set(columns) or not orders.any():
            return cls(None, 0.0, counted.grow(values, orders, weight))
        line = LogLine.learn(table, orders, weight, 1.0, most=len(table))
        start = line.raw(table)
        offset = float(np.log(weight @ orders / (weight @ np.exp(start))))
        return cls(line, offset, counted.grow(values, orders, weight, start=start + offset))

    def orders(self, columns: tuple[str, ...], values: Singles) -> Floats:
        """Return the expected orders of each row (n)."""
        if self.line is None:
            return self.trees.predict(values)
        return np.exp(np.minimum(self.line.raw(Table(columns, values)) + self.offset + self.trees.raw(values), _FARTHEST))


TYPES: Final[Mapping[str, type]] = {Usual.__name__: Usual}
"""What a stored model of this file may be made of."""
