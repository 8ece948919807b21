"""The terms of a hazard or a line, compiled: the same sum as `Terms.score`, term by term, for the few instants of one customer.

A feature's numbers at all instants lie side by side, so that each term is a loop over instants which does several at once; of what does not
change along a path of silence only the first is read. Logarithms of 1 + x are taken of the sum: as good as ``log1p`` to 1e-16 of 1, which
is what a sum of terms needs.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.fitting.terms import COUNTED, CYCLIC, LEAN, Terms
from whenbuy.models.rows.asked import Layout
from whenbuy.models.rows.powers import log_of, logs

_READ: Final = (
    *LEAN,
    "gap_mean_days",
    "gap_deviation_days",
    "event_recency_days",
    "event_tenure_days",
    "orders_decay_8d",
    "orders_decay_64d",
)
_SIZES: Final = 7
"""Leading integers: whether terms are rich; how many counts, other features, gappy ones, cyclic ones; knots of the two silences."""
_LONGEST: Final = 50.0


class Scorer:
    """The weighted sum of the terms, ready to be computed.

    Parameters
    ----------
    integers, reals
        What the kernel reads: sizes and places; unit, offsets, knots and weights. A call costs by the number of arrays.
    """

    __slots__ = ("integers", "reals")

    def __init__(self, integers: Ints, reals: Floats) -> None:
        self.integers, self.reals = integers, reals

    @classmethod
    def of(cls, terms: Terms, weights: Floats, layout: Layout) -> Scorer | None:
        """Return the sum for rows that lie so; None where the terms do not fit them."""
        read = [layout.place(name) for name in _READ]
        counted = [place for place, name in enumerate(layout.names) if name.endswith(COUNTED)]
        cyclic = [place for place, name in enumerate(layout.names) if name.endswith(CYCLIC)]
        others, gappy = [layout.place(name) for name in terms.offset], [layout.place(name) for name in terms.gappy]
        knots = [terms.knots.get(name, ()) for name in ("overdue", "away")]
        main = 3 + (read[3] >= 0)
        amounts = sum(place >= 0 for place in read[3:6]) if main == 4 else 0
        count = main + 4 + amounts + main * (main + 1) // 2 - 1
        if terms.rich:
            count += len(others) + len(gappy) + len(cyclic) + 53 + 4 * (len(knots[0]) + len(knots[1]))
        if count != len(weights) or min(gappy, default=0) < 0 or min(read[:3]) < 0:
            return None
        sizes = [int(terms.rich), *(len(part) for part in (counted, others, gappy, cyclic, *knots))]
        integers = np.array([*sizes, *read, *counted, *others, *gappy, *cyclic], np.int64)
        return cls(integers, np.array([terms.unit_days, *terms.offset.values(), *knots[0], *knots[1], *weights], np.float64))

    def __call__(self, columns: Singles, moved: Ints) -> Floats:
        """Return the sum at each instant (n) from features by instants (f x n), of which some change (f)."""
        return score(columns, moved, self.integers, self.reals)


@kernel
def score(columns: Singles, moved: Ints, integers: Ints, reals: Floats) -> Floats:
    """Return the weighted sum of the terms at each instant (n), from features by instants (f x n), of which some change (f)."""
    rich, others = integers[0], integers[2]
    places = integers[_SIZES + len(_READ) :]
    read, ends = integers[_SIZES : _SIZES + len(_READ)], np.cumsum(integers[1:5])
    unit, offset = reals[0], reals[1 : 1 + others]
    first, second = 1 + others + integers[5], 1 + others + integers[5] + integers[6]
    overdue_knots, away_knots, weights = reals[1 + others : first], reals[first:second], reals[second:]
    total, part = np.zeros(columns.shape[1]), np.empty((12, columns.shape[1]))
    n = _lean(columns, moved, read, unit, weights, part, total)
    if rich:
        n = _others(columns, moved, places[ends[0] : ends[1]], offset, weights, n, total)
        n = _flags(columns, moved, places[ends[1] : ends[2]], places[ends[2] : ends[3]], weights, n, total)
        _rhythm(columns, moved, read, places[: ends[0]], unit, part)
        _own(columns, moved, read, unit, part, overdue_knots, away_knots, weights, n, total)
    return total


@kernel
def _filled(columns: Singles, moved: Ints, place: int, default: float, out: Floats) -> None:
    """Write a feature with what is unknown, or not in the table at all, replaced."""
    if place < 0 or not moved[place]:
        value = np.float64(columns[place, 0]) if place >= 0 else default
        out[:] = default if np.isnan(value) else value
        return
    column = columns[place]
    for d in range(len(out)):
        value = np.float64(column[d])
        out[d] = default if np.isnan(value) else value


@kernel
def _squares(part: Floats, first: int, count: int, skipped: int, weights: Floats, n: int, total: Floats) -> int:
    """Add the products of each two of some parts, the square of one of them left out."""
    for i in range(first, first + count):
        for j in range(i, first + count):
            if i == j == skipped:
                continue
            one, other, weight = part[i], part[j], weights[n]
            for d in range(len(total)):
                total[d] += weight * (one[d] * other[d])
            n += 1
    return n


@kernel
def _added(weight: float, values: Floats, total: Floats) -> None:
    for d in range(len(total)):
        total[d] += weight * values[d]


@kernel
def _lean(columns: Singles, moved: Ints, read: Ints, unit: float, weights: Floats, part: Floats, total: Floats) -> int:
    """Add the lean terms; leave recency and repeats at 9 and 10 of ``part``."""
    away, days, often, held, bought = part[4], part[5], part[6], part[7], part[8]
    _filled(columns, moved, read[0], 0.0, away)
    _filled(columns, moved, read[1], 0.0, days)
    _filled(columns, moved, read[2], 0.0, often)
    for d in range(len(total)):
        bought[d] = 0.0 if np.isnan(columns[read[0], d if moved[read[0]] else 0]) else 1.0
    main = 4 if read[3] >= 0 else 3
    recency, tenure, repeats = part[0], part[1], part[2]
    for d in range(len(total)):
        recency[d], tenure[d] = log_of(1.0 + away[d] / unit), log_of(1.0 + days[d] / unit)
    for d in range(len(total) if moved[read[2]] else 1):
        repeats[d] = log_of(1.0 + often[d])
    if not moved[read[2]]:
        repeats[:] = repeats[0]
    if main == 4:
        _filled(columns, moved, read[3], 0.0, held)
        _spent(often, held, not moved[read[2]] and not moved[read[3]], part[3])
    for i in range(main):
        _added(weights[i], part[i], total)
    n = main
    for d in range(len(total)):
        single = bought[d] if repeats[d] == 0 else 0.0
        total[d] += weights[n] * log_of(1.0 + max(days[d] - away[d], 0.0) / unit) + weights[n + 1] * single
        total[d] += weights[n + 2] * (1.0 - bought[d]) + weights[n + 3] * (recency[d] * single)
    n = _squares(part, 0, main, 1, weights, _amounts(columns, moved, read[3:6], weights, n + 4, held, total) if main == 4 else n + 4, total)
    for d in range(len(total)):
        part[9, d], part[10, d] = recency[d], repeats[d]
    return n


@kernel
def _spent(often: Floats, held: Floats, still: bool, out: Floats) -> None:
    for d in range(1 if still else len(out)):
        out[d] = log_of(1.0 + max(held[d], 0.0) * (often[d] + 1))
    if still:
        out[:] = out[0]


@kernel
def _amounts(columns: Singles, moved: Ints, places: Ints, weights: Floats, n: int, held: Floats, total: Floats) -> int:
    for place in places:
        if place >= 0:
            _filled(columns, moved, place, 0.0, held)
            if moved[place]:
                for d in range(len(total)):
                    total[d] += weights[n] * log_of(1.0 + max(held[d], 0.0))
            else:
                total += weights[n] * log_of(1.0 + max(held[0], 0.0))
            n += 1
    return n


@kernel
def _others(
    columns: Singles, moved: Ints, others: Ints, offset: Floats, weights: Floats, n: int, total: Floats
) -> int:  # fmt: skip
    """Add the logarithms of further features; along a path of silence half of them stay as they were."""
    same = 0.0
    for i in range(len(others)):
        place = others[i]
        if place < 0:
            continue
        weight, each = weights[n + i], 1.0 / offset[i]
        if not moved[place]:
            value = np.float64(columns[place, 0])
            same += 0.0 if np.isnan(value) else weight * np.copysign(log_of(1.0 + abs(value) * each), value)
            continue
        column = columns[place]
        for d in range(len(total)):
            value = np.float64(column[d])
            value = np.float64(0.0) if np.isnan(value) else value
            total[d] += weight * np.copysign(log_of(1.0 + abs(value) * each), value)
    for d in range(len(total)):
        total[d] += same
    return n + len(others)


@kernel
def _flags(columns: Singles, moved: Ints, gappy: Ints, cyclic: Ints, weights: Floats, n: int, total: Floats) -> int:
    same = 0.0
    for place in gappy:
        column, weight = columns[place], weights[n]
        if not moved[place]:
            same += weight if np.isnan(column[0]) else 0.0
        else:
            for d in range(len(total)):
                total[d] += weight if np.isnan(column[d]) else 0.0
        n += 1
    for place in cyclic:
        column, weight = columns[place], weights[n]
        for d in range(len(total) if moved[place] else 0):
            total[d] += 0.0 if np.isnan(column[d]) else weight * np.float64(column[d])
        if not moved[place] and not np.isnan(column[0]):
            same += weight * np.float64(column[0])
        n += 1
    for d in range(len(total)):
        total[d] += same
    return n


@kernel
def _rhythm(columns: Singles, moved: Ints, read: Ints, counted: Ints, unit: float, part: Floats) -> None:
    """Write overdue, regular, gap, away, short, long, recency and repeats."""
    m = part.shape[1]
    for d in range(m):
        part[6, d], part[7, d] = part[9, d], part[10, d]
    own, seen = part[8], part[9]
    _filled(columns, moved, read[7], unit, part[1])
    _filled(columns, moved, read[6], unit, part[2])
    _filled(columns, moved, read[0], 0.0, part[0])
    for d in range(m):
        gap = part[2, d] + 0.5
        part[0, d], part[1, d] = (part[0, d] + 0.5) / gap, (part[1, d] + 0.5) / gap
        part[2, d] = gap
    _filled(columns, moved, read[2], 0.0, seen)
    for place in counted:
        _filled(columns, moved, place, 0.0, own)
        _added(1.0, own, seen)
    _filled(columns, moved, read[8], 0.0, part[3])
    _filled(columns, moved, read[9], 0.0, own)
    for d in range(m):
        visit_gap = np.true_divide(max(own[d] - part[3, d], 0.0) + 1.0, 1.0 + seen[d])
        part[3, d] = np.true_divide(part[3, d] + 0.5, visit_gap + 0.1)
        part[10, d] = min(part[3, d], _LONGEST)
    _filled(columns, moved, read[10], 0.0, part[4])
    _filled(columns, moved, read[11], 0.0, part[5])
    for d in range(m):
        part[4, d] += 0.01
        part[5, d] += 0.01
    still = 1 if not moved[read[6]] and (read[7] < 0 or not moved[read[7]]) else 0  # gap and regularity stay as they are
    for i in range(6):
        if still and 0 < i < 3:
            part[i] = log_of(part[i, 0])
        else:
            logs(part[i])


@kernel
def _own(
    columns: Singles, moved: Ints, read: Ints, unit: float, part: Floats, overdue_knots: Floats, away_knots: Floats, weights: Floats,
    n: int, total: Floats,
) -> None:  # fmt: skip
    for i in range(6):
        _added(weights[n + i], part[i], total)
    n = _squares(part, 0, 8, -1, weights, n + 6, total)
    n = _hinges(part[0], overdue_knots, part[7], part[1], weights, n, total)
    n = _hinges(part[3], away_knots, part[7], part[1], weights, n, total)
    w, overdue, away, ratio, repeats, seen, bought = weights[n : n + 11], part[0], part[3], part[10], part[7], part[8], part[9]
    _filled(columns, moved, read[8], 0.0, seen)
    _filled(columns, moved, read[0], 0.0, bought)
    each = 1.0 / unit
    for d in range(len(total)):
        s, b = seen[d] * each, bought[d] * each
        total[d] += ratio[d] * (w[0] + w[1] * repeats[d]) + s * (w[2] + w[4] * b + w[5] * repeats[d] + w[6] * overdue[d] + w[7] * away[d])
        total[d] += b * (w[3] + w[8] * repeats[d] + w[9] * overdue[d] + w[10] * away[d])


@kernel
def _hinges(value: Floats, knots: Floats, repeats: Floats, regular: Floats, weights: Floats, n: int, total: Floats) -> int:
    for k in range(len(knots)):
        knot, w = knots[k], n + len(knots) + 3 * k
        for d in range(len(total)):
            hinge = max(value[d] - knot, 0.0)
            slope = weights[n + k] + weights[w] * repeats[d] + weights[w + 1] * regular[d] + weights[w + 2] * (repeats[d] * regular[d])
            total[d] += hinge * slope
    return n + 4 * len(knots)
