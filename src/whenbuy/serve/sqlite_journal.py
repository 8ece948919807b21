"""The journal in one SQLite file: write-ahead log, brought to the disk with every commit, one commit for all who wait."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from whenbuy.core.errors import AccessError, BusyError, DamagedError, WhenbuyError
from whenbuy.ingest.reception import LEAST_LATENESS_DAYS, Event, Reception, Refused, late
from whenbuy.serve.journal import (
    FORMAT,
    Counts,
    Dead,
    Entrance,
    Key,
    Receipt,
    Sorted,
    State,
    again,
    body_of,
    cut,
    event_of,
    keys,
    plain,
    sort_out,
    still_aside,
)

_T = TypeVar("_T")
_MOST_ROWS: Final = 10_000
"""How many waiting rows one commit takes."""
_PATIENCE_S: Final = 30.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, position TEXT);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, source INTEGER NOT NULL, event_id TEXT NOT NULL, known_at INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS events_key ON events (event_id, source);
CREATE TABLE IF NOT EXISTS aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT NOT NULL, source INTEGER NOT NULL, event_id TEXT, known_at INTEGER NOT NULL,
    reason TEXT NOT NULL, raw BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS aside_key ON aside (event_id, source) WHERE event_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS facts (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, known_at INTEGER NOT NULL, sent INTEGER NOT NULL,
    duplicate INTEGER NOT NULL, late INTEGER NOT NULL, compacted INTEGER NOT NULL
);
INSERT OR IGNORE INTO facts VALUES (1, 0, 0, 0, 0, 0, 0);
"""
_AT_ONCE: Final = 64
"""So many events go into one statement: at each the interpreter is let go and taken again, which can cost more than the statement."""
_STATE: Final = "SELECT seq, known_at, sent, duplicate, late FROM facts"
_EVENTS: Final = """SELECT seq, name, event_id, known_at, body FROM events JOIN sources ON sources.id = source
    WHERE seq > ? ORDER BY seq LIMIT ?"""
_ASIDE: Final = "SELECT aside.id, status, name, raw, reason, known_at FROM aside JOIN sources ON sources.id = source"


