"""The ring: how the live engine keeps each user's newest events, so that they can leave every window one by one.

All of it is two arrays. ``users`` has a row per user: bookkeeping, totals, state, decays (their bits) and the leave pointers. ``memory``
holds blocks of events in the order of time (time, kind, values: 16 B and 8 B per column each) and of day tiles (lanes, UTC day). Its first
cells are the end of what is used and, by kind of block and size, the first block given back; these are linked through their first cells.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Instants, Ints, Singles
from whenbuy.core.kernel import kernel, part
from whenbuy.features.lanes import HEAVY, MINUS, PLUS, ZERO, Code, add, count_one, fold, read_out, unpack

DONE, FULL, BACKWARD = range(3)
"""What a kernel says: done; the memory must grow first, nothing was changed; that instant lies before what is known."""

LAST_KNOWN, RING, ROOM, FIRST, EVENTS, TILE, TILE_ROOM, TILES, BOOK = range(9)
"""A user's bookkeeping: last known_at; block of events, its room, the first event in it, events; block of tiles, its room, tiles."""

HEADER: Final = 65
_EVENTS_FREE, _TILES_FREE = cast("int", np.int64(1)), cast("int", np.int64(33))


class User(NamedTuple):
    """One user's row: views, so that what is written here is kept.

    Parameters
    ----------
    book
        Bookkeeping.
    totals, state, decays
        Lanes and folds, one row each.
    leave, tile_leave
        How many of the ring's events, and of the tiles, have left each window.
    """

    book: Ints
    totals: Ints
    state: Ints
    decays: Floats
    leave: Ints
    tile_leave: Ints


def user_width(code: Code) -> int:
    """Return how many cells a user's row has."""
    windows = len(code.windows)
    return BOOK + (windows + 1) * code.width + len(code.empty) + len(code.halflives) + 2 * windows


@part
def opened(code: Code, row: Ints) -> User:
    """Return the parts of a user's row."""
    windows = len(code.windows)
    a = BOOK + (windows + 1) * code.width
    b = a + len(code.empty)
    c = b + len(code.halflives)
    d = c + windows
    return User(
        row[:BOOK], row[BOOK:a].reshape((1, a - BOOK)), row[a:b].reshape((1, b - a)), row[b:c].view(np.float64).reshape((1, c - b)),
        row[c:d], row[d : d + windows],
    )  # fmt: skip


@part
def events_of(memory: Ints, book: Ints, columns: int) -> Ints:
    """Return a user's block of events: time, kind and values by rows."""
    return memory[book[RING] : book[RING] + (2 + columns) * book[ROOM]].reshape((2 + columns, book[ROOM]))


@part
def tiles_of(memory: Ints, book: Ints, width: int) -> Ints:
    """Return a user's block of tiles: a row is the lanes of a day, and the day."""
    return memory[book[TILE] : book[TILE] + (1 + width) * book[TILE_ROOM]].reshape((book[TILE_ROOM], 1 + width))


@kernel
def _size(room: int) -> int:
    size = 0
    while 1 << size < room:
        size += 1
    return size


@kernel
def _take(memory: Ints, free: int, room: int, width: int) -> int:
    """Return the start of a block for ``room`` (a power of two) items, 0 where the memory has none."""
    place = free + _size(room)
    block: int = memory[place]
    if block:
        memory[place] = memory[block]
    elif memory[0] + room * width <= len(memory):
        block = memory[0]
        memory[0] += room * width
    return block


@kernel
def _give_back(memory: Ints, free: int, block: int, room: int) -> None:
    if room:
        place = free + _size(room)
        memory[block] = memory[place]
        memory[place] = block


@kernel
def _make_room(code: Code, memory: Ints, book: Ints, columns: int) -> int:
    """Make sure that one more event and one more tile have a place; return DONE or FULL."""
    if book[EVENTS] == HEAVY and book[TILES] == book[TILE_ROOM]:
        room = max(2 * book[TILE_ROOM], 4)
        block = _take(memory, _TILES_FREE, room, 1 + code.width)
        if not block:
            return FULL
        n = book[TILES] * (1 + code.width)
        for i in range(n):
            memory[block + i] = memory[book[TILE] + i]
        _give_back(memory, _TILES_FREE, book[TILE], book[TILE_ROOM])
        book[TILE], book[TILE_ROOM] = block, room
    if book[FIRST] + book[EVENTS] < book[ROOM]:
        return DONE
    old, old_block, old_room = events_of(memory, book, columns), book[RING], book[ROOM]
    if 2 * book[EVENTS] >= old_room:
        room = max(2 * old_room, 4)
        block = _take(memory, _EVENTS_FREE, room, 2 + columns)
        if not block:
            return FULL
        book[RING], book[ROOM] = block, room
    new = events_of(memory, book, columns)
    for row in range(2 + columns):
        for i in range(book[EVENTS]):
            new[row, i] = old[row, book[FIRST] + i]
    book[FIRST] = 0
    if book[RING] != old_block:
        _give_back(memory, _EVENTS_FREE, old_block, old_room)
    return DONE


