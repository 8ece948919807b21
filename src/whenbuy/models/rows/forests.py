"""Several forests walked at once for one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.models.trees.arrays import Trees

Scores = Callable[[Singles], Floats]
"""The scores of one row (f -> g)."""


def chained(trees: Sequence[Trees], before: Sequence[int]) -> Scores | None:
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
    return reduce(Trees.then, trees).spread(first, behind, base)


def apart(trees: Sequence[Trees]) -> Scores | None:
    """Return the raw scores of forests that stand alone, in one walk."""
    return chained(trees, (-1,) * len(trees))


def _stands_on(before: Sequence[int], place: int) -> list[int]:
    """Return the forests whose scores enter that of one: its own, those of the one before it, and so on."""
    found = [place]
    while (place := before[place]) >= 0:
        found.append(place)
    return found
