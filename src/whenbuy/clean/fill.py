"""Fills for missing features, learned from training rows; the fills of the log itself, which look back only, are in ``missing.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from whenbuy.clean.draft import require_least, require_positive
from whenbuy.clean.nearest import NearestRows
from whenbuy.clean.regression import ChainedRidge
from whenbuy.clean.training import chosen, finite, medians, require_methods, require_names, training_values
from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.examples import Table

_METHODS = ("constant", "mean", "median", "mode", "nearest", "knn", "model", "keep")


@dataclass(frozen=True, slots=True)
class Fill:
    """Fills missing features, column by column: Fill({"amount_mean": "median"}, default="constant").

    Parameters
    ----------
    columns
        Method by column. ``constant`` writes ``value``; ``mean``, ``median`` and ``mode`` (the smallest of the most frequent) of the
        training rows; ``nearest`` and ``knn`` the value of the nearest stored training row, or the mean over the ``neighbours`` nearest;
        ``model`` ridge regressions on the other columns, in turn; ``keep`` leaves the gap, for learners that read it.
    default
        The method of all other columns.
    value
        The constant.
    neighbours, most
        How many rows lend their value, and how many training rows are stored at most for it.
    rounds, penalty
        How often the regressions are gone through, and their ridge penalty (features in units of a standard deviation).
    seed
        Draws the stored rows.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    default: str = "constant"
    value: float = 0.0
    neighbours: int = 5
    most: int = 2048
    rounds: int = 5
    penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_methods("fill", self.columns, self.default, _METHODS)
        for what in ("neighbours", "most", "rounds"):
            require_least(f"{what} of fill", getattr(self, what), 1)
        require_positive("penalty of fill", self.penalty)

    def fit(self, table: Table) -> FittedFill:
        """Return the fills that these rows teach."""
        values = training_values(table, "A fill")
        how = chosen(self.columns, self.default, table.names)
        gaps = np.isnan(values)
        value = np.array([self._value(method, column) for method, column in zip(how, values.T, strict=True)])
        lenders, regressions = None, None
        filled = _simply_filled(values, how, value)
        if len(targets := _columns(how, "nearest", "knn")):
            k = np.array([1 if how[target] == "nearest" else self.neighbours for target in targets], np.int64)
            lenders = NearestRows.of(values, targets, k, self.most, self.seed)
            filled[:, targets] = lenders.filled(values)[:, targets]
        if len(targets := _columns(how, "model")):
            others = np.setdiff1d(np.flatnonzero(np.isnan(filled).any(axis=0)), targets)
            filled[:, others] = np.where(np.isnan(filled[:, others]), value[others], filled[:, others])
            regressions = ChainedRidge.of(filled, targets, self.rounds, self.penalty, self.seed)
        return FittedFill(table.names, how, value, gaps.sum(axis=0).astype(np.int64), len(values), lenders, regressions)

    def _value(self, method: str, column: Floats) -> float:
        known = column[~np.isnan(column)]
        if method == "constant" or not len(known):
            return self.value
        if method == "mode":
            values, count = np.unique(known, return_counts=True)
            return float(values[np.argmax(count)])
        return float(medians(known[:, None])[0]) if method in ("median", "keep") else float(known.mean())


@dataclass(frozen=True, slots=True, eq=False)
class FittedFill:
    """Learned fills.

    Parameters
    ----------
    names, how
        The columns and the method of each.
    value
        What simple methods write (f); the mean (the median where gaps are kept) of the training rows for the others.
    missing, rows
        How many gaps each column had in training (f), in how many rows.
    lenders, regressions
        What the nearest-row and the model-based fills learned, where there are any.
    """

    names: tuple[str, ...]
    how: tuple[str, ...]
    value: Floats
    missing: Ints
    rows: int
    lenders: NearestRows | None
    regressions: ChainedRidge | None

    def apply(self, table: Table) -> Table:
        """Return the rows with their gaps filled."""
        require_names(self.names, table)
        values = finite(table)
        filled = _simply_filled(values, self.how, self.value)
        if self.lenders is not None:
            filled[:, self.lenders.targets] = self.lenders.filled(values)[:, self.lenders.targets]
        if self.regressions is not None:
            whole = filled.copy()
            others = np.setdiff1d(np.arange(len(self.names)), self.regressions.targets)
            whole[:, others] = np.where(np.isnan(whole[:, others]), self.value[others], whole[:, others])
            filled[:, self.regressions.targets] = self.regressions.filled(whole)[:, self.regressions.targets]
        return Table(self.names, filled.astype(np.float32))

    def says(self) -> tuple[str, ...]:
        """Return in words what was learned, one sentence per column that had gaps."""
        words = {"nearest": "the nearest row", "knn": "the mean of the nearest rows", "model": "a regression on the other features"}
        found = []
        for name, how, value, missing in zip(self.names, self.how, self.value, self.missing, strict=True):
            if missing:
                share = f"{name}: {missing:,} of {self.rows:,} training rows ({missing / self.rows:.1%}) had no value"
                by = words.get(how, f"the {how} {value:.6g}")
                found.append(f"{share}; left empty." if how == "keep" else f"{share}; filled with {by}.")
        return tuple(found)


def _columns(how: tuple[str, ...], *methods: str) -> Ints:
    return np.array([place for place, method in enumerate(how) if method in methods], np.int64)


def _simply_filled(values: Floats, how: tuple[str, ...], value: Floats) -> Floats:
    filled = values.copy()
    for place in _columns(how, "constant", "mean", "median", "mode"):
        filled[np.isnan(values[:, place]), place] = value[place]
    return filled
