"""Bounds on outlying features, learned from training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from whenbuy.clean.draft import require_positive
from whenbuy.clean.training import chosen, finite, require_methods, require_names, training_values
from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.examples import Table


@dataclass(frozen=True, slots=True)
class Bound:
    """Clips features to what was usual in training, column by column.

    Parameters
    ----------
    columns
        Method by column. ``zscore``: ``deviations`` standard deviations around the mean. ``iqr``: ``reach`` times the distance between
        the quartiles beyond them (Tukey 1977). ``keep``: no bound.
    default
        The method of all other columns.
    deviations, reach
        How far is still usual.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    default: str = "keep"
    deviations: float = 4.0
    reach: float = 3.0

    def __post_init__(self) -> None:
        require_methods("bound", self.columns, self.default, ("zscore", "iqr", "keep"))
        require_positive("deviations of bound", self.deviations)
        require_positive("reach of bound", self.reach)

    def fit(self, table: Table) -> FittedBound:
        """Return the bounds that these rows teach."""
        values = training_values(table, "A bound")
        how = chosen(self.columns, self.default, table.names)
        known = [column[~np.isnan(column)] for column in values.T]
        bounds = np.array([self._usual(method, column) for method, column in zip(how, known, strict=True)]).reshape(-1, 2)
        beyond = [np.count_nonzero((column < low) | (column > high)) for column, (low, high) in zip(known, bounds, strict=True)]
        return FittedBound(table.names, bounds[:, 0], bounds[:, 1], np.array(beyond, np.int64), len(values))

    def _usual(self, method: str, known: Floats) -> tuple[float, float]:
        """Return the lowest and highest usual value of one column; without any spread there is no bound."""
        low, high = -np.inf, np.inf
        if method == "zscore" and len(known) and known.std() > 0:
            low, high = known.mean() - self.deviations * known.std(), known.mean() + self.deviations * known.std()
        elif method == "iqr" and len(known):
            first, third = np.quantile(known, [0.25, 0.75])
            if third > first:
                low, high = first - self.reach * (third - first), third + self.reach * (third - first)
        return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class FittedBound:
    """Learned bounds.

    Parameters
    ----------
    names
        The columns.
    low, high
        The lowest and highest usual value (f each), infinite where there is no bound.
    beyond, rows
        How many training values lay beyond (f), in how many rows.
    """

    names: tuple[str, ...]
    low: Floats
    high: Floats
    beyond: Ints
    rows: int

    def apply(self, table: Table) -> Table:
        """Return the rows with values beyond their bounds moved to them; gaps stay gaps."""
        require_names(self.names, table)
        return Table(self.names, np.clip(finite(table), self.low, self.high).astype(np.float32))

    def says(self) -> tuple[str, ...]:
        """Return in words what was learned, one sentence per bounded column."""
        learned = zip(self.names, self.low, self.high, self.beyond, strict=True)
        return tuple(
            f"{name}: usual is {low:.6g} to {high:.6g}; {beyond:,} of {self.rows:,} training rows lay beyond."
            for name, low, high, beyond in learned
            if np.isfinite(low)
        )
