"""Bends: how features become terms in which log-odds are nearly straight, learned without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import ColumnError
from whenbuy.core.examples import Table

BENDS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The quantiles of a feature at which its effect on the log-odds may bend."""
_OFTEN: Final = 0.05
"""A value that so many rows share may be a case of its own, such as 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Bends:
    """How features become terms whose weights add up to log-odds.

    Parameters
    ----------
    names
        The features (f).
    offset
        The size below which differences of a feature do not matter (f): a tenth of the mean of its sizes above 0.
    fill, low, high
        What stands for a gap, and the bounds beyond which training has seen nothing, as signed logarithms (f each).
    kind, feature, at
        Each term (t): 0 the logarithm itself, 1 a flag for one value, 2 a hinge from ``at`` on, 3 a flag for a gap; of which feature.
    """

    names: tuple[str, ...]
    offset: Floats
    fill: Floats
    low: Floats
    high: Floats
    kind: Ints
    feature: Ints
    at: Floats

    @classmethod
    def of(cls, table: Table) -> Bends:
        """Return the terms for a training table."""
        values = finite(table.values).astype(np.float64)
        offset, logs = np.ones(len(table.names)), np.empty_like(values)
        terms: list[tuple[int, int, float]] = []
        bounds = np.zeros((3, len(table.names)))
        for place, column in enumerate(values.T):
            sizes = np.abs(column[np.isfinite(column) & (column != 0)])
            offset[place] = max(0.1 * float(sizes.mean()), 1e-30) if len(sizes) else 1.0
            logs[:, place] = _signed_log(column, offset[place])
            known = logs[np.isfinite(column), place]
            if len(known):
                bounds[:, place] = np.median(known), known.min(), known.max()
            terms += [(kind, place, at) for kind, at in _terms_of(known, len(column))]
        kind, feature = (np.array([term[place] for term in terms], np.int64) for place in (0, 1))
        at = np.array([term[2] for term in terms], np.float64)
        return cls(table.names, offset, bounds[0], bounds[1], bounds[2], kind, feature, at)

    def matrix(self, table: Table) -> Floats:
        """Return the terms of each row (n x t), never NaN."""
        require_features(self.names, table)
        values = finite(table.values).astype(np.float64)
        gap = np.isnan(values)
        logs = np.clip(np.where(gap, self.fill, _signed_log(values, self.offset)), self.low, self.high)[:, self.feature]
        terms = np.empty_like(logs)
        for kind, part in ((0, logs), (1, logs == self.at), (2, np.maximum(logs - self.at, 0.0)), (3, gap[:, self.feature])):
            terms[:, self.kind == kind] = part[:, self.kind == kind]
        return terms


def _terms_of(known: Floats, rows: int) -> list[tuple[int, float]]:
    """Return the terms of one feature from its known values (as logarithms): kind and place of each."""
    terms = [(3, 0.0)] if len(known) < rows else []
    if not len(known) or known.min() == known.max():
        return terms
    terms.append((0, 0.0))
    values, count = np.unique(known, return_counts=True)
    if len(values) == 2:
        return terms
    if count.max() >= _OFTEN * len(known):
        terms.append((1, float(values[count.argmax()])))
    knots = np.unique(np.quantile(known, BENDS))
    return terms + [(2, float(knot)) for knot in knots if known.min() < knot < known.max()]


def _signed_log(values: Floats, offset: Floats | float) -> Floats:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values) / offset))


def finite(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the values with what is infinite as a gap; the same array where nothing is."""
    return np.where(np.isfinite(values), values, np.float32(np.nan)) if np.isinf(values).any() else values


def require_features(names: Sequence[str], table: Table) -> None:
    """Raise ColumnError unless a table has the features that were learned from, in that order."""
    if tuple(names) != table.names:
        absent = [name for name in names if name not in table.names] or ["none, but in another order or with others between"]
        raise ColumnError(f"The table lacks {', '.join(absent)}.", f"The model reads {', '.join(names)}.", "Build the same features.")


TYPES: Final[dict[str, type]] = {"Bends": Bends}
"""What a stored model of this file may be made of."""
