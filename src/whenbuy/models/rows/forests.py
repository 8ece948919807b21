"""Several forests walked at once for one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.walk import Places

Scores = Callable[[Singles], Floats]
"""The scores of one row (f -> g)."""

_Places = Places | Ints

_ABREAST: Final = 16
"""So many trees take their steps together: the processor waits for one tree's node while it reads the next one's."""
_BITS: Final = np.uint32(16)
_LOW: Final = np.uint32(0xFFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Forests that say several scores of one row, as the kernel reads them.

    Parameters
    ----------
    cut, word, value
        Of each node the greatest number that goes left; its question and its left child's place in the tree; the score of a leaf.
    asks
        The questions.
    walks
        Root, steps, first score and the one behind the last of each tree (trees x 4).
    order
        The trees by their steps.
    base
        The scores before any tree (g).
    divisor
        1 for a sum of trees, their number for a mean.
    """

    cut: Singles
    word: Places
    value: Floats
    asks: Places
    walks: Places
    order: Places
    base: Floats
    divisor: float

    def __call__(self, row: Singles) -> Floats:
        """Return the raw scores of one row (g)."""
        return walked(self.cut, self.word, self.value, self.asks, self.walks, self.order, self.base, self.divisor, row)


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
    together = reduce(Trees.then, trees)
    (nodes, value, asks, _), (walks, order, _, _) = together.spread(first, behind, len(base))
    word = nodes["ask"].astype(np.uint32) | nodes["left"].astype(np.uint32) << _BITS
    return Chain(np.ascontiguousarray(nodes["cut"]), word, value, asks, walks, order, base, float(together.divisor))


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
    cut: Singles, word: Places, value: Floats, asks: _Places, walks: _Places, order: _Places, base: Floats, divisor: float, row: Singles
) -> Floats:
    """Return the scores of one row (g), each the sum of the leaves of those trees that answer for it, over the divisor, and its base.

    A leaf is its own left child, so that trees which take their steps together may take more of them than they need.
    """
    answers, leaf = np.zeros(len(asks) + 1, np.float32), np.empty(len(walks))
    for ask in range(len(asks)):
        number = row[asks[ask] >> np.uint32(1)]
        answers[ask] = -np.inf if asks[ask] & np.uint32(1) and np.isnan(number) else number
    root, at = np.zeros(_ABREAST, np.uint32), np.zeros(_ABREAST, np.uint32)
    for begin in range(0, len(order), _ABREAST):
        count = min(_ABREAST, len(order) - begin)
        for k in range(count):
            root[k] = walks[order[begin + k], 0]
            at[k] = root[k]
        for _ in range(np.int64(walks[order[begin + count - 1], 1])):
            for k in range(_ABREAST):
                step = word[at[k]]
                right = np.uint32(not answers[step & _LOW] <= cut[at[k]])
                at[k] = root[k] + (step >> _BITS) + right
        for k in range(count):
            leaf[order[begin + k]] = value[at[k]]
    found, total = np.zeros(len(base) + 1), 0.0
    for turn in range(len(walks)):
        found[walks[turn, 2]] += leaf[turn]
        found[walks[turn, 3]] -= leaf[turn]
    for i in range(len(base)):
        total += found[i]
        found[i] = base[i] + total / divisor
    return found[: len(base)]
