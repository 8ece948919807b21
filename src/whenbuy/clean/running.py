"""Statistics of what was known strictly earlier, per group: compiled loops over rows sorted by group, instant and value.

Rows of one group that became known at the same instant do not see each other, so nothing depends on the order of users.
"""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Instants, Ints
from whenbuy.core.kernel import kernel


def in_order(group: Codes | Ints, known_at: Instants, value: Ints) -> Ints:
    """Return the rows sorted by group, then by the instant at which they became known, then by value (n)."""
    return np.lexsort((value, known_at, group)).astype(np.int64)


def ranked(group: Codes | Ints, value: Ints) -> tuple[Ints, Ints]:
    """Return the place of each row among the sorted values of its group (n), and all values sorted by group and value (n).

    ``group`` must be rising.
    """
    order = np.lexsort((value, group))
    place = np.empty(len(order), np.int64)
    first = np.searchsorted(group, group, side="left")
    place[order] = np.arange(len(order))
    return place - first, value[order]


@kernel
def moments(group: Codes | Ints, known_at: Instants, value: Ints, least: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the values known earlier (n each), NaN where there are fewer than ``least``.

    Welford's recurrence (Welford 1962), restarted in each group; the deviation is that of a sample (divided by n - 1).
    """
    n = len(value)
    mean_of, deviation_of = np.full(n, np.nan), np.full(n, np.nan)
    count, mean, squares = 0, 0.0, 0.0
    start = 0
    while start < n:
        if start == 0 or group[start] != group[start - 1]:
            count, mean, squares = 0, 0.0, 0.0
        stop = start
        while stop < n and group[stop] == group[start] and known_at[stop] == known_at[start]:
            if count >= least and count > 1:
                mean_of[stop], deviation_of[stop] = mean, np.sqrt(squares / (count - 1))
            stop += 1
        for row in range(start, stop):
            count += 1
            gap = value[row] - mean
            mean += gap / count
            squares += gap * (value[row] - mean)
        start = stop
    return mean_of, deviation_of


@kernel
def _insert(tree: Ints, base: int, size: int, place: int) -> None:
    """Count one value at a place of a Fenwick tree (Fenwick 1994)."""
    node = place + 1
    while node <= size:
        tree[base + node - 1] += 1
        node += node & -node


@kernel
def _smallest(tree: Ints, base: int, size: int, k: int) -> int:
    """Return the place of the k-th smallest value counted so far, k from 0."""
    step = 1
    while step * 2 <= size:
        step *= 2
    node, rest = 0, k
    while step > 0:
        if node + step <= size and tree[base + node + step - 1] <= rest:
            node += step
            rest -= tree[base + node - 1]
        step //= 2
    return node


@kernel
def quartiles(group: Codes | Ints, known_at: Instants, place: Ints, ordered: Ints, least: int) -> tuple[Floats, Floats]:
    """Return the lower and upper quartile of the values known earlier (n each), NaN where there are fewer than ``least``.

    Between two values the quartile is interpolated on a straight line (Hyndman and Fan 1996, definition 7).
    """
    n = len(place)
    low, high, tree = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int64)
    start, base, size, count = 0, 0, 0, 0
    while start < n:
        if start == 0 or group[start] != group[start - 1]:
            base, size, count = start, 0, 0
            while base + size < n and group[base + size] == group[base]:
                size += 1
        stop = start
        while stop < n and group[stop] == group[start] and known_at[stop] == known_at[start]:
            stop += 1
        if count >= max(least, 1):
            for upper in (False, True):
                at = (count - 1) * (0.75 if upper else 0.25)
                whole = int(at)
                a = ordered[base + _smallest(tree, base, size, whole)]
                b = ordered[base + _smallest(tree, base, size, min(whole + 1, count - 1))]
                bound = a + (b - a) * (at - whole)
                for row in range(start, stop):
                    if upper:
                        high[row] = bound
                    else:
                        low[row] = bound
        for row in range(start, stop):
            _insert(tree, base, size, place[row])
            count += 1
        start = stop
    return low, high


@kernel
def slips(group: Codes | Ints, known_at: Instants, place: Ints, ordered: Ints, factor: int, least: int) -> Ints:
    """Return 1 where a value is exactly ``factor`` times the median of those known earlier, -1 where it is that part of it, else 0 (n).

    The median is the lower of the two middle values. Slips themselves do not enter it.
    """
    n = len(place)
    slip, tree = np.zeros(n, np.int64), np.zeros(n, np.int64)
    start, base, size, count = 0, 0, 0, 0
    while start < n:
        if start == 0 or group[start] != group[start - 1]:
            base, size, count = start, 0, 0
            while base + size < n and group[base + size] == group[base]:
                size += 1
        stop = start
        while stop < n and group[stop] == group[start] and known_at[stop] == known_at[start]:
            stop += 1
        median = ordered[base + _smallest(tree, base, size, (count - 1) // 2)] if count >= max(least, 1) else 0
        for row in range(start, stop):
            value = ordered[base + place[row]]
            if median != 0 and value == median * factor:
                slip[row] = 1
            elif median != 0 and value * factor == median:
                slip[row] = -1
            else:
                _insert(tree, base, size, place[row])
                count += 1
        start = stop
    return slip


@kernel
def last_two(group: Codes | Ints, known_at: Instants, known: Ints) -> tuple[Ints, Ints]:
    """Return the last and the last but one row of the group with a value and known strictly earlier (n each), -1 where there is none."""
    n = len(known)
    last, before = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    a, b = -1, -1
    start = 0
    while start < n:
        if start == 0 or group[start] != group[start - 1]:
            a, b = -1, -1
        stop = start
        while stop < n and group[stop] == group[start] and known_at[stop] == known_at[start]:
            last[stop], before[stop] = a, b
            stop += 1
        for row in range(start, stop):
            if known[row]:
                a, b = row, a
        start = stop
    return last, before
