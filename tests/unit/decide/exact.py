"""The choice by branch and bound (HiGHS): the oracle of the prices.

It is no part of whenbuy: HiGHS now and then prints a line of its own on the standard output, where data stand.
"""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.decide.gains import Options
from whenbuy.decide.limits import Limits


def solve(options: Options, limits: Limits, *, nodes: int) -> tuple[Ints, float]:
    """Return the best option of each customer (n; -1: none) after so many nodes at most, and a bound that no allowed choice exceeds."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array, csr_array, vstack

    n, m = len(options), len(options.gain)
    owner, every = np.repeat(np.arange(n), np.diff(options.start)), np.arange(m)
    rows = [csr_array(coo_array((np.ones(m), (owner, every)), shape=(n, m)))]
    most: list[Floats] = [np.ones(n)]
    if np.isfinite(limits.money):
        size = max(limits.money, 1e-9)  # in shares of the budget: the solver's tolerance is absolute
        rows.append(csr_array(options.cost[None, :] / size))
        most.append(np.array([limits.money / size * (1 - 1e-9)]))
    if len(limits.most):
        rows.append(csr_array(limits.counted[:, options.pair].astype(float)))
        most.append(limits.most)
    found = milp(
        -options.gain, constraints=LinearConstraint(vstack(rows), ub=np.concatenate(most)),
        integrality=np.ones(m, np.int64), bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-4, "node_limit": nodes},
    )  # fmt: skip
    option = np.full(n, -1, np.int64)
    if found.x is None:
        return option, float("inf")
    taken = every[found.x > 0.5]
    option[owner[taken]] = taken
    fits = not np.isfinite(limits.money) or options.cost[taken].sum() <= limits.money
    bound = -float(found.mip_dual_bound)
    return (option if fits else np.full(n, -1, np.int64)), bound
