"""The live engine: one event in, one user's features out, at any instant after what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from struct import Struct
from typing import Final

import numpy as np

from whenbuy.core.arrays import MISSING, Instants, Ints, Singles
from whenbuy.core.errors import DamagedError, LeakError, UsageError
from whenbuy.core.examples import Table
from whenbuy.features import ring
from whenbuy.features.ahead import Ahead, read_ahead
from whenbuy.features.lanes import pack
from whenbuy.features.local import offsets_at, on_the_wall, part_of, steady
from whenbuy.features.program import Program

_CHUNK: Final = 1 << 17


class Live:
    """The state of every user, kept so that an event costs O(1) amortised and any instant can be read exactly.

    The windows' own events are the state: each event that lies in the longest window is kept with its time, its kind and the columns that
    the spec needs (16 B, and 8 B per column), and each window has a pointer to the first event that has not left it. Beyond 4,096 events
    the oldest merge into UTC day tiles and the user is heavy.

    Events of a user come in the order in which they became known. Reads may go on in time (silence) and back again, down to the user's last
    known event: the pointers walk both ways, and nothing is dropped that a permitted read could need.

    Parameters
    ----------
    program
        The spec, compiled for the log whose dictionaries code the events.
    arrays
        A snapshot to go on from.

    Raises
    ------
    DamagedError
        When the snapshot was taken under another spec.
    """

    def __init__(self, program: Program, arrays: Mapping[str, Ints] | None = None) -> None:
        self.program = program
        self._integers, self._reals = pack(program.code)
        width = ring.user_width(program.code)
        self._users = np.zeros((0, width), np.int64)
        self._memory = np.zeros(1 << 12, np.int64)
        self._memory[0] = ring.HEADER
        if arrays is not None:
            self._users, self._memory = np.array(arrays["users"], np.int64), np.array(arrays["memory"], np.int64)
        if self._users.shape[1:] != (width,):
            raise DamagedError("A live state does not fit this spec.", "It was taken under another one.", "Feed the log again.")
        self._width = len(program.columns) + len(program.parts)
        told = bytearray(8 * (3 + self._width))
        self._event = np.frombuffer(told, np.int64)
        self._tell = partial(Struct(f"={3 + self._width}q").pack_into, told, 0)  # an array is filled number by number five times as slowly
        self._steady: tuple[int, int, int] = (0, 0, 0)
        self._day: tuple[int, int] = (0, 0)
        self._calendar = np.empty((1, len(program.names)), np.float32)
        self._turn = np.arange(len(program.names))
        self._ahead = Ahead.of(program, 0, 1, 1)

    def __len__(self) -> int:
        return len(self._users)

    def snapshot(self) -> dict[str, Ints]:
        """Return the state as plain arrays (copies), from which a new engine goes on bit for bit."""
        return {"users": self._users.copy(), "memory": self._memory.copy()}

    def heavy(self, user: int) -> bool:
        """Return whether the oldest events of a user are kept by the day."""
        return user < len(self) and bool(self._users[user, ring.TILES])

    def update(self, user: int, known_at: int, time: int, kind: int, values: Iterable[int]) -> None:
        """Enter one event.

        Parameters
        ----------
        user
            Code of the user; a new one begins with nothing.
        known_at, time
            Instants at which it became known and happened.
        kind
            What ``program.kind`` says of it.
        values
            The columns that ``program.columns`` names, as the log stores them: codes (-1: none) and counts of 1/scale (MISSING: none).

        Raises
        ------
        UsageError
            When an event of this user that became known later was entered before.
        """
        if user >= len(self._users):
            self._admit(user + 1)
        if self.program.parts:
            self._tell(known_at, time, kind, *values, *self._parts(min(known_at, time)))
        else:
            self._tell(known_at, time, kind, *values)
        while (done := ring.update(self._integers, self._reals, self._users, self._memory, user, self._event)) == ring.FULL:
            self._grow()
        if done == ring.BACKWARD:
            raise _out_of_order()

    def feed(self, rows: slice | Ints) -> None:
        """Enter events of the program's own log, in its order: how a state is built from history. Rows without a user are passed over.

        Raises
        ------
        UsageError
            When an event of a user that became known later was entered before.
        """
        log = self.program.log
        listed = np.arange(len(log))[rows]
        listed = listed[listed < log.offsets[-1]]
        self._admit(len(log.users))
        for chunk in np.split(listed, range(_CHUNK, len(listed), _CHUNK)):
            who = np.searchsorted(log.offsets, chunk, side="right") - 1
            time, kind, values = self.program.read(chunk)
            at, done = 0, ring.FULL
            while done == ring.FULL:
                at, done = ring.feed(
                    self._integers, self._reals, self._users, self._memory, who, log.known_at[chunk], time, kind, values, at
                )
                if done == ring.FULL:
                    self._grow()
            if done == ring.BACKWARD:
                raise _out_of_order()

    def enter(self, user: int, known_at: Instants, time: Instants, kind: Ints, values: Ints) -> None:
        """Enter events of one user, in the order in which they became known.

        Parameters
        ----------
        user
            Her code.
        known_at, time, kind
            As for `update` (n each).
        values
            The columns that ``program.columns`` names (columns x n).

        Raises
        ------
        UsageError
            When an event of this user that became known later was entered before.
        """
        self._admit(user + 1)
        time, n = np.minimum(time, known_at), len(values)
        told = np.empty((self._width, len(time)), np.int64)
        told[:n] = values
        if self.program.parts:
            local = time + offsets_at(time, self.program.clock)
            for row, part in enumerate(self.program.parts, n):
                told[row] = on_the_wall(part, local)
        who, at, done = np.full(len(time), user), 0, ring.FULL
        while done == ring.FULL:
            at, done = ring.feed(self._integers, self._reals, self._users, self._memory, who, known_at, time, kind, told, at)
            if done == ring.FULL:
                self._grow()
        if done == ring.BACKWARD:
            raise _out_of_order()

    def read(self, user: int, at: int, cutoff: int | None = None) -> Singles:
        """Return the features of one user as of an instant (one per name).

        Parameters
        ----------
        user
            Her code.
        at
            The instant.
        cutoff
            What the shop announces at or after it is not known yet; the instant itself, unless a silence is looked into.

        Raises
        ------
        LeakError
            When the instant does not lie after the user's last known event.
        """
        if user >= len(self._users):
            self._admit(user + 1)
        program = self.program
        if not self._day[0] <= at < self._day[1]:
            self._begin_day(at)
        out = np.empty(len(program.names), np.float32)
        done = ring.read_row(
            self._integers, self._reals, self._users, self._memory, user, self._width, at, self._calendar, self._turn, program.over, out
        )
        if done == ring.BACKWARD:
            raise _too_early()
        if program.by_instant:
            for column, measure in program.by_instant:
                out[column] = measure(np.array([at if cutoff is None else cutoff]), np.array([at]))[0]
            program.divide(out[None])
        return out

    def ahead(self, user: int, at: int, step: int, count: int) -> tuple[Singles, Ints]:
        """Return the features of one user as of an instant and so many steps later each, had nothing happened in between.

        Parameters
        ----------
        user
            Her code.
        at
            The instant; what the shop announced before it is known.
        step
            The length of a step in microseconds.
        count
            How many instants.

        Returns
        -------
        The features (names x count), and which of them change (names): of the others only the first instant is written.

        Raises
        ------
        LeakError
            When the instant does not lie after the user's last known event.
        """
        if user >= len(self._users):
            self._admit(user + 1)
        ahead, program = self._ahead, self.program
        if not ahead.covers(at, step, count):
            ahead = self._ahead = Ahead.of(program, at, step, count)
        out, moved = np.empty((len(program.names), count), np.float32), np.empty(len(program.names), np.int64)
        done = read_ahead(
            self._integers, self._reals, self._users, self._memory, user, self._width, at, step, ahead.layout, ahead.told, out, moved
        )
        if done == ring.BACKWARD:
            raise _too_early()
        if program.by_instant:
            cutoff, later = np.full(count, at), at + np.arange(count) * step
            _filled(out, moved)
            for column, measure in program.by_instant:
                out[column] = measure(cutoff, later)
            program.divide(out.T)
        return out, moved

    def path(self, user: int, at: int, step: int, count: int) -> Singles:
        """Return the same with every instant written (names x count); parameters and errors are those of `ahead`."""
        return _filled(*self.ahead(user, at, step, count))

    def table(self, users: Ints, at: Instants, cutoff: Instants) -> Table:
        """Return the features of users as of an instant each (n rows); parameters and errors are those of `read`."""
        if len(users):
            self._admit(int(users.max()) + 1)
        out = np.empty((len(users), len(self.program.names)), np.float32)
        if ring.read_each(self._integers, self._reals, self._users, self._memory, users, self._width, at, out) == ring.BACKWARD:
            raise _too_early()
        self.program.complete(cutoff, at, out)
        return Table(self.program.names, out)

    @property
    def used(self) -> int:
        """Bytes that the state takes: rows of users, and the events in their windows."""
        return self._users.nbytes + self._memory.nbytes

    def _parts(self, time: int) -> list[int]:
        """Return what the shop's clock says of an event."""
        if not self._steady[0] <= time < self._steady[1]:
            self._steady = steady(time, self.program.clock)
        local = time + self._steady[2]
        return [on_the_wall(part, local) for part in self.program.parts]

    def _begin_day(self, at: int) -> None:
        """Keep what the calendar says, which changes at the shop's midnight."""
        program, clock = self.program, self.program.clock
        instant = np.array([at], np.int64)
        self._day = int(clock.midnight_before(instant)[0]), clock.next_midnight(at)
        program.fill_calendar(instant, self._calendar)
        self._turn = program.turn(int(part_of("weekday", instant, clock)[0]))

    def _admit(self, users: int) -> None:
        """Make sure that there are rows for so many users."""
        if users <= len(self._users):
            return
        grown = np.zeros((max(users, 2 * len(self._users)), self._users.shape[1]), np.int64)
        grown[len(self._users) :, ring.LAST_KNOWN] = MISSING
        empty = ring.BOOK + (len(self.program.code.windows) + 1) * self.program.code.width
        grown[len(self._users) :, empty : empty + len(self.program.code.empty)] = self.program.code.empty
        grown[: len(self._users)] = self._users
        self._users = grown

    def _grow(self) -> None:
        self._memory = np.concatenate([self._memory, np.zeros_like(self._memory)])


def _filled(out: Singles, moved: Ints) -> Singles:
    """Write every instant of the features that do not change."""
    still = moved == 0
    out[still] = out[still, :1]
    moved[:] = 1
    return out


def _out_of_order() -> UsageError:
    return UsageError(
        "An event was entered that became known before one that the state already holds.",
        "Events of a user come in the order in which they became known.",
        "Give a late event the instant at which it arrived.",
    )


def _too_early() -> LeakError:
    return LeakError(
        "A user was to be read as of an instant at or before an event that the state already holds.",
        "What is known now was not known then.",
        "Read as of a later instant, or use the sweep.",
    )
