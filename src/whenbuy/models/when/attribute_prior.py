"""The prior of people like her: how often people with some attributes order, beside everybody.

It answers for those of whom nothing is known but attributes. Each attribute has a factor per value, by credibility (Bühlmann 1967,
"Experience rating and credibility"): the mean over the people with that value is drawn towards everybody's, the more the fewer they are and
the less values of that attribute differ beside people of one value. Where they differ no more than chance would have it, all factors are 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.forecast import TimeToEvent

MOST_VALUES: Final = 50
"""An attribute with more values than this, such as a name, says who she is, not what she is like."""
_FEWEST: Final = 20
"""People from which an attribute is learned, at least."""


@dataclass(frozen=True, slots=True)
class AttributePrior:
    """Factors of the rate of orders by attribute and value; a value that is not named, or unknown, has the factor 1.

    Parameters
    ----------
    factors
        By attribute, then by value as text.
    """

    factors: Mapping[str, Mapping[str, float]]

    @classmethod
    def learn(cls, attributes: pl.DataFrame, rate: Floats) -> Self:
        """Return the factors that people teach.

        Parameters
        ----------
        attributes
            Of each person (n rows).
        rate
            How often she orders (n), in any unit.
        """
        found: dict[str, Mapping[str, float]] = {}
        if not len(rate) or not rate.mean() > 0:
            return cls(found)
        left = rate / rate.mean()
        for name in attributes.columns:
            told = attributes[name].cast(pl.String)
            factors = _credible(told, left)
            if factors:
                found[name] = factors
                left = left / _read(told, factors)
        return cls(found)

    def factor(self, attributes: pl.DataFrame) -> Floats:
        """Return how many times as often as everybody people with these attributes order (n)."""
        found = np.ones(len(attributes))
        for name, factors in self.factors.items():
            if name in attributes.columns:
                found *= _read(attributes[name].cast(pl.String), factors)
        return found

    def apply(self, curves: TimeToEvent, attributes: pl.DataFrame) -> TimeToEvent:
        """Return the curves with those of whom nothing else is known (``prior``) answered by their attributes: S ** factor, count * factor.

        What they start from is everybody's curve, a mixture of all kinds of customers, so the interval stays wide.
        """
        if curves.prior is None or not self.factors or not attributes.width:
            return curves
        times = np.where(curves.prior, self.factor(attributes), 1.0)[:, None]
        survival, count = np.where(times == 1, curves.survival, curves.survival**times), curves.mean_count * times
        return TimeToEvent.of(curves.keys, curves.grid_days, survival, count, curves.model, prior=curves.prior, in_sample=curves.in_sample)


def _credible(told: pl.Series, rate: Floats) -> dict[str, float]:
    """Return the factor of each value of one attribute; none where values do not differ beyond chance, or nobody has one."""
    known = np.flatnonzero(told.is_not_null().to_numpy())
    names, code = np.unique(told.gather(known).to_numpy().astype(str), return_inverse=True)
    values, n = rate[known], len(known)
    if not 2 <= len(names) <= MOST_VALUES or n < _FEWEST:
        return {}
    people = np.bincount(code).astype(float)
    means = np.bincount(code, values) / people
    whole = float(values.mean())
    within = float(((values - means[code]) ** 2).sum()) / max(n - len(names), 1)
    spread = float(people @ (means - whole) ** 2) - (len(names) - 1) * within
    between = spread / (n - float(people @ people) / n)
    if not between > 0 or not whole > 0:
        return {}
    trust = people / (people + within / between)
    return {name: float(value) for name, value in zip(names.tolist(), 1 + trust * (means / whole - 1), strict=True)}


def _read(told: pl.Series, factors: Mapping[str, float]) -> Floats:
    return told.replace_strict(dict(factors), default=1.0, return_dtype=pl.Float64).fill_null(1.0).to_numpy()


TYPES: Mapping[str, type] = {"AttributePrior": AttributePrior}
"""What a stored model of this file may be made of."""
