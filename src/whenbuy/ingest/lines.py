"""Lines: the rows of a source in the order of their arrival, as typed columns. Batches go in, coded columns come out."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

from whenbuy.core.arrays import MISSING, Bools, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.kernel import kernel
from whenbuy.core.log import CODED, ORDERS, SCALES, Column, Dictionary, EventLog
from whenbuy.ingest.coding import Coder

SPINE: Final = ("user_id", "kind", "time", "known_at")
"""The columns of a canonical frame that are not attributes."""

FLOAT_SCALE: Final = 1_000_000
"""How many stored units make one in a column of real numbers that whenbuy does not know."""

_AnyCodes = Codes | Kinds | Ints
_MOST_KINDS = 256
_FIRST_CAPACITY = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Rows in the order in which they arrived.

    Parameters
    ----------
    users
        Names of the users, in the order in which they first appear.
    user
        Position in ``users`` (n); -1 for a row without a user.
    kinds
        Names of the kinds of event, in the order in which they first appear.
    kind
        Position in ``kinds`` (n).
    time
        Instant at which each event happened (n).
    known_at
        Instant at which it could be known (n); the very same array as ``time`` where no event came late.
    columns
        Further columns by name (n each).

    Raises
    ------
    WhenbuyError
        When the lengths differ.
    """

    users: Dictionary
    user: Codes
    kinds: tuple[str, ...]
    kind: Kinds
    time: Instants
    known_at: Instants
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        lengths = {len(self.user), len(self.kind), len(self.time), len(self.known_at), *(len(c.values) for c in self.columns.values())}
        if len(lengths) != 1:
            raise WhenbuyError(f"Lines were made of columns of {sorted(lengths)} rows.", "All columns have one length.")

    def __len__(self) -> int:
        return len(self.time)

    @property
    def late(self) -> bool:
        """Whether some events became known after they happened."""
        return self.time is not self.known_at

    @classmethod
    def of(cls, log: EventLog) -> Lines:
        """Return the rows of a log, as if they had arrived in its order."""
        edges = np.append(log.offsets, len(log))
        owner = np.append(np.arange(len(log.users), dtype=np.int32), np.int32(-1))
        columns = {name: column for name, column in log.columns.items() if name != ORDERS}
        return cls(log.users, np.repeat(owner, np.diff(edges)), log.kinds, log.kind, log.time, log.known_at, columns)

    def take(self, rows: Ints) -> Lines:
        """Return some of the rows; the names stay."""
        time = self.time[rows]
        columns = {name: Column(c.values[rows], c.dictionary, c.scale) for name, c in self.columns.items()}
        known_at = self.known_at[rows] if self.late else time
        return Lines(self.users, self.user[rows], self.kinds, self.kind[rows], time, known_at, columns)

    def unseen(self, log: EventLog) -> Lines:
        """Return the rows without those whose ``event_id`` a log, or an earlier row, already has; rows without one stay."""
        own = self.columns.get("event_id")
        if own is None or own.dictionary is None:
            return self
        codes = np.asarray(own.values, np.int32)
        named = np.flatnonzero(codes >= 0)
        if not len(named):
            return self
        _, first = np.unique(codes[named], return_index=True)
        keep = codes < 0
        keep[named[first]] = True
        held = log.columns.get("event_id")
        if held is not None and held.dictionary is not None:
            met = np.zeros(len(held.dictionary) + 1, bool)
            met[np.asarray(held.values, np.int32)] = True
            met[-1] = False  # answers for what is not named
            keep &= (codes < 0) | ~met[held.dictionary.codes(own.dictionary.ids)][codes]
        return self if keep.all() else self.take(np.flatnonzero(keep))

    def followed_by(self, later: Lines) -> Lines:
        """Return these rows and behind them the later ones; what they name for the first time comes behind the names known here.

        Raises
        ------
        ColumnError
            When a column holds names here and numbers there, or there are too many kinds of event.
        """
        users, user = _joined_codes(self.users, later.users, self.user, later.user)
        kinds, kind = _joined_codes(Dictionary.of(self.kinds), Dictionary.of(later.kinds), self.kind, later.kind)
        _check_kinds(len(kinds))
        names = [*self.columns, *(name for name in later.columns if name not in self.columns)]
        columns = {n: _joined(n, self.columns.get(n), later.columns.get(n), len(self), len(later)) for n in names}
        time = np.concatenate([self.time, later.time])
        known_at = np.concatenate([self.known_at, later.known_at]) if self.late or later.late else time
        return Lines(users, user, tuple(kinds.ids), kind.astype(np.uint8), time, known_at, columns)


