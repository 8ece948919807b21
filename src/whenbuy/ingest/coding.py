"""Names become integer codes while the batches arrive, in the order in which each name first appears."""

from __future__ import annotations

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Ints
from whenbuy.core.kernel import kernel
from whenbuy.core.log import Dictionary

_NO_MASK: Bools = np.empty(0, bool)
_FIRST_CAPACITY = 1 << 12


class Coder:
    """A dictionary that grows: the first name gets code 0, the next new one code 1, whatever the batches.

    Whole numbers are looked up as numbers and become text once, at the end: an import of integer ids never formats a row. The first
    batch of text turns the numbers so far into text; 5 and "5" are one name.
    """

    def __init__(self) -> None:
        self._numbers: _Numbers | None = _Numbers()
        self._categories = pl.Categories.random()
        self._kept = pl.Series(dtype=pl.Categorical(self._categories))  # polars forgets the names when no series holds them

    def encode(self, names: pl.Series, out: Codes) -> None:
        """Write the code of each name to ``out`` (n); -1 where it is null.

        Raises
        ------
        polars.exceptions.PolarsError
            When the values cannot be written as text.
        """
        if names.dtype.is_integer() and self._numbers is not None and (whole := _whole(names)) is not None:
            self._numbers.encode(whole, out)
        elif isinstance(names.dtype, pl.Categorical | pl.Enum):
            self._encode_categories(names, out)
        else:
            self._encode_text(names.cast(pl.String), out)

    def dictionary(self) -> Dictionary:
        """Return the names so far, in the order of their codes."""
        if self._numbers is not None and len(self._numbers):
            return Dictionary(self._numbers.names())
        return Dictionary(self._categories.to_series().alias("id"))

    def _encode_text(self, names: pl.Series, out: Codes) -> None:
        own = self._kept.dtype
        if self._numbers is not None:
            self._numbers.names().cast(own)
            self._numbers = None
        out[:] = names.rechunk().cast(own).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()

    def _encode_categories(self, names: pl.Series, out: Codes) -> None:
        own = names.to_physical()
        absent = own.is_null().to_numpy() if own.null_count() else _NO_MASK
        own = own.cast(pl.Int64).fill_null(0)
        highest = own.max()
        rank = np.full(1 + (highest if isinstance(highest, int) else 0), -1, np.int32)
        first = np.empty(len(rank), np.int64)
        seen = _rank(own.to_numpy(), absent, rank, first, out)
        code = np.full(seen + 1, -1, np.int32)  # the last one answers for rank -1
        self._encode_text(names.gather(first[:seen]).cast(pl.String), code[:seen])
        np.take(code, out, out=out, mode="wrap")


class _Numbers:
    """Codes of whole numbers: a hash table with open addressing, half full at most. A slot holds number and code side by side."""

    def __init__(self) -> None:
        self._slots, self._ids, self._known = _slots(_FIRST_CAPACITY), np.empty(_FIRST_CAPACITY, np.int64), 0

    def __len__(self) -> int:
        return self._known

    def encode(self, values: pl.Series, out: Codes) -> None:
        absent = values.is_null().to_numpy() if values.null_count() else _NO_MASK
        whole = values.fill_null(0).to_numpy()
        row = 0
        while True:
            row, self._known = _encode(whole, absent, row, self._slots, self._ids, self._known, out)
            if row == len(whole):
                return
            self._grow()

    def names(self) -> pl.Series:
        return pl.Series("id", self._ids[: self._known]).cast(pl.String)

    def _grow(self) -> None:
        ids = self._ids
        self._slots, self._ids = _slots(2 * len(ids)), np.empty(2 * len(ids), np.int64)
        _encode(ids, _NO_MASK, 0, self._slots, self._ids, 0, np.empty(len(ids), np.int32))


def _slots(capacity: int) -> Ints:
    """Return an empty table for so many names: a number and its code in each slot, code -1 where it is free."""
    return np.full((2 * capacity, 2), -1, np.int64)


def _whole(values: pl.Series) -> pl.Series | None:
    """Return the numbers as int64, or None where one does not fit."""
    fitting = values.cast(pl.Int64, strict=False)
    return fitting if fitting.null_count() == values.null_count() else None


@kernel
def _encode(values: Ints, absent: Bools, row: int, slots: Ints, ids: Ints, known: int, out: Codes) -> tuple[int, int]:
    """Write codes from ``row`` on; return the row at which the table was full (or the end) and how many names are known."""
    mask = len(slots) - 1
    for i in range(row, len(values)):
        if len(absent) and absent[i]:
            out[i] = -1
            continue
        value = values[i]
        place = value * 0x1E3779B97F4A7C15
        place = (place ^ (place >> 32)) & mask
        while slots[place, 1] >= 0 and slots[place, 0] != value:
            place = (place + 1) & mask
        code = slots[place, 1]
        if code < 0:
            if known == len(ids):
                return i, known
            code = known
            slots[place, 0], slots[place, 1], ids[known] = value, code, value
            known += 1
        out[i] = code
    return len(values), known


@kernel
def _rank(values: Ints, absent: Bools, rank: Codes, first: Ints, out: Codes) -> int:
    """Write each value's place in the order of first appearance, -1 where it is absent; return how many values there are.

    ``rank`` holds the place of each value (-1 before), ``first`` the row in which each place appeared.
    """
    seen = 0
    for i in range(len(values)):
        if len(absent) and absent[i]:
            out[i] = -1
            continue
        value = values[i]
        if rank[value] < 0:
            rank[value] = seen
            first[seen] = i
            seen += 1
        out[i] = rank[value]
    return seen
