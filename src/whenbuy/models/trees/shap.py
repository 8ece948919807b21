"""Shapley values of trees, path-dependent: what each column adds to a row's score, and what the trees expect before any is known.

The game is the one of TreeSHAP (Lundberg et al. 2020, Algorithm 1): of the columns that are known, the row's numbers decide; at a node that
asks for another, both children count by their share of the cover. So a leaf gives a set of columns its score times one factor for each
column on its path: the row's side (1 when all nodes of the column let the row pass, else 0) where the column is known, the share of the
cover where it is not. The Shapley value of such a product is the integral over t in (0, 1) of the product of the other columns' mixtures
t x side + (1 - t) x share, times side - share (Owen 1972, "Multilinear extensions of games"). It is a polynomial in t of a lower degree
than the path has columns, which the Gauss-Legendre rule of half as many points integrates exactly; all terms are positive, and nothing is
unwound. Products from the root and sums from the leaves are shared by all paths through a node (Yu et al. 2022, "Linear TreeShap"), so
that a tree costs its nodes times the points. The answer is that of Lundberg's Algorithm 2 and of LightGBM's ``pred_contrib``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.trees.walk import at_most

LANES: Final = 4
"""Points are taken in groups of so many: what is left over has weight 0."""
BLOCK: Final = 32
"""How many rows are explained while a tree is at hand."""

_NODE: Final = np.dtype(
    [
        ("share", np.float64),
        ("value", np.float64),
        ("cut", np.float32),
        ("column", np.uint32),
        ("parent", np.uint16),
        ("before", np.uint16),
        ("is_left", np.bool_),
        ("missing_left", np.bool_),
    ],
    align=True,
)


class Paths(NamedTuple):
    """A forest as its Shapley values need it.

    Attributes
    ----------
    nodes
        Of each node its score; and, but for a root, what its parent asks (column, cut, side of a missing number), whether it is the left
        child, the places of its parent and of the nearest node above it that is also reached through this column (0, the root, if there is
        none), and the product of their shares of the cover over all such nodes down to this one.
    starts
        Where each tree begins, and the count of all nodes.
    size
        How many points each tree takes, a multiple of the lanes.
    points, weights
        In the row of that number the points of the rule in (0, 1), and their weights.
    """

    nodes: npt.NDArray[np.void]
    starts: Ints
    size: Ints
    points: Floats
    weights: Floats


def paths(
    starts: Ints, feature: Codes, threshold: Floats, right: Codes, missing_left: Bools, value: Floats, cover: Floats, depth: Ints
) -> Paths:
    """Return checked trees as their Shapley values need them."""
    inner = np.flatnonzero(feature >= 0)
    parent = np.arange(len(feature))
    parent[inner + 1], parent[right[inner]] = inner, inner
    first = np.repeat(starts[:-1], np.diff(starts))
    column = feature[parent]
    before, share = _repeats(first, parent, column, cover / cover[parent])
    nodes = np.zeros(len(feature), _NODE)
    nodes["share"], nodes["value"] = share, value
    nodes["column"], nodes["cut"], nodes["missing_left"] = np.maximum(column, 0), at_most(threshold[parent]), missing_left[parent]
    nodes["parent"], nodes["before"], nodes["is_left"][inner + 1] = parent - first, before - first, True
    size = LANES * ((np.maximum(depth, 1) + 2 * LANES - 1) // (2 * LANES))
    points, weights = np.full((2, size.max(initial=0) + 1, size.max(initial=0)), 0.5)
    weights[:] = 0
    for count in np.unique(size):
        at, weight = np.polynomial.legendre.leggauss(count)
        points[count, :count], weights[count, :count] = (at + 1) / 2, weight / 2
    return Paths(nodes, starts.copy(), size, points, weights)


@kernel
def _repeats(first: Ints, parent: Ints, column: Codes, share: Floats) -> tuple[Ints, Floats]:
    """Return of each node the nearest node above it that is reached through the same column (else the root), and the product of shares."""
    before = first.copy()
    whole = share.copy()
    for node in range(len(parent)):
        above = parent[node]
        while above != first[node] and column[above] != column[node]:
            above = parent[above]
        if above != first[node]:
            before[node] = above
            whole[node] *= whole[above]
    return before, whole


@kernel
def shapley(nodes: npt.NDArray[np.void], starts: Ints, size: Ints, points: Floats, weights: Floats, values: Singles) -> Floats:
    """Return what each column adds to the sum of the leaves of each row, over all trees (n x f)."""
    found = np.zeros(values.shape)
    most = 0
    for tree in range(len(size)):
        most = max(most, starts[tree + 1] - starts[tree])
    side = np.ones(most)
    shape = (most, points.shape[1])
    mixed, step, down, up = np.ones(shape), np.ones(shape), np.ones(shape), np.ones(shape)
    for start in range(0, len(values), BLOCK):
        for tree in range(len(size)):
            first, width = np.uint64(starts[tree]), np.uint64(size[tree])
            count = np.uint64(starts[tree + 1]) - first
            for row in range(np.uint64(start), np.uint64(min(start + BLOCK, len(values)))):
                _descend(nodes, first, count, points, width, values, np.uint64(row), side, mixed, step, down)
                _climb(nodes, first, count, weights, width, side, mixed, step, down, up, found, np.uint64(row))
    return found


@kernel
def _descend(
    nodes: npt.NDArray[np.void],
    first: np.uint64,
    count: np.uint64,
    points: Floats,
    width: np.uint64,
    values: Singles,
    row: np.uint64,
    side: Floats,
    mixed: Floats,
    step: Floats,
    down: Floats,
) -> None:
    """Write of each node whether the row passes its column so far, the column's mixture, its change there, and the product from above."""
    for i in range(np.uint64(1), count):
        node = nodes[first + i]
        share, parent, before = node.share, np.uint64(node.parent), np.uint64(node.before)
        number = values[row, node.column]
        left = (number <= node.cut) | (node.missing_left & np.isnan(number))
        passes = side[before] * (left == node.is_left)
        side[i] = passes
        for group in range(np.uint64(0), width, np.uint64(LANES)):
            for lane in range(np.uint64(LANES)):
                q = group + lane
                change = share + points[width, q] * (passes - share)
                mixed[i, q] = change
                if before:
                    change /= mixed[before, q]
                step[i, q] = change
                down[i, q] = down[parent, q] * change


@kernel
def _climb(
    nodes: npt.NDArray[np.void],
    first: np.uint64,
    count: np.uint64,
    weights: Floats,
    width: np.uint64,
    side: Floats,
    mixed: Floats,
    step: Floats,
    down: Floats,
    up: Floats,
    found: Floats,
    row: np.uint64,
) -> None:
    """Add what knowing a column is worth in the leaves below each of its nodes, less what its node before said of them."""
    for place in range(count):
        value = nodes[first + np.uint64(place)].value
        for group in range(np.uint64(0), width, np.uint64(LANES)):
            for lane in range(np.uint64(LANES)):
                up[place, group + lane] = value
    for back in range(1, count):
        i = np.uint64(count - back)
        node = nodes[first + i]
        parent, before = np.uint64(node.parent), np.uint64(node.before)
        known, worth = side[i] - node.share, 0.0
        said = side[before] - nodes[first + before].share if before else 0.0
        for group in range(np.uint64(0), width, np.uint64(LANES)):
            for lane in range(np.uint64(LANES)):
                q = group + lane
                below = weights[width, q] * down[parent, q] * up[i, q]
                worth += below * (known - said * step[i, q]) / mixed[before, q] if before else below * known
                up[parent, q] += step[i, q] * up[i, q]
        found[row, node.column] += worth