@part
def _first_before(leave: Ints, place: int) -> int:
    """Return the shortest window that an item at this place of the ring (or of the tiles) has not left; all longer ones hold it too."""
    window = 0
    while window < len(leave) and leave[window] > place:
        window += 1
    return window


@part
def _pop(code: Code, user: User, events: Ints) -> None:
    """Take the oldest event out of the ring, and out of the windows that still hold it."""
    book, windows = user.book, len(code.windows)
    held, event = _first_before(user.leave, ZERO), book[FIRST]
    if held < windows:
        count_one(code.units, code.lane_first, code.lanes, events[1, event], events[2:], event, MINUS, user.totals[0], held, windows)
    for window in range(held):
        user.leave[window] -= 1
    book[FIRST] += 1
    book[EVENTS] -= 1


@kernel
def _forget_tiles(code: Code, tiles: Ints, user: User, horizon: int) -> None:
    """Drop the tiles at or before the horizon."""
    book, width, gone = user.book, code.width, 0
    while gone < book[TILES] and tiles[gone, width] * DAY <= horizon:
        held = _first_before(user.tile_leave, ZERO)
        for window in range(len(code.windows)):
            if window < held:
                user.tile_leave[window] -= 1
            else:
                for lane in range(width):
                    user.totals[0, window * width + lane] -= tiles[gone, lane]
        gone += 1
    if gone:
        for i in range(book[TILES] - gone):
            for cell in range(1 + width):
                tiles[i, cell] = tiles[i + gone, cell]
        book[TILES] -= gone


@kernel
def _tile(code: Code, tiles: Ints, user: User, time: int, kind: Ints, values: Ints, event: int) -> None:
    """Merge an event into the tile of its UTC day, and into the windows that hold the tile; there is room."""
    book, day, width = user.book, time // DAY, code.width
    i = book[TILES]
    while i > 0 and tiles[i - 1, width] >= day:
        i -= 1
    held = _first_before(user.tile_leave, i)
    if i == book[TILES] or tiles[i, width] != day:
        for j in range(book[TILES], i, -1):
            for cell in range(1 + width):
                tiles[j, cell] = tiles[j - 1, cell]
        for lane in range(width):
            tiles[i, lane] = 0
        tiles[i, width] = day
        book[TILES] += 1
        for window in range(held):
            user.tile_leave[window] += 1
    add(code, kind, values, book[:0], event, event + 1, PLUS, tiles, i, ZERO, PLUS)
    add(code, kind, values, book[:0], event, event + 1, PLUS, user.totals, ZERO, held, len(code.windows))


@part
def _remember(code: Code, memory: Ints, user: User, events: Ints, time: int, kind: Ints, values: Ints, event: int) -> None:
    """Put an event into the ring, in the order of time, and into all windows and what is of all time.

    Where the ring is full its oldest event merges into a tile.
    """
    book, windows, k = user.book, len(code.windows), kind[event]
    place = book[FIRST] + book[EVENTS]
    while place > book[FIRST] and events[0, place - 1] > time:
        place -= 1
    if book[EVENTS] == HEAVY:
        oldest, tiles = book[FIRST], tiles_of(memory, book, code.width)
        if place == oldest:
            _tile(code, tiles, user, time, kind, values, event)
            count_one(code.units, code.lane_first, code.lanes, k, values, event, PLUS, user.totals[0], windows, windows + PLUS)
            return
        _tile(code, tiles, user, events[0, oldest], events[1], events[2:], oldest)
        _pop(code, user, events)
    for row in range(len(events)):
        for i in range(book[FIRST] + book[EVENTS], place, -1):
            events[row, i] = events[row, i - 1]
        events[row, place] = time if row == 0 else kind[event] if row == 1 else values[row - 2, event]
    book[EVENTS] += 1
    held = _first_before(user.leave, place - book[FIRST])
    for window in range(held):
        user.leave[window] += 1
    count_one(code.units, code.lane_first, code.lanes, k, values, event, PLUS, user.totals[0], held, windows + PLUS)


@part
def _enter(code: Code, memory: Ints, user: User, known_at: int, time: Instants, kind: Ints, values: Ints, event: int) -> int:
    """Enter one event; return what became of it."""
    book = user.book
    if known_at < book[LAST_KNOWN]:
        return BACKWARD
    windows, columns = len(code.windows), len(values)
    crowded = book[EVENTS] == HEAVY or book[FIRST] + book[EVENTS] >= book[ROOM]
    if windows and crowded and _make_room(code, memory, book, columns) == FULL:
        return FULL
    book[LAST_KNOWN] = known_at
    if len(code.folds):
        fold(code, kind, time, values, event, np.full(1, event + 1), ZERO, PLUS, user.state, user.decays, ZERO)
    if windows:
        events, horizon = events_of(memory, book, columns), known_at - code.windows[windows - 1]
        while book[EVENTS] and events[0, book[FIRST]] <= horizon:
            _pop(code, user, events)
        if book[TILES]:
            _forget_tiles(code, tiles_of(memory, book, code.width), user, horizon)
        if time[event] > horizon:
            _remember(code, memory, user, events, time[event], kind, values, event)
            return DONE
    count_one(code.units, code.lane_first, code.lanes, kind[event], values, event, PLUS, user.totals[0], windows, windows + PLUS)
    return DONE


