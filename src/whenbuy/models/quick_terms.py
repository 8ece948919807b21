"""The terms of a hazard or a line, compiled: the same sum as `Terms.score`, term by term, for the few rows of a live forecast."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.examples import Table
from whenbuy.core.kernel import kernel
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
_LONGEST: Final = 50.0


class Places(NamedTuple):
    """Where a table has what the terms read; -1 for what it has not.

    Attributes
    ----------
    read
        The features with a part of their own (12).
    counted, others, gappy, cyclic
        Counts of events, further features, those with a flag, bounded ones.
    """

    read: Ints
    counted: Ints
    others: Ints
    gappy: Ints
    cyclic: Ints


@dataclass(frozen=True, slots=True)
class QuickTerms(Terms):
    """Terms whose sum is compiled. It equals that of `Terms` up to rounding (1e-12); what is learned, is learned with `Terms`."""

    @classmethod
    def of(cls, terms: Terms) -> Self:
        """Return the same terms, compiled."""
        return cls(**{field.name: getattr(terms, field.name) for field in fields(Terms)})

    def score(self, table: Table, weights: Floats) -> Floats:
        """Return the weighted sum of the terms of each row (n).

        Raises
        ------
        WhenbuyError
            When there are not as many weights as terms.
        ColumnError
            When the table lacks a feature with a flag.
        """
        offset = np.array(list(self.offset.values()), float)
        knots = [np.array(self.knots.get(name, ()), float) for name in ("overdue", "away")]
        places = _places(table.names, tuple(self.offset), self.gappy)
        if len(weights) != (terms := self._terms(places, table.names)):
            raise WhenbuyError(f"{len(weights)} weights were given for {terms} terms.", "Each term has one.", "Fit again.")
        values = np.ascontiguousarray(table.values)
        return score(values, *places, offset, knots[0], knots[1], self.rich, self.unit_days, np.ascontiguousarray(weights))

    def _terms(self, places: Places, names: tuple[str, ...]) -> int:
        """Return how many terms there are; raises as a table does that lacks a feature with a flag."""
        if (places.gappy < 0).any():
            raise ColumnError(f"A feature of {', '.join(self.gappy)} is not in the table.", f"It has: {', '.join(names)}.", "Add it.")
        main = 3 + (places.read[3] >= 0)
        amounts = int((places.read[3:6] >= 0).sum()) if main == 4 else 0
        lean = main + 4 + amounts + main * (main + 1) // 2 - 1
        knots = sum(len(self.knots.get(name, ())) for name in ("overdue", "away"))
        return int(lean + (len(places.others) + len(places.gappy) + len(places.cyclic) + 53 + 4 * knots if self.rich else 0))


@lru_cache(maxsize=64)
def _places(names: tuple[str, ...], others: tuple[str, ...], gappy: tuple[str, ...]) -> Places:
    where = {name: place for place, name in enumerate(names)}

    def listed(wanted: Any) -> Ints:
        return np.array([where.get(name, -1) for name in wanted], np.int64)

    return Places(
        listed(_READ), listed(name for name in names if name.endswith(COUNTED)), listed(others), listed(gappy),
        listed(name for name in names if name.endswith(CYCLIC)),
    )  # fmt: skip


@kernel
def known(values: Singles, row: int, place: int, default: float) -> float:
    """Return a feature with what is unknown, or not in the table at all, replaced."""
    value = np.float64(values[row, place]) if place >= 0 else default
    return default if np.isnan(value) else value


@kernel
def score(
    values: Singles, read: Ints, counted: Ints, others: Ints, gappy: Ints, cyclic: Ints, offset: Floats, overdue_knots: Floats,
    away_knots: Floats, rich: bool, unit: float, weights: Floats,
) -> Floats:  # fmt: skip
    """Return the weighted sum of the terms of each row (n), in the order of ``Terms.columns``."""
    out, terms, part = np.zeros(len(values)), np.empty(len(weights)), np.empty(8)
    for row in range(len(values)):
        n = _lean(values, row, read, unit, terms)
        recency, repeats = terms[0], terms[2]
        if rich:
            n = _others(values, row, others, gappy, cyclic, offset, terms, n)
            _rhythm(values, row, read, counted, unit, part)
            part[6], part[7] = recency, repeats
            n = _own(values, row, read, unit, part, overdue_knots, away_knots, terms, n)
        total = 0.0
        for i in range(n):
            total += weights[i] * terms[i]
        out[row] = total
    return out


@kernel
def _lean(values: Singles, row: int, read: Ints, unit: float, terms: Floats) -> int:
    never = np.isnan(values[row, read[0]])
    away, days, often = known(values, row, read[0], 0.0), known(values, row, read[1], 0.0), known(values, row, read[2], 0.0)
    recency, tenure, repeats = np.log1p(away / unit), np.log1p(days / unit), np.log1p(often)
    single = 1.0 if repeats == 0 and not never else 0.0
    main = np.array([recency, tenure, repeats, 0.0])
    m = 3
    if read[3] >= 0:
        main[3] = np.log1p(max(known(values, row, read[3], 0.0), 0.0) * (often + 1))
        m = 4
    n = 0
    for i in range(m):
        terms[n] = main[i]
        n += 1
    for term in (np.log1p(max(days - away, 0.0) / unit), single, 1.0 if never else 0.0, recency * single):
        terms[n] = term
        n += 1
    if m == 4:
        for i in range(3, 6):
            if read[i] >= 0:
                terms[n] = np.log1p(max(known(values, row, read[i], 0.0), 0.0))
                n += 1
    for i in range(m):
        for j in range(i, m):
            if i != 1 or j != 1:
                terms[n] = main[i] * main[j]
                n += 1
    return n


@kernel
def _others(values: Singles, row: int, others: Ints, gappy: Ints, cyclic: Ints, offset: Floats, terms: Floats, n: int) -> int:
    for i in range(len(others)):
        value = known(values, row, others[i], 0.0)
        terms[n] = np.copysign(np.log1p(abs(value) / offset[i]), value)
        n += 1
    for place in gappy:
        terms[n] = 1.0 if np.isnan(values[row, place]) else 0.0
        n += 1
    for place in cyclic:
        terms[n] = known(values, row, place, 0.0)
        n += 1
    return n


@kernel
def _rhythm(values: Singles, row: int, read: Ints, counted: Ints, unit: float, part: Floats) -> None:
    """Write overdue, regular, gap, away, short, long."""
    gap, deviation = known(values, row, read[6], unit), known(values, row, read[7], unit)
    away, seen = known(values, row, read[8], 0.0), 0.0
    for place in counted:
        seen += known(values, row, place, 0.0)
    events = 1.0 + known(values, row, read[2], 0.0) + seen
    visit_gap = (max(known(values, row, read[9], 0.0) - away, 0.0) + 1.0) / events
    part[0] = np.log((known(values, row, read[0], 0.0) + 0.5) / (gap + 0.5))
    part[1] = np.log((deviation + 0.5) / (gap + 0.5))
    part[2] = np.log(gap + 0.5)
    part[3] = np.log((away + 0.5) / (visit_gap + 0.1))
    part[4] = np.log(known(values, row, read[10], 0.0) + 0.01)
    part[5] = np.log(known(values, row, read[11], 0.0) + 0.01)


@kernel
def _own(
    values: Singles, row: int, read: Ints, unit: float, part: Floats, overdue_knots: Floats, away_knots: Floats, terms: Floats, n: int
) -> int:  # fmt: skip
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
    seen, bought = known(values, row, read[8], 0.0) / unit, known(values, row, read[0], 0.0) / unit
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
