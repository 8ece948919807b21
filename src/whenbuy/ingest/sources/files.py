"""Files and watched folders as a stream: what is new in them since they were read last, line by line, exactly as it was written."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from whenbuy.core.errors import AccessError, EmptyError, InputError, NotFoundError
from whenbuy.ingest.files import COMPRESSED, SUFFIXES, open_source
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.source import Broken
from whenbuy.ingest.sources.stream import Chunk, Positions
from whenbuy.ingest.text import Dialect, TextFile, kind_of_file, open_text

SETTLED_S: Final = 60.0
"""A file that has not changed for so long is whole: its last line counts even where nothing ends it."""
_BLOCK: Final = 1 << 18
_HEAD: Final = 256
_LONGEST: Final = 16 << 20
_LINES_OF_A_ROW: Final = 100
_JSON_LINES: Final = (".jsonl", ".ndjson")

_Found = list[Event | Refused]


class Files:
    """A file, a folder or a pattern as a stream.

    New files are read when they come, and a file that grows from where it was left: CSV and JSON lines line by line, everything else
    (Parquet, compressed files, UTF-16) as a whole. An event is told apart from others by its ``event_id`` within the folder; without one,
    by its file and row, so a file that is renamed is read again.

    Parameters
    ----------
    path
        What to read.
    reception
        How rows are understood.
    dialect
        How text is written, where it must not be guessed.
    follow
        Whether files may still grow: then a last line that nothing ends, or a file that is not whole, waits until it has settled.
    """

    def __init__(self, path: Path, reception: Reception, dialect: Dialect | None = None, *, follow: bool = False) -> None:
        self.path = path.expanduser().absolute()
        self.name = f"{'folder' if self.path.is_dir() else 'file'}:{self.path.as_posix()}"
        self._reception, self._dialect, self._follow = reception, dialect or Dialect(), follow
        self._open: dict[Path, _Reader] = {}
        self._finished: dict[Path, tuple[int, int]] = {}

    def read(self, positions: Positions, most: int, now: int) -> Chunk | None:
        """Return what comes next; see `Stream.read`."""
        for path in self._paths():
            try:
                about = path.stat()
                if self._finished.get(path) == (about.st_size, about.st_mtime_ns):
                    continue
                whole = not self._follow or now / 1e6 - about.st_mtime >= SETTLED_S
                chunk = self._chunk(path, positions, most, now, whole)
            except FileNotFoundError:
                self._open.pop(path, None)
                continue
            except PermissionError as error:
                raise AccessError(f"{path} may not be read.", "whenbuy needs to read it.", "Give yourself the right to.") from error
            if chunk is not None:
                return chunk
            if whole:
                self._finished[path] = (about.st_size, about.st_mtime_ns)
                self._open.pop(path, None)
        return None

    def done(self, chunk: Chunk) -> None:
        """Hear that a chunk is durable."""

    def close(self) -> None:
        """Let the files go."""
        self._open.clear()

    def _paths(self) -> list[Path]:
        if self.path.is_dir():
            return sorted(path for path in self.path.rglob("*") if _is_data(path, self.path) and path.is_file())
        if self.path.exists() or (self._follow and self.path.parent.is_dir()):
            return [self.path] if self.path.exists() else []
        found = sorted(path for path in self.path.parent.glob(self.path.name) if path.is_file()) if self.path.parent.is_dir() else []
        if not found:
            raise NotFoundError(f"There is no {self.path}.", "whenbuy reads a file, a folder or a pattern.", "Check the path.")
        return found

    def _chunk(self, path: Path, positions: Positions, most: int, now: int, whole: bool) -> Chunk | None:
        part = f"{self.name}/{path.relative_to(self.path).as_posix()}" if self.path.is_dir() else f"file:{path.as_posix()}"
        try:
            reader = self._open.get(path)
            if reader is None or not reader.goes_on():
                reader = self._open[path] = self._reader(path, positions(part), whole)
            rows = reader.rows(most, now, whole)
        except EmptyError:
            return None
        except InputError as error:
            if not whole:
                return None
            return self._damaged(path, part, positions, error, now)
        return Chunk(rows, part, reader.position()) if rows else None

    def _reader(self, path: Path, position: str | None, whole: bool) -> _Reader:
        said = json.loads(position) if position else {}
        place = path.relative_to(self.path).as_posix() if self.path.is_dir() else path.name
        if kind_of_file(path) == "text":
            if path.suffix.lower() in _JSON_LINES:  # whatever its first line looks like
                return _Lines(TextFile(path, "", self._dialect, (), json=True), self._reception, self.name, place, said)
            if not whole and not _begun(path):
                raise EmptyError(f"{path} has no row yet.", "whenbuy needs at least one event.", "Wait for it.")
            text = open_text(path, self._dialect)
            if not text.compression and not (text.dialect.encoding or "").startswith("utf-16"):
                return _Lines(text, self._reception, self.name, place, said)
        return _Table(path, self._dialect, self._reception, self.name, place, said)

    def _damaged(self, path: Path, part: str, positions: Positions, error: InputError, now: int) -> Chunk | None:
        """Return a file that cannot be read as one dead letter, so that it does not stop the files behind it."""
        mark = json.dumps({"damaged": _version(path)})
        self._open.pop(path, None)
        if positions(part) == mark:
            return None
        with path.open("rb") as file:
            return Chunk([Refused(self.name, file.read(_BLOCK), f"{path.name}: {error}", now)], part, mark)


class _Reader(Protocol):
    """One file on its way into the journal."""

    def goes_on(self) -> bool:
        """Whether the file is still the one that was opened."""

    def rows(self, most: int, now: int, whole: bool) -> _Found:
        """Return the next rows."""

    def position(self) -> str:
        """Return how far it has been read."""


@dataclass(slots=True)
class _Lines:
    """A text file that may grow: its position is the byte behind the last row that was read."""

    text: TextFile
    reception: Reception
    source: str
    place: str
    said: dict[str, Any]
    offset: int = 0
    row: int = 0
    head: bytes = b""
    ready: deque[tuple[bytes, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        with self.text.path.open("rb") as file:
            self.head = file.read(min(_HEAD, int(self.said.get("head_bytes", _HEAD))))
            known = self.said.get("head") == _short(self.head) and int(self.said["bytes"]) <= self.text.path.stat().st_size
            if known:
                self.offset, self.row = int(self.said["bytes"]), int(self.said["row"])
                return
            file.seek(3 if self.head.startswith(b"\xef\xbb\xbf") and self.text.json else 0)
            for _ in range(0 if self.text.json else self.text.skip):
                file.readline()
            self.offset = file.tell()

    def goes_on(self) -> bool:
        with self.text.path.open("rb") as file:
            return file.read(len(self.head)) == self.head and self.text.path.stat().st_size >= self.offset

    def rows(self, most: int, now: int, whole: bool) -> _Found:
        found: _Found = []
        while len(found) < most:
            if not self.ready:
                self.ready.extend(self._records(whole))
            if not self.ready:
                break
            raw, self.offset = self.ready.popleft()
            if raw.strip():
                self.row += 1
                found.append(self._row(raw.rstrip(b"\r\n"), now))
        return found

    def position(self) -> str:
        return json.dumps({"bytes": self.offset, "row": self.row, "head": _short(self.head), "head_bytes": len(self.head)})

    def _records(self, whole: bool) -> Iterator[tuple[bytes, int]]:
        """Yield the next whole rows of the file, each with the byte behind it."""
        size = _BLOCK
        while True:
            with self.text.path.open("rb") as file:
                file.seek(self.offset)
                block = file.read(size)
            at_end = len(block) < size
            records = list(_split(block, b"" if self.text.json else (self.text.dialect.quote or "").encode()))
            if records and not records[-1][1] and not (at_end and whole):
                records.pop()  # it goes on
            if records or at_end or size >= _LONGEST:
                break
            size *= 8
        end = self.offset
        for record, _ in records:
            end += len(record)
            yield record, end

    def _row(self, raw: bytes, now: int) -> Event | Refused:
        place = f"{self.place}:{self.row}"
        if self.text.json:
            return self.reception.one(raw, self.source, now, place)
        dialect, columns = self.text.dialect, self.text.columns
        try:
            line = raw.decode(dialect.encoding or "utf-8").lstrip("\ufeff")
            quoting: Literal[0, 3] = 0 if dialect.quote else 3  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE
            (cells,) = csv.reader([line], delimiter=dialect.separator or ",", quotechar=dialect.quote or None, quoting=quoting)
        except (UnicodeDecodeError, csv.Error, ValueError) as error:
            return Refused(self.source, raw, f"{place} cannot be read ({error}). A row is one line of text. Correct it there.", now)
        if len(cells) != len(columns):
            need = f"The header has {len(columns)}: {(dialect.separator or ',').join(columns)}."
            return Refused(self.source, raw, f"{place} has {len(cells)} fields. {need} Correct it there.", now)
        return self.reception.row(dict(zip(columns, cells, strict=True)), self.source, now, place, raw)


@dataclass(slots=True)
class _Table:
    """A file that is read as a whole: its position is the number of rows that were read."""

    path: Path
    dialect: Dialect
    reception: Reception
    source: str
    place: str
    said: dict[str, Any]
    row: int = 0
    version: str = ""
    cells: Iterator[dict[str, Any] | Broken] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        self.version = _version(self.path)
        start = int(self.said.get("row", 0)) if self.said.get("version") == self.version else 0
        self.cells = self._cells()
        for _ in range(start):
            next(self.cells, None)
        self.row = start

    def goes_on(self) -> bool:
        return _version(self.path) == self.version

    def rows(self, most: int, now: int, whole: bool) -> _Found:
        found: _Found = []
        while len(found) < most and (cells := next(self.cells, None)) is not None:
            self.row += 1
            place = f"{self.place}:{self.row}"
            if isinstance(cells, Broken):
                found.append(Refused(self.source, cells.raw.encode(), f"{place} has {cells.reason}. Correct it there.", now))
            else:
                found.append(self.reception.row(cells, self.source, now, place))
        return found

    def position(self) -> str:
        return json.dumps({"row": self.row, "version": self.version})

    def _cells(self) -> Iterator[dict[str, Any] | Broken]:
        for batch in open_source(str(self.path), self.dialect).batches():
            yield from batch.broken
            yield from batch.frame.iter_rows(named=True)


def _split(block: bytes, quote: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the rows of a block and whether each is whole; a quoted field may go on over lines, but not over very many."""
    lines = _lines(block)
    place = 0
    while place < len(lines):
        size, odd = 1, bool(quote) and lines[place].count(quote) % 2 == 1
        while odd and size < _LINES_OF_A_ROW and place + size < len(lines):
            odd = lines[place + size].count(quote) % 2 == 0
            size += 1
        if odd and size == _LINES_OF_A_ROW:  # the mark is no quotation: this line stands alone
            size, odd = 1, False
        row = b"".join(lines[place : place + size])
        yield row, row.endswith(b"\n") and not odd
        place += size


def _lines(block: bytes) -> list[bytes]:
    """Return lines that end with a line feed, as no other character ends a row."""
    *lines, rest = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _begun(path: Path) -> bool:
    """Return whether a file has a whole line below a first one: how it is written can be found out."""
    with path.open("rb") as file:
        return file.read(_BLOCK).count(b"\n") > 1


def _is_data(path: Path, folder: Path) -> bool:
    hidden = any(part[0] in "._" for part in path.relative_to(folder).parts)
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return not hidden and name.endswith(SUFFIXES)


def _version(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}"


def _short(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:16]
