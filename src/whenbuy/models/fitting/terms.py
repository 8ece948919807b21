"""The terms of the pooled hazard: features on scales on which a hazard is nearly linear, also far beyond what training has seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.core.examples import Table

LEAN: Final = ("recency_days", "tenure_days", "frequency", "mean_amount", "first_amount", "last_amount")
"""The features from which the lean terms are made; absent ones are passed over."""
CYCLIC: Final = ("_sin", "_cos")
"""Endings of features that are already bounded and enter as they are."""
COUNTED: Final = "_count"
"""Ending of the features that count a user's events of one kind since her first."""
BENDS: Final = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
"""The quantiles in training at which the effect of a silence may bend."""
_LONGEST: Final = 50.0
"""A silence of more than so many of the user's own gaps says no more than one of so many."""


_MOST: Final = 1e15
"""No term that is learned from is larger than this, so that its square is a number."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How features become the terms of the hazard, frozen at fit.

    The lean terms are logarithms of recency, tenure, repeats and amounts with their squares and products. Time enters as
    log(1 + days / unit), where the unit is the shop's own typical gap between purchases: logarithms extrapolate under silence, and a
    shop counted in weeks gives the same model as one counted in days.

    The rich terms add the logarithm of every other feature of the table, and the user's own rhythm: how long her silence is in units
    of her usual gap, between orders and between events of any kind, how regular she is, and how these act together. The effect of a
    silence may bend, differently for the regular and the often seen: a hazard that rises as an order falls due, and one that sinks as
    leaving becomes likely, are both within reach.

    Parameters
    ----------
    unit_days
        The median over customers of their mean gap between purchases.
    rich
        Whether the rich terms are made.
    offset
        For every further feature, the size below which its differences no longer matter (added before the logarithm).
    gappy
        The further features that are unknown for some: each has a flag of its own.
    knots
        Where the effect of each silence may bend.
    """

    unit_days: float
    rich: bool
    offset: Mapping[str, float]
    gappy: tuple[str, ...]
    knots: Mapping[str, tuple[float, ...]]

    @classmethod
    def learn(cls, table: Table, *, rich: bool) -> Terms:
        """Return the terms for a training table."""
        repeats, span = table.column("frequency"), table.column("tenure_days") - table.column("recency_days")
        gaps = (span / np.maximum(repeats, 1))[repeats > 0]
        lean = cls(max(1.0, float(np.median(gaps))) if len(gaps) else 7.0, rich, {}, (), {})
        if not rich:
            return lean
        others = [name for name in table.names if name not in LEAN and not name.endswith(CYCLIC)]
        offset = {name: _typical(table.column(name)) for name in others}
        gappy = tuple(name for name in others if np.isnan(table.column(name)).any())
        rhythm = lean._rhythm(table)
        knots = {name: tuple(np.unique(np.quantile(rhythm[name], BENDS)).tolist()) for name in ("overdue", "away")}
        return replace(lean, offset=offset, gappy=gappy, knots=knots)

    def matrix(self, table: Table) -> Floats:
        """Return the terms of each row (n x terms), never NaN: what is unknown counts 0 and is flagged by a term of its own."""
        return np.stack(list(self.columns(table)), axis=1)

    def score(self, table: Table, weights: Floats) -> Floats:
        """Return the weighted sum of the terms of each row (n), added term by term: no bit depends on the other rows."""
        total = np.zeros(len(table))
        for weight, column in zip(weights, self.columns(table), strict=True):
            total += weight * column
        return total

    def packed(self, tables: Iterable[Table], rows: int) -> Singles:
        """Return the terms of some tables of so many rows together (n x t), in half the memory and column after column."""
        matrix, done = np.empty((0, rows), np.float32), 0
        for table in tables:
            columns = np.clip([*self.columns(table)], -_MOST, _MOST).astype(np.float32)
            matrix = matrix if len(matrix) else np.empty((len(columns), rows), np.float32)
            matrix[:, done : done + len(table)] = columns
            done += len(table)
        return matrix.T

    def columns(self, table: Table) -> Iterator[Floats]:
        """Yield the terms one after the other (n each), so that not all of them need to be held."""
        table = Table(table.names, np.asfortranarray(table.values))  # it is read column by column
        recency, repeats = np.log1p(_known(table, "recency_days") / self.unit_days), np.log1p(_known(table, "frequency"))
        yield from self._lean(table, recency, repeats)
        if self.rich:
            yield from self._others(table)
            yield from self._own(table, recency, repeats)

    def _lean(self, table: Table, recency: Floats, repeats: Floats) -> list[Floats]:
        days, never = _known(table, "tenure_days"), np.isnan(table.column("recency_days"))
        tenure = np.log1p(days / self.unit_days)
        span = np.log1p(np.maximum(days - _known(table, "recency_days"), 0) / self.unit_days)
        single = ((repeats == 0) & ~never) * 1.0
        main, terms = [recency, tenure, repeats], [span, single, never * 1.0, recency * single]
        if "mean_amount" in table.names:
            main.append(np.log1p(np.maximum(_known(table, "mean_amount"), 0) * (_known(table, "frequency") + 1)))
            terms += [np.log1p(np.maximum(_known(table, name), 0)) for name in LEAN[3:] if name in table.names]
        pairs = combinations_with_replacement(main, 2)
        return [*main, *terms, *(a * b for a, b in pairs if a is not tenure or b is not tenure)]

    def _others(self, table: Table) -> Iterator[Floats]:
        for name, offset in self.offset.items():
            value = _known(table, name)
            yield np.copysign(np.log1p(np.abs(value) / offset), value)
        yield from (np.isnan(table.column(name)) * 1.0 for name in self.gappy)
        yield from (_known(table, name) for name in table.names if name.endswith(CYCLIC))

    def _own(self, table: Table, recency: Floats, repeats: Floats) -> Iterator[Floats]:
        rhythm = self._rhythm(table)
        yield from rhythm.values()
        yield from (a * b for a, b in combinations_with_replacement([*rhythm.values(), recency, repeats], 2))
        for name, knots in self.knots.items():
            hinges = [np.maximum(rhythm[name] - knot, 0.0) for knot in knots]
            yield from hinges
            yield from (hinge * by for hinge in hinges for by in (repeats, rhythm["regular"], repeats * rhythm["regular"]))
        ratio = np.minimum(np.exp(rhythm["away"]), _LONGEST)
        seen, bought = (_known(table, name) / self.unit_days for name in ("event_recency_days", "recency_days"))
        yield from (ratio, ratio * repeats, seen, bought, seen * bought)
        yield from (a * b for a in (seen, bought) for b in (repeats, rhythm["overdue"], rhythm["away"]))

    def _rhythm(self, table: Table) -> dict[str, Floats]:
        """Return how a silence compares with the user's own gaps, of orders and of events of any kind, and how regular she is (logs)."""
        gap, deviation = (_known(table, name, self.unit_days) for name in ("gap_mean_days", "gap_deviation_days"))
        away = _known(table, "event_recency_days")
        events = 1.0 + _known(table, "frequency") + sum(_known(table, name) for name in table.names if name.endswith(COUNTED))
        visit_gap = (np.maximum(_known(table, "event_tenure_days") - away, 0.0) + 1.0) / events
        return {
            "overdue": np.log((_known(table, "recency_days") + 0.5) / (gap + 0.5)),
            "regular": np.log((deviation + 0.5) / (gap + 0.5)),
            "gap": np.log(gap + 0.5),
            "away": np.log((away + 0.5) / (visit_gap + 0.1)),
            "short": np.log(_known(table, "orders_decay_8d") + 0.01),
            "long": np.log(_known(table, "orders_decay_64d") + 0.01),
        }


def _known(table: Table, name: str, default: float = 0.0) -> Floats:
    """Return a feature with what is unknown, or not in the table at all, replaced (n)."""
    if name not in table.names:
        return np.full(len(table), default)
    value = table.column(name)
    return np.where(np.isnan(value), value.dtype.type(default), value)


def _typical(values: Floats) -> float:
    """Return a tenth of the mean of the sizes above 0; 1 where there is none."""
    sizes = np.abs(values)
    sizes = sizes[sizes > 0]
    return 0.1 * float(np.mean(sizes)) if len(sizes) else 1.0


TYPES: Final = {"Terms": Terms}
