"""The best of many scores."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.kernel import kernel

_TOGETHER: Final = 16
"""So many rows are compared with a part of the table before the next part."""


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
def best_of(score: Floats, item: Codes, out: Floats) -> None:
    """Write the things with the greatest scores above 0 into a row; ``score`` is 0 everywhere when it is done."""
    write_best(score, np.arange(len(score)), len(score), item, out)


@kernel
def nearest(asked: Floats, table: Singles, bias: Singles, item: Codes, out: Floats) -> None:
    """Write the columns of a table (f x k) whose dot product with each asked row (n x f), plus their bias, is greatest, as shares of all.

    The shares are exp(score) / sum exp(score). No BLAS: the bits of a row do not depend on the others; rows that go together only share a
    part of the table while it is near.
    """
    things, n = table.shape[1], len(asked)
    score = np.empty((_TOGETHER, things))
    for first in range(0, n, _TOGETHER):
        count = min(_TOGETHER, n - first)
        for begin in range(0, things, 1024):
            end = min(begin + 1024, things)
            for i in range(count):
                row = score[i]
                for j in range(begin, end):
                    row[j] = bias[j]
                for f in range(len(table)):
                    w = asked[first + i, f]
                    for j in range(begin, end):
                        row[j] += w * table[f, j]
        for i in range(count):
            row = score[i]
            top, whole = row.max(), 0.0
            for j in range(things):
                row[j] = np.exp(row[j] - top)
                whole += row[j]
            for j in range(things):
                row[j] /= whole
            best_of(row, item[first + i], out[first + i])


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
