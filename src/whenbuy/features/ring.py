"""The ring: how the live engine keeps each user's newest events, so that they can leave every window one by one.

All of it is two arrays. ``users`` has a row per user: bookkeeping, totals, state, decays (their bits) and the leave pointers. ``memory`` holds
blocks of events in the order of time (time, kind, values: 16 B and 8 B per column each) and of day tiles (UTC day, lanes). Its first cells are
the end of what is used and, by kind of block and size, the first block given back; free blocks are linked through their first cell.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Instants, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.features.lanes import HEAVY, MINUS, PLUS, ZERO, Code, add, fold, read_out, unpack

DONE, FULL, BACKWARD = range(3)
"""What a kernel says: done; the memory must grow first, nothing was changed; that instant lies before what is known."""

LAST_KNOWN, RING, ROOM, FIRST, EVENTS, TILE, TILE_ROOM, TILES, BOOK = range(9)
"""A user's bookkeeping: last known_at; her block of events, its room, the first event in it, events; her block of tiles, its room, tiles."""

HEADER: Final = 65
_EVENTS_FREE, _TILES_FREE = np.int64(1), np.int64(33)


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


@kernel
def _open(code: Code, row: Ints) -> User:
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


@kernel
def _events(memory: Ints, book: Ints, columns: int) -> Ints:
    """Return a user's block of events: time, kind and values by rows."""
    return memory[book[RING] : book[RING] + (2 + columns) * book[ROOM]].reshape((2 + columns, book[ROOM]))


@kernel
def _tiles(memory: Ints, book: Ints, width: int) -> Ints:
    """Return a user's block of tiles: a row is a day and its lanes."""
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
    block = memory[place]
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
    old, old_block, old_room = _events(memory, book, columns), book[RING], book[ROOM]
    if 2 * book[EVENTS] >= old_room:
        room = max(2 * old_room, 4)
        block = _take(memory, _EVENTS_FREE, room, 2 + columns)
        if not block:
            return FULL
        book[RING], book[ROOM] = block, room
    new = _events(memory, book, columns)
    for row in range(2 + columns):
        for i in range(book[EVENTS]):
            new[row, i] = old[row, book[FIRST] + i]
    book[FIRST] = 0
    if book[RING] != old_block:
        _give_back(memory, _EVENTS_FREE, old_block, old_room)
    return DONE


@kernel
def _count(code: Code, user: User, kind: Ints, values: Ints, begin: int, end: int, sign: int, window: int) -> None:
    """Add some events to a window, or take them away."""
    if end > begin:
        add(code.lanes, code.lane_first, kind, values, user.book[:0], begin, end, sign, user.totals, ZERO, window * code.width)


@kernel
def _pop(code: Code, user: User, events: Ints) -> None:
    """Take the oldest event out of the ring, and out of the windows that still hold it."""
    book, event = user.book, user.book[FIRST]
    for window in range(len(code.windows)):
        if user.leave[window] > 0:
            user.leave[window] -= 1
        else:
            _count(code, user, events[1], events[2:], event, event + 1, MINUS, window)
    book[FIRST] += 1
    book[EVENTS] -= 1


@kernel
def _forget(code: Code, memory: Ints, user: User, events: Ints, horizon: int) -> None:
    """Drop what no permitted read can find in a window: events and tiles at or before the horizon."""
    book, width = user.book, code.width
    while book[EVENTS] and events[0, book[FIRST]] <= horizon:
        _pop(code, user, events)
    if not book[TILES]:
        return
    tiles, gone = _tiles(memory, book, width), 0
    while gone < book[TILES] and tiles[gone, 0] * DAY <= horizon:
        for window in range(len(code.windows)):
            if user.tile_leave[window] > 0:
                user.tile_leave[window] -= 1
            else:
                for lane in range(width):
                    user.totals[0, window * width + lane] -= tiles[gone, 1 + lane]
        gone += 1
    if gone:
        for i in range(book[TILES] - gone):
            for cell in range(1 + width):
                tiles[i, cell] = tiles[i + gone, cell]
        book[TILES] -= gone


@kernel
def _tile(code: Code, memory: Ints, user: User, time: int, kind: Ints, values: Ints, event: int) -> None:
    """Merge an event into the tile of its UTC day, and into the windows that hold the tile."""
    book, day, tiles = user.book, time // DAY, _tiles(memory, user.book, code.width)
    i = book[TILES]
    while i > 0 and tiles[i - 1, 0] >= day:
        i -= 1
    if i == book[TILES] or tiles[i, 0] != day:
        for j in range(book[TILES], i, -1):
            for cell in range(1 + code.width):
                tiles[j, cell] = tiles[j - 1, cell]
        tiles[i] = 0
        tiles[i, 0] = day
        book[TILES] += 1
        for window in range(len(code.windows)):
            user.tile_leave[window] += i < user.tile_leave[window]
    add(code.lanes, code.lane_first, kind, values, book[:0], event, event + 1, PLUS, tiles, i, PLUS)
    for window in range(len(code.windows)):
        if i >= user.tile_leave[window]:
            _count(code, user, kind, values, event, event + 1, PLUS, window)


