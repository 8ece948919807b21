"""The best of many scores."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.kernel import kernel

_TOGETHER: Final = 16
"""So many rows are compared with a part of the table before the next part."""
_PART: Final = 2048
_LOOK: Final = 256


@kernel
def write_best(score: Floats, touched: Ints, count: int, item: Codes, out: Floats) -> None:
    """Write the things with the greatest scores into a row (m each), the best first, ties by position; those not above 0 are left out.

    Only the first ``count`` of ``touched`` are looked at; ``score`` is 0 everywhere when it is done.
    """
    most, kept = len(item), 0
    worth, place = np.empty(count), np.empty(count, np.int64)
    for i in range(count):
        thing = touched[i]
        if score[thing] > 0:
            worth[kept], place[kept] = score[thing], thing
            kept += 1
        score[thing] = 0.0
    worth, place = worth[:kept], place[:kept]
    least = np.partition(worth, kept - most)[kept - most] if kept > most else 0.0
    worth, place = worth[worth >= least], place[worth >= least]
    order = np.argsort(place)
    worth, place = worth[order], place[order]
    rank = np.argsort(-worth, kind="mergesort")
    item[:], out[:] = -1, np.nan
    for i in range(min(len(rank), most)):
        item[i], out[i] = place[rank[i]], worth[rank[i]]


@kernel
def _likely(score: Floats | Singles, most: int) -> Ints:
    """Return things (rising) among which are the ``most`` greatest scores: those not below the greatest of as many parts of the shelf."""
    parts = (len(score) + _LOOK - 1) // _LOOK
    if parts <= most:
        return np.arange(len(score))
    greatest = np.array([score[part * _LOOK : (part + 1) * _LOOK].max() for part in range(parts)])
    least = np.partition(greatest, parts - most)[parts - most]
    return np.flatnonzero(score >= least)


@kernel
def best_of(score: Floats, item: Codes, out: Floats) -> None:
    """Write the things with the greatest scores above 0 into a row; ``score`` is 0 everywhere when it is done."""
    some = _likely(score, len(item))
    write_best(score, some, len(some), item, out)
    score[:] = 0.0


@kernel
def nearest(asked: Singles, table: Singles, bias: Singles, item: Codes, out: Floats) -> None:
    """Write the columns of a table (f x k) whose dot product with each asked row (n x f), plus their bias, is greatest, as shares of all.

    The shares are exp(score) / sum exp(score). No BLAS: the bits of a row do not depend on the others; rows that go together only share a
    part of the table while it is near.
    """
    things, n = table.shape[1], len(asked)
    score, share = np.empty((min(n, _TOGETHER), things), np.float32), np.empty(things)
    for first in range(0, n, _TOGETHER):
        count = min(_TOGETHER, n - first)
        for begin in range(0, things, _PART):
            end = min(begin + _PART, things)
            for i in range(count):
                _products(asked[first + i], table[:, begin:end], bias[begin:end], score[i, begin:end])
        for i in range(count):
            row = score[i]
            top, whole, some = row.max(), 0.0, _likely(row, item.shape[1])
            for j in range(things):
                whole += np.exp(row[j] - top)
            for j in some:
                share[j] = np.exp(row[j] - top) / whole
            write_best(share, some, len(some), item[first + i], out[first + i])


@kernel
def _products(asked: Singles, table: Singles, bias: Singles, out: Singles) -> None:
    """Write the dot product of a row (f) with each column of a part of the table (f x k), plus its bias: four rows of it at a time."""
    out[:] = bias
    fours = len(asked) // 4 * 4
    for f in range(0, fours, 4):
        a, b, c, d = asked[f], asked[f + 1], asked[f + 2], asked[f + 3]
        first, second, third, fourth = table[f], table[f + 1], table[f + 2], table[f + 3]
        for j in range(len(out)):
            out[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
    for f in range(fours, len(asked)):
        a, first = asked[f], table[f]
        for j in range(len(out)):
            out[j] += a * first[j]


@kernel
def best_of_each(offsets: Ints, item: Codes, worth: Floats, things: int, most: int) -> tuple[Codes, Floats]:
    """Return the best things of each key (n x m): those of key i and what they are worth stand at ``offsets[i] : offsets[i + 1]``."""
    n = len(offsets) - 1
    found, out = np.empty((n, most), np.int32), np.empty((n, most))
    score = np.zeros(things)
    for i in range(n):
        touched = item[offsets[i] : offsets[i + 1]].astype(np.int64)
        for place in range(offsets[i], offsets[i + 1]):
            score[item[place]] = worth[place]
        write_best(score, touched, len(touched), found[i], out[i])
    return found, out
