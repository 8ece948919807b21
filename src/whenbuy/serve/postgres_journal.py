"""The journal in PostgreSQL: where several machines take events into one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from whenbuy.core.errors import DamagedError, DependencyError
from whenbuy.ingest.reception import LEAST_LATENESS_DAYS, Event, Reception, Refused
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
    event_of,
    keys,
    sort_out,
    still_aside,
)  # fmt: skip

if TYPE_CHECKING:
    import psycopg

_T = TypeVar("_T")
_PATIENCE_S: Final = 5
_MOST_ROWS: Final = 10_000
_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS whenbuy;
CREATE TABLE IF NOT EXISTS whenbuy.events (
    seq BIGINT PRIMARY KEY, source TEXT NOT NULL, event_id TEXT NOT NULL, known_at BIGINT NOT NULL, body BYTEA NOT NULL,
    UNIQUE (event_id, source)
);
CREATE TABLE IF NOT EXISTS whenbuy.aside (
    id BIGSERIAL PRIMARY KEY, status TEXT NOT NULL, source TEXT NOT NULL, event_id TEXT, known_at BIGINT NOT NULL,
    reason TEXT NOT NULL, raw BYTEA NOT NULL, UNIQUE (event_id, source)
);
CREATE TABLE IF NOT EXISTS whenbuy.positions (source TEXT PRIMARY KEY, position TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS whenbuy.facts (
    id INTEGER PRIMARY KEY CHECK (id = 1), form INTEGER NOT NULL, seq BIGINT NOT NULL, known_at BIGINT NOT NULL, sent BIGINT NOT NULL,
    duplicate BIGINT NOT NULL, late BIGINT NOT NULL, compacted BIGINT NOT NULL
);
"""
_ONE_AT_A_TIME: Final = 0x77686E627579
"""The number of the lock under which the tables are made."""
_STATE: Final = "SELECT seq, known_at, sent, duplicate, late FROM whenbuy.facts"
_KNOWN: Final = """SELECT source, event_id FROM unnest(%s::text[], %s::text[]) AS wanted (source, event_id)
    WHERE EXISTS (SELECT FROM whenbuy.events AS held WHERE (held.event_id, held.source) = (wanted.event_id, wanted.source))
    OR EXISTS (SELECT FROM whenbuy.aside AS held WHERE (held.event_id, held.source) = (wanted.event_id, wanted.source))"""
_EVENTS: Final = "SELECT source, event_id, known_at, body, seq FROM whenbuy.events WHERE seq > %s ORDER BY seq LIMIT %s"
_ASIDE: Final = "SELECT id, status, source, raw, reason, known_at FROM whenbuy.aside"


