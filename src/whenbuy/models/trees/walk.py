"""Compiled walks from the roots to the leaves.

A node is packed into eight bytes: a float32 cut, the number of its question, and its left child's place in the tree; the right child stands
behind the left one. A step is one comparison and one addition, without a branch that could be guessed wrong: a leaf is its own left child,
so that every row takes as many steps as the tree is deep. A question is a column of the row, where a missing number either stays as it is,
fails every comparison and goes right, or becomes minus infinity and goes left.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.kernel import kernel

Places = npt.NDArray[np.uint32]

MOST_NODES: Final = 1 << 16
"""Nodes of a tree, and questions of a forest, are counted with 16 bits."""
FEW: Final = 4
"""So many rows or fewer are walked one by one."""
BLOCK: Final = 64
"""How many rows take a step together."""

_NODE: Final = np.dtype([("cut", np.float32), ("ask", np.uint16), ("left", np.uint16)])


class Packed(NamedTuple):
    """A forest as the walks read it.

    Attributes
    ----------
    nodes
        All nodes, each tree's together.
    value
        The score of each node that is a leaf.
    asks
        The questions, rising: 2 x column, + 1 where a missing number becomes minus infinity. The leaves' question stands behind them.
    roots
        Where each tree begins, and how many steps lead to its deepest leaf (trees x 2).
    """

    nodes: npt.NDArray[np.void]
    value: Floats
    asks: Places
    roots: Places


class Plan(NamedTuple):
    """The walks of one row: each goes through one tree and answers for some of the bins.

    Attributes
    ----------
    walks
        Root, steps, first bin and the bin behind the last of each walk, in the order of the trees (w x 4).
    order
        The walks by their steps: the processor foresees the end of a walk as long as the one before.
    bins
        What the question about column 0 is answered with, where ``own`` questions are about it.
    own
        How many questions are about the bin.
    """

    walks: Places
    order: Places
    bins: Singles
    own: int


def pack(starts: Ints, feature: Codes, threshold: Floats, right: Codes, missing_left: Bools, value: Floats, depth: Ints) -> Packed:
    """Return checked trees as the walks read them."""
    inner = np.flatnonzero(feature >= 0)
    first = np.repeat(starts[:-1], np.diff(starts))
    rank = np.cumsum(feature >= 0)[inner] - 1
    pair = 1 + 2 * (rank - np.searchsorted(inner, first[inner]))
    place = np.zeros(len(feature), np.int64)
    place[inner + 1], place[right[inner]] = pair, pair + 1
    asks, ask = np.unique(2 * feature[inner] + missing_left[inner], return_inverse=True)
    at = first + place
    nodes = np.zeros(len(feature), _NODE)
    nodes["cut"], nodes["ask"], nodes["left"][at] = np.inf, len(asks), place
    nodes["cut"][at[inner]], nodes["ask"][at[inner]], nodes["left"][at[inner]] = at_most(threshold[inner]), ask, pair
    score = np.zeros(len(feature))
    score[at] = value
    return Packed(nodes, score, asks.astype(np.uint32), np.stack([starts[:-1], depth], axis=1).astype(np.uint32))


def at_most(threshold: Floats) -> Singles:
    """Return the greatest float32 at most each number: a float32 is at most the one exactly when it is at most the other."""
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)


def plan(packed: Packed) -> Plan:
    """Return one walk through each tree."""
    walks = np.hstack([packed.roots, np.tile(np.array([0, 1], np.uint32), (len(packed.roots), 1))])
    return Plan(walks, _by_steps(walks), np.zeros(1, np.float32), 0)


def plan_curve(packed: Packed, bins: Singles) -> Plan:
    """Return a walk through each tree for each stretch of the rising bins that the tree cannot tell apart, where column 0 is the bin."""
    own = int(np.searchsorted(packed.asks, 2))
    asking = np.flatnonzero(packed.nodes["ask"] < own)
    tree = np.searchsorted(packed.roots[:, 0], asking, side="right") - 1
    low = np.searchsorted(bins, packed.nodes["cut"][asking], side="right")
    inside = low < len(bins)
    starts = np.unique(np.concatenate([np.arange(len(packed.roots)) * len(bins), (tree * len(bins) + low)[inside]]))
    tree, low = starts // max(len(bins), 1), starts % max(len(bins), 1)
    high = np.append(np.where(tree[1:] == tree[:-1], low[1:], len(bins)), len(bins))[: len(starts)]
    walks = np.hstack([packed.roots[tree], np.stack([low, high], axis=1).astype(np.uint32)])
    return Plan(walks, _by_steps(walks), bins, own)


def plan_spans(packed: Packed, first: Ints, behind: Ints, scores: int) -> Plan:
    """Return one walk through each tree, which answers for the scores from ``first`` to the one before ``behind`` (trees each)."""
    walks = np.hstack([packed.roots, np.stack([first, behind], axis=1).astype(np.uint32)])
    return Plan(walks, _by_steps(walks), np.zeros(scores, np.float32), 0)


def _by_steps(walks: Places) -> Places:
    return np.argsort(walks[:, 1], kind="stable").astype(np.uint32)


def scores(packed: Packed, alone: Plan, base: float, divisor: float, values: Singles) -> Floats:
    """Return base + (sum of the leaves that each row reaches) / divisor (n), the leaves added in the order of the trees."""
    if len(values) <= FEW:
        return np.asarray(one_by_one(packed.nodes, packed.value, packed.asks, *alone, base, divisor, values)[:, 0])
    return together(*packed, base, divisor, values)


@kernel
def _answer(asks: Places, row: Singles, answers: Singles) -> None:
    """Write the row's number for each question."""
    for ask in range(len(asks)):
        number = row[asks[ask] >> np.uint32(1)]
        answers[ask] = -np.inf if asks[ask] & np.uint32(1) and np.isnan(number) else number


