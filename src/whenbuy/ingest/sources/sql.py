"""Databases as a table that is read whole, and as a stream behind a high-water mark."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from whenbuy.core.errors import EmptyError, InputError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused, bytes_of
from whenbuy.ingest.sources.database import Database, Piece, selected
from whenbuy.ingest.sources.stream import Chunk, Positions

_PAGE: Final = 20_000
_MOST_SEEN: Final = 20_000
"""How many rows a position remembers; beyond, the journal tells what it has had already."""
_KINDS: Final[dict[str, Callable[[str], Any]]] = {
    "int": int, "float": float, "str": str, "Decimal": Decimal, "datetime": datetime.fromisoformat, "date": date.fromisoformat,
}  # fmt: skip


def table(address: str, query: str | None) -> pl.DataFrame:
    """Return what a query finds in a database.

    Parameters
    ----------
    address
        As `Database` reads it.
    query
        A SELECT statement, or the name of a table.

    Raises
    ------
    EmptyError
        When it finds nothing.
    NotFoundError, DependencyError, UsageError
        As from `Database.rows`.
    """
    database = Database(address)
    parts = [
        pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None, strict=False)
        for names, rows in database.rows(selected(query))
    ]
    if not parts:
        raise EmptyError(f"{database.name} has no row for {query!r}.", "whenbuy needs at least one event.", "Look at the query.")
    return pl.concat(parts, how="vertical_relaxed")


class SqlRows:
    """The rows of a query as a stream: in the order of a mark that rises, each of them once.

    The mark may stand still (many rows of one day): what was read at it is remembered. Rows may still appear below it, as they do where
    transactions end in another order than they began; with an `overlap` everything that far below the mark is looked at again. Rows
    without a mark are not read. Without a mark column everything is read once.

    Parameters
    ----------
    address
        As `Database` reads it.
    query
        A SELECT statement, or the name of a table.
    mark
        The column that rises: a number, a time, or text that sorts like one.
    reception
        How rows are understood.
    overlap
        How far below the mark rows may still appear: in seconds where it is a time, else in its own unit.

    Raises
    ------
    UsageError
        When the address is none, or no query is given.
    """

    def __init__(self, address: str, query: str | None, mark: str | None, reception: Reception, overlap: float = 0.0) -> None:
        self._database, self._query = Database(address), selected(query)
        self.name = f"{self._database.name}#{hashlib.sha256(self._query.encode()).hexdigest()[:8]}"
        self._mark, self._reception, self._overlap = mark, reception, overlap
        self._high: Any = None
        self._seen: dict[str, Any] = {}
        self._restored = False
        self._ready: deque[tuple[str, Any, dict[str, Any]]] = deque()
        self._once: Iterator[Piece] | None = None
        self._times: Counter[str] = Counter()

    def read(self, positions: Positions, most: int, now: int) -> Chunk | None:
        """Return what comes next; see `Stream.read`."""
        if not self._restored:
            self._restore(positions(self.name))
            self._restored = True
        if not self._ready:
            self._ready.extend(self._everything() if self._mark is None else self._page(self._mark))
        rows: list[Event | Refused] = []
        while self._ready and len(rows) < most:
            key, value, row = self._ready.popleft()
            if self._mark is not None:
                self._seen[key] = value
                self._high = value if self._high is None or self._reaches(value, self._high) else self._high
            rows.append(self._reception.row(row, self.name, now, key, bytes_of(row)))
        return Chunk(rows, self.name, self._position()) if rows else None

    def done(self, chunk: Chunk) -> None:
        """Hear that a chunk is durable."""

    def close(self) -> None:
        """Let the connection go."""
        self._once = None

    # ------------------------------------------------------------------------------------------ what is new

    def _everything(self) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield the next rows of the only look at the query."""
        if self._once is None:
            self._once = self._database.rows(self._query, (), _PAGE)
        names, rows = next(self._once, ([], []))
        for row in rows:
            yield self._key(row, self._times), None, dict(zip(names, row, strict=True))

    def _page(self, mark: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield rows from the mark on that were not read yet; at least one where there is any."""
        floor = self._floor()
        self._seen = {key: value for key, value in self._seen.items() if floor is None or self._reaches(value, floor)}
        times: Counter[str] = Counter()
        for names, rows in self._database.rows(*self._database.after(self._query, mark, floor, len(self._seen) + _PAGE)):
            if mark not in names:
                raise UsageError(f"The query has no column {mark!r}; it has {', '.join(names)}.", "The mark is one of them.", "Name it.")
            place = names.index(mark)
            for row in rows:
                key = self._key(row, times)
                if key not in self._seen:
                    yield key, row[place], dict(zip(names, row, strict=True))

    def _key(self, row: tuple[Any, ...], times: Counter[str]) -> str:
        """Return what tells a row apart: what it says, and how many that say the same came before it."""
        said = hashlib.sha256(repr(row).encode(errors="backslashreplace")).hexdigest()[:24]
        times[said] += 1
        return f"{said}.{times[said]}" if times[said] > 1 else said

    def _floor(self) -> Any:
        high, overlap = self._high, self._overlap
        if high is None or not overlap:
            return high
        if isinstance(high, datetime):
            return high - timedelta(seconds=overlap)
        if isinstance(high, date):
            return high - timedelta(days=-(-overlap // 86_400))
        if isinstance(high, str):
            raise UsageError(f"The mark {self._mark!r} is text.", "An overlap is subtracted from a number or a time.", "Leave it out.")
        return high - (Decimal(str(overlap)) if isinstance(high, Decimal) else int(overlap) if isinstance(high, int) else overlap)

    def _reaches(self, value: Any, floor: Any) -> bool:
        try:
            return bool(value >= floor)
        except TypeError as error:
            raise InputError(
                f"The mark {self._mark!r} is {value!r} in one row and {floor!r} in another.", "It holds one kind of value.", "Cast it."
            ) from error

    # --------------------------------------------------------------------------------------------- position

    def _position(self) -> str:
        if self._mark is None:
            return "{}"
        floor = self._floor()
        kept = {key: _written(value) for key, value in self._seen.items() if self._reaches(value, floor)}
        return json.dumps({"mark": _written(self._high), "seen": kept if len(kept) <= _MOST_SEEN else {}})

    def _restore(self, position: str | None) -> None:
        if self._mark is None or not position or position == "{}":
            return
        said = json.loads(position)
        self._high = _meant(said["mark"])
        self._seen = {key: _meant(value) for key, value in said["seen"].items()}


def _written(value: Any) -> str:
    kind = type(value).__name__
    if kind not in _KINDS:
        raise InputError(f"The mark is {value!r}.", "It must be a number, a time or text.", "Name another column, or cast it in the query.")
    return f"{kind} {value.isoformat() if isinstance(value, date) else value}"


def _meant(text: str) -> Any:
    kind, _, value = text.partition(" ")
    return _KINDS[kind](value)
