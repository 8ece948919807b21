"""Numbers that go round, such as the hour of the day, as sine and cosine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Table


@dataclass(frozen=True, slots=True)
class Cyclic:
    """Reads numbers that go round as sine and cosine: Cyclic({"hour": 24, "month": 12}). Hour 23 is next to hour 0 then.

    Parameters
    ----------
    columns
        Period by column, in the column's unit.

    Raises
    ------
    SettingsError
        When a period is not above 0.
    """

    columns: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, period in self.columns.items():
            if not 0 < period < np.inf:
                raise SettingsError(f"{name!r} was given the period {period}.", "A period is above 0.", "Say after how much it repeats.")

    def fit(self, table: Table) -> Cyclic:
        """Return itself: there is nothing to learn but that the columns are there.

        Raises
        ------
        ColumnError
            When one is not.
        """
        for name in self.columns:
            table.column(name)
        return self

    def apply(self, table: Table) -> Table:
        """Return the table with each of the columns replaced by its sine and cosine."""
        parts = []
        for name, values in zip(table.names, table.values.T, strict=True):
            if name not in self.columns:
                parts.append(Table((name,), values[:, None]))
                continue
            turn = 2 * np.pi * values.astype(np.float64) / self.columns[name]
            both = np.stack([np.sin(turn), np.cos(turn)], axis=1).astype(np.float32)
            parts.append(Table((f"{name}_sin", f"{name}_cos"), both))
        names = tuple(name for part in parts for name in part.names)
        return Table(names, np.hstack([np.empty((len(table), 0), np.float32), *(part.values for part in parts)]))


TYPES: Final[dict[str, type]] = {"Cyclic": Cyclic}
"""What a stored encoding may be made of."""