@kernel
def one_by_one(
    nodes: npt.NDArray[np.void],
    value: Floats,
    asks: Places,
    walks: Places,
    order: Places,
    bins: Singles,
    own: int,
    base: float,
    divisor: float,
    values: Singles,
) -> Floats:
    """Return the scores of a few rows under each bin (n x g): each row takes its walks after each other.

    A leaf is added at its first bin and taken off behind its last; with one bin nothing but the leaves is added, in the order of the trees.
    ``values`` holds all columns where no question is about the bin, else the columns behind it.
    """
    found = np.empty((len(values), len(bins)))
    answers = np.zeros(len(asks) + 1, np.float32)
    asked = asks[own:] - np.uint32(2) if own else asks
    leaf = np.empty(len(walks))
    change = np.empty(len(bins) + 1)
    for row in range(len(values)):
        _answer(asked, values[row], answers[own:])
        for turn in order:
            for i in range(own):
                answers[i] = bins[walks[turn, 2]]
            root = np.uint64(walks[turn, 0])
            at = root
            for _ in range(np.int64(walks[turn, 1])):
                node = nodes[at]
                at = root + np.uint64(node.left) + np.uint64(not answers[node.ask] <= node.cut)
            leaf[turn] = value[at]
        if len(bins) == 1:
            total = 0.0
            for turn in range(len(walks)):
                total += leaf[turn]
            found[row, 0] = base + total / divisor
            continue
        for i in range(len(change)):
            change[i] = 0.0
        for turn in range(len(walks)):
            change[walks[turn, 2]] += leaf[turn]
            change[walks[turn, 3]] -= leaf[turn]
        total = 0.0
        for i in range(len(bins)):
            total += change[i]
            found[row, i] = base + total / divisor
    return found


@kernel
def together(
    nodes: npt.NDArray[np.void], value: Floats, asks: Places, roots: Places, base: float, divisor: float, values: Singles
) -> Floats:
    """Return the scores of many rows (n): the rows of a block take each step through a tree together."""
    found = np.zeros(len(values))
    answers = np.zeros(len(asks) + 1, np.float32)
    block = np.zeros((len(asks) + 1, BLOCK), np.float32)
    at = np.empty(BLOCK, np.uint32)
    for start in range(0, len(values), BLOCK):
        count = min(BLOCK, len(values) - start)
        for row in range(count):
            _answer(asks, values[start + row], answers)
            for ask in range(len(asks)):
                block[ask, row] = answers[ask]
        for tree in range(len(roots)):
            root = np.uint64(roots[tree, 0])
            for row in range(count):
                at[row] = 0
            for _ in range(roots[tree, 1]):
                for row in range(count):
                    node = nodes[root + np.uint64(at[row])]
                    at[row] = np.uint32(node.left) + np.uint32(not block[node.ask, row] <= node.cut)
            for row in range(count):
                found[start + row] += value[root + np.uint64(at[row])]
        for row in range(start, start + count):
            found[row] = base + found[row] / divisor
    return found


@kernel
def preorder(left: Codes, right: Codes) -> tuple[Codes, Codes]:
    """Return the nodes of one tree in depth-first order, left before right, and where each one's right child then stands (-1: a leaf)."""
    order = np.empty(len(left), np.int32)
    place = np.empty(len(left), np.int32)
    stack = np.empty(len(left) + 1, np.int32)
    stack[0] = 0
    waiting, count = 1, 0
    while waiting:
        waiting -= 1
        node = stack[waiting]
        order[count] = node
        place[node] = count
        count += 1
        if left[node] >= 0:
            stack[waiting] = right[node]
            stack[waiting + 1] = left[node]
            waiting += 2
    then = np.full(len(left), -1, np.int32)
    for i in range(count):
        if left[order[i]] >= 0:
            then[i] = place[right[order[i]]]
    return order, then
