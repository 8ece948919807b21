"""Coding: events, as they come or as the log holds them, become the numbers that the live features read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import MISSING, Instants, Ints
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.features import Features
from whenbuy.features.asked import OTHER, asked_log
from whenbuy.features.program import Program

_MOST: Final = 9.2e18
_Read = Callable[[Any], int]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of a log, coded.

    Parameters
    ----------
    known_at, time
        When they became known and happened (n).
    kind
        What the kernels call their kind (n).
    values
        The columns that the program reads (columns x n).
    """

    known_at: Instants
    time: Instants
    kind: Ints
    values: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """A spec compiled once for all that may come, and how events are told to it.

    Parameters
    ----------
    program
        The compiled spec: it knows the kinds and names that it asks about, and takes all others as one.
    kinds
        Code of each kind that it asks about.
    purchase, line, other
        Codes of a purchase or the first line of an order, of its further lines, and of all other kinds.
    readers
        How each of its columns is read from a value.
    """

    program: Program
    kinds: Mapping[str, int]
    purchase: int
    line: int
    other: int
    readers: tuple[tuple[str, _Read, int], ...]

    @classmethod
    def of(cls, features: Features, history: History) -> Coding:
        """Return the coding of a spec for a shop.

        Raises
        ------
        ColumnError, SettingsError
            When the spec does not fit the log.
        """
        asked = asked_log(features, history.log, history.clock)
        program = features.compile(asked, history.clock, history.offers)
        readers = tuple((name, *_reader(asked, name)) for name in program.columns)
        kinds = {name: code for code, name in enumerate(asked.kinds)}
        return cls(program, kinds, kinds["purchase"], len(kinds), kinds[OTHER], readers)

    def values(self, told: Mapping[str, Any]) -> list[int]:
        """Return what the values of an event say in the columns that the program reads (columns)."""
        return [read(told[name]) if name in told else absent for name, read, absent in self.readers]

    def tables(self, log: EventLog) -> Tables:
        """Return how this log's own codes are read."""
        kinds = np.array([self.kinds.get(kind, self.other) for kind in log.kinds], np.int64)
        return Tables(self, log, kinds, tuple(_column(self.program.log, log, name) for name in self.program.columns))


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """How the codes of one log become those of a coding.

    Parameters
    ----------
    coding, log
        To what, from what.
    kinds
        The kind of each kind.
    columns
        Of each column its values (None where the log has none), what each of its codes becomes (None: it holds numbers), and by how much
        a number is multiplied, or what stands for none.
    """

    coding: Coding
    log: EventLog
    kinds: Ints
    columns: tuple[tuple[Any, Ints | None, int], ...]

    def rows(self, lo: int, hi: int) -> Rows:
        """Return the rows lo … hi of the log."""
        log, part = self.log, slice(lo, hi)
        known_at: Instants = np.array(log.known_at[part], np.int64)
        time = np.array(log.time[part], np.int64) if log.late else known_at
        kind: Ints = self.kinds[log.kind[part]]
        if ORDERS in log.columns:
            kind[(kind == self.coding.purchase) & (log.columns[ORDERS].values[part] == 0)] = self.coding.line
        values = np.empty((len(self.columns), hi - lo), np.int64)
        for place, (held, codes, factor) in enumerate(self.columns):
            if held is None:
                values[place] = factor
            elif codes is not None:
                values[place] = codes[held[part]]
            elif factor == 1:
                values[place] = held[part]
            else:
                some = held[part]
                values[place] = np.where(some == MISSING, MISSING, np.where(some == MISSING, 0, some) * factor)
        return Rows(known_at, time, kind, values)


def _reader(asked: EventLog, name: str) -> tuple[_Read, int]:
    """Return how a value of a column becomes a number, and what stands for none."""
    column = asked.columns[name]
    if column.dictionary is None:
        return number_reader(column.scale), MISSING
    codes = {known: code for code, known in enumerate(column.dictionary.ids)}

    def code(value: Any) -> int:
        return codes.get(str(value), len(codes))

    return code, -1


def number_reader(scale: int) -> _Read:
    """Return how a value becomes a count of 1/scale, as the log would keep it; ``MISSING`` for what is no number."""

    def number(value: Any) -> int:
        try:
            scaled = value * scale if type(value) is float else float(value) * scale
        except (TypeError, ValueError, OverflowError):
            return MISSING
        return round(scaled) if -_MOST < scaled < _MOST else MISSING

    return number


def _column(asked: EventLog, log: EventLog, name: str) -> tuple[Any, Ints | None, int]:
    """Return a column of a log, what each of its codes becomes, and the factor of its numbers."""
    wanted, held = asked.columns[name], log.columns.get(name)
    if held is None:
        return None, None, -1 if wanted.dictionary is not None else MISSING
    if wanted.dictionary is None or held.dictionary is None:
        return held.values, None, wanted.scale // held.scale
    codes = np.full(len(held.dictionary) + 1, len(wanted.dictionary), np.int64)
    codes[-1] = -1
    known = held.dictionary.codes(wanted.dictionary.ids)
    codes[known[known >= 0]] = np.flatnonzero(known >= 0)
    return held.values, codes, 1
