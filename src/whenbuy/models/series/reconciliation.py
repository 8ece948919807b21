"""Reconciliation: forecasts of several views of one tree of series become one forecast that adds up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import WhenbuyError

_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Which series add up to which: item → category → shop.

    Parameters
    ----------
    parent
        The node to which each node belongs (m), -1 for the root. A parent stands before its children; the root stands first.
    """

    parent: Ints

    def __post_init__(self) -> None:
        m = len(self.parent)
        if not m or self.parent[0] != -1 or (self.parent[1:] < 0).any() or (self.parent >= np.arange(m)).any():
            raise WhenbuyError("A tree of series has one root, which stands first, and every parent stands before its children.")

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def leaves(self) -> Ints:
        """The nodes that nothing belongs to (b)."""
        inner = np.zeros(len(self), bool)
        inner[self.parent[1:]] = True
        return np.flatnonzero(~inner).astype(np.int64)

    def depth(self) -> Ints:
        """Return how far each node lies below the root (m)."""
        depth = np.zeros(len(self), np.int64)
        for node in range(1, len(self)):
            depth[node] = depth[self.parent[node]] + 1
        return depth

    def levels(self) -> list[Ints]:
        """Return the nodes of each depth, the root first."""
        depth = self.depth()
        return [np.flatnonzero(depth == level).astype(np.int64) for level in range(int(depth.max()) + 1)]

    def add_up(self, bottom: Floats) -> Floats:
        """Return the amounts of all nodes (m x …) from those of the leaves (b x …)."""
        whole = np.zeros((len(self), *bottom.shape[1:]))
        whole[self.leaves] = bottom
        for nodes in reversed(self.levels()[1:]):
            np.add.at(whole, self.parent[nodes], whole[nodes])
        return whole


def shrunk_covariance(errors: Floats) -> tuple[Floats, float]:
    """Return the covariance of errors (t x k) drawn towards its diagonal (k x k), and by how much it was drawn (0 to 1).

    The correlations are multiplied by 1 - λ with λ = Σ Var(r_ij) / Σ r_ij², over i ≠ j (Schäfer and Strimmer 2005, s. 2.3; as in MinT,
    Wickramasuriya, Athanasopoulos and Hyndman 2019, s. 2.4). Errors are not centred: a bias is an error too.
    """
    t = len(errors)
    spread = np.sqrt(np.mean(errors**2, axis=0))
    scaled = errors / np.maximum(spread, _TINY)
    correlation = scaled.T @ scaled / t
    if t < 2:
        return np.diag(spread**2), 1.0
    variance = ((scaled**2).T @ scaled**2 / t - correlation**2) * t / (t - 1) ** 2 * (t / (t - 1))
    off = ~np.eye(len(spread), dtype=bool)
    power = (correlation[off] ** 2).sum()
    shrunk = float(np.clip(variance[off].sum() / power, 0.0, 1.0)) if power > _TINY else 1.0
    drawn = np.where(off, (1 - shrunk) * correlation, 1.0)
    return drawn * np.outer(spread, spread), shrunk


def weighted(base: Floats, tree: Tree, variance: Floats, summed: Floats | None = None) -> Floats:
    """Return coherent forecasts (m x h) from those of each node, in one pass up and one down a tree of any size.

    What MinT gives for errors that do not correlate, S (S'W⁻¹S)⁻¹ S'W⁻¹ ŷ with a diagonal W: the unbiased combination of least total
    variance (Wickramasuriya, Athanasopoulos and Hyndman 2019, theorem 1).

    Up: a node's own forecast and the sum of its children's are joined, each by the inverse of its variance. Down: what is left between a
    parent and the sum of its children is shared among these by their variances. (Gaussian belief propagation on the tree; exact.)

    Parameters
    ----------
    base
        The forecasts (m x h).
    tree
        What adds up to what.
    variance
        Of the errors of each node (m), above 0.
    summed
        That of the sum of each node's children (m), where it is known: children that err alike know less of their sum than theirs say.
    """
    joined, spread = base.astype(np.float64).copy(), np.maximum(variance.astype(np.float64), _TINY)
    inner = np.bincount(tree.parent[1:], minlength=len(tree)) > 0
    sums, sums_spread = np.zeros(base.shape), np.zeros(len(tree))
    levels = tree.levels()
    for nodes in reversed(levels):
        above = nodes[inner[nodes]]
        own, below = spread[above], sums_spread[above] if summed is None else np.maximum(summed[above], _TINY)
        joined[above] = (joined[above] * below[:, None] + sums[above] * own[:, None]) / (own + below)[:, None]
        spread[above] = own * below / (own + below)
        if tree.parent[nodes[0]] >= 0:
            np.add.at(sums, tree.parent[nodes], joined[nodes])
            np.add.at(sums_spread, tree.parent[nodes], spread[nodes])
    for nodes in levels[1:]:
        up = tree.parent[nodes]
        joined[nodes] += (joined[up] - sums[up]) * (spread[nodes] / sums_spread[up])[:, None]
    return joined


def above_zero(whole: Floats, tree: Tree) -> Floats:
    """Return coherent forecasts without negative leaves (m x h): these become 0, and their siblings shrink so that parents keep their sums.

    Where a parent itself is not above 0 all below it is 0, and its own parents lose what it had.
    """
    out = np.maximum(whole, 0.0)
    for nodes in tree.levels()[1:]:
        up = tree.parent[nodes]
        sums = np.zeros(out.shape)
        np.add.at(sums, up, out[nodes])
        out[nodes] *= np.divide(out[up], sums[up], out=np.zeros(out[nodes].shape), where=sums[up] > _TINY)
    return tree.add_up(out[tree.leaves])


def rounded(whole: Floats, tree: Tree) -> Ints:
    """Return whole units that still add up (m x h), by the largest remainder at each node: no node is off by a unit or more from its share.

    The root is rounded to the nearest; each node's units are shared among its children in proportion to their forecasts.
    """
    out = np.zeros(whole.shape, np.int64)
    out[0] = np.rint(np.maximum(whole[0], 0.0)).astype(np.int64)
    order = np.argsort(tree.parent, kind="stable")[1:]
    if not len(order):
        return out
    parents, first = np.unique(tree.parent[order], return_index=True)
    for parent, children in zip(parents.tolist(), np.split(order, first[1:]), strict=True):
        out[children] = largest_remainder(whole[children], out[parent])
    return out


def largest_remainder(amounts: Floats, total: Ints) -> Ints:
    """Return whole numbers (k x h) in proportion to ``amounts`` (k x h) that sum to ``total`` (h); ties go to the first."""
    sums = amounts.sum(axis=0)
    even = np.full(amounts.shape, 1.0 / len(amounts))
    ideal = np.divide(np.maximum(amounts, 0.0), sums, out=even, where=sums > _TINY) * total
    units = np.floor(ideal + 1e-9).astype(np.int64)
    missing = total - units.sum(axis=0)
    rank = np.argsort(np.argsort(-(ideal - units), axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray(units + (rank < missing[None, :]))
