"""What a model leans on over many customers: permutation importance, and the mean forecast by the value of a feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints

Forecasts = Callable[[Ints], Floats]
"""Returns the forecasts of mixtures (m), given the row from which each part comes (m x p)."""

_SURE: Final = 1e-15
_MOST_VALUES: Final = 20
_BETWEEN: Final = (0.1, 0.9)


def logloss(chance: Floats, came: Bools) -> Floats:
    """Return what each forecast (n) costs: -log of the chance that was given to what came true."""
    return np.asarray(-np.log(np.clip(np.where(came, chance, 1 - chance), _SURE, 1.0)))


def permuted(forecasts: Forecasts, came: Bools, parts: int, count: int, seed: int) -> Floats:
    """Return by how much each customer's log-loss rises when a part of her is another customer's instead (n x count).

    Every customer lends hers to exactly one other (Breiman 2001, *Random forests*, section 10; Fisher, Rudin and Dominici 2019).

    Parameters
    ----------
    forecasts
        What forecasts mixtures.
    came
        What came true (n).
    parts
        How many parts a customer has.
    count
        How many of them, from the first on, are asked about.
    seed
        Chooses who lends to whom.
    """
    n = len(came)
    rows = np.tile(np.arange(n)[:, None], (1, parts))
    circle, lender = np.random.default_rng(seed).permutation(n), np.empty(n, np.int64)
    lender[circle] = np.roll(circle, 1)
    usual, rise = logloss(forecasts(rows), came), np.empty((n, count))
    for part in range(count):
        swapped = rows.copy()
        swapped[:, part] = lender
        rise[:, part] = logloss(forecasts(swapped), came) - usual
    return rise


def lenders(values: Floats) -> Ints:
    """Return rows whose values of a feature stand for all: every value where there are few, else as many quantiles; by rising value."""
    known = np.flatnonzero(~np.isnan(values))
    found, first = np.unique(values[known], return_index=True)
    if len(found) <= _MOST_VALUES:
        return known[first]
    ranked = known[np.argsort(values[known], kind="stable")]
    chosen = ranked[np.round(np.linspace(0, len(ranked) - 1, _MOST_VALUES)).astype(np.int64)]
    return chosen[np.unique(values[chosen], return_index=True)[1]]


def dependence(forecasts: Forecasts, lending: Ints, customers: Ints) -> tuple[Floats, Floats, Floats]:
    """Return mean forecasts of customers with one part of each lender (l), and between which two 80 % of them lie (l each).

    Parameters
    ----------
    forecasts
        What forecasts mixtures of two parts: the one that is lent, and the rest.
    lending
        The rows that lend (l).
    customers
        The rows whose rest is kept (c).
    """
    rows = np.stack([np.repeat(lending, len(customers)), np.tile(customers, len(lending))], axis=1)
    found = forecasts(rows).reshape(len(lending), len(customers))
    low, high = np.quantile(found, _BETWEEN, axis=1)
    return found.mean(axis=1), low, high
