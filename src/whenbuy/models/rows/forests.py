"""Several forests walked at once for one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.trees.arrays import Trees

Scores = Callable[[Singles], Floats]
"""The scores of one row (f -> g)."""
Words = npt.NDArray[np.uint64]

_ABREAST: Final = 16
"""So many trees take their steps together: the processor waits for one tree's node while it reads the next one's."""
_LOW, _PLACE, _CUT = np.uint64(0xFFFF), np.uint64(16), np.uint64(32)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Forests that say several scores of one row, as the kernel reads them.

    The trees that answer for the same scores stand together, those of as many steps side by side, in the order in which they are walked:
    so memory is read from one end to the other. Each such group is filled up to a multiple of sixteen with trees of one leaf that says 0.

    Parameters
    ----------
    nodes
        Of each node the bits of the greatest number that goes left, its left child's place in the tree, and its question.
    value
        The score of each node that is a leaf.
    asks
        The questions: 2 x column, + 1 where a missing number goes left.
    roots
        Where each tree begins.
    groups
        First score and the one behind the last of each group, and how many times sixteen trees it has (groups x 3).
    steps
        How many steps each sixteen trees take.
    base
        The scores before any tree (g).
    divisor
        1 for a sum of trees, their number for a mean.
    """

    nodes: Words
    value: Floats
    asks: Ints
    roots: Ints
    groups: Ints
    steps: Ints
    base: Floats
    divisor: float

    @classmethod
    def of(cls, trees: Trees, first: Ints, behind: Ints, base: Floats) -> Chain:
        """Return trees of which each answers for the scores from ``first`` to the one before ``behind`` (t each)."""
        (packed, value, asks, roots), _ = trees.spread(first, behind, len(base))
        bits = packed["cut"].view(np.uint32).astype(np.uint64) << _CUT
        whole = np.asarray(bits | packed["left"].astype(np.uint64) << _PLACE | packed["ask"].astype(np.uint64), np.uint64)
        last = np.append(roots[1:, 0], len(whole)).astype(np.int64)
        nothing = np.array([np.float32(np.inf)]).view(np.uint32).astype(np.uint64) << _CUT | np.uint64(len(asks))
        nodes: list[Words] = [nothing]
        values, begins, groups, steps, at = [np.zeros(1)], [], [], [], 1
        for span in sorted({*zip(first.tolist(), behind.tolist(), strict=True)}):
            group = np.flatnonzero((first == span[0]) & (behind == span[1]))
            group = group[np.argsort(roots[group, 1], kind="stable")]
            for tree in group:
                begins.append(at)
                nodes.append(whole[roots[tree, 0] : last[tree]])
                values.append(value[roots[tree, 0] : last[tree]])
                at += len(nodes[-1])
            begins += [0] * (-len(group) % _ABREAST)
            steps += [int(roots[group[min(end, len(group)) - 1], 1]) for end in range(_ABREAST, len(group) + _ABREAST, _ABREAST)]
            groups.append([*span, -(-len(group) // _ABREAST)])
        return cls(
            np.concatenate(nodes), np.concatenate(values), asks.astype(np.int64), np.array(begins, np.int64),
            np.array(groups, np.int64).reshape(-1, 3), np.array(steps, np.int64), base, float(trees.divisor),
        )  # fmt: skip

    def __call__(self, row: Singles) -> Floats:
        """Return the raw scores of one row (g)."""
        return walked(self.nodes, self.value, self.asks, self.roots, self.groups, self.steps, self.base, self.divisor, row)


def chained(trees: Sequence[Trees], before: Sequence[int]) -> Chain | None:
    """Return the raw scores of forests (g), each adding its own to those of the forest ``before`` it (-1: none), in one walk.

    None where the forests that stand on one do not lie side by side, or their scores are not sums.
    """
    stands = [_stands_on(before, place) for place in range(len(trees))]
    answers = [[place for place, on in enumerate(stands) if tree in on] for tree in range(len(trees))]
    if any(answer != list(range(answer[0], answer[-1] + 1)) for answer in answers) or len({one.divisor for one in trees}) > 1:
        return None
    base = np.array([sum(trees[tree].base for tree in on) for on in stands], float)
    count = [len(one) for one in trees]
    first, behind = (np.repeat([answer[end] + more for answer in answers], count) for end, more in ((0, 0), (-1, 1)))
    return Chain.of(reduce(Trees.then, trees), first, behind, base)


def apart(trees: Sequence[Trees]) -> Chain | None:
    """Return the raw scores of forests that stand alone, in one walk."""
    return chained(trees, (-1,) * len(trees))


def _stands_on(before: Sequence[int], place: int) -> list[int]:
    """Return the forests whose scores enter that of one: its own, those of the one before it, and so on."""
    found = [place]
    while (place := before[place]) >= 0:
        found.append(place)
    return found


@kernel
def walked(
    nodes: Words, value: Floats, asks: Ints, roots: Ints, groups: Ints, steps: Ints, base: Floats, divisor: float, row: Singles
) -> Floats:
    """Return the scores of one row (g), each the sum of the leaves of those trees that answer for it, over the divisor, and its base.

    A leaf is its own left child, so that trees which take their steps together may take more of them than they need.
    """
    answers = np.zeros(len(asks) + 1, np.float32)
    for ask in range(len(asks)):
        question = np.uint64(asks[ask])
        number = row[question >> _ONE]
        answers[ask] = -np.inf if question & _ONE and np.isnan(number) else number
    root, at, total = np.zeros(_ABREAST, np.uint64), np.zeros(_ABREAST, np.uint64), np.zeros(_ABREAST)
    found, several = np.zeros(len(base) + 1), np.uint64(0)
    for group in range(len(groups)):
        total[:] = 0.0
        for _ in range(groups[group, 2]):
            for k in range(_ABREAST):
                root[k] = np.uint64(roots[several * np.uint64(_ABREAST) + np.uint64(k)])
                at[k] = root[k]
            for _ in range(steps[several]):
                for k in range(_ABREAST):
                    node = nodes[at[k]]
                    left = root[k] + (node >> _PLACE & _LOW)
                    at[k] = left + np.uint64(not answers[node & _LOW] <= np.uint32(node >> _CUT).view(np.float32))
            for k in range(_ABREAST):
                total[k] += value[at[k]]
            several += _ONE
        leaves = 0.0
        for k in range(_ABREAST):
            leaves += total[k]
        found[groups[group, 0]] += leaves
        found[groups[group, 1]] -= leaves
    whole = 0.0
    for i in range(len(base)):
        whole += found[i]
        found[i] = base[i] + whole / divisor
    return found[: len(base)]
