"""The sweep: features of millions of keys in one pass over each user's events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Instants, Ints, Singles
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.features.lanes import HEAVY, MINUS, PLUS, ZERO, Code, add, fold, read_out, worth
from whenbuy.features.program import Program

_PREFIX_LIMIT: Final = 1 << 22
"""The lanes after each event of a user are kept while they are fewer numbers than this (32 MiB); for longer histories events leave one by one."""

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
    if 2 * length.sum() >= run_stop[-1] - run_start[0]:
        shift, rows = np.full(len(filled), run_start[0]), slice(int(run_start[0]), int(run_stop[-1]))
    else:
        moved = run_start - (np.cumsum(length) - length)
        shift, rows = np.repeat(moved, np.diff(np.append(run, len(filled)))), np.repeat(moved, length) + np.arange(length.sum())
    first[filled], last[filled] = begin - shift, stop[filled] - shift
    return rows, first, last


@kernel
def sweep_rows(
    code: Code, time: Instants, kind: Ints, values: Ints, start: Ints, stop: Ints, at: Instants, place: Ints, out: Singles
) -> None:
    """Fill the rows ``place`` of ``out``. Keys of one user stand together by rising stop; any other order is right too, only slower."""
    width, windows = code.width, len(code.windows)
    totals = np.zeros((_BATCH, (windows + 1) * width), np.int64)
    state, decays = np.zeros((_BATCH, len(code.empty)), np.int64), np.zeros((_BATCH, len(code.halflives)))
    prefix, leave, order, rank = np.zeros(0, np.int64), np.zeros(windows, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    cursor, batch, used, lo = np.zeros(3, np.int64), ZERO, ZERO, ZERO
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
            _fill_prefix(code.lanes, code.lane_first, kind, values, first, last, width, prefix)
        else:
            order = first + np.argsort(time[first:last], kind="mergesort")
            rank = _rank(order, first)
        seen = first
        while lo < hi:
            n = min(hi - lo, _BATCH - used)
            if ordered:
                _ordered_totals(code.windows, width, time, prefix, first, stop, at, lo, lo + n, leave, totals, used)
            else:
                _late_totals(code, time, kind, values, order, rank, first, stop, at, lo, lo + n, leave, cursor, totals, used)
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
    for event in range(first + 1, last):
        if time[event] < time[event - 1]:
            return False
    return True


@kernel
def _rank(order: Ints, first: int) -> Ints:
    """Return the position of each event in an order."""
    rank = np.empty(len(order), np.int64)
    for position in range(len(order)):
        rank[order[position] - first] = position
    return rank


@kernel
def _fill_prefix(lanes: Ints, lane_first: Ints, kind: Ints, values: Ints, first: int, last: int, width: int, prefix: Ints) -> None:
    """Keep the lanes of one user after each event: those after i events stand at ``i * width``."""
    prefix[:width] = 0
    base = 0
    for event in range(first, last):
        for i in range(base, base + width):
            prefix[i + width] = prefix[i]
        base += width
        for lane in range(lane_first[kind[event]], lane_first[kind[event] + 1]):
            column, where = lanes[lane, 2], lanes[lane, 3]
            if where >= 0 and values[where, event] != lanes[lane, 4]:
                continue
            more, next_more = worth(lanes[lane, 0], values[column, event] if column >= 0 else 0)
            prefix[base + lanes[lane, 1]] += more
            if next_more:
                prefix[base + lanes[lane, 1] + 1] += next_more


@kernel
def _ordered_totals(
    windows: Ints, width: int, time: Instants, prefix: Ints, first: int, stop: Ints, at: Instants, lo: int, hi: int, leave: Ints, totals: Ints, row: int
) -> None:
    """Fill the totals of some keys of a user whose events came in time: a window is the difference of two prefixes."""
    for key in range(lo, hi):
        known, fresh = (stop[key] - first) * width, max(first, stop[key] - HEAVY)
        for window in range(len(windows)):
            edge = at[key] - windows[window]
            event = _leave(time, first, fresh, stop[key], edge, leave[window])
            leave[window] = event
            left, base = (event - first) * width, window * width
            for lane in range(width):
                totals[row, base + lane] = prefix[known + lane] - prefix[left + lane]
        for lane in range(width):
            totals[row, len(windows) * width + lane] = prefix[known + lane]
        row += 1


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
        while event < stop and time[event] < edge:
            event += 1
        while event > fresh and time[event - 1] >= edge:
            event -= 1
    return event


@kernel
def _late_totals(
    code: Code, time: Instants, kind: Ints, values: Ints, order: Ints, rank: Ints, first: int, stop: Ints, at: Instants, lo: int, hi: int,
    leave: Ints, cursor: Ints, totals: Ints, row: int,
) -> None:  # fmt: skip
    """Fill the totals of some keys of a user with late events (or a very long history), on top of those of the key before.

    Events enter in the order of knowledge and leave in the order of time. The cursor holds how many have entered, how many of the first ones
    in the order of time count by the day, and how many that entered count exactly.
    """
    lanes, lane_first, windows, width = code.lanes, code.lane_first, code.windows, code.width
    listed = np.empty(len(order), np.int64)
    for key in range(lo, hi):
        enter, known = first + cursor[0], stop[key]
        if key > lo:
            _copy(totals[row - 1], totals[row])
        elif cursor[0] == 0:
            totals[row] = 0
        for window in range(len(windows) + 1):
            n = ZERO
            for event in range(enter, known):
                if window == len(windows) or rank[event - first] >= leave[window]:
                    listed[n] = event
                    n += 1
            add(lanes, lane_first, kind, values, listed, ZERO, n, PLUS, totals, row, window * width)
        for event in range(enter, known):
            cursor[2] += rank[event - first] >= cursor[1]
        cursor[0] = known - first
        while cursor[2] > HEAVY:
            cursor[2] -= order[cursor[1]] < known
            cursor[1] += 1
        for window in range(len(windows)):
            edge, position, n = at[key] - windows[window], leave[window], ZERO
            day_edge = -(-edge // DAY) * DAY
            while position < len(order) and time[order[position]] < (day_edge if position < cursor[1] else edge):
                if order[position] < known:
                    listed[n] = order[position]
                    n += 1
                position += 1
            add(lanes, lane_first, kind, values, listed, ZERO, n, MINUS, totals, row, window * width)
            n = ZERO
            while position > 0 and time[order[position - 1]] >= (day_edge if position <= cursor[1] else edge):
                position -= 1
                if order[position] < known:
                    listed[n] = order[position]
                    n += 1
            add(lanes, lane_first, kind, values, listed, ZERO, n, PLUS, totals, row, window * width)
            leave[window] = position
        row += 1
