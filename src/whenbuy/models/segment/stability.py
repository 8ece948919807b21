"""How stable a division is, the finest that is stable, and which groups of two divisions are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints
from whenbuy.core.examples import Table
from whenbuy.models.segment.way import Grouping, Way

STABLE: Final = 0.8
"""The adjusted Rand index from which a division counts as stable."""
RESAMPLES: Final = 20
SHARE: Final = 0.8
"""The share of the customers in each resample, drawn without putting back."""
ROWS: Final = 2_000
"""Stability is measured on so many customers at most."""
_SIGMAS: Final = 1.645
SAME: Final = 0.25
"""Two groups can only be the same one when so large a share of the customers of either is in both (Jaccard)."""


@dataclass(frozen=True, slots=True)
class TriedNumber:
    """How stable one division is.

    Parameters
    ----------
    size
        The number of groups, or for density how many thousandths the smallest may have.
    groups
        How many groups it gave.
    stability
        Mean adjusted Rand index between it and those of resamples.
    low
        The lower end of its one-sided 95 % interval: a number that is stable by luck would not be so again.
    """

    size: int
    groups: int
    stability: float
    low: float


def adjusted_rand(one: Codes, other: Codes) -> float:
    """Return how far two divisions of the same rows agree: 1 for the same, about 0 for chance (Hubert and Arabie 1985, equation 5)."""
    table = overlap(one, other).astype(np.float64)
    both, n = _pairs(table).sum(), float(len(one))
    rows, columns = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    if n < 2:
        return 1.0
    expected, most = rows * columns / _pairs(np.array(n)), (rows + columns) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def overlap(one: Codes, other: Codes) -> Ints:
    """Return how many rows lie in each group of one division and each of another."""
    height, width = (int(codes.max()) + 1 if len(codes) else 0 for codes in (one, other))
    flat = np.bincount(one.astype(np.int64) * width + other, minlength=height * width)
    return flat.reshape(height, width).astype(np.int64)


def agreement(learn: Callable[[Table, int], Grouping], table: Table, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the adjusted Rand index between the division of a table and that of each resample of it, all asked about every row (r)."""
    rng = np.random.default_rng(seed)
    whole = learn(table, seed).place(table)
    size = max(1, round(SHARE * len(table)))
    found = []
    for resample in range(resamples):
        rows = np.sort(rng.choice(len(table), size, replace=False))
        found.append(adjusted_rand(whole, learn(table.take(rows), seed + 1 + resample).place(table)))
    return np.array(found)


def choose(way: Way, table: Table, seed: int, size: int | None = None, first: int | None = None) -> tuple[int, tuple[TriedNumber, ...]]:
    """Return the size of the finest division that is stable, the most stable one where none is, and how all that were tried fared.

    Parameters
    ----------
    way
        How customers are divided.
    table
        The rows to divide, one at least; ``ROWS`` of them, drawn at random, are tried on.
    seed
        What chance starts from.
    size
        The one size that is measured, where it is given.
    first
        The size that is tried first, where one answered before: while it is stable, it stays.
    """
    if len(table) > ROWS:
        table = table.take(np.sort(np.random.default_rng(seed).choice(len(table), ROWS, replace=False)))
    tried: list[TriedNumber] = []
    sizes = tuple(dict.fromkeys((*((first,) if first in way.sizes else ()), *way.sizes))) if size is None else (size,)
    for each in sizes:
        found = way.learn(table, each, seed)
        if found.groups < 2:  # nothing is divided
            tried.append(TriedNumber(each, found.groups, 1.0, 1.0))
            continue
        agrees = agreement(partial(_learn, way, each), table, seed, RESAMPLES)
        low = agrees.mean() - _SIGMAS * agrees.std(ddof=1) / np.sqrt(len(agrees))
        fares = TriedNumber(each, found.groups, float(agrees.mean()), float(low))
        tried.append(fares)
        if _good(fares):
            break
    best = max(tried, key=lambda one: (one.groups > 1, _good(one), one.stability))
    return best.size, tuple(tried)


def same(earlier: Codes, now: Codes, groups: int) -> Ints:
    """Return for each of the groups of now which of the earlier ones it is (k), -1 for a new one.

    Parameters
    ----------
    earlier, now
        The group of the same customers in both divisions (n).
    groups
        How many groups there are now.

    Notes
    -----
    The pairing with the largest sum of shares in common (Kuhn 1955: the Hungarian method); pairs below ``SAME`` are none.
    """
    from scipy.optimize import linear_sum_assignment

    common = overlap(earlier, now).astype(np.float64)
    union = common.sum(axis=1)[:, None] + common.sum(axis=0)[None, :] - common
    jaccard: Floats = common / np.maximum(union, 1)
    found = np.full(groups, -1, np.int64)
    for old, new in zip(*linear_sum_assignment(jaccard, maximize=True), strict=True):
        if jaccard[old, new] >= SAME:
            found[new] = old
    return found


def _learn(way: Way, size: int, table: Table, seed: int) -> Grouping:
    return way.learn(table, size, seed)


def _good(one: TriedNumber) -> bool:
    """Return whether it divides, and does so again and again."""
    return one.groups > 1 and one.low >= STABLE


def _pairs(count: Floats) -> Floats:
    return np.asarray(count * (count - 1) / 2)


TYPES: Final = {"TriedNumber": TriedNumber}