class PostgresJournal:
    """The journal in the schema ``whenbuy`` of a PostgreSQL database.

    Writers on several machines take turns, so that places have no gaps and no event becomes visible before an earlier one. A connection
    that is lost is made anew by the next call. Where it is lost during a commit nobody knows whether the batch is durable: it is not
    acknowledged, and the sender's second try counts once.

    Parameters
    ----------
    address
        As psycopg reads it: ``postgresql://user@host:5432/name``; a password may come from the environment or ``~/.pgpass``.
    lateness_days
        How many days an event may be on its way.
    patience_s
        After so many seconds without an answer the connection is given up: a server may be there and say nothing.
    entrance
        Says which events cleaning takes out; none where it is None.

    Raises
    ------
    DependencyError
        When psycopg is not installed or the database does not answer.
    """

    def __init__(
        self, address: str, lateness_days: float = LEAST_LATENESS_DAYS, patience_s: float = 5.0, entrance: Entrance | None = None
    ) -> None:
        self.address, self.lateness_days, self.patience_s, self.entrance = address, lateness_days, patience_s, entrance
        self._using = threading.Lock()
        self._open: psycopg.Connection[Any] | None = None
        self._run(_prepare)

    # --------------------------------------------------------------------------------------------- taking

    def take(self, batch: Sequence[Event | Refused], position: Key | None = None) -> Receipt:
        """Keep a batch and the position of its source in one durable transaction; see `Journal.take`."""

        def work(to: psycopg.Connection[Any]) -> Receipt:
            state = _state(to)
            self._follow(to, state.seq)
            found = sort_out(batch, _known(to, keys(batch)), state, self.lateness_days, self.entrance)
            _write(to, found)
            if position is not None:
                to.execute(
                    "INSERT INTO whenbuy.positions VALUES (%s, %s) ON CONFLICT (source) DO UPDATE SET position = excluded.position",
                    position,
                )
            return found.receipt

        receipt = self._run(work)
        if self.entrance is not None:
            self.entrance.learn(receipt.new())
        return receipt

    def begin(self, batch: Sequence[Event | Refused]) -> Callable[[], Receipt] | None:
        """Return None: another machine would be waited for."""
        return None

    def _follow(self, to: psycopg.Connection[Any], seq: int) -> None:
        """Let the entrance learn of what others wrote to the journal."""
        while self.entrance is not None and self.entrance.seq < seq:
            page = to.execute(_EVENTS, (self.entrance.seq, _MOST_ROWS)).fetchall()
            self.entrance.learn((place, event_of(*kept)) for *kept, place in page)

    def replay(self, ids: Collection[int], reception: Reception, now: int) -> Receipt:
        """Receive rows again that were set aside; see `Journal.replay`."""

        def work(to: psycopg.Connection[Any]) -> Receipt:
            before = _state(to)
            held = [Dead(*row) for row in to.execute(f"{_ASIDE} WHERE id = ANY(%s) ORDER BY id", ([*ids],)).fetchall()]
            to.execute("DELETE FROM whenbuy.aside WHERE id = ANY(%s)", ([dead.id for dead in held],))
            late = before.late - sum(dead.status == "late" for dead in held)
            state = State(before.seq, before.known_at, before.sent - len(held), before.duplicate, late)
            self._follow(to, state.seq)
            batch = [again(dead, reception, now) for dead in held]
            done = sort_out(batch, _known(to, keys(batch)), state, reception.lateness_days, self.entrance)
            _write(to, done, still_aside(held, done.receipt))
            return done.receipt

        return self._run(work)

    # --------------------------------------------------------------------------------------------- reading

    def events(self, after: int = 0, limit: int = 10_000) -> Iterator[tuple[int, Event]]:
        """Yield accepted events by their place, in its order."""
        for *kept, seq in self._read(_EVENTS, (after, limit)):
            yield seq, event_of(*kept)

    def last(self) -> int:
        """Return the place of the last accepted event; 0 where there is none."""
        return int(self._read("SELECT seq FROM whenbuy.facts")[0][0])

    def position(self, source: str) -> str | None:
        """Return how far a source has been read, None where it has not."""
        found = self._read("SELECT position FROM whenbuy.positions WHERE source = %s", (source,))
        return str(found[0][0]) if found else None

    def counts(self) -> Counts:
        """Return what became of everything that was sent."""
        aside = "(SELECT count(*) FROM whenbuy.aside) - late"
        return Counts(*self._read(f"SELECT sent, seq, duplicate, {aside}, late FROM whenbuy.facts")[0])

    def dead(self, after: int = 0, limit: int = 100) -> list[Dead]:
        """Return rows that were set aside, by number."""
        return [Dead(*row) for row in self._read(f"{_ASIDE} WHERE id > %s ORDER BY id LIMIT %s", (after, limit))]

    def compacted(self) -> int:
        """Return the place up to which the columnar log holds everything."""
        return int(self._read("SELECT compacted FROM whenbuy.facts")[0][0])

    def mark_compacted(self, seq: int) -> None:
        """Say that the columnar log holds everything up to a place."""
        self._run(lambda to: to.execute("UPDATE whenbuy.facts SET compacted = %s", (seq,)))

    def close(self) -> None:
        """Let the connection go."""
        with self._using:
            self._drop()

    # ------------------------------------------------------------------------------------------ connection

    def _read(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._run(lambda to: to.execute(query, values).fetchall())

    def _run(self, work: Callable[[psycopg.Connection[Any]], _T]) -> _T:
        """Return what some work in one transaction gives, once it is durable."""
        psycopg = _psycopg()
        with self._using:
            try:
                to = self._connected()
                with _watched(to, self.patience_s), to.transaction():
                    result = work(to)
            except psycopg.Error as error:
                self._drop()
                raise _unreachable(error) from error
            except BaseException:
                self._drop()
                raise
            return result

    def _connected(self) -> psycopg.Connection[Any]:
        if self._open is None or self._open.closed:
            self._open = _psycopg().connect(
                self.address, autocommit=True, connect_timeout=_PATIENCE_S, keepalives_idle=_PATIENCE_S, keepalives_interval=2,
                keepalives_count=3, tcp_user_timeout=_PATIENCE_S * 1_000, application_name="whenbuy",
            )  # fmt: skip
            self._open.execute("SET synchronous_commit = on")
            self._open.execute(f"SET statement_timeout = '{self.patience_s}s'")
            self._open.execute(f"SET idle_in_transaction_session_timeout = '{self.patience_s}s'")
        return self._open

    def _drop(self) -> None:
        if self._open is not None:
            with suppress(Exception):
                self._open.close()
            self._open = None


@contextmanager
def _watched(to: psycopg.Connection[Any], patience_s: float) -> Iterator[None]:
    """Cut the connection where the work on it takes too long."""

    def cut() -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(to.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(patience_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _prepare(to: psycopg.Connection[Any]) -> None:
    to.execute("SELECT pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
    to.execute(_TABLES)  # several statements pass where no values are given
    to.execute("INSERT INTO whenbuy.facts VALUES (1, %s, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING", (FORMAT,))
    (found,) = to.execute("SELECT form FROM whenbuy.facts").fetchone() or (None,)
    if found != FORMAT:
        raise DamagedError(
            f"The database holds a journal of the form {found}.", f"This version of whenbuy reads the form {FORMAT}.", "Update whenbuy."
        )


def _state(to: psycopg.Connection[Any]) -> State:
    """Return the facts; until the end of the transaction nobody else changes them."""
    row = to.execute(f"{_STATE} FOR UPDATE").fetchone()
    assert row is not None
    return State(*row)


def _known(to: psycopg.Connection[Any], wanted: list[Key]) -> set[Key]:
    if not wanted:
        return set()
    sources, ids = map(list, zip(*wanted, strict=True))
    return set(to.execute(_KNOWN, (sources, ids)).fetchall())


def _write(to: psycopg.Connection[Any], found: Sorted, numbers: Sequence[int] = ()) -> None:
    with to.cursor() as cursor:
        if found.events:
            with cursor.copy("COPY whenbuy.events FROM STDIN") as copy:
                for seq, event in found.events:
                    copy.write_row((seq, event.source, event.event_id, event.known_at, body_of(event)))
        for place, row in enumerate(found.aside):
            values = (row.status, row.source, row.event_id, row.known_at, row.reason, row.raw)
            if numbers:
                cursor.execute("INSERT INTO whenbuy.aside VALUES (%s, %s, %s, %s, %s, %s, %s)", (numbers[place], *values))
            else:
                cursor.execute("INSERT INTO whenbuy.aside VALUES (DEFAULT, %s, %s, %s, %s, %s, %s)", values)
    state = found.state
    to.execute(
        "UPDATE whenbuy.facts SET seq = %s, known_at = %s, sent = %s, duplicate = %s, late = %s",
        (state.seq, state.known_at, state.sent, state.duplicate, state.late),
    )


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise DependencyError(
            "psycopg is not installed.", "A journal in PostgreSQL needs it.", "Install it with: pip install 'whenbuy[postgres]'"
        ) from error
    return psycopg


def _unreachable(error: Exception) -> DependencyError:
    why = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return DependencyError(
        f"PostgreSQL did not keep what was sent ({why}).", "It must answer before whenbuy says that it has an event.",
        "Look at the database, and send again.",
    )  # fmt: skip
