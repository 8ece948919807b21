"""Floors for "how much": one amount for everybody, and each customer's own mean drawn towards it.

Both learn from the amounts of the orders that came next. Their quantiles are pooled ratios of what came to what was expected. Orders of 0
or less count as they are; own means of 0 or less say nothing, and the common mean answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Amount
from whenbuy.core.learner import refuse_leak
from whenbuy.models.how_much.gamma_gamma import LEVELS, spending

_CANDIDATES: Final = tuple(2.0**k for k in range(-4, 9))


@dataclass(frozen=True, slots=True)
class GlobalMean:
    """The mean amount of the next order over all customers.

    Parameters
    ----------
    levels
        The quantiles that the forecast holds, rising.
    """

    levels: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "mean-amount"

    def fit(self, train: Examples, valid: Examples | None = None) -> MeanAmountModel:
        """Return the mean and the quantiles of the amounts that came next; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no order came next, or those that came brought nothing.
        """
        del valid
        amount, _, weight, centre = _came(train)
        return _with_ratios(self, train, centre, None, (amount, np.full(len(amount), centre), weight))


@dataclass(frozen=True, slots=True)
class OwnMean:
    """Each customer's own mean amount, drawn towards the common one as if she had made some more orders of that size.

    How many is learned: the power of 2 with the least squared error on the training labels.

    Parameters
    ----------
    levels
        The quantiles that the forecast holds, rising.
    """

    levels: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "own-mean-amount"

    def fit(self, train: Examples, valid: Examples | None = None) -> MeanAmountModel:
        """Return the common mean, the number of lent orders and the pooled ratios; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no order came next, or those that came brought nothing.
        """
        del valid
        amount, table, weight, centre = _came(train)
        orders, mean = spending(table)
        tried = [_drawn(orders, mean, centre, lent) for lent in _CANDIDATES]
        best = int(np.argmin([weight @ (amount - expected) ** 2 for expected in tried]))
        return _with_ratios(self, train, centre, _CANDIDATES[best], (amount, tried[best], weight))


@dataclass(frozen=True, slots=True, eq=False)
class MeanAmountModel:
    """A mean for each customer and the pooled ratios of what came to it; ``lent_orders`` is None where everybody gets the common mean."""

    name: str
    centre: float
    lent_orders: float | None
    mean_ratio: float
    ratios: Floats
    levels: Floats
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return mean and quantiles of each key's next order; a stranger gets the common ones.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        if self.lent_orders is None:
            expected = np.full(len(examples), self.centre)
        else:
            expected = _drawn(*spending(examples.table), self.centre, self.lent_orders)
        return Amount(
            examples.keys, expected * self.mean_ratio, self.levels, expected[:, None] * self.ratios, self.name, in_sample=in_sample
        )


def _drawn(orders: Floats, mean: Floats, centre: float, lent: float) -> Floats:
    return (orders * mean + lent * centre) / (orders + lent)


def _came(train: Examples) -> tuple[Floats, Table, Floats, float]:
    """Return the amounts that came next (n), the table and the weights of those rows, and the weighted mean of the amounts."""
    label = train.label("amount")
    rows = np.flatnonzero(label.observed & np.isfinite(label.value))
    weight = (np.ones(len(train)) if train.weight is None else train.weight)[rows]
    amount = label.value[rows]
    centre = float(weight @ amount / weight.sum()) if len(rows) and weight.sum() > 0 else 0.0
    if centre <= 0:
        raise NotEnoughDataError(
            f"{len(rows)} of {len(label)} training labels hold the amount of a next order; their mean is {centre:g}.",
            "A forecast of amounts needs next orders that bring something.",
            "Use a longer horizon or a longer history, or check the column of amounts.",
        )
    return amount, train.table.take(rows), weight, centre


def _with_ratios(
    learner: GlobalMean | OwnMean, train: Examples, centre: float, lent: float | None, seen: tuple[Floats, Floats, Floats]
) -> MeanAmountModel:
    amount, expected, weight = seen
    levels = np.array(learner.levels, float)
    ratio = amount / expected
    quantiles = np.quantile(ratio, levels, weights=weight, method="inverted_cdf")
    until = int(train.label("amount").end.max())
    return MeanAmountModel(learner.name, centre, lent, float(weight @ amount / (weight @ expected)), quantiles, levels, until)


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (GlobalMean, OwnMean, MeanAmountModel)}
"""What a stored model of this file may be made of."""
