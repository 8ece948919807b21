"""The terms of a hazard or a line, compiled: the same sum as `Terms.score`, term by term, for the few rows of one customer.

Logarithms of 1 + x are taken of the sum: twice as fast as ``log1p``, and as good to 1e-16 of 1, which is what a sum of terms needs.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.rows.asked import Layout
from whenbuy.models.terms import COUNTED, CYCLIC, LEAN, Terms

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

    __slots__ = ("_integers", "_reals")

    def __init__(self, integers: Ints, reals: Floats) -> None:
        self._integers, self._reals = integers, reals

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

    def __call__(self, values: Singles) -> Floats:
        """Return the sum for each row (n)."""
        return score(values, self._integers, self._reals)


@kernel
def known(row: Singles, place: int, default: float) -> float:
    """Return a feature with what is unknown, or not in the table at all, replaced."""
    value = np.float64(row[place]) if place >= 0 else default
    return default if np.isnan(value) else value


@kernel
def score(values: Singles, integers: Ints, reals: Floats) -> Floats:
    """Return the weighted sum of the terms of each row (n), in the order of ``Terms.columns``. Terms that stay as they were are kept."""
    rich, others = integers[0], integers[2]
    places = integers[_SIZES + len(_READ) :]
    read, ends = integers[_SIZES : _SIZES + len(_READ)], np.cumsum(integers[1:5])
    unit, offset = reals[0], reals[1 : 1 + others]
    first, second = 1 + others + integers[5], 1 + others + integers[5] + integers[6]
    overdue_knots, away_knots, weights = reals[1 + others : first], reals[first:second], reals[second:]
    out, terms, part = np.zeros(len(values)), np.zeros(len(weights)), np.empty(8)
    before = np.full(others, np.float32(np.nan))
    for row in range(len(values)):
        value = values[row]
        n = _lean(value, read, unit, terms)
        recency, repeats = terms[0], terms[2]
        if rich:
            n = _others(value, places[ends[0] : ends[1]], offset, before, terms, n)
            n = _flags(value, places[ends[1] : ends[2]], places[ends[2] : ends[3]], terms, n)
            _rhythm(value, read, places[: ends[0]], unit, part)
            part[6], part[7] = recency, repeats
            n = _own(value, read, unit, part, overdue_knots, away_knots, terms, n)
        out[row] = _sum(weights, terms)
    return out


@kernel
def _sum(weights: Floats, terms: Floats) -> float:
    """Return the weighted sum, in four parts so that no addition waits for the one before."""
    a, b, c, d, n = 0.0, 0.0, 0.0, 0.0, len(weights)
    for i in range(0, n - 3, 4):
        a += weights[i] * terms[i]
        b += weights[i + 1] * terms[i + 1]
        c += weights[i + 2] * terms[i + 2]
        d += weights[i + 3] * terms[i + 3]
    for i in range(n - n % 4, n):
        a += weights[i] * terms[i]
    return (a + b) + (c + d)


@kernel
def _lean(row: Singles, read: Ints, unit: float, terms: Floats) -> int:
    never = np.isnan(row[read[0]])
    away, days, often = known(row, read[0], 0.0), known(row, read[1], 0.0), known(row, read[2], 0.0)
    recency, tenure, repeats = np.log(1.0 + away / unit), np.log(1.0 + days / unit), np.log(1.0 + often)
    single = 1.0 if repeats == 0 and not never else 0.0
    terms[0], terms[1], terms[2] = recency, tenure, repeats
    m = 3
    if read[3] >= 0:
        terms[3] = np.log(1.0 + max(known(row, read[3], 0.0), 0.0) * (often + 1))
        m = 4
    n = m
    for term in (np.log(1.0 + max(days - away, 0.0) / unit), single, 1.0 if never else 0.0, recency * single):
        terms[n] = term
        n += 1
    if m == 4:
        for i in range(3, 6):
            if read[i] >= 0:
                terms[n] = np.log(1.0 + max(known(row, read[i], 0.0), 0.0))
                n += 1
    for i in range(m):
        for j in range(i, m):
            if i != 1 or j != 1:
                terms[n] = terms[i] * terms[j]
                n += 1
    return n


@kernel
def _others(row: Singles, others: Ints, offset: Floats, before: Singles, terms: Floats, n: int) -> int:
    """Write the logarithms of further features; along a path of silence most of them stay as they were."""
    for i in range(len(others)):
        raw = row[others[i]] if others[i] >= 0 else np.float32(0.0)
        if raw == before[i]:
            continue
        before[i] = raw
        value = 0.0 if np.isnan(raw) else np.float64(raw)
        terms[n + i] = np.copysign(np.log(1.0 + abs(value) / offset[i]), value)
    return n + len(others)


@kernel
def _flags(row: Singles, gappy: Ints, cyclic: Ints, terms: Floats, n: int) -> int:
    for place in gappy:
        terms[n] = 1.0 if np.isnan(row[place]) else 0.0
        n += 1
    for place in cyclic:
        terms[n] = known(row, place, 0.0)
        n += 1
    return n


@kernel
def _rhythm(row: Singles, read: Ints, counted: Ints, unit: float, part: Floats) -> None:
    """Write overdue, regular, gap, away, short, long."""
    gap, deviation = known(row, read[6], unit), known(row, read[7], unit)
    away, seen = known(row, read[8], 0.0), 0.0
    for place in counted:
        seen += known(row, place, 0.0)
    events = 1.0 + known(row, read[2], 0.0) + seen
    visit_gap = (max(known(row, read[9], 0.0) - away, 0.0) + 1.0) / events
    part[0] = np.log((known(row, read[0], 0.0) + 0.5) / (gap + 0.5))
    part[1] = np.log((deviation + 0.5) / (gap + 0.5))
    part[2] = np.log(gap + 0.5)
    part[3] = np.log((away + 0.5) / (visit_gap + 0.1))
    part[4] = np.log(known(row, read[10], 0.0) + 0.01)
    part[5] = np.log(known(row, read[11], 0.0) + 0.01)


@kernel
def _own(row: Singles, read: Ints, unit: float, part: Floats, overdue_knots: Floats, away_knots: Floats, terms: Floats, n: int) -> int:
    for i in range(6):
        terms[n] = part[i]
        n += 1
    for i in range(8):
        for j in range(i, 8):
            terms[n] = part[i] * part[j]
            n += 1
    n = _hinges(part[0], overdue_knots, part[7], part[1], terms, n)
    n = _hinges(part[3], away_knots, part[7], part[1], terms, n)
    ratio = min(np.exp(part[3]), _LONGEST)
    seen, bought = known(row, read[8], 0.0) / unit, known(row, read[0], 0.0) / unit
    for term in (ratio, ratio * part[7], seen, bought, seen * bought):
        terms[n] = term
        n += 1
    for term in (seen * part[7], seen * part[0], seen * part[3], bought * part[7], bought * part[0], bought * part[3]):
        terms[n] = term
        n += 1
    return n


@kernel
def _hinges(value: float, knots: Floats, repeats: float, regular: float, terms: Floats, n: int) -> int:
    for knot in knots:
        terms[n] = max(value - knot, 0.0)
        n += 1
    for knot in knots:
        hinge = max(value - knot, 0.0)
        terms[n], terms[n + 1], terms[n + 2] = hinge * repeats, hinge * regular, hinge * (repeats * regular)
        n += 3
    return n
