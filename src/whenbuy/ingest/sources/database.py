"""One way to ask SQLite, DuckDB, PostgreSQL and MySQL: a query in, rows out, in pieces, read only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from whenbuy.core.errors import DependencyError, NotFoundError, UsageError, WhenbuyError

SCHEMES: Final = ("sqlite", "duckdb", "postgresql", "postgres", "mysql", "mariadb")
"""How the address of a database begins: ``sqlite:///shop.db``, ``postgresql://user@host/name``."""
_PATIENCE_S: Final = 10
_SILENT: Final = frozenset([1040, 1045, 1053, 1129, 1130, 1205, 1213])
"""Errors of a MySQL server that are not the fault of a query: no room, no entrance, an end, a wait too long. Its client has the 2000s."""
_TABLE = re.compile(r"[\w.$\"`]+")

Piece = tuple[list[str], list[tuple[Any, ...]]]
"""The names of the columns, and some rows."""


def is_database(source: object) -> bool:
    """Return whether a source is the address of a database."""
    return isinstance(source, str) and "://" in source and source.partition("://")[0] in SCHEMES


def selected(query: str | None) -> str:
    """Return a SELECT statement: the query itself, or everything in the table that it names.

    Raises
    ------
    UsageError
        When there is none.
    """
    text = (query or "").strip().rstrip(";").strip()
    if not text:
        raise UsageError(
            "A database was named and no query.", "Say what to read from it.", "Give a SELECT statement or the name of a table: --query."
        )
    return f"SELECT * FROM {text}" if _TABLE.fullmatch(text) else text


@dataclass(frozen=True, slots=True)
class Database:
    """A database behind its address. Each question has a connection of its own, which a file's writers need not wait for.

    Parameters
    ----------
    address
        ``sqlite:///path``, ``duckdb:///path`` (a fourth slash begins a path from the root), ``postgresql://user@host:port/name`` or
        ``mysql://user@host:port/name``.

    Raises
    ------
    UsageError
        When it is none of these.
    """

    address: str

    def __post_init__(self) -> None:
        if not is_database(self.address):
            raise UsageError(f"{self.name} is no address of a database.", f"One begins with {', '.join(SCHEMES)}.", "Correct it.")

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        scheme = self.address.partition("://")[0]
        return {"postgres": "postgresql", "mariadb": "mysql"}.get(scheme, scheme)

    @property
    def name(self) -> str:
        """The address without user and password: what messages show."""
        split = urlsplit(self.address)
        if self.kind in ("sqlite", "duckdb"):
            return f"{self.kind}://{self.path.absolute().as_posix()}"
        return f"{self.kind}://{split.hostname or 'localhost'}{f':{split.port}' if split.port else ''}{split.path}"

    @property
    def path(self) -> Path:
        """The file of SQLite or DuckDB."""
        return Path(unquote(urlsplit(self.address).path).removeprefix("/")).expanduser()

    def rows(self, query: str, values: Sequence[object] = (), size: int = 50_000) -> Iterator[Piece]:
        """Yield what a query finds, so many rows at a time; nothing where it finds nothing.

        Raises
        ------
        NotFoundError
            When there is no such file.
        DependencyError
            When the database does not answer, or its client is not installed.
        UsageError
            When it does not understand the query.
        """
        if self.kind in ("sqlite", "duckdb") and not self.path.is_file():
            raise NotFoundError(f"There is no file {self.path.absolute()}.", "The database must exist.", "Check the path.")
        opened, told = _OPENERS[self.kind](self)
        try:
            connection = opened()
            try:
                yield from _pieces(connection, self.kind, query, values, size)
            finally:
                with suppress(Exception):
                    connection.close()
        except WhenbuyError:
            raise
        except Exception as error:
            if told(error) is None:
                raise
            raise self._failed(error, bool(told(error))) from error

    def after(self, query: str, mark: str, floor: object | None, most: int) -> tuple[str, list[object]]:
        """Return a query, and its values, for the rows of another one whose mark is at least `floor`, in the order of the mark."""
        quote, place = ("`" if self.kind == "mysql" else '"'), ("?" if self.kind in ("sqlite", "duckdb") else "%s")
        column = f"{quote}{mark.replace(quote, 2 * quote)}{quote}"
        inner = query if place == "?" or floor is None else query.replace("%", "%%")
        where = f"{column} IS NOT NULL" if floor is None else f"{column} >= {place}"
        return f"SELECT * FROM ({inner}) AS asked WHERE {where} ORDER BY {column} LIMIT {most:d}", [] if floor is None else [floor]

    def _failed(self, error: Exception, silent: bool) -> WhenbuyError:
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if silent:
            return DependencyError(
                f"{self.name} did not answer ({why}).", "It must be reachable.", "Look at the database and at the address."
            )
        return UsageError(f"{self.name} did not understand the query ({why}).", "It must be a SELECT of that database.", "Correct it.")


