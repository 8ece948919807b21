"""Blocks: what is known of each key beside its table. Every block has one part per key and gives back the parts of some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Instants, Ints, Singles
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.log import Dictionary


class Block(Protocol):
    """What every block can do."""

    def __len__(self) -> int:
        """Return how many keys it tells of."""

    def take(self, rows: slice | Ints) -> Self:
        """Return what it tells of some of the keys."""


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """What each key did with each class of things: a category, a brand, an item.

    Parameters
    ----------
    column
        The column of the log that names the classes, such as ``category``.
    classes
        Their names (k).
    names
        Names of the features (f), with the unit in them.
    values
        ``values[row, class, feature]`` (n x k x f), NaN where there is nothing to measure.
    """

    column: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    values: Singles

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (len(self.classes), len(self.names)):
            raise WhenbuyError(
                f"Interactions of {len(self.classes)} classes and {len(self.names)} features were made with shape {self.values.shape}."
            )

    def __len__(self) -> int:
        return len(self.values)

    def feature(self, name: str) -> Singles:
        """Return one feature of every class (n x k).

        Raises
        ------
        ColumnError
            When there is no such feature.
        """
        if name not in self.names:
            raise ColumnError(f"The feature {name!r} is not among the interactions.", f"They have: {', '.join(self.names)}.", "Add it.")
        return self.values[:, :, self.names.index(name)]

    def take(self, rows: slice | Ints) -> Interactions:
        """Return what some of the keys did."""
        return Interactions(self.column, self.classes, self.names, self.values[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The latest events that each key knows, in the order in which they became known, as tokens in flat arrays.

    Keys of one user share her tokens, so a history that is asked about at a hundred cutoffs is held once: key i sees the tokens
    ``start[i] : stop[i]`` and no others.

    Parameters
    ----------
    start, stop
        Where each key's tokens begin and end (n).
    since_days
        Days from the latest time among all events that a key knows to the instant at which its past is read (n), NaN where there is none.
    time
        Instant at which each token's event happened (t).
    codes
        Positions in the dictionaries of the same names (t each), -1 for none: ``kind``, ``weekday``, ``hour`` (both of the shop), ``line``
        (0: an event of its own or the first line of an order, 1: a further line), and columns of names.
    numbers
        Numbers in their own unit (t each), NaN for none: ``log_gap_days`` = log(1 + days since the latest time before), and columns.
    dictionaries
        The names behind the codes.
    """

    start: Ints
    stop: Ints
    since_days: Floats
    time: Instants
    codes: Mapping[str, Codes]
    numbers: Mapping[str, Singles]
    dictionaries: Mapping[str, Dictionary]

    def __post_init__(self) -> None:
        tokens = {len(part) for part in (*self.codes.values(), *self.numbers.values())} - {len(self.time)}
        if tokens or not len(self.start) == len(self.stop) == len(self.since_days):
            raise WhenbuyError(f"The parts of the sequences of {len(self.start)} keys differ in length.")
        if (self.start > self.stop).any() or (len(self.stop) and not 0 <= int(self.start.min()) <= int(self.stop.max()) <= len(self.time)):
            raise WhenbuyError("A key's sequence reaches beyond the tokens.")

    def __len__(self) -> int:
        return len(self.start)

    @property
    def lengths(self) -> Ints:
        """How many tokens each key sees (n)."""
        return self.stop - self.start

    def take(self, rows: slice | Ints) -> Sequences:
        """Return the sequences of some of the keys; the tokens stay where they are."""
        return replace(self, start=self.start[rows], stop=self.stop[rows], since_days=self.since_days[rows])

    def packed(self) -> Sequences:
        """Return the same with each key's tokens behind those of the key before: nothing shared, nothing that no key sees."""
        stop = np.cumsum(self.lengths)
        start = stop - self.lengths
        where = np.repeat(self.start - start, self.lengths) + np.arange(self.lengths.sum())
        codes = {name: part[where] for name, part in self.codes.items()}
        numbers = {name: part[where] for name, part in self.numbers.items()}
        return Sequences(start, stop, self.since_days, self.time[where], codes, numbers, self.dictionaries)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What each key did with each single thing that it met: a sparse matrix of keys and items, by rows.

    Parameters
    ----------
    offsets
        The entries of key i are ``offsets[i] : offsets[i + 1]`` (n + 1).
    code
        Which thing, a position in ``names`` (e), rising within a key.
    count
        How many events (e).
    recency_days
        Days since the latest of them (e).
    total
        Their sum of a column in its own unit (e); 0 where none is known.
    names
        Names of the things.
    """

    offsets: Ints
    code: Codes
    count: Ints
    recency_days: Singles
    total: Singles
    names: Dictionary

    def __post_init__(self) -> None:
        entries = int(self.offsets[-1])
        if {entries} != {len(part) for part in (self.code, self.count, self.recency_days, self.total)}:
            raise WhenbuyError(f"Pairs with {entries} entries were given parts of other lengths.")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: slice | Ints) -> Pairs:
        """Return what some of the keys did."""
        offsets, where = _entries(self.offsets, rows)
        return Pairs(offsets, self.code[where], self.count[where], self.recency_days[where], self.total[where], self.names)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Numbers of each key by shop-local day; a day that is not held is 0.

    Parameters
    ----------
    offsets
        The days of key i that are held are ``offsets[i] : offsets[i + 1]`` (n + 1).
    day
        Days since 1970-01-01 (e), rising within a key.
    names
        What is counted or summed (f).
    values
        The numbers (e x f), in the columns' own units.
    begin, end
        Each key's series covers the days [begin, end) (n): from the first day of the shop to the last one that was over at its cutoff.
    """

    offsets: Ints
    day: Ints
    names: tuple[str, ...]
    values: Floats
    begin: Ints
    end: Ints

    def __post_init__(self) -> None:
        if self.values.shape != (int(self.offsets[-1]), len(self.names)) or len(self.day) != len(self.values):
            raise WhenbuyError(f"Series with {int(self.offsets[-1])} days were given values of shape {self.values.shape}.")
        if not len(self.begin) == len(self.end) == len(self):
            raise WhenbuyError(f"Series of {len(self)} keys were given {len(self.begin)} first and {len(self.end)} last days.")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: slice | Ints) -> Series:
        """Return the series of some of the keys."""
        offsets, where = _entries(self.offsets, rows)
        return Series(offsets, self.day[where], self.names, self.values[where], self.begin[rows], self.end[rows])

    def last(self, days: int, name: str) -> Singles:
        """Return one number on each of the last days before each key's end (n x days): 0 where nothing happened, NaN before its begin.

        Ask for some keys at a time where there are many.

        Raises
        ------
        ColumnError
            When there is no such number.
        """
        if name not in self.names:
            raise ColumnError(f"The series have no {name!r}.", f"They have: {', '.join(self.names)}.", "Count or sum it too.")
        first = self.end - days
        out = np.where(first[:, None] + np.arange(days) < self.begin[:, None], np.float32(np.nan), np.float32(0.0))
        row = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        place = self.day - first[row]
        held = np.flatnonzero(place >= 0)
        out[row[held], place[held]] = self.values[held, self.names.index(name)]
        return out


def _entries(offsets: Ints, rows: slice | Ints) -> tuple[Ints, Ints]:
    """Return the offsets of some rows, and where their entries stand."""
    start, length = offsets[:-1][rows], np.diff(offsets)[rows]
    found = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return found, np.repeat(start - found[:-1], length) + np.arange(found[-1])
