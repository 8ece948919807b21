"""Grouping: lines in the order of their arrival become a log, grouped by user, in the order in which the events became known."""

from __future__ import annotations

from typing import Any

import numpy as np

from whenbuy.core.arrays import Codes, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import EmptyError
from whenbuy.core.kernel import kernel
from whenbuy.core.log import ORDERS, Column, EventLog
from whenbuy.ingest.lines import Lines, blank
from whenbuy.ingest.orders import orders

Rows = Ints | Codes
_UTC = Clock()


def group(lines: Lines, end: int | None = None, clock: Clock = _UTC) -> EventLog:
    """Return the log of these lines: a counting scatter by user, which keeps the order of arrival among equal instants.

    Takes time in proportion to the rows where they arrived in the order in which they became known; where they did not, the users
    concerned are sorted one by one. The lines are let go column by column: a caller who keeps no name for them saves a copy.

    Parameters
    ----------
    lines
        The rows.
    end
        The instant before which the log is complete; by default the midnight after the last event became known.
    clock
        Where that midnight is.

    Raises
    ------
    EmptyError
        When there are no lines.
    """
    if not len(lines):
        raise EmptyError("The data hold no event.", "whenbuy needs at least one row with a time and a kind.", "Look at the source.")
    rows, edges = arrange(lines.user, len(lines.users), lines.known_at)
    users, kinds, offsets = lines.users, lines.kinds, edges[:-1]
    kind, waiting = gather(lines.kind, rows), dict(lines.columns)
    instants = [lines.time, lines.known_at] if lines.late else [lines.known_at]
    del lines
    known_at: Instants = gather(instants.pop(), rows)
    time: Instants = gather(instants.pop(), rows) if instants else known_at
    columns = {name: _moved(waiting, name, rows) for name in list(waiting)}
    del rows
    by_time = None if time is known_at else in_time(edges, time)
    firsts = orders(offsets, kind, kinds.index("purchase") if "purchase" in kinds else -1, time, by_time, columns.get("order_id"))
    if firsts is not None:
        columns[ORDERS] = firsts
    if end is None:
        end = clock.next_midnight(int(known_at.max()))
    return EventLog(users, kinds, offsets, known_at, time, kind, columns, end, by_time)


def _moved(columns: dict[str, Column], name: str, rows: Rows) -> Column:
    """Take a column out and return it in the order of the log."""
    column = columns.pop(name)
    return Column(gather(column.values, rows), column.dictionary, column.scale)


def arrange(user: Codes, users: int, known_at: Instants) -> tuple[Rows, Ints]:
    """Return the rows in the order of the log (n) and the row at which each user begins (users + 2).

    Rows without a user come last. Equal instants keep the order of arrival.
    """
    rows, edges = _row_numbers(len(user)), np.zeros(users + 2, np.int64)
    _scatter(user, edges, rows)
    if not _rising(known_at):
        _settle(rows, edges, known_at)
    return rows, edges


def in_time(edges: Ints, time: Instants) -> Ints:
    """Return the rows of each user in the order of time (n); ties keep the order in which they became known."""
    rows = _row_numbers(len(time))
    rows[:] = np.arange(len(time))
    _settle(rows, edges, time)
    return rows.astype(np.int64)


def gather(values: np.ndarray[Any, Any], rows: Rows) -> np.ndarray[Any, Any]:
    """Return the values of these rows."""
    out = blank(len(rows), values.dtype)
    _gather(values, rows, out)
    return out


def _row_numbers(n: int) -> Rows:
    """Return room for the numbers of n rows: half the memory where they fit."""
    return blank(n, np.int32 if n < 2**31 else np.int64)


@kernel
def _scatter(user: Codes, edges: Ints, rows: Rows) -> None:
    """Count the rows of each user, then deal the rows out; -1 counts as the user behind the last."""
    users = len(edges) - 2
    for code in user:
        edges[(code if code >= 0 else users) + 1] += 1
    for i in range(1, users + 2):
        edges[i] += edges[i - 1]
    free = edges[:-1].copy()
    for i in range(len(user)):
        owner = user[i] if user[i] >= 0 else users
        rows[free[owner]] = i
        free[owner] += 1


@kernel
def _rising(values: Instants) -> bool:
    for i in range(1, len(values)):  # noqa: SIM110 - a plain loop stops early, compiled
        if values[i] < values[i - 1]:
            return False
    return True


@kernel
def _settle(rows: Rows, edges: Ints, key: Instants) -> None:
    """Sort the rows of each user by their key, in place; equal keys keep their order."""
    spare = np.empty(0, rows.dtype)
    for user in range(len(edges) - 1):
        start, stop = edges[user], edges[user + 1]
        if len(spare) < stop - start:
            spare = np.empty(2 * (stop - start), rows.dtype)
        if not _in_order(rows, start, stop, key):
            _sort(rows, start, stop, key, spare)


@kernel
def _in_order(rows: Rows, start: int, stop: int, key: Instants) -> bool:
    for i in range(start + 1, stop):  # noqa: SIM110 - a plain loop stops early, compiled
        if key[rows[i]] < key[rows[i - 1]]:
            return False
    return True


@kernel
def _sort(rows: Rows, start: int, stop: int, key: Instants, spare: Rows) -> None:
    """Sort one slice: runs of 1, 2, 4, … rows are merged."""
    width = 1
    while width < stop - start:
        for low in range(start, stop - width, 2 * width):
            if key[rows[low + width]] < key[rows[low + width - 1]]:
                _merge(rows, low, low + width, min(low + 2 * width, stop), key, spare)
        width *= 2


@kernel
def _merge(rows: Rows, low: int, middle: int, high: int, key: Instants, spare: Rows) -> None:
    """Merge two sorted neighbours; among equal keys the left one comes first."""
    spare[: middle - low] = rows[low:middle]
    left, right = 0, middle
    for place in range(low, high):
        if left == middle - low:
            return
        if right < high and key[rows[right]] < key[spare[left]]:
            rows[place] = rows[right]
            right += 1
        else:
            rows[place] = spare[left]
            left += 1


@kernel
def _gather(values: np.ndarray[Any, Any], rows: Rows, out: np.ndarray[Any, Any]) -> None:
    for i in range(len(rows)):
        out[i] = values[rows[i]]
