"""The sweep: features of millions of keys in one pass over each user's events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import DAY, Floats, Instants, Ints, Singles
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.kernel import free_kernel, kernel
from whenbuy.features.lanes import HEAVY, MINUS, PLUS, REPEATS, ZERO, Code, add, fold, read_plain, read_rest, worth
from whenbuy.features.program import Program

Places = npt.NDArray[np.uint64]

_PREFIX_LIMIT: Final = 1 << 22
"""The lanes after each event of a user are kept while they are fewer numbers than this (32 MiB); else events leave one by one."""

_BATCH: Final = 128
"""So many keys are read out at once, feature by feature."""

_IN_ORDER: Final = 0
_SILENT: Final = 1
_LATE: Final = 2
"""How the totals of a user are read: her events came in order; they did not, but all keys know the same; or neither."""

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
    for part, rows, start, stop in chunks(past, order):
        time, kind, values = program.read(rows)
        sweep_rows(program.code, time, kind, values, start, stop, past.at[part], part, out)
    program.complete(past.keys.cutoff, past.at, out)
    return Table(program.names, out)


def chunks(past: Past, order: Ints) -> Iterator[tuple[Ints, slice | Ints, Ints, Ints]]:
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


@free_kernel
def sweep_rows(
    code: Code, time: Instants, kind: Ints, values: Ints, start: Ints, stop: Ints, at: Instants, place: Ints, out: Singles
) -> None:
    """Fill the rows ``place`` of ``out``. Keys of one user stand together by rising stop; any other order is right too, only slower.

    Events that became known in the order in which they happened are summed up once. So are late ones where all keys of a user know the same
    of them, as on a path of silence: they are put in order first. Otherwise they enter and leave one by one.
    """
    width, windows = code.width, len(code.windows)
    totals = np.zeros((_BATCH, (windows + 1) * width), np.int64)
    state, decays = np.zeros((_BATCH, len(code.empty)), np.int64), np.zeros((_BATCH, len(code.halflives)))
    prefix, leave, cursor = np.zeros(0, np.int64), np.zeros(windows, np.int64), np.zeros(3, np.int64)
    ask, slots = _asked(code, leave), len(code.empty)
    walk, batch, used, lo = Walk(prefix, prefix, leave, cursor, prefix), ZERO, ZERO, ZERO
    sorted_time, known, base = time[:0].copy(), stop[:0].copy(), ZERO
    while lo < len(start):
        hi = _together(start, stop, lo)
        first, last = start[lo], stop[hi - 1]
        size = (last - first + 1) * width
        way = _way(time, stop, lo, hi, first, size)
        leave[:] = first if way == _IN_ORDER else 0
        cursor[:] = 0
        if way != _LATE and size > len(prefix):
            prefix = np.zeros(min(2 * size, _PREFIX_LIMIT), np.int64)
        if way == _IN_ORDER:
            _fill_prefix(code, kind, values, first, last, prefix)
        elif way == _SILENT:
            when = np.argsort(time[first:last], kind="mergesort")
            sorted_time, base, known = time[first:last][when], lo, stop[lo:hi] - first
            _fill_prefix(code, kind[first:last][when], _columns_of(values, first, when), 0, len(when), prefix)
        else:
            order = first + np.argsort(time[first:last], kind="mergesort")
            walk = Walk(order, _rank(order, first), leave, cursor, np.empty(len(order), np.int64))
        seen = first
        while lo < hi:
            n = min(hi - lo, _BATCH - used)
            if way == _IN_ORDER:
                _read_prefix(ask, time, prefix, first, stop, at, place, lo, lo + n, out, totals, used)
            elif way == _SILENT:
                mine = lo - base
                _read_prefix(ask, sorted_time, prefix, 0, known, at[base:hi], place[base:hi], mine, mine + n, out, totals, used)
            else:
                _late_totals(code, time, kind, values, walk, first, stop, at, lo, lo + n, totals, used)
                read_plain(code, totals, used, place, lo, lo + n, out)
            if slots:
                _fold_on(code, kind, time, values, first, seen, stop, lo, lo + n, state, decays, used)
            seen = stop[lo + n - 1]
            lo, used = lo + n, used + n
            if used == _BATCH:
                read_rest(code, totals, state, decays, at, place, batch, lo, out)
                _copy(totals[-1], totals[0])
                _copy(state[-1], state[0])
                _copy(decays[-1], decays[0])
                batch, used = lo, ZERO
    read_rest(code, totals, state, decays, at, place, batch, lo, out)


@kernel
def _together(start: Ints, stop: Ints, lo: int) -> int:
    """Return the end of the keys of one user from here on that know more and more."""
    hi = lo + 1
    while hi < len(start) and start[hi] == start[lo] and stop[hi] >= stop[hi - 1]:
        hi += 1
    return hi


@kernel
def _way(time: Instants, stop: Ints, lo: int, hi: int, first: int, size: int) -> int:
    """Return how the totals of some keys of a user are read."""
    last = stop[hi - 1]
    if size > _PREFIX_LIMIT:
        return _LATE
    if _in_order(time, first, last):
        return _IN_ORDER
    return _SILENT if last - first <= HEAVY and stop[lo] == last else _LATE


@kernel
def _fold_on(
    code: Code, kind: Ints, time: Instants, values: Ints, first: int, seen: int, stop: Ints, lo: int, hi: int, state: Ints,
    decays: Floats, row: int,
) -> None:  # fmt: skip
    """Carry the state of a user on over some of her keys, from nothing at the first of them."""
    if seen == first:
        _copy(code.empty, state[row])
        decays[row] = 0.0
    fold(code, kind, time, values, seen, stop, lo, hi, state, decays, row)


@kernel
def _columns_of(values: Ints, first: int, when: Ints) -> Ints:
    """Return the columns of some events of a user, in another order."""
    found = np.empty((values.shape[0], len(when)), values.dtype)
    for column in range(values.shape[0]):
        for i in range(len(when)):
            found[column, i] = values[column, first + when[i]]
    return found


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


class Asked(NamedTuple):
    """What is read of the lanes, as unsigned places: these need no look for negative ones.

    Parameters
    ----------
    code
        The compiled spec.
    plain
        Features that are one total: column, lane, window (p x 3).
    parts
        Totals that other features are made of: place among the totals, lane, window (q x 3).
    leave
        Per window: the first event of a user of many that has not left it.
    edges, left
        Room: where each window begins, and the lanes after the events that left it; none ever leaves the last one, that of all time.
    """

    code: Code
    plain: Places
    parts: Places
    leave: Ints
    edges: Ints
    left: Places


@kernel
def _asked(code: Code, leave: Ints) -> Asked:
    """Return what is read of the lanes."""
    width = max(code.width, 1)
    plain, parts = np.empty((len(code.plain), 3), np.uint64), np.empty((4 * len(code.reads), 3), np.uint64)
    for p in range(len(plain)):
        column, spot = code.plain[p, 0], code.plain[p, 1]
        plain[p, 0], plain[p, 1], plain[p, 2] = column, spot % width, spot // width
    known, n = np.zeros((len(code.windows) + 1) * width, np.bool_), 0
    for r in range(len(code.reads)):
        for i in range(2, 6 if code.reads[r, 0] <= REPEATS else 2):
            spot = code.reads[r, i]
            if not known[spot]:
                known[spot] = True
                parts[n, 0], parts[n, 1], parts[n, 2] = spot, spot % width, spot // width
                n += 1
    return Asked(code, plain, parts[:n].copy(), leave, np.zeros(len(code.windows), np.int64), np.zeros(len(code.windows) + 1, np.uint64))


@kernel
def _fill_prefix(code: Code, kind: Ints, values: Ints, first: int, last: int, prefix: Ints) -> None:
    """Keep the lanes of one user after each event: those after i events stand at ``i * width``."""
    units, lane_first, lanes, width = code.units, code.lane_first, code.lanes, np.uint64(code.width)
    one, base = np.uint64(1), np.uint64(0)
    prefix[: code.width] = 0
    for event in range(first, last):
        k, after, lane = np.uint64(kind[event]), base + width, np.uint64(0)
        while lane < width:
            prefix[after + lane] = prefix[base + lane] + units[k, lane]
            lane += one
        base = after
        for step in range(lane_first[k], lane_first[k + one]):
            column, where = lanes[step, 2], lanes[step, 3]
            if where >= 0 and values[where, event] != lanes[step, 4]:
                continue
            more, next_more = worth(lanes[step, 0], values[column, event] if column >= 0 else 0)
            spot = base + np.uint64(lanes[step, 1])
            prefix[spot] += more
            if next_more:
                prefix[spot + one] += next_more


@kernel
def _read_prefix(
    ask: Asked, time: Instants, prefix: Ints, first: int, stop: Ints, at: Instants, place: Ints, lo: int, hi: int, out: Singles,
    totals: Ints, row: int,
) -> None:  # fmt: skip
    """Read some keys of a user whose events came in time: a total is the difference of the lanes after what is known and after what left.

    Plain features go straight to their ``place``; the parts of the others into the rows of totals. All is one loop: a call per key would
    cost more than what it does. A user of few events is halved for all windows side by side, without a branch that depends on the data.
    """
    windows, width, scales = ask.code.windows, ask.code.width, ask.code.scales
    plain, parts, leave, edges, left = ask.plain, ask.parts, ask.leave, ask.edges, ask.left
    begin, lanes, one, none = np.uint64(first), np.uint64(width), np.uint64(1), np.uint64(0)
    for key in range(lo, hi):
        events = stop[key] - first
        if events > HEAVY:
            for window in range(len(windows)):
                leave[window] = _leave(time, first, stop[key] - HEAVY, stop[key], at[key] - windows[window], leave[window])
                left[window] = np.uint64((leave[window] - first) * width)
        else:
            for window in range(len(windows)):
                edges[window], left[window] = at[key] - windows[window], begin
            length = np.uint64(events)
            while length > none:
                half = (length + one) >> one
                for window in range(len(windows)):
                    edge = left[window] + half
                    left[window] = edge if time[edge - one] < edges[window] else left[window]
                length -= half
            for window in range(len(windows)):
                left[window] = (left[window] - begin) * lanes
        known, spot = np.uint64(events) * lanes, np.uint64(place[key])
        for p in range(len(plain)):
            lane = plain[p, 1]
            total = float(prefix[known + lane] - prefix[left[plain[p, 2]] + lane])
            out[spot, plain[p, 0]] = total if scales[p] == 1.0 else total / scales[p]
        for q in range(len(parts)):
            lane = parts[q, 1]
            totals[row, parts[q, 0]] = prefix[known + lane] - prefix[left[parts[q, 2]] + lane]
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