def _pieces(connection: Any, kind: str, query: str, values: Sequence[object], size: int) -> Iterator[Piece]:
    if kind == "postgresql":  # a cursor of the server: a client's own would fetch everything at once
        with connection.transaction(), connection.cursor(name="whenbuy") as cursor:
            cursor.execute(query, list(values) or None)
            yield from _fetched(cursor, size)
        return
    cursor = connection.cursor()
    cursor.execute(query, list(values)) if values else cursor.execute(query)
    yield from _fetched(cursor, size)
    cursor.close()


def _fetched(cursor: Any, size: int) -> Iterator[Piece]:
    while rows := cursor.fetchmany(size):
        yield [column[0] for column in cursor.description], [tuple(row) for row in rows]


# ---------------------------------------------------------------------------------------------- clients

_Opener = Callable[[], Any]
_Told = Callable[[Exception], "bool | None"]
"""Whether an error means that the database does not answer; None where it is not the client's."""


def _sqlite(database: Database) -> tuple[_Opener, _Told]:
    import sqlite3

    def told(error: Exception) -> bool | None:
        return ("lock" in str(error) or "open" in str(error)) if isinstance(error, sqlite3.Error) else None

    where = f"file:{database.path.absolute().as_posix().replace('?', '%3f').replace('#', '%23')}?mode=ro"
    return lambda: sqlite3.connect(where, uri=True, timeout=_PATIENCE_S), told


def _duckdb(database: Database) -> tuple[_Opener, _Told]:
    duckdb = _client("duckdb", "duckdb")

    def told(error: Exception) -> bool | None:
        return isinstance(error, duckdb.IOException) if isinstance(error, duckdb.Error) else None

    return lambda: duckdb.connect(str(database.path), read_only=True), told


def _postgresql(database: Database) -> tuple[_Opener, _Told]:
    psycopg = _client("psycopg", "postgres")

    def told(error: Exception) -> bool | None:
        lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        return lost if isinstance(error, psycopg.Error) else None

    return lambda: psycopg.connect(
        database.address, autocommit=True, connect_timeout=_PATIENCE_S, application_name="whenbuy",
        options="-c default_transaction_read_only=on",
    ), told  # fmt: skip


def _mysql(database: Database) -> tuple[_Opener, _Told]:
    pymysql = _client("pymysql", "mysql")

    def told(error: Exception) -> bool | None:
        if not isinstance(error, pymysql.MySQLError):
            return None
        number = error.args[0] if error.args else 0
        return isinstance(error, pymysql.err.InterfaceError) or number in _SILENT or 2_000 <= number < 3_000

    split = urlsplit(database.address)
    return lambda: pymysql.connect(
        host=split.hostname or "localhost", port=split.port or 3306, user=unquote(split.username or ""),
        password=unquote(split.password or ""), database=unquote(split.path.strip("/")), charset="utf8mb4", autocommit=True,
        connect_timeout=_PATIENCE_S, cursorclass=_client("pymysql.cursors", "mysql").SSCursor,
        init_command="SET SESSION TRANSACTION READ ONLY",
    ), told  # fmt: skip


_OPENERS: Final = {"sqlite": _sqlite, "duckdb": _duckdb, "postgresql": _postgresql, "mysql": _mysql}


def _client(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise DependencyError(
            f"{name} is not installed.", "Reading from that database needs it.", f"Install it with: pip install 'whenbuy[{extra}]'"
        ) from error
