"""Scalings of features, learned from training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from whenbuy.clean.draft import require_least
from whenbuy.clean.training import chosen, finite, require_methods, require_names, training_values
from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Table

_METHODS = ("standard", "minmax", "robust", "quantile", "log", "keep")


@dataclass(frozen=True, slots=True)
class Scale:
    """Brings features to one measure, column by column; gaps stay gaps.

    Parameters
    ----------
    columns
        Method by column. ``standard``: mean 0, deviation 1. ``minmax``: 0 to 1. ``robust``: median 0, distance between the quartiles 1.
        ``quantile``: the share of training rows below (0 to 1). ``log``: the sign times ln(1 + |x|). ``keep``: as it is.
    default
        The method of all other columns.
    levels
        How many quantiles are stored at most per column.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    default: str = "standard"
    levels: int = 256

    def __post_init__(self) -> None:
        require_methods("scaling", self.columns, self.default, _METHODS)
        require_least("levels of scaling", self.levels, 2)

    def fit(self, table: Table) -> FittedScale:
        """Return the scalings that these rows teach."""
        values = training_values(table, "A scaling")
        how = chosen(self.columns, self.default, table.names)
        known = [column[~np.isnan(column)] for column in values.T]
        learned = np.array([_measure(method, column) for method, column in zip(how, known, strict=True)]).reshape(-1, 2)
        levels = np.linspace(0, 1, min(self.levels, len(values)) if len(values) > 1 else 2)
        ranked = [place for place, method in enumerate(how) if method == "quantile"]
        quantiles = np.zeros((len(ranked), len(levels)))
        for row, place in enumerate(ranked):
            if len(known[place]):
                quantiles[row] = np.maximum.accumulate(np.quantile(known[place], levels))
        return FittedScale(table.names, how, learned[:, 0], learned[:, 1], quantiles)


@dataclass(frozen=True, slots=True, eq=False)
class FittedScale:
    """Learned scalings.

    Parameters
    ----------
    names, how
        The columns and the method of each.
    shift, width
        A value becomes ``(value - shift) / width`` (f each); 0 and 1 where the method needs neither.
    quantiles
        Evenly spaced quantiles of the training rows, one row per column scaled by them.
    """

    names: tuple[str, ...]
    how: tuple[str, ...]
    shift: Floats
    width: Floats
    quantiles: Floats

    def apply(self, table: Table) -> Table:
        """Return the scaled rows."""
        require_names(self.names, table)
        values = (finite(table) - self.shift) / self.width
        row = 0
        for place, method in enumerate(self.how):
            if method == "log":
                values[:, place] = np.sign(values[:, place]) * np.log1p(np.abs(values[:, place]))
            elif method == "quantile":
                values[:, place] = _share(values[:, place], self.quantiles[row])
                row += 1
        return Table(self.names, values.astype(np.float32))

    def says(self) -> tuple[str, ...]:
        """Return in words what was learned, one sentence per column."""
        words = {
            "standard": "mean {0:.6g}, deviation {1:.6g}", "minmax": "smallest {0:.6g}, range {1:.6g}",
            "robust": "median {0:.6g}, quartiles {1:.6g} apart", "quantile": "share of training rows below", "log": "logarithm",
            "keep": "as it is",
        }  # fmt: skip
        learned = zip(self.names, self.how, self.shift, self.width, strict=True)
        return tuple(f"{name}: {words[how].format(shift, width)}." for name, how, shift, width in learned)


def _measure(method: str, known: Floats) -> tuple[float, float]:
    """Return shift and width of one column."""
    if not len(known) or method not in ("standard", "minmax", "robust"):
        return 0.0, 1.0
    if method == "standard":
        shift, width = known.mean(), known.std()
    elif method == "minmax":
        shift, width = known.min(), known.max() - known.min()
    else:
        low, shift, high = np.quantile(known, [0.25, 0.5, 0.75])
        width = high - low
    return float(shift), float(width) if width > 0 else 1.0


def _share(values: Floats, quantiles: Floats) -> Floats:
    """Return the share of training rows below each value (n); in a run of equal quantiles the middle of the run."""
    levels = np.linspace(0, 1, len(quantiles))
    below = np.interp(-values, -quantiles[::-1], -levels[::-1])
    share = 0.5 * (np.interp(values, quantiles, levels) - below)
    share = np.where(values <= quantiles[0], 0.0, np.where(values >= quantiles[-1], 1.0, share))
    return np.where(np.isnan(values), np.nan, share)
