"""Values in LightGBM's bins: binned once, for as many targets, and for as many choices of their rows, as are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import ref

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles

BINS: Final = 63
"""Bins of a column, at most: on Complete Journey 255 of them cost half as much again, and no answer gets better on later weeks."""
_OPTIONS: Final = {"max_bin": BINS, "num_threads": 1, "verbosity": -1, "feature_pre_filter": False, "bin_construct_sample_cnt": 20_000}


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """Rows of a table of values, all of which are put into bins together.

    Parameters
    ----------
    table
        The values of all rows (m x f).
    rows
        Those of them that are learned from (n), rising; all, without it.
    """

    table: Singles
    rows: Ints | None = None
    _whole: list[Any] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, table: Singles) -> Binned:
        """Return the rows of a table that never changes; its bins are made once, however often it is asked for in a row."""
        if not _LAST or _LAST[0][0]() is not table:
            _LAST[:] = [(ref(table), [])]
        return cls(table, None, _LAST[0][1])

    def __len__(self) -> int:
        return len(self.table) if self.rows is None else len(self.rows)

    @property
    def values(self) -> Singles:
        """The values of the rows (n x f)."""
        return self.table if self.rows is None else self.table[self.rows]

    @property
    def differ(self) -> bool:
        """Whether some column holds two values: LightGBM takes no other table."""
        first = self.table[:1]
        return bool(((self.table != first) & ~(np.isnan(self.table) & np.isnan(first))).any())

    def take(self, rows: Ints | Bools) -> Binned:
        """Return some of the rows (rising), in the same bins."""
        chosen = np.arange(len(self.table))[rows] if self.rows is None else self.rows[rows]
        return self if len(chosen) == len(self) else replace(self, rows=chosen)

    def data(self, target: Floats, weight: Floats | None, start: Floats | None) -> Any:
        """Return LightGBM's dataset of the rows, with what came true, how much each counts and where its score starts (n each)."""
        import lightgbm

        if not self._whole:
            self._whole.append(lightgbm.Dataset(self.table, np.zeros(len(self.table)), params=_OPTIONS).construct())
        whole = self._whole[0]
        data = whole if self.rows is None else whole.subset(self.rows.tolist(), params=_OPTIONS).construct()
        data.set_field("label", np.asarray(target, np.float32))
        data.set_field("weight", None if weight is None else np.asarray(weight, np.float32))
        data.set_field("init_score", None if start is None else np.asarray(start, np.float64))
        return data


_LAST: Final[list[tuple[ref[Singles], list[Any]]]] = []
"""The table that was asked for last by ``Binned.of``, and its bins: answers that learn from one table come one after the other."""