@kernel
def _remember(code: Code, memory: Ints, user: User, events: Ints, time: int, kind: Ints, values: Ints, event: int) -> None:
    """Put an event into the ring, in the order of time; where the ring is full its oldest event merges into a tile."""
    book = user.book
    place = book[FIRST] + book[EVENTS]
    while place > book[FIRST] and events[0, place - 1] > time:
        place -= 1
    if book[EVENTS] == HEAVY:
        oldest = book[FIRST]
        if place == oldest:
            _tile(code, memory, user, time, kind, values, event)
            return
        _tile(code, memory, user, events[0, oldest], events[1], events[2:], oldest)
        _pop(code, user, events)
    for row in range(len(events)):
        for i in range(book[FIRST] + book[EVENTS], place, -1):
            events[row, i] = events[row, i - 1]
        events[row, place] = time if row == 0 else kind[event] if row == 1 else values[row - 2, event]
    book[EVENTS] += 1
    for window in range(len(code.windows)):
        if place - book[FIRST] < user.leave[window]:
            user.leave[window] += 1
        else:
            _count(code, user, kind, values, event, event + 1, PLUS, window)


@kernel
def _enter(code: Code, memory: Ints, user: User, known_at: int, time: Instants, kind: Ints, values: Ints, event: int) -> int:
    """Enter one event; return what became of it."""
    if known_at < user.book[LAST_KNOWN]:
        return BACKWARD
    windows, columns = len(code.windows), len(values)
    if windows and _make_room(code, memory, user.book, columns) == FULL:
        return FULL
    user.book[LAST_KNOWN] = known_at
    _count(code, user, kind, values, event, event + 1, PLUS, windows)
    if len(code.folds):
        fold(code, kind, time, values, event, np.full(1, event + 1), ZERO, PLUS, user.state, user.decays, ZERO)
    if windows:
        events, horizon = _events(memory, user.book, columns), known_at - code.windows[windows - 1]
        _forget(code, memory, user, events, horizon)
        if time[event] > horizon:
            _remember(code, memory, user, events, time[event], kind, values, event)
    return DONE


@kernel
def update(integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, event: Ints) -> int:
    """Enter one event of one user (known_at, time, kind, values); return DONE, FULL or BACKWARD."""
    code, columns = unpack(integers, reals), len(event) - 3
    event[1] = min(event[0], event[1])
    return _enter(code, memory, _open(code, users[who]), event[0], event[1:2], event[2:3], event[3:].reshape((columns, 1)), ZERO)


@kernel
def feed(
    code: Code, users: Ints, memory: Ints, who: Ints, known_at: Instants, time: Instants, kind: Ints, values: Ints, begin: int
) -> tuple[int, int]:
    """Enter many events from ``begin`` on; return how far that went, and DONE or what stopped it."""
    for event in range(begin, len(who)):
        done = _enter(code, memory, _open(code, users[who[event]]), known_at[event], time, kind, values, event)
        if done != DONE:
            return event, done
    return len(who), DONE


@kernel
def _move(code: Code, memory: Ints, user: User, columns: int, at: int) -> None:
    """Move the leave pointers to where they stand at an instant, forward or back."""
    book, width, totals = user.book, code.width, user.totals
    events, tiles, head = _events(memory, book, columns), _tiles(memory, book, width), book[FIRST]
    for window in range(len(code.windows)):
        edge, base, i = at - code.windows[window], window * width, user.leave[window]
        while i < book[EVENTS] and events[0, head + i] < edge:
            i += 1
        _count(code, user, events[1], events[2:], head + user.leave[window], head + i, MINUS, window)
        while i > 0 and events[0, head + i - 1] >= edge:
            i -= 1
        _count(code, user, events[1], events[2:], head + i, head + user.leave[window], PLUS, window)
        user.leave[window] = i
        i = user.tile_leave[window]
        while i < book[TILES] and tiles[i, 0] * DAY < edge:
            for lane in range(width):
                totals[0, base + lane] -= tiles[i, 1 + lane]
            i += 1
        while i > 0 and tiles[i - 1, 0] * DAY >= edge:
            i -= 1
            for lane in range(width):
                totals[0, base + lane] += tiles[i, 1 + lane]
        user.tile_leave[window] = i


@kernel
def read(integers: Ints, reals: Floats, users: Ints, memory: Ints, who: int, columns: int, at: int, out: Singles) -> int:
    """Read one user out as of an instant after her last known event; return DONE or BACKWARD."""
    code = unpack(integers, reals)
    user = _open(code, users[who])
    if at <= user.book[LAST_KNOWN]:
        return BACKWARD
    _move(code, memory, user, columns, at)
    read_out(code, user.totals, user.state, user.decays, np.full(1, at), np.zeros(1, np.int64), ZERO, PLUS, out)
    return DONE
