"""The sweep: features of millions of keys in one pass over each user's events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Instants, Ints, Singles
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.features.lanes import HEAVY, MINUS, PLUS, ZERO, Code, add, fold, read_out, worth
from whenbuy.features.program import Program

_PREFIX_LIMIT: Final = 1 << 22
"""The lanes after each event of a user are kept while they are fewer numbers than this (32 MiB); else events leave one by one."""

_BATCH: Final = 128
"""So many keys are read out at once, feature by feature."""

_CHUNK: Final = 1 << 17
"""About so many rows of the log are read at once: they stay in the processor's cache."""


def sweep(past: Past, program: Program) -> Table:
    """Return the features of each key (n rows, in the caller's order).

    One pass over each user's events: an event costs O(1 + windows), a row O(features). The log is read in chunks, so a memory-mapped one is
    never copied as a whole.
    """
    program.refuse(past)
    out = np.empty((len(past), len(program.names)), np.float32)
    order = past.keys.order()
    for part, rows, start, stop in _chunks(past, order):
        time, kind, values = program.read(rows)
        sweep_rows(program.code, time, kind, values, start, stop, past.at[part], part, out)
    program.fill_calendar(past.at, out)
    return Table(program.names, out)


def _chunks(past: Past, order: Ints) -> Iterator[tuple[Ints, slice | Ints, Ints, Ints]]:
    """Yield keys, the rows of the log that they need, and each key's slice of those rows; the keys of one user stay together."""
    start, stop = past.start[order], past.stop[order]
    filled = stop > start
    reach = np.maximum.accumulate(np.where(filled, start, 0))
    edges = np.flatnonzero(np.diff(reach // _CHUNK)) + 1
    for lo, hi in pairwise([0, *edges.tolist(), len(order)]):
        rows, first, last = lay_out(start[lo:hi], stop[lo:hi])
        yield order[lo:hi], rows, first, last


def lay_out(start: Ints, stop: Ints) -> tuple[slice | Ints, Ints, Ints]:
    """Return the rows of the log that these slices need, and the slices within them; the filled ones must begin in rising order.

    Where slices cover most of what lies between them that stretch is taken whole, otherwise row by row.
    """
    filled = np.flatnonzero(stop > start)
    first, last = np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
    if not len(filled):
        return slice(0, 0), first, last
    begin = start[filled]
    run = np.flatnonzero(np.append(True, np.diff(begin) > 0))
    run_start, run_stop = begin[run], np.maximum.reduceat(stop[filled], run)
    length = run_stop - run_start
    rows: slice | Ints
    if 2 * length.sum() >= run_stop[-1] - run_start[0]:
        shift, rows = np.full(len(filled), run_start[0]), slice(int(run_start[0]), int(run_stop[-1]))
    else:
        moved = run_start - (np.cumsum(length) - length)
        shift, rows = np.repeat(moved, np.diff(np.append(run, len(filled)))), np.repeat(moved, length) + np.arange(length.sum())
    first[filled], last[filled] = begin - shift, stop[filled] - shift
    return rows, first, last


class Walk(NamedTuple):
    """Where the sweep stands in the events of a user with late ones.

    Parameters
    ----------
    order, rank
        The events by time, and the position of each in that order.
    leave
        Per window: the first position that has not left it.
    cursor
        How many events have entered; how many positions count by the day; how many events beyond these have entered.
    listed
        Room to list events.
    """

    order: Ints
    rank: Ints
    leave: Ints
    cursor: Ints
    listed: Ints


@kernel
def sweep_rows(
    code: Code, time: Instants, kind: Ints, values: Ints, start: Ints, stop: Ints, at: Instants, place: Ints, out: Singles
) -> None:
    """Fill the rows ``place`` of ``out``. Keys of one user stand together by rising stop; any other order is right too, only slower."""
    width, windows = code.width, len(code.windows)
    totals = np.zeros((_BATCH, (windows + 1) * width), np.int64)
    state, decays = np.zeros((_BATCH, len(code.empty)), np.int64), np.zeros((_BATCH, len(code.halflives)))
    prefix, leave, cursor = np.zeros(0, np.int64), np.zeros(windows, np.int64), np.zeros(3, np.int64)
    walk, batch, used, lo = Walk(prefix, prefix, leave, cursor, prefix), ZERO, ZERO, ZERO
    while lo < len(start):
        hi = lo + 1
        while hi < len(start) and start[hi] == start[lo] and stop[hi] >= stop[hi - 1]:
            hi += 1
        first, last = start[lo], stop[hi - 1]
        size = (last - first + 1) * width
        ordered = size <= _PREFIX_LIMIT and _in_order(time, first, last)
        leave[:] = first if ordered else 0
        cursor[:] = 0
        if ordered:
            if size > len(prefix):
                prefix = np.zeros(min(2 * size, _PREFIX_LIMIT), np.int64)
            _fill_prefix(code, kind, values, first, last, prefix)
        else:
            order = first + np.argsort(time[first:last], kind="mergesort")
            walk = Walk(order, _rank(order, first), leave, cursor, np.empty(len(order), np.int64))
        seen = first
        while lo < hi:
            n = min(hi - lo, _BATCH - used)
            if ordered:
                _ordered_totals(code, time, prefix, first, stop, at, lo, lo + n, leave, totals, used)
            else:
                _late_totals(code, time, kind, values, walk, first, stop, at, lo, lo + n, totals, used)
            if len(code.empty):
                if seen == first:
                    _copy(code.empty, state[used])
                    decays[used] = 0.0
                fold(code, kind, time, values, seen, stop, lo, lo + n, state, decays, used)
            seen = stop[lo + n - 1]
            lo, used = lo + n, used + n
            if used == _BATCH:
                read_out(code, totals, state, decays, at, place, batch, lo, out)
                _copy(totals[-1], totals[0])
                _copy(state[-1], state[0])
                _copy(decays[-1], decays[0])
                batch, used = lo, ZERO
    read_out(code, totals, state, decays, at, place, batch, lo, out)


@kernel
def _copy(source: Ints | Floats, target: Ints | Floats) -> None:
    for i in range(len(source)):
        target[i] = source[i]


@kernel
def _in_order(time: Instants, first: int, last: int) -> bool:
    """Return whether these events became known in the order in which they happened."""
    event = first + 1
    while event < last and time[event] >= time[event - 1]:
        event += 1
    return event >= last


@kernel
def _rank(order: Ints, first: int) -> Ints:
    """Return the position of each event in an order."""
    rank = np.empty(len(order), np.int64)
    for position in range(len(order)):
        rank[order[position] - first] = position
    return rank


@kernel
def _fill_prefix(code: Code, kind: Ints, values: Ints, first: int, last: int, prefix: Ints) -> None:
    """Keep the lanes of one user after each event: those after i events stand at ``i * width``."""
    width, units, lane_first, lanes = code.width, code.units, code.lane_first, code.lanes
    prefix[:width] = 0
    base = 0
    for event in range(first, last):
        k = kind[event]
        for lane in range(width):
            prefix[base + width + lane] = prefix[base + lane] + units[k, lane]
        base += width
        for step in range(lane_first[k], lane_first[k + 1]):
            column, where = lanes[step, 2], lanes[step, 3]
            if where >= 0 and values[where, event] != lanes[step, 4]:
                continue
            more, next_more = worth(lanes[step, 0], values[column, event] if column >= 0 else 0)
            prefix[base + lanes[step, 1]] += more
            if next_more:
                prefix[base + lanes[step, 1] + 1] += next_more


@kernel
def _ordered_totals(
    code: Code, time: Instants, prefix: Ints, first: int, stop: Ints, at: Instants, lo: int, hi: int, leave: Ints, totals: Ints, row: int
) -> None:  # fmt: skip
    """Fill the totals of some keys of a user whose events came in time: a window is the difference of two prefixes."""
    windows, width = code.windows, code.width
    for window in range(len(windows) + 1):
        base = window * width
        for key in range(lo, hi):
            event = first
            if window < len(windows):
                event = _leave(time, first, max(first, stop[key] - HEAVY), stop[key], at[key] - windows[window], leave[window])
                leave[window] = event
            known, left = (stop[key] - first) * width, (event - first) * width
            for lane in range(width):
                totals[row + key - lo, base + lane] = prefix[known + lane] - prefix[left + lane]


@kernel
def _leave(time: Instants, first: int, fresh: int, stop: int, edge: int, event: int) -> int:
    """Return the first event that has not left a window; those before ``fresh`` count from the start of their day."""
    if fresh > first:
        day_edge = -(-edge // DAY) * DAY
        while event < fresh and time[event] < day_edge:
            event += 1
        while event > first and event <= fresh and time[event - 1] >= day_edge:
            event -= 1
    if event >= fresh:
        event = _skip(time, event, stop, edge)
        while event > fresh and time[event - 1] >= edge:
            event -= 1
    return event


@kernel
def _skip(time: Instants, event: int, stop: int, edge: int) -> int:
    """Return the first event from here on that is not before the edge; an unsigned place needs no look for negative ones."""
    place, end = np.uint64(event), np.uint64(stop)
    while place < end and time[place] < edge:
        place += np.uint64(1)
    return int(np.int64(place))


@kernel
def _late_totals(
    code: Code, time: Instants, kind: Ints, values: Ints, walk: Walk, first: int, stop: Ints, at: Instants, lo: int, hi: int,
    totals: Ints, row: int,
) -> None:  # fmt: skip
    """Fill the totals of some keys of a user with late events (or a very long history), each on top of those of the key before.

    Events enter in the order of knowledge and leave in the order of time.
    """
    for key in range(lo, hi):
        if key > lo:
            _copy(totals[row], totals[row + 1])
            row += 1
        elif walk.cursor[0] == 0:
            totals[row] = 0
        _enter_late(code, kind, values, walk, first, stop[key], totals, row)
        for window in range(len(code.windows)):
            _leave_late(code, time, kind, values, walk, stop[key], at[key] - code.windows[window], window, totals, row)


@kernel
def _enter_late(code: Code, kind: Ints, values: Ints, walk: Walk, first: int, known: int, totals: Ints, row: int) -> None:
    """Enter what became known, into the windows that it has not left already."""
    enter, windows = first + walk.cursor[0], len(code.windows)
    for window in range(windows + 1):
        n = ZERO
        for event in range(enter, known):
            if window == windows or walk.rank[event - first] >= walk.leave[window]:
                walk.listed[n] = event
                n += 1
        add(code, kind, values, walk.listed, ZERO, n, PLUS, totals, row, window, window + 1)
    for event in range(enter, known):
        walk.cursor[2] += walk.rank[event - first] >= walk.cursor[1]
    walk.cursor[0] = known - first
    while walk.cursor[2] > HEAVY:
        walk.cursor[2] -= walk.order[walk.cursor[1]] < known
        walk.cursor[1] += 1


@kernel
def _leave_late(
    code: Code, time: Instants, kind: Ints, values: Ints, walk: Walk, known: int, edge: int, window: int, totals: Ints, row: int
) -> None:
    """Move one window's edge, forward or back, past events that are known."""
    order, position, day_edge, n = walk.order, walk.leave[window], -(-edge // DAY) * DAY, ZERO
    while position < len(order) and time[order[position]] < (day_edge if position < walk.cursor[1] else edge):
        if order[position] < known:
            walk.listed[n] = order[position]
            n += 1
        position += 1
    add(code, kind, values, walk.listed, ZERO, n, MINUS, totals, row, window, window + 1)
    n = ZERO
    while position > 0 and time[order[position - 1]] >= (day_edge if position <= walk.cursor[1] else edge):
        position -= 1
        if order[position] < known:
            walk.listed[n] = order[position]
            n += 1
    add(code, kind, values, walk.listed, ZERO, n, PLUS, totals, row, window, window + 1)
    walk.leave[window] = position
