"""Ahead: what a user's features will read while nothing happens.

Most stay as they are or fade, so only what changes is written instant by instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Floats, Ints, Singles
from whenbuy.core.kernel import kernel, part
from whenbuy.features.exact import POWERS, ROOTS, halve
from whenbuy.features.lanes import (
    BIG_SINCE,
    DECAYED,
    PLUS,
    REPEATS,
    SINCE,
    ZERO,
    Code,
    big_orders,
    of_totals,
    read_out,
    unpack,
    worth,
)
from whenbuy.features.local import part_of
from whenbuy.features.program import Program
from whenbuy.features.ring import (
    BACKWARD,
    DONE,
    EVENTS,
    FIRST,
    LAST_KNOWN,
    TILES,
    User,
    events_of,
    moved_to,
    opened,
    tiles_moved_to,
    tiles_of,
)

_NEVER: Final = cast("int", np.int64(2**62))
_WEEK: Final = 7
_HEAD: Final = 5
"""Leading integers of a layout: days; columns of the calendar; groups of seven; columns that are one over another; places of features."""
_REST, _MIDDLE, _NEAR = np.int64(2**29 - 1), np.int64(2**28), np.int64(2**11)
"""Of a float64, the bits that a float32 has not; where it lies between two; and how near that rounding could go the other way."""
_LEAST, _MOST = 1e-37, 1e37


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The shop's days ahead, and what of a path is the same for every user.

    Parameters
    ----------
    begin, end, last
        The midnights before and behind the first of the days, and behind the last.
    step, count
        The length of a step in microseconds, and how many instants.
    layout
        What the kernel reads: sizes, days, columns of the calendar, of the weekdays, those over another, the features of each window.
    told
        What the calendar says of each day (d x f), and what each decay leaves after 0, 1, … steps (decayed features x count).
    """

    begin: int
    end: int
    last: int
    step: int
    count: int
    layout: Ints
    told: Floats

    @classmethod
    def of(cls, program: Program, at: int, step: int, count: int) -> Ahead:
        """Return the days from that of an instant to that of the last one."""
        clock, end = program.clock, at + count * step
        midnights = clock.midnights(clock.days(np.array([at], np.int64)) + np.arange((end - at) // DAY + 4))
        ends = midnights[1 : np.searchsorted(midnights, end, side="right") + 1]
        starts = midnights[: len(ends)]
        calendar = np.zeros((len(ends), len(program.names)), np.float32)
        program.fill_calendar(starts, calendar)
        days: Ints = np.array([ends, part_of("weekday", starts, clock)], np.int64)
        filled, first, listed = [column for column, _ in program.by_day], *_by_window(program.code)
        sizes = [len(ends), len(filled), len(program.turned), len(program.over), len(listed)]
        layout = np.concatenate([sizes, days.ravel(), filled, program.turned, program.over.ravel(), first, listed]).astype(np.int64)
        lives = program.code.factors[program.code.reads[:, 0] == DECAYED, 0]
        left = np.exp2(-np.arange(count) * step / lives[:, None])
        return cls(
            int(starts[0]),
            int(ends[0]),
            int(ends[-1]),
            step,
            count,
            layout,
            np.concatenate([calendar.ravel(), left.ravel()]).astype(np.float64),
        )

    def covers(self, at: int, step: int, count: int) -> bool:
        """Return whether the first of these days holds an instant, and one of them the last of a path from there."""
        return step == self.step and count == self.count and self.begin <= at < self.end and at + (count - 1) * step < self.last


def _by_window(code: Code) -> tuple[list[int], list[int]]:
    """Return which features change when something leaves each window: where those of each begin (windows + 1), and their places.

    Plain features are counted first, then the others.
    """
    windows, width = len(code.windows), max(code.width, 1)
    held: list[list[int]] = [[] for _ in range(windows + 1)]
    for place, (_, spot) in enumerate(code.plain.tolist()):
        held[spot // width].append(place)
    for place, (way, _, *spots) in enumerate(code.reads.tolist(), len(code.plain)):
        if way <= REPEATS:
            for window in sorted({spot // width for spot in spots}):
                held[window].append(place)
    ends = np.cumsum([0, *(len(one) for one in held[:windows])])
    return ends.tolist(), [place for one in held[:windows] for place in one]


@kernel
def read_ahead(
    integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, columns: int, at: int, step: int, layout: Ints, told: Floats,
    out: Singles, moved: Ints,
) -> int:  # fmt: skip
    """Read one user out as of instants that are a step apart, had nothing happened in between; return DONE or BACKWARD.

    ``out`` is features x instants, and ``moved`` says which features change: of the others only the first instant is written.
    """
    code, count = unpack(integers, reals), out.shape[1]
    user = opened(code, users[who])
    if at <= user.book[LAST_KNOWN]:
        return BACKWARD
    events, tiles = events_of(memory, user.book, columns), tiles_of(memory, user.book, code.width)
    moved_to(code, user, events, at)
    if user.book[TILES]:
        tiles_moved_to(code, user, tiles, at)
    row = np.empty((1, len(out)), np.float32)
    read_out(code, user.totals, user.state, user.decays, np.full(1, at), np.zeros(1, np.int64), ZERO, PLUS, row)
    for column in range(len(out)):
        out[column, 0] = row[0, column]
        moved[column] = 0
    days, filled, turned, over = layout[0], layout[1], layout[2], layout[3]
    a = _HEAD + 2 * days
    b, c = a + filled, a + filled + turned
    d = c + 3 * over
    if count > 1:
        _leave(code, user, events, tiles, at, step, layout[d:], out, moved)
        _fade(code, user, at, step, told[days * len(out) :], out, moved)
    ahead = _days_of(at, step, layout[_HEAD : _HEAD + days], count)
    for column in layout[a:b]:
        moved[column] = 1
        for i in range(count):
            out[column, i] = told[ahead[i] * len(out) + column]
    for first in layout[b:c]:
        _turn(layout[_HEAD + days : a], ahead, first, out, moved)
    for i in range(over):
        _divide(layout[c + 3 * i], layout[c + 3 * i + 1], layout[c + 3 * i + 2], out, moved)
    return DONE


@part
def _leave(
    code: Code, user: User, events: Ints, tiles: Ints, at: int, step: int, layout: Ints, out: Singles, moved: Ints
) -> None:  # fmt: skip
    """Write what windows hold, while events and tiles leave them."""
    lengths, windows, book = code.windows, len(code.windows), user.book
    first, listed = layout[: windows + 1], layout[windows + 1 :]
    totals, leave, tile_leave, turns = user.totals[0].copy(), user.leave.copy(), user.tile_leave.copy(), np.empty(windows, np.int64)
    seen = totals.copy()
    for window in range(windows):
        turns[window] = _next(book, events, tiles, leave[window], tile_leave[window], at - lengths[window], step)
    if not windows or np.min(turns) >= out.shape[1]:
        return
    sums = _sums(code.units, code.lane_first, code.lanes, lengths, book, events, leave, at + (out.shape[1] - 1) * step)
    while True:
        turn = _NEVER
        for window in range(windows):
            turn = min(turn, turns[window])
        if turn >= out.shape[1]:
            return
        for window in range(windows):
            if turns[window] == turn:
                begin, i, j = at - lengths[window], leave[window], tile_leave[window]
                leave[window], tile_leave[window] = _take_away(sums, book, events, tiles, i, j, begin + turn * step, totals, window)
                turns[window] = -_next(book, events, tiles, leave[window], tile_leave[window], begin, step)  # below 0: to be read
        for window in range(windows):
            if turns[window] < 0:
                turns[window] = -turns[window]
                some = listed[first[window] : first[window + 1]]
                _read_some(code.plain, code.scales, code.reads, code.factors, totals, seen, some, turn, out, moved)


@kernel
def _sums(
    units: Ints, lane_first: Ints, lanes: Ints, lengths: Ints, book: Ints, events: Ints, leave: Ints, last: int
) -> Ints:  # fmt: skip
    """Return what the events before each one of the ring count in all, from the first that leaves its window until ``last`` on.

    Differences of two rows say what leaves a window in between: most events leave several windows, and are counted once. Events that leave
    none are passed over, and the sums begin anew behind them.
    """
    head, n, width, values, done = book[FIRST], book[EVENTS], units.shape[1], events[2:], -1
    found = np.empty((n + 1, width), np.int64)
    for window in range(len(lengths) - 1, -1, -1):
        if leave[window] > done:
            done = leave[window]
            found[done] = 0
        while done < n and events[0, head + done] < last - lengths[window]:
            event, own = head + done, found[done + 1]
            kind = events[1, event]
            for lane in range(width):
                own[lane] = found[done, lane] + units[kind, lane]
            for line in range(lane_first[kind], lane_first[kind + 1]):
                where = lanes[line, 3]
                if where >= 0 and values[where, event] != lanes[line, 4]:
                    continue
                more, next_more = worth(lanes[line, 0], values[lanes[line, 2], event] if lanes[line, 2] >= 0 else 0)
                own[lanes[line, 1]] += more
                if next_more:
                    own[lanes[line, 1] + 1] += next_more
            done += 1
    return found


@kernel
def _next(book: Ints, events: Ints, tiles: Ints, i: int, j: int, begin: int, step: int) -> int:
    """Return the first step before which more has left a window: the events before the i-th and the tiles before the j-th already have."""
    left = events[0, book[FIRST] + i] if i < book[EVENTS] else _NEVER
    if j < book[TILES]:
        left = min(left, tiles[j, -1] * DAY)
    return left if left == _NEVER else (left - begin) // step + 1


@kernel
def _take_away(
    sums: Ints, book: Ints, events: Ints, tiles: Ints, i: int, j: int, begin: int, totals: Ints, window: int
) -> tuple[int, int]:  # fmt: skip
    """Take from the totals what leaves a window before it begins at an instant; return how many events and tiles have left it then."""
    width, head, before = sums.shape[1], book[FIRST], i
    while i < book[EVENTS] and events[0, head + i] < begin:
        i += 1
    if i > before:
        for lane in range(width):
            totals[window * width + lane] -= sums[i, lane] - sums[before, lane]
    while j < book[TILES] and tiles[j, width] * DAY < begin:
        for lane in range(width):
            totals[window * width + lane] -= tiles[j, lane]
        j += 1
    return i, j


@kernel
def _read_some(
    plain: Ints, scales: Floats, reads: Ints, factors: Floats, totals: Ints, seen: Ints, listed: Ints, turn: int, out: Singles, moved: Ints
) -> None:  # fmt: skip
    """Write some features of totals from one instant on, where they are others than before; ``seen`` is what plain ones were read of."""
    for place in listed:
        if place < len(plain):
            spot = plain[place, 1]
            if totals[spot] == seen[spot]:
                continue
            column, known = plain[place, 0], np.float32(float(totals[spot]) / scales[place])
        else:
            r = place - len(plain)
            column = reads[r, 1]
            a, b, c, d = totals[reads[r, 2]], totals[reads[r, 3]], totals[reads[r, 4]], totals[reads[r, 5]]
            known = np.float32(of_totals(reads[r, 0], a, b, c, d, factors[r, 0], factors[r, 1]))
        found = out[column]
        before = found[turn - 1] if moved[column] else found[0]
        if known == before or (np.isnan(known) and np.isnan(before)):
            continue
        if not moved[column]:
            moved[column] = 1
            found[1:turn] = before
        found[turn:] = known
    for place in listed:
        if place < len(plain):
            seen[plain[place, 1]] = totals[plain[place, 1]]


@part
def _fade(code: Code, user: User, at: int, step: int, left: Floats, out: Singles, moved: Ints) -> None:
    """Write what fades, and the days since what was."""
    reads, factors, state, count, decay = code.reads, code.factors, user.state, out.shape[1], 0
    for r in range(len(reads)):
        way, column, a, since = reads[r, 0], reads[r, 1], reads[r, 2], MISSING
        if way == DECAYED:
            if state[0, a] != MISSING and user.decays[0, reads[r, 3]] != 0:
                fading = left[decay * count : (decay + 1) * count]
                decay_ahead(user.decays[0, reads[r, 3]], at - state[0, a], step, factors[r, 0], factors[r, 1], fading, out[column])
                moved[column] = 1
            decay += 1
            continue
        if way == SINCE:
            since = state[0, a]
        elif way == BIG_SINCE:
            _, since, _ = big_orders(state, ZERO, a)
        if since != MISSING:
            found = out[column]
            for i in range(count):
                found[i] = np.true_divide(float(at - since + i * step), float(DAY))
            moved[column] = 1


@kernel
def decay_ahead(total: float, since: int, step: int, halflife: float, scale: float, left: Floats, found: Singles) -> None:
    """Write a decayed total as of instants that are a step apart, with the bits that `halve` gives it at each.

    A product with what is left after each step differs from it in the last bits, which a float32 has not: but for one that lies just
    between two float32, where the loop that `halve` would be does it all.
    """
    begin, near = total * halve(float(since) / halflife) * scale, 0
    if abs(begin * left[len(left) - 1]) > _LEAST and abs(begin) < _MOST:
        for i in range(len(found)):
            value = begin * left[i]
            found[i] = value
            near += int(abs((np.float64(value).view(np.int64) & _REST) - _MIDDLE) < _NEAR)
        if near == 0:
            return
    if np.true_divide(float(since + (len(found) - 1) * step), halflife) * 64.0 + 0.5 >= 65_408.0:
        for i in range(len(found)):
            found[i] = total * halve(float(since + i * step) / halflife) * scale
        return
    for i in range(len(found)):
        x = np.true_divide(float(since + i * step), halflife)
        stage = np.floor(x * 64.0 + 0.5)
        z = (stage / 64.0 - x) * 0.6931471805599453
        close = 1.0 + z * (1.0 + z * (0.5 + z * (0.16666666666666666 + z * (0.041666666666666664 + z * 0.008333333333333333))))
        found[i] = total * (POWERS[int(stage) >> 6] * (ROOTS[int(stage) & 63] * close)) * scale


@kernel
def _days_of(at: int, step: int, ends: Ints, count: int) -> Ints:
    """Return in which of the days each instant lies."""
    found, day = np.empty(count, np.int64), 0
    for i in range(count):
        while day < len(ends) - 1 and at + i * step >= ends[day]:
            day += 1
        found[i] = day
    return found


@kernel
def _turn(weekdays: Ints, days: Ints, first: int, out: Singles, moved: Ints) -> None:
    """Turn seven features of Monday to Sunday so that the first one tells of the day of each instant."""
    same, count = True, out.shape[1]
    for k in range(first, first + _WEEK):
        same = same and moved[k] == 0 and out[k, 0] == out[first, 0]
    if same:
        return
    held = np.empty((2 * _WEEK, count), np.float32)
    for k in range(_WEEK):
        if moved[first + k]:
            held[k] = out[first + k]
        else:
            held[k] = out[first + k, 0]
        held[k + _WEEK], moved[first + k] = held[k], 1
    for i in range(count):
        today = np.uint64(weekdays[days[i]])
        for k in range(_WEEK):
            out[first + k, i] = held[today + np.uint64(k), np.uint64(i)]


@kernel
def _divide(column: int, top: int, bottom: int, out: Singles, moved: Ints) -> None:
    """Write one feature over another, NaN where that is zero."""
    moved[column] = max(moved[top], moved[bottom])
    for i in range(out.shape[1] if moved[column] else 1):
        below = out[bottom, i if moved[bottom] else 0]
        out[column, i] = out[top, i if moved[top] else 0] / below if below != 0 else np.float32(np.nan)
