"""What the fitted preparations share: which method each column gets, and that the columns are those that were learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from whenbuy.clean.draft import require_choice
from whenbuy.core.arrays import Floats
from whenbuy.core.errors import ColumnError, NotEnoughDataError
from whenbuy.core.examples import Table


def training_values(table: Table, what: str) -> Floats:
    """Return the training rows as float64 (n x f), NaN where a value is missing or infinite.

    Raises
    ------
    NotEnoughDataError
        When there is no row.
    """
    if not len(table):
        raise NotEnoughDataError(f"{what} was given no training row.", "It learns from one or more.", "Choose a later cutoff.")
    return finite(table)


def finite(table: Table) -> Floats:
    """Return the values as float64 (n x f), NaN where one is missing or infinite."""
    values = table.values.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def chosen(columns: Mapping[str, str], default: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the method of each column.

    Raises
    ------
    ColumnError
        When a method was chosen for a column that is not there.
    """
    if strange := [name for name in columns if name not in names]:
        raise ColumnError(f"A method was chosen for {', '.join(strange)}.", f"The columns are {', '.join(names)}.", "Correct the name.")
    return tuple(columns.get(name, default) for name in names)


def require_methods(what: str, columns: Mapping[str, str], default: str, choices: Sequence[str]) -> None:
    """Raise SettingsError when a method is none of the choices."""
    for name, method in columns.items():
        require_choice(f"{what} of {name}", method, choices)
    require_choice(f"default {what}", default, choices)


def require_names(names: Sequence[str], table: Table) -> None:
    """Raise ColumnError unless a table has the columns that were learned from, in that order."""
    if tuple(names) != table.names:
        absent = [name for name in names if name not in table.names] or ["none, but in another order or with others between"]
        need = f"A preparation was learned from {', '.join(names)}."
        raise ColumnError(f"The table lacks {', '.join(absent)}.", need, "Build the same features.")


def sample(count: int, most: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return at most ``most`` of ``count`` rows (rising), drawn without replacement."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def medians(values: Floats) -> Floats:
    """Return the median of the known values of each column (f), 0 where there is none."""
    return np.array([float(np.median(known)) if len(known := column[~np.isnan(column)]) else 0.0 for column in values.T])


def spreads(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the known values of each column (f each); 0 and 1 where they say nothing."""
    known = [column[~np.isnan(column)] for column in values.T]
    mean = np.array([column.mean() if len(column) else 0.0 for column in known])
    deviation = np.array([column.std() if len(column) else 0.0 for column in known])
    return mean, np.where(deviation > 0, deviation, 1.0)