class LinesBuilder:
    """Takes canonical frames, batch by batch, and gives the Lines.

    A canonical frame holds ``user_id`` (text, whole numbers or categories; null where there is none), ``kind``, ``time``, perhaps
    ``known_at`` (date-times of microseconds in UTC), and further columns: those of core.log.CODED become names, those of core.log.SCALES
    numbers; any other becomes numbers where its type is a number or a truth value, names where it is not. A column may be absent from
    some batches. Dictionaries are in the order of first appearance, so codes do not depend on how the rows are cut into batches.

    Parameters
    ----------
    capacity_hint
        How many rows will come, where that is known: the columns are then allocated once.
    scales
        Stored units per one by column, where they shall differ from core.log.SCALES (1 for whole numbers, 1,000,000 for others).
    """

    def __init__(self, capacity_hint: int | None = None, scales: Mapping[str, int] = MappingProxyType({})) -> None:
        self._scales = {**SCALES, **scales}
        self._capacity = capacity_hint or _FIRST_CAPACITY
        self._n = 0
        self._user, self._kind = _Names("user_id", self._room(np.int32)), _Names("kind", self._room(np.uint8))
        self._time = self._room(np.int64)
        self._known_at: _Room | None = None
        self._columns: dict[str, _Names | _Numbers] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Take one batch of rows.

        Raises
        ------
        ColumnError
            When a column is not what a canonical frame holds, or has another type than in the batches before.
        """
        _check(frame)
        if not frame.height:
            return
        self._user.add(frame["user_id"])
        self._kind.add(frame["kind"])
        _check_kinds(self._kind.known)
        time = frame["time"].to_physical()
        self._time.take(time.to_numpy())
        self._add_known_at(time, frame["known_at"].to_physical() if "known_at" in frame.columns else time)
        for series in frame:
            if series.name not in SPINE and series.dtype != pl.Null:
                self._column(series).add(series)
        self._n += frame.height
        for column in self._columns.values():
            column.room.fill(self._n)

    def finish(self) -> Lines:
        """Return what was taken. The columns belong to the lines then: the builder takes no more."""
        time = self._time.array()
        return Lines(
            self._user.coder.dictionary(), self._user.room.array(), tuple(self._kind.coder.dictionary().ids), self._kind.room.array(),
            time, time if self._known_at is None else self._known_at.array(),
            {name: column.column() for name, column in self._columns.items()},
        )  # fmt: skip

    def _add_known_at(self, time: pl.Series, known_at: pl.Series) -> None:
        known_at = known_at.fill_null(time) if known_at.null_count() else known_at
        if self._known_at is None:
            if (known_at == time).all():
                return
            self._known_at = self._room(np.int64)
            self._known_at.take(self._time.so_far()[: self._n])
        self._known_at.take(known_at.to_numpy())

    def _column(self, series: pl.Series) -> _Names | _Numbers:
        name, number = series.name, series.dtype.is_numeric() or series.dtype == pl.Boolean
        if name == ORDERS:
            raise ColumnError(
                f"The data have a column {name!r}.", "whenbuy marks the first line of an order in a column of that name.", "Rename yours."
            )
        names = name in CODED or not (number or name in SCALES)
        if name not in self._columns:
            self._columns[name] = _Names(name, self._room(np.int32, -1)) if names else self._new_numbers(name)
            self._columns[name].room.fill(self._n)
        found = self._columns[name]
        if isinstance(found, _Names) != names or not (names or number):
            raise _mixed(name, f"{series.dtype} in the rows from {self._n + 1:,} on")
        return found

    def _new_numbers(self, name: str) -> _Numbers:
        return _Numbers(name, self._room(np.int64, MISSING), self._scales.get(name))

    def _room(self, dtype: type[np.generic], missing: int = 0) -> _Room:
        return _Room(dtype, self._capacity, missing)


class _Room:
    """An array that fills from the front and grows when it is full."""

    def __init__(self, dtype: type[np.generic], capacity: int, missing: int) -> None:
        self._array = blank(capacity, dtype)
        self._missing, self._n = missing, 0

    def next(self, n: int) -> np.ndarray[Any, Any]:
        """Return the next n places, to be written before anything else happens here."""
        if self._n + n > len(self._array):
            larger = blank(max(self._n + n, len(self._array) * 3 // 2), self._array.dtype)
            larger[: self._n] = self.so_far()
            self._array = larger
        self._n += n
        return self._array[self._n - n : self._n]

    def take(self, values: np.ndarray[Any, Any]) -> None:
        self.next(len(values))[:] = values

    def fill(self, n: int) -> None:
        """Mark as missing what lies between the last row written and row n."""
        if n > self._n:
            self.next(n - self._n)[:] = self._missing

    def so_far(self) -> np.ndarray[Any, Any]:
        return self._array[: self._n]

    def array(self) -> np.ndarray[Any, Any]:
        """Return the array, cut to what was written, and forget it: whoever has it can let it go."""
        array, self._array = self.so_far(), np.empty(0, self._array.dtype)
        return array


def blank(n: int, dtype: npt.DTypeLike) -> np.ndarray[Any, Any]:
    """Return an array of zeros whose memory is taken page by page as it is written to.

    For large arrays numpy asks for huge pages. On a virtual machine that gives free memory back to its host these cost several times
    as much as plain ones: an import took 1.1 of 5.2 CPU seconds for that alone.
    """
    return np.frombuffer(mmap.mmap(-1, max(1, n * np.dtype(dtype).itemsize)), dtype, n)


class _Names:
    def __init__(self, name: str, room: _Room) -> None:
        self.name, self.room, self.coder, self.known = name, room, Coder(), 0

    def add(self, series: pl.Series) -> None:
        places = self.room.next(len(series))
        codes = places if places.dtype == np.int32 else np.empty(len(series), np.int32)
        try:
            self.coder.encode(series, codes)
        except PolarsError as error:
            raise ColumnError(
                f"The column {self.name!r} holds {series.dtype}.",
                "whenbuy needs text, numbers or truth values.",
                "Convert it, or leave it out.",
            ) from error
        if codes is not places:
            self.known = max(self.known, int(codes.max()) + 1)
            places[:] = codes

    def column(self) -> Column:
        return Column(self.room.array(), self.coder.dictionary())


class _Numbers:
    def __init__(self, name: str, room: _Room, scale: int | None) -> None:
        self.name, self.room, self._fixed, self._scale = name, room, scale is not None, scale or 1

    def add(self, series: pl.Series) -> None:
        whole = series.dtype.is_integer() or series.dtype == pl.Boolean
        if not whole and not self._fixed and self._scale == 1:
            so_far = self.room.so_far()
            so_far[:] = _rescaled(self.name, so_far, FLOAT_SCALE)
            self._scale = FLOAT_SCALE
        places = self.room.next(len(series))
        if whole:
            bad = _scaled_whole(*_whole(series, self.name), self._scale, places)
        else:
            bad = _scaled_real(series.cast(pl.Float64).fill_null(np.nan).to_numpy(), float(self._scale), places)
        if bad >= 0:
            raise _too_large(self.name, series[bad])

    def column(self) -> Column:
        return Column(self.room.array(), scale=self._scale)


def _check(frame: pl.DataFrame) -> None:
    for name in ("user_id", "kind", "time"):
        if name not in frame.columns:
            raise ColumnError(f"The rows have the columns {frame.columns}.", f"whenbuy needs {name!r}.", "Say which column it is.")
    for name in ("kind", "time"):
        if nulls := frame[name].null_count():
            raise ColumnError(f"{nulls:,} rows have no {name}.", "Every event has one.", "Drop these rows or fill them.")
    for name in ("time", "known_at"):
        if name in frame.columns and frame[name].dtype != pl.Datetime("us", "UTC"):
            raise ColumnError(f"The column {name!r} holds {frame[name].dtype}.", "Microseconds in UTC are needed.", "Convert it.")


def _check_kinds(n: int) -> None:
    if n > _MOST_KINDS:
        raise ColumnError(
            f"The data hold {n:,} kinds of event.",
            f"At most {_MOST_KINDS} can be told apart.",
            "Choose another column as the kind, or map rare kinds to one.",
        )


def _whole(series: pl.Series, name: str) -> tuple[Ints, Bools]:
    absent = series.is_null().to_numpy() if series.null_count() else np.empty(0, bool)
    try:
        return series.fill_null(False if series.dtype == pl.Boolean else 0).cast(pl.Int64).to_numpy(), absent
    except PolarsError as error:
        raise _too_large(name, series.max()) from error


@kernel
def _scaled_whole(values: Ints, absent: Bools, scale: int, out: Ints) -> int:
    """Write the numbers in stored units; return the first row that does not fit, or -1."""
    most = (2**63 - 1) // scale
    for i in range(len(values)):
        if len(absent) and absent[i]:
            out[i] = MISSING
        elif values[i] > most or values[i] < -most:
            return i
        else:
            out[i] = values[i] * scale
    return -1


@kernel
def _scaled_real(values: Floats, scale: float, out: Ints) -> int:
    """Write the numbers in stored units (half to even), MISSING for those not finite; return the first that does not fit, or -1."""
    for i in range(len(values)):
        if not np.isfinite(values[i]):
            out[i] = MISSING
            continue
        number = np.rint(values[i] * scale)
        if not -9.2e18 < number < 9.2e18:
            return i
        out[i] = np.int64(number)
    return -1


def _rescaled(name: str, values: Ints, factor: int) -> Ints:
    """Return the numbers in units ``factor`` times as fine."""
    if factor == 1:
        return values
    there = values != MISSING
    most = int(np.abs(values[there]).max(initial=0))
    if most > (2**63 - 1) // factor:
        raise _too_large(name, most)
    return np.where(there, values * np.where(there, factor, 1), MISSING)


def _joined_codes(names: Dictionary, later_names: Dictionary, codes: _AnyCodes, later_codes: _AnyCodes) -> tuple[Dictionary, Codes]:
    new = later_names.ids.filter(pl.Series(names.codes(later_names.ids) < 0))
    joined = names.extended(new) if len(new) else names
    place = np.append(joined.codes(later_names.ids), np.int32(-1))  # the last one answers for code -1
    return joined, np.concatenate([codes.astype(np.int32, copy=False), place[later_codes]])


def _joined(name: str, column: Column | None, later: Column | None, n: int, later_n: int) -> Column:
    column, later = column or _blank(later, n), later or _blank(column, later_n)
    if column.dictionary is not None and later.dictionary is not None:
        names, codes = _joined_codes(column.dictionary, later.dictionary, column.values, later.values)
        return Column(codes, names)
    if column.dictionary is not None or later.dictionary is not None:
        raise _mixed(name, "numbers in one part and names in the other")
    scale = math.lcm(column.scale, later.scale)
    parts = [_rescaled(name, np.asarray(c.values, np.int64), scale // c.scale) for c in (column, later)]
    return Column(np.concatenate(parts), scale=scale)


def _blank(like: Column | None, n: int) -> Column:
    assert like is not None
    missing = MISSING if like.dictionary is None else -1
    return Column(np.full(n, missing, like.values.dtype), like.dictionary, like.scale)


def _mixed(name: str, what: str) -> ColumnError:
    return ColumnError(
        f"The column {name!r} holds {what}.", "A column holds names throughout, or numbers throughout.", "Convert it, or leave it out."
    )


def _too_large(name: str, value: object) -> ColumnError:
    return ColumnError(
        f"The column {name!r} holds {value}.", "That is too large for an exact number.", "Correct it, or leave the column out."
    )