class SqliteJournal:
    """The journal in one SQLite file.

    Threads that call `take` while another one's commit is on its way to the disk wait together and share the next commit. Other processes
    may write to the same file.

    Parameters
    ----------
    path
        The file; it and its folder are made, for their owner alone, if they do not exist.
    lateness_days
        How many days an event may be on its way.
    entrance
        Says which events cleaning takes out; none where it is None.

    Raises
    ------
    AccessError
        When the file system refuses.
    DamagedError
        When the file is no journal.
    """

    def __init__(self, path: Path | str, lateness_days: float = LEAST_LATENESS_DAYS, entrance: Entrance | None = None) -> None:
        self.path, self.lateness_days, self.entrance = Path(path), lateness_days, entrance
        self._waiting: list[_Ticket] = []
        self._queue, self._writing, self._reading = threading.Lock(), threading.Lock(), threading.Lock()
        self._sources: dict[str, int] = {}
        with self._told():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            self._writer, self._reader = self._connected(), self._connected()
            self._prepare()
            self._writer.execute("PRAGMA busy_timeout = 0")  # `begin` waits for nobody

    def _connected(self) -> sqlite3.Connection:
        made = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False, cached_statements=64)
        made.execute("PRAGMA synchronous = FULL")
        return made

    def _prepare(self) -> None:
        found = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise DamagedError(
                f"{self.path} is a journal of the form {found}.", f"This version of whenbuy reads the form {FORMAT}.", "Update whenbuy."
            )
        self._writer.execute("PRAGMA journal_mode = WAL")
        if found != FORMAT:
            self._writer.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")

    # --------------------------------------------------------------------------------------------- taking

    def take(self, batch: Sequence[Event | Refused], position: Key | None = None) -> Receipt:
        """Keep a batch and the position of its source in one durable transaction; see `Journal.take`."""
        ticket = _Ticket(batch, position)
        with self._queue:
            self._waiting.append(ticket)
        with self._writing:
            if not ticket.done:
                self._commit(self._next(ticket))
        return ticket.receipt()

    def begin(self, batch: Sequence[Event | Refused]) -> Callable[[], Receipt] | None:
        """Write a batch, all of it accepted as it is, but do not bring it to the disk; see `Journal.begin`."""
        if not self._writing.acquire(blocking=False):
            return None
        receipt = None
        try:
            with suppress(Exception):  # `take` says what is wrong
                self._writer.execute("BEGIN IMMEDIATE")
                receipt = self._begun(batch)
        finally:
            if receipt is None:
                self._undo()
                self._writing.release()
        return None if receipt is None else partial(self._ended, receipt)

    def _begun(self, batch: Sequence[Event | Refused]) -> Receipt | None:
        state = self._read_state()
        if self.entrance is not None and (self.entrance.seq < state.seq or self.entrance.suspects(batch)):
            return None
        found = plain(batch, state, self.lateness_days)
        if found is None:
            return None
        self._write(found)
        return found.receipt

    def _ended(self, receipt: Receipt) -> Receipt:
        try:
            with self._told():
                try:
                    self._writer.execute("COMMIT")
                except BaseException:
                    self._undo()
                    raise
            if self.entrance is not None:
                self.entrance.learn(receipt.new())
        finally:
            self._writing.release()
        return receipt

    def _next(self, own: _Ticket) -> list[_Ticket]:
        """Take those who wait, the first come first, up to one's own and as many rows as one commit may have."""
        with self._queue:
            rows, count = 0, 0
            for count, ticket in enumerate(self._waiting, 1):
                rows += len(ticket.batch)
                if rows >= _MOST_ROWS and own in self._waiting[:count]:
                    break
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _commit(self, tickets: list[_Ticket]) -> None:
        try:
            with self._told():
                try:
                    receipts = self._transaction(lambda: self._taken(tickets, careful=False))
                except sqlite3.IntegrityError:  # something in it is held already
                    receipts = self._transaction(lambda: self._taken(tickets, careful=True))
        except BaseException as error:
            if len(tickets) > 1 and not isinstance(error, WhenbuyError):  # one of them is at fault: each stands for itself
                for ticket in tickets:
                    self._commit([ticket])
                return
            for ticket in tickets:
                ticket.error = error
            return
        if self.entrance is not None:
            for receipt in receipts:
                self.entrance.learn(receipt.new())
        for ticket, receipt in zip(tickets, receipts, strict=True):
            ticket.found = receipt

    def _taken(self, tickets: list[_Ticket], careful: bool) -> list[Receipt]:
        """Keep batches. Where it is not careful, only what may not be accepted is looked up: the index refuses what is held already."""
        batch = tickets[0].batch if len(tickets) == 1 else [row for ticket in tickets for row in ticket.batch]
        state = self._read_state()
        self._follow(state.seq)
        odd: Collection[int] = () if careful or self.entrance is None else self.entrance.suspects(batch)
        found = None if careful or odd else plain(batch, state, self.lateness_days)
        if found is None:
            found = self._sorted(batch, state, odd, careful)
        self._write(found)
        for source, position in (ticket.position for ticket in tickets if ticket.position is not None):
            self._writer.execute("UPDATE sources SET position = ? WHERE id = ?", (position, self._source(source)))
        return cut(found.receipt, [len(ticket.batch) for ticket in tickets])

    def _sorted(self, batch: Sequence[Event | Refused], state: State, odd: Collection[int], careful: bool) -> Sorted:
        asked = [
            row for place, row in enumerate(batch)
            if isinstance(row, Event) and (careful or place in odd or late(row, self.lateness_days))
        ]  # fmt: skip
        return sort_out(batch, self._known(keys(asked)), state, self.lateness_days, self.entrance if careful or odd else None)

    def _follow(self, seq: int) -> None:
        """Let the entrance learn of what others wrote to the journal."""
        while self.entrance is not None and self.entrance.seq < seq:
            page = self._writer.execute(_EVENTS, (self.entrance.seq, _MOST_ROWS)).fetchall()
            self.entrance.learn((place, event_of(*kept)) for place, *kept in page)

    def _known(self, wanted: list[Key]) -> set[Key]:
        """Return which keys the journal holds, be it as events or set aside."""
        known, ask = set(), self._writer.execute
        for source, event_id in wanted:
            key = (event_id, self._source(source))
            if any(ask(f"SELECT 1 FROM {table} WHERE event_id = ? AND source = ?", key).fetchone() for table in ("events", "aside")):
                known.add((source, event_id))
        return known

    def _read_state(self) -> State:
        return State(*self._writer.execute(_STATE).fetchone())

    def _write(self, found: Sorted, numbers: Sequence[int | None] = ()) -> None:
        """Write what a batch changes; rows that are set aside again keep their numbers."""
        self._add(found.events)
        if found.aside:
            rows = zip(numbers or [None] * len(found.aside), found.aside, strict=True)
            self._writer.executemany(
                "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(n, row.status, self._source(row.source), row.event_id, row.known_at, row.reason, row.raw) for n, row in rows],
            )
        state = found.state
        self._writer.execute(
            "UPDATE facts SET seq = ?, known_at = ?, sent = ?, duplicate = ?, late = ?",
            (state.seq, state.known_at, state.sent, state.duplicate, state.late),
        )

    def _add(self, events: Sequence[tuple[int, Event]]) -> None:
        done = 0
        while left := len(events) - done:
            size = min(1 << (left.bit_length() - 1), _AT_ONCE)  # few sizes, so that their statements stay compiled
            values: list[object] = []
            for seq, event in events[done : done + size]:
                values += seq, self._source(event.source), event.event_id, event.known_at, body_of(event)
            self._writer.execute(_adding(size), values)
            done += size

    def _source(self, name: str) -> int:
        """Return the number of a source; it gets one in the transaction that needs it."""
        found = self._sources.get(name)
        if found is None:
            self._writer.execute("INSERT OR IGNORE INTO sources (name) VALUES (?)", (name,))
            found = int(self._writer.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()[0])
            self._sources[name] = found
        return found

    def _transaction(self, work: Callable[[], _T]) -> _T:
        self._begin_patiently()
        try:
            result = work()
            self._writer.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        return result

    def _begin_patiently(self) -> None:
        """Begin a transaction, after other processes have ended theirs."""
        end, wait_s = time.monotonic() + _PATIENCE_S, 0.001
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > end:
                    raise
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 0.05)

    def _undo(self) -> None:
        self._sources.clear()  # their numbers may not have come to stay
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")

    # ------------------------------------------------------------------------------------------- set aside

    def dead(self, after: int = 0, limit: int = 100) -> list[Dead]:
        """Return rows that were set aside, by number; see `Journal.dead`."""
        return [Dead(*row) for row in self._read(f"{_ASIDE} WHERE aside.id > ? ORDER BY aside.id LIMIT ?", (after, limit))]

    def replay(self, ids: Collection[int], reception: Reception, now: int) -> Receipt:
        """Receive rows again that were set aside; see `Journal.replay`."""

        def work() -> Receipt:
            found = [self._writer.execute(f"{_ASIDE} WHERE aside.id = ?", (number,)).fetchone() for number in sorted(set(ids))]
            held = [Dead(*row) for row in found if row is not None]
            self._writer.executemany("DELETE FROM aside WHERE id = ?", [(dead.id,) for dead in held])
            before = self._read_state()
            tardy = before.late - sum(dead.status == "late" for dead in held)
            state = State(before.seq, before.known_at, before.sent - len(held), before.duplicate, tardy)
            self._follow(state.seq)
            batch = [again(dead, reception, now) for dead in held]
            done = sort_out(batch, self._known(keys(batch)), state, reception.lateness_days, self.entrance)
            self._write(done, still_aside(held, done.receipt))
            return done.receipt

        with self._writing, self._told():
            return self._transaction(work)

    # --------------------------------------------------------------------------------------------- reading

    def events(self, after: int = 0, limit: int = 10_000) -> Iterator[tuple[int, Event]]:
        """Yield accepted events by their place, in its order."""
        for seq, source, event_id, known_at, body in self._read(_EVENTS, (after, limit)):
            yield seq, event_of(source, event_id, known_at, body)

    def last(self) -> int:
        """Return the place of the last accepted event; 0 where there is none."""
        return int(self._read("SELECT seq FROM facts")[0][0])

    def position(self, source: str) -> str | None:
        """Return how far a source has been read, None where it has not."""
        found = self._read("SELECT position FROM sources WHERE name = ?", (source,))
        return found[0][0] if found else None

    def counts(self) -> Counts:
        """Return what became of everything that was sent."""
        row = self._read("SELECT sent, seq, duplicate, (SELECT count(*) FROM aside) - late, late FROM facts")[0]
        return Counts(*row)

    def compacted(self) -> int:
        """Return the place up to which the columnar log holds everything."""
        return int(self._read("SELECT compacted FROM facts")[0][0])

    def mark_compacted(self, seq: int) -> None:
        """Say that the columnar log holds everything up to a place."""
        with self._writing, self._told():
            self._transaction(lambda: self._writer.execute("UPDATE facts SET compacted = ?", (seq,)))

    def close(self) -> None:
        """Let the file go."""
        with self._writing, self._reading, suppress(sqlite3.Error):
            self._reader.close()
            self._writer.close()

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._reading, self._told():
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error
        except OSError as error:
            raise self._denied(str(error.strerror)) from error

    def _error(self, error: sqlite3.Error) -> WhenbuyError:
        name = _name_of(error)
        if _is_busy(error):
            return BusyError(f"Another process is writing to {self.path}.", f"It did not end within {_PATIENCE_S:g} s.", "Send again.")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return DamagedError(f"{self.path} is damaged ({error}).", "It must be as it was written.", "Restore a copy.")
        return self._denied(str(error))

    def _denied(self, why: str) -> AccessError:
        return AccessError(
            f"{self.path} could not be written ({why}): nothing of what was sent was kept.",
            "whenbuy must be able to write there before it says that it has an event.",
            "Look at the space left and at the permissions, and send again.",
        )


def _name_of(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", "") or "")


def _is_busy(error: sqlite3.Error) -> bool:
    return _name_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


@cache
def _adding(count: int) -> str:
    """Return what adds so many events: one that fails is rolled back with all, so what it did need not be noted beside (`OR FAIL`)."""
    return "INSERT OR FAIL INTO events VALUES" + ",".join(["(?,?,?,?,?)"] * count)


class _Ticket:
    """One caller's batch on its way to the disk."""

    __slots__ = ("batch", "error", "found", "position")

    def __init__(self, batch: Sequence[Event | Refused], position: Key | None) -> None:
        self.batch, self.position = batch, position
        self.found: Receipt | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.found is not None or self.error is not None

    def receipt(self) -> Receipt:
        if self.found is None:
            assert self.error is not None
            raise self.error
        return self.found
