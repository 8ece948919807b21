"""Shapley values of groups of features: what knowing each group of a customer adds to her forecast, beside typical customers.

The worth of knowing the groups S of customer x is the mean forecast of mixtures that have S from her, the rest from a typical customer z:
v(S) = mean over z of f(x_S, z_rest). So the reference is marginal ("interventional"): a group that the model does not read gets exactly
nothing (Janzing, Minorics and Blöbaum 2020, *Feature relevance quantification in explainable AI*). The value of a group is its mean
contribution over all orders in which the groups can become known (Shapley 1953); the values add up to f(x) less the mean of f(z).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints

Ask = Callable[[Ints, Ints, Bools], Floats]
"""Returns the forecasts of mixtures (m): of which customer (m), with which typical one (m), and which parts are the customer's (m x p)."""

MOST_EXACT: Final = 5
"""Up to so many groups, every set of them is asked about."""


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What each group adds.

    Parameters
    ----------
    size
        Shapley value of each group (n x p).
    error
        Its standard error, from the sampling of orders (n x p); 0 where every set was asked about.
    base
        The mean forecast of the typical customers.
    chance
        The forecast of each customer (n).
    exact
        Whether every set of groups was asked about.
    """

    size: Floats
    error: Floats
    base: float
    chance: Floats
    exact: bool


def shapley(ask: Ask, differs: Bools, *, walks: int, seed: int, exact: bool | None = None) -> Shares:
    """Return the Shapley values of each customer's groups.

    Parameters
    ----------
    ask
        What forecasts mixtures.
    differs
        In which groups each customer differs from each typical one (n x b x p); where she does not, nothing is asked twice.
    walks
        Where not every set is asked about: how many pairs of opposite orders are walked for each typical customer, at least 2 (antithetic
        sampling: Mitchell et al. 2022, *Sampling permutations for Shapley value estimation*, section 3.1). All customers walk the same.
    seed
        Chooses the orders.
    exact
        Whether to ask about every set; by default where there are at most ``MOST_EXACT`` groups.
    """
    customers, typical, groups = differs.shape
    exact = groups <= MOST_EXACT if exact is None else exact
    every, orders = _every_set(groups if exact else 0), _orders(typical, walks, groups, seed)
    size, error, chance = np.zeros((customers, groups)), np.zeros((customers, groups)), np.zeros(customers)
    nobody = np.zeros((typical, groups), bool)
    all_typical = np.arange(typical)
    usual = ask(np.zeros(typical, np.int64), all_typical, nobody)
    for customer in range(customers):
        worth = _Worth(ask, customer, differs[customer], usual)
        if exact:
            size[customer] = _exact(worth, every)
        else:
            size[customer], error[customer] = _walked(worth, orders)
        chance[customer] = worth.own
    return Shares(size, error, float(usual.mean()), chance, exact)


def _every_set(groups: int) -> Bools:
    """Return every set of the groups (2**p x p); the number of a set is made of its members' bits."""
    return (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(bool)


def _orders(typical: int, walks: int, groups: int, seed: int) -> Ints:
    """Return the orders in which groups become known (walks x b x p)."""
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(groups), (walks, typical, 1)), axis=2)


class _Worth:
    """What is known of the mixtures of one customer: each is asked about once."""

    def __init__(self, ask: Ask, customer: int, differs: Bools, usual: Floats) -> None:
        self._ask, self._customer, self._differs, self._usual = ask, customer, differs, usual
        whole = np.ones((1, differs.shape[1]), bool)
        self.own = float(ask(np.array([customer]), np.array([0]), whole)[0])

    def __call__(self, typical: Ints, members: Bools) -> Floats:
        """Return the forecasts of mixtures with so many typical customers (m), of which these groups are the customer's (m x p)."""
        differs = self._differs[typical]
        told = members & differs
        found = np.where(told.any(axis=1), self.own, self._usual[typical])
        between = np.flatnonzero((told != differs).any(axis=1) & told.any(axis=1))
        if len(between):
            rows = np.hstack([typical[between, None], told[between]])
            rows, place = np.unique(rows, axis=0, return_inverse=True)
            customer = np.full(len(rows), self._customer, np.int64)
            found[between] = self._ask(customer, rows[:, 0], rows[:, 1:].astype(bool))[place.ravel()]
        return found

    @property
    def typical(self) -> int:
        """How many typical customers there are."""
        return len(self._usual)


def _exact(worth: _Worth, sets: Bools) -> Floats:
    """Return the values from every set (p)."""
    count, groups = sets.shape
    typical = np.tile(np.arange(worth.typical), count)
    value = worth(typical, np.repeat(sets, worth.typical, axis=0)).reshape(count, worth.typical).mean(axis=1)
    size, number = np.zeros(groups), np.arange(count)
    for group in range(groups):
        without = number[~sets[:, group]]
        members = sets[without].sum(axis=1)
        weight = np.array([factorial(s) * factorial(groups - s - 1) / factorial(groups) for s in range(groups)])
        size[group] = weight[members] @ (value[without + 2**group] - value[without])
    return size


def _walked(worth: _Worth, orders: Ints) -> tuple[Floats, Floats]:
    """Return the values from walks along orders and along their opposites, and their standard errors (p each).

    Every typical customer is walked equally often, so the values add up exactly; the error is that of the orders alone.
    """
    walks, typical, groups = orders.shape
    rank = np.argsort(orders, axis=2)
    steps = np.arange(groups + 1)
    forward = rank[..., None, :] < steps[:, None]
    backward = groups - 1 - rank[..., None, :] < steps[:, None]
    members = np.stack([forward, backward]).reshape(-1, groups)
    place = np.broadcast_to(np.arange(typical)[None, None, :, None], (2, walks, typical, groups + 1)).ravel()
    value = worth(place, members).reshape(2, walks, typical, groups + 1)
    gain = np.diff(value, axis=3)
    added = np.take_along_axis(gain[0], rank, 2) + np.take_along_axis(gain[1], groups - 1 - rank, 2)
    pair = added / 2
    spread = pair.var(axis=0, ddof=1).sum(axis=0) / walks if walks > 1 else np.full(groups, np.nan)
    return pair.mean(axis=(0, 1)), np.sqrt(spread) / typical


def absolute_mean(size: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean size of each group over customers, whatever its sign, and its 95 % interval by the normal law (p each)."""
    return mean_interval(np.abs(size))


def mean_interval(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean of each column over customers (n x p) and its 95 % interval by the normal law (p each)."""
    mean = values.mean(axis=0)
    around = 1.959964 * values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1:], np.nan)
    return mean, mean - around, mean + around