@kernel
def update(integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, event: Ints) -> int:
    """Enter one event of one user (known_at, time, kind, values); return DONE, FULL or BACKWARD."""
    code, columns = unpack(integers, reals), len(event) - 3
    event[1] = min(event[0], event[1])
    return _enter(code, memory, opened(code, users[who]), event[0], event[1:2], event[2:3], event[3:].reshape((columns, 1)), ZERO)


@kernel
def feed(
    integers: Ints, reals: Floats, users: Ints, memory: Ints, who: Ints, known_at: Instants, time: Instants, kind: Ints, values: Ints,
    begin: int,
) -> tuple[int, int]:  # fmt: skip
    """Enter many events from ``begin`` on; return how far that went, and DONE or what stopped it."""
    if begin == len(who):
        return begin, DONE
    code, one = unpack(integers, reals), who[begin]
    user = opened(code, users[one])
    for event in range(begin, len(who)):
        if who[event] != one:
            one = who[event]
            user = opened(code, users[one])
        done = _enter(code, memory, user, known_at[event], time, kind, values, event)
        if done != DONE:
            return event, done
    return len(who), DONE


@part
def moved_to(code: Code, user: User, events: Ints, at: int) -> None:
    """Move the ring's leave pointers to where they stand at an instant, forward or back."""
    head, n, values, units, lane_first, lanes = user.book[FIRST], user.book[EVENTS], events[2:], code.units, code.lane_first, code.lanes
    for window in range(len(code.windows)):
        edge, left = at - code.windows[window], user.leave[window]
        i = left
        while i < n and events[0, head + i] < edge:
            i += 1
        while i > 0 and events[0, head + i - 1] >= edge:
            i -= 1
        if i != left:
            sign, begin, end = (MINUS, left, i) if i > left else (PLUS, i, left)
            for event in range(head + begin, head + end):
                count_one(units, lane_first, lanes, events[1, event], values, event, sign, user.totals[0], window, window + PLUS)
            user.leave[window] = i


@part
def tiles_moved_to(code: Code, user: User, tiles: Ints, at: int) -> None:
    """Move the tiles' leave pointers to where they stand at an instant, forward or back."""
    width, n = code.width, user.book[TILES]
    for window in range(len(code.windows)):
        edge, base, i = at - code.windows[window], window * width, user.tile_leave[window]
        while i < n and tiles[i, width] * DAY < edge:
            for lane in range(width):
                user.totals[0, base + lane] -= tiles[i, lane]
            i += 1
        while i > 0 and tiles[i - 1, width] * DAY >= edge:
            i -= 1
            for lane in range(width):
                user.totals[0, base + lane] += tiles[i, lane]
        user.tile_leave[window] = i


@part
def read(integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, columns: int, at: int, out: Singles) -> int:
    """Read one user out as of an instant after her last known event; return DONE or BACKWARD."""
    code = unpack(integers, reals)
    user = opened(code, users[who])
    if at <= user.book[LAST_KNOWN]:
        return BACKWARD
    moved_to(code, user, events_of(memory, user.book, columns), at)
    if user.book[TILES]:
        tiles_moved_to(code, user, tiles_of(memory, user.book, code.width), at)
    read_out(code, user.totals, user.state, user.decays, np.full(1, at), np.zeros(1, np.int64), ZERO, PLUS, out)
    return DONE


@kernel
def read_row(
    integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, columns: int, at: int, calendar: Singles, turn: Ints, over: Ints,
    out: Singles,
) -> int:  # fmt: skip
    """Read one user out as `read` does, and finish her row: what the calendar says, weekdays turned, what is one feature over another."""
    row = calendar.copy()
    done: int = read(integers, reals, users, memory, who, columns, at, row)
    _finish(row[0], turn, over, out)
    return done


@part
def _finish(row: Singles, turn: Ints, over: Ints, out: Singles) -> None:
    """Write a row with its weekdays turned, and what is one feature over another."""
    for column in range(len(out)):
        out[column] = row[turn[column]]
    for i in range(len(over)):
        below = out[over[i, 2]]
        out[over[i, 0]] = out[over[i, 1]] / below if below != 0 else np.float32(np.nan)


@kernel
def read_each(integers: Ints, reals: Floats, users: Ints, memory: Ints, who: Ints, columns: int, at: Instants, out: Singles) -> int:
    """Read users out as of an instant each (n rows); return DONE or BACKWARD."""
    for row in range(len(who)):
        if read(integers, reals, users, memory, who[row], columns, at[row], out[row : row + 1]) != DONE:
            return BACKWARD
    return DONE
