"""Sequences: the latest events of each key as tokens, for learners that read a history event by event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.core.log import ORDERS, Dictionary, EventLog
from whenbuy.features.local import PARTS, offsets_at
from whenbuy.features.offers import Offers
from whenbuy.features.sweep import lay_out

_ALWAYS: Final = ("kind", "weekday", "hour", "line", "log_gap_days", "lines", "offers_running")
_MEANS: Final = ("unit_price", "rating")
"""Numbers that do not add up over the lines of an order."""


@dataclass(frozen=True, slots=True)
class LatestEvents:
    """The latest events of each key as a block of sequences.

    A token stands where it became known; an event that came late has a gap of 0. Columns that a log does not have are empty, so what
    learned from one log reads any other.

    Parameters
    ----------
    length
        So many tokens at most, the latest ones.
    names, numbers
        Columns of names and of numbers that a token carries.
    whole_orders
        Whether the lines of an order that became known together are one token: that of its first line, with the sums of the numbers and
        their number as ``lines`` (``unit_price`` and ``rating`` are means over the lines that know them).
    offers
        Adds ``offers_running``: how many offers of the shop ran when the event happened.
    """

    length: int = 256
    names: tuple[str, ...] = ("item_id", "category", "brand", "channel", "offer_id")
    numbers: tuple[str, ...] = ("amount", "unit_price", "quantity", "rating", "dwell_s")
    whole_orders: bool = False
    offers: Offers | None = None

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SettingsError(f"Sequences of {self.length} events were asked for.", "A sequence has one event at least.", "Ask for more.")
        wrong = [name for name in (*self.names, *self.numbers) if name in _ALWAYS]
        if wrong or len({*self.names, *self.numbers}) < len(self.names) + len(self.numbers):
            raise SettingsError(
                f"Tokens were to carry the columns {', '.join((*self.names, *self.numbers))}.",
                f"Each stands once, and {', '.join(_ALWAYS)} have a meaning of their own.", "Name others.",
            )  # fmt: skip

    def block(self, past: Past) -> Sequences:
        """Return the sequences of each key (n), from what was known before its cutoff."""
        log, clock = past._history.log, past._history.clock
        held = tokens_of(past, self.length, self.begins)
        local: Ints = held.time + offsets_at(held.time, clock)
        heads = np.ones(len(held.row), bool) if ORDERS not in log.columns else log.columns[ORDERS].values[held.row] != 0
        kind = log.kind[held.row].astype(np.int32)
        codes: dict[str, Codes] = {
            "kind": kind,
            "weekday": ((local // DAY + 3) % 7).astype(np.int32),
            "hour": (local % DAY // (DAY // 24)).astype(np.int32),
            "line": ((kind == log.code("purchase")) & ~heads).astype(np.int32),
        }
        dictionaries = {
            "kind": Dictionary.of(log.kinds), "weekday": Dictionary.of(PARTS["weekday"]), "hour": Dictionary.of(map(str, range(24))),
            "line": Dictionary.of(("first", "further")),
        }  # fmt: skip
        for name in self.names:
            codes[name], dictionaries[name] = _coded(log, name, held.row)
        numbers: dict[str, Singles] = {"log_gap_days": held.log_gap}
        if self.whole_orders:
            numbers["lines"] = (held.end - held.row).astype(np.float32)
        if self.offers is not None:
            numbers["offers_running"] = self.offers.running(past._history.offers)(held.time, held.time).astype(np.float32)
        for name in self.numbers:
            numbers[name] = number_of(log, name, held.row, held.end)
        return Sequences(held.start, held.stop, held.since_days, held.time, codes, numbers, dictionaries)

    def begins(self, log: EventLog, rows: Ints) -> Bools:
        """Return whether each row begins a token, or goes on with that of the row before it."""
        if not self.whole_orders or ORDERS not in log.columns or "purchase" not in log.kinds:
            return np.ones(len(rows), bool)
        bought = log.kind[rows] == log.code("purchase")
        known_at, before = log.known_at[rows], np.append(rows[:1], rows[:-1])
        joins = bought & (log.columns[ORDERS].values[rows] == 0) & (rows == before + 1)
        joins[1:] &= bought[:-1] & (known_at[1:] == known_at[:-1])
        joins[:1] = False
        begins: Bools = ~joins
        return begins


class Tokens(NamedTuple):
    """Where tokens stand.

    Parameters
    ----------
    row, end
        The rows of the log that make each token: from ``row`` to before ``end`` (t).
    time
        When it happened (t), not after it was known.
    log_gap
        log(1 + days since the latest time before), NaN for a user's first (t).
    start, stop
        The tokens of each key (n).
    since_days
        Days since the latest time of a key's tokens (n).
    """

    row: Ints
    end: Ints
    time: Instants
    log_gap: Singles
    start: Ints
    stop: Ints
    since_days: Floats


def tokens_of(past: Past, length: int, begins_at: Callable[[EventLog, Ints], Bools]) -> Tokens:
    """Return the tokens that some key sees."""
    log, order = past._history.log, past.keys.order()
    part, first, last = lay_out(past.start[order], past.stop[order])
    rows = np.arange(part.start, part.stop) if isinstance(part, slice) else part
    filled = np.flatnonzero(last > first)
    begins = begins_at(log, rows)
    begins[first[filled]] = True
    begins[last[filled][last[filled] < len(rows)]] = True
    head, token = np.flatnonzero(begins), np.cumsum(begins) - 1
    row, end = rows[head], rows[np.append(head[1:], len(rows))[: len(head)] - 1] + 1
    time = np.minimum(log.time[row], log.known_at[row])
    fresh = np.zeros(len(head), bool)
    fresh[token[first[filled]]] = True
    log_gap, latest = _gaps(time, fresh)
    start, stop, since = np.zeros(len(past), np.int64), np.zeros(len(past), np.int64), np.full(len(past), np.nan)
    asked = order[filled]
    stop[asked] = token[last[filled] - 1] + 1
    start[asked] = np.maximum(token[first[filled]], stop[asked] - length)
    since[asked] = (past.at[asked] - latest[stop[asked] - 1]) / DAY
    edges = np.bincount(start[asked], minlength=len(head) + 1) - np.bincount(stop[asked], minlength=len(head) + 1)
    seen = np.cumsum(edges)[:-1] > 0
    place = np.concatenate([[0], np.cumsum(seen)])
    return Tokens(row[seen], end[seen], time[seen], log_gap[seen], place[start], place[stop], since)


def _coded(log: EventLog, name: str, row: Ints) -> tuple[Codes, Dictionary]:
    """Return a column of names at some rows, and its dictionary; none where the log has no such column."""
    if name not in log.columns:
        return np.full(len(row), -1, np.int32), Dictionary.of(())
    column = log.columns[name]
    if column.dictionary is None:
        raise ColumnError(f"Tokens ask for the names in {name!r}, which holds numbers.", "A code needs names.", "Ask for its numbers.")
    return np.asarray(column.values[row], np.int32), column.dictionary


def number_of(log: EventLog, name: str, row: Ints, end: Ints) -> Singles:
    """Return a column of numbers over the rows of each token: their sum, or mean for what does not add up."""
    if name not in log.columns:
        return np.full(len(row), np.nan, np.float32)
    column = log.columns[name]
    if column.dictionary is not None:
        raise ColumnError(f"Tokens ask for the numbers of {name!r}, which holds names.", "A sum needs numbers.", "Ask for its names.")
    total, known = _line_sums(np.asarray(column.values, np.int64), row, end)
    with np.errstate(invalid="ignore"):
        worth: Floats = total / np.where(known > 0, known if name in _MEANS else 1, np.nan) / column.scale
    return worth.astype(np.float32)


@kernel
def _gaps(time: Instants, fresh: Bools) -> tuple[Singles, Instants]:
    """Return log(1 + days since the latest time before) of each token, NaN for a fresh user's first, and the latest time up to it."""
    log_gap, latest = np.full(len(time), np.nan, np.float32), np.empty(len(time), np.int64)
    for i in range(len(time)):
        latest[i] = time[i] if fresh[i] or i == 0 else max(latest[i - 1], time[i])
        if i > 0 and not fresh[i]:
            log_gap[i] = math.log1p(float(max(time[i] - latest[i - 1], 0)) / float(DAY))
    return log_gap, latest


@kernel
def _line_sums(values: Ints, row: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return the sum of a column over the rows of each token, and in how many of them it is known."""
    total, known = np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    for i in range(len(row)):
        for event in range(row[i], end[i]):
            if values[event] != MISSING:
                total[i] += values[event]
                known[i] += 1
    return total, known
