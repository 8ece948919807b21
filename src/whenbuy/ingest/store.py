"""The stored log: memory-mapped Arrow files in a folder, replaced as a whole, so that a reader sees the old log or the new one.

``log.json`` names the generation that counts (a folder ``log-000007``), the size and sha256 of each of its files, and everything small.
A write makes a new generation beside the old one, brings it to the disk and then replaces ``log.json`` in one step. What dead writers
left behind is removed by the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, NotFoundError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.log import Column, Dictionary, EventLog
from whenbuy.core.profile import Profile
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.lock import told, writing

__all__ = ["POINTER", "Appended", "append", "open_log", "reached", "write_log", "writing"]

POINTER: Final = "log.json"

_FORMAT = "whenbuy log 1"
_GENERATION = re.compile(r"log-(\d{6,})")
_EVENTS, _OFFSETS, _USERS = "events.arrow", "offsets.arrow", "users.arrow"
_PROFILES = ("users", "items", "offers")
_INSTANT = pa.timestamp("us", "UTC")
_PIECE = 1 << 16
"""Bytes that are hashed and written at a time: what has just been hashed is still in the processor's cache."""
_TYPES = {8: np.uint8, 32: np.int32, 64: np.int64}
_BROKEN = (KeyError, TypeError, ValueError, IndexError, pa.ArrowException, PolarsError, WhenbuyError)


def write_log(history: History, folder: Path | str, reaches: int = 0) -> None:
    """Store a history in a folder, in place of the one that may be there.

    Whatever happens on the way, the folder holds the old log or the new one. The same history gives the same files, byte for byte.

    Parameters
    ----------
    history
        What is stored.
    folder
        Where.
    reaches
        The place in a journal up to which it holds what a journal told, where the log itself does not show it; see `reached`.

    Raises
    ------
    BusyError
        When another process is writing there.
    AccessError
        When the file system refuses.
    """
    folder = Path(folder)
    with writing(folder), told(folder):
        _commit(history, folder, reaches)


def reached(folder: Path | str) -> int:
    """Return the place in a journal that the writer of a log named with it, 0 where it named none; raises as `open_log`."""
    folder = Path(folder)
    with told(folder):
        return int(_pointer(folder).get("reaches", 0))


def open_log(folder: Path | str, verify: bool = False) -> History:
    """Return the stored history. Its columns are views of the files; they stay as they are while others write.

    Parameters
    ----------
    folder
        Where the log is stored.
    verify
        Whether the events, too, are compared with their sha256. The sizes and all other files always are.

    Raises
    ------
    NotFoundError
        When there is no log.
    DamagedError
        When a file is not what was written.
    AccessError
        When the file system refuses.
    """
    folder = Path(folder)
    with told(folder):
        while True:
            about = _pointer(folder)
            try:
                return _open(folder, about, verify)
            except FileNotFoundError as error:
                if _pointer(folder) == about:
                    raise _damaged(folder, f"{error.filename} is missing") from error
            # otherwise a writer has replaced the log meanwhile: open the new one


@dataclass(frozen=True, slots=True, eq=False)
class Appended:
    """A log that has grown.

    Parameters
    ----------
    history
        The stored history as it is now.
    added, repeated
        How many rows were added, and how many were not: their ``event_id`` was in the log already, or in an earlier row.
    """

    history: History
    added: int
    repeated: int


def append(folder: Path | str, lines: Lines, end: int | None = None, then: Callable[[History], History] = lambda it: it) -> Appended:
    """Add lines to a stored log: it becomes the log that one import of all lines, in this order of arrival, would have made.

    A row whose ``event_id`` is there already is not added again: who sends a batch twice changes nothing.

    Parameters
    ----------
    folder
        Where the log is stored.
    lines
        The new rows; they may be late, and name new users, kinds and items.
    end
        The instant before which the log is complete now; by default the later one of the old end and the midnight after the last event
        became known.
    then
        What is done with the whole log before it is stored, in the same step.

    Raises
    ------
    NotFoundError, DamagedError, BusyError, AccessError
        As from `open_log` and `write_log`.
    ColumnError
        When a column holds names in the log and numbers in the lines.
    """
    folder = Path(folder)
    _pointer(folder)  # a lock makes the folder: not where there is no log
    with writing(folder), told(folder):
        old = open_log(folder)
        sent, lines = len(lines), lines.unseen(old.log)
        if end is None:
            end = max(old.end, old.clock.next_midnight(int(lines.known_at.max()))) if len(lines) else old.end
        log = group(Lines.of(old.log).followed_by(lines), end)
        _commit(then(History(log, old.clock, old.users, old.items, old.offers, old.lateness_days)), folder)
        return Appended(open_log(folder), len(lines), sent - len(lines))


# ------------------------------------------------------------------------------------------------ writing


def _commit(history: History, folder: Path, reaches: int = 0) -> None:
    """Make a new generation and let it count."""
    with suppress(DamagedError):  # beside a damaged pointer nothing is removed before the new log stands
        _sweep(folder, _counting(folder))
    fresh = folder / f"log-{1 + max(map(_number, _generations(folder)), default=0):06}"
    try:
        fresh.mkdir()
        about = _write(history, fresh) | ({"reaches": reaches} if reaches else {})
        _sync(fresh)
        _replace(folder / POINTER, json.dumps({"about": about, "sha256": _seal(about)}, indent=1, ensure_ascii=False, allow_nan=False))
    except BaseException:
        if _counting(folder) != fresh.name:
            shutil.rmtree(fresh, ignore_errors=True)
        raise
    _sweep(folder, fresh.name)


def _write(history: History, fresh: Path) -> dict[str, Any]:
    """Write the files of a generation and return what the pointer says about them."""
    log = history.log
    files: dict[str, Any] = {}

    def put(name: str, table: pa.RecordBatch | pa.Table) -> str:
        files[name] = _write_table(fresh / name, table)
        return name

    put(_EVENTS, _events(log))
    put(_OFFSETS, pa.RecordBatch.from_arrays([_arrow(log.offsets)], ["first_row"]))
    put(_USERS, _names(log.users))
    columns = []
    for i, (name, column) in enumerate(log.columns.items()):
        names = None if column.dictionary is None else put(f"names-{i}.arrow", _names(column.dictionary))
        columns.append({"name": name, "names": names, "scale": column.scale})
    profiles = {}
    for entity in _PROFILES:
        profile: Profile | None = getattr(history, entity)
        if profile is not None:
            name = put(f"profile-{entity}.arrow", profile.table.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()))
            profiles[entity] = {"file": name, "entity": profile.entity, "timeless": profile.timeless}
    return {
        "format": _FORMAT, "generation": fresh.name, "events": len(log), "end": log.end, "late": log.late, "kinds": list(log.kinds),
        "columns": columns, "zone": history.clock.zone, "lateness_days": history.lateness_days, "profiles": profiles, "files": files,
    }  # fmt: skip


def _events(log: EventLog) -> pa.RecordBatch:
    """Return the columns of a log as one Arrow record batch, without copying them."""
    arrays = {"known_at": _arrow(log.known_at, _INSTANT), "kind": _arrow(log.kind)}
    if log.late and log.by_time is not None:
        arrays |= {"time": _arrow(log.time, _INSTANT), "by_time": _arrow(log.by_time)}
    further = [_arrow(column.values) for column in log.columns.values()]
    return pa.RecordBatch.from_arrays([*arrays.values(), *further], [*arrays, *log.columns])


def _arrow(values: np.ndarray[Any, Any], kind: pa.DataType | None = None) -> pa.Array:
    """Return an array as Arrow sees it; pyarrow's own way would import pandas."""
    whole = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind or pa.from_numpy_dtype(whole.dtype), len(whole), [None, pa.py_buffer(whole)])


def _names(names: Dictionary) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([names.ids.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())], ["id"])


def _write_table(path: Path, table: pa.RecordBatch | pa.Table) -> dict[str, Any]:
    """Write a table and bring it to the disk; return its size and sha256."""
    with path.open("xb") as file:
        sink = _Hashing(file)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write(table)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": sink.bytes, "sha256": sink.sha256.hexdigest()}


class _Hashing:
    """A file to write to, which counts and hashes what it is given."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for start in range(0, view.nbytes, _PIECE):
            piece = view[start : start + _PIECE]
            self.sha256.update(piece)
            self._file.write(piece)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Nothing to do: the file itself is flushed once, at the end."""


def _replace(path: Path, text: str) -> None:
    """Replace a small file in one step: after a crash it is the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk (Windows does so by itself)."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _generations(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if _GENERATION.fullmatch(path.name)]


def _number(generation: str) -> int:
    return int(generation.removeprefix("log-"))


def _counting(folder: Path) -> str | None:
    """Return the generation that counts, None where there is no log."""
    try:
        return str(_pointer(folder)["generation"])
    except NotFoundError:
        return None


def _sweep(folder: Path, keep: str | None) -> None:
    """Remove the other generations; Windows keeps what somebody still reads, until the next write."""
    for generation in _generations(folder):
        if generation != keep:
            shutil.rmtree(folder / generation, ignore_errors=True)


# ------------------------------------------------------------------------------------------------ reading


def _pointer(folder: Path) -> dict[str, Any]:
    """Return what the pointer says, once it has proved to be whole."""
    try:
        text = (folder / POINTER).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            f"There is no log in {folder}.", f"It would have the file {POINTER}.", "Import events into it first."
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(folder, f"{POINTER} is not text") from error
    try:
        pointer = json.loads(text)
        about: dict[str, Any] = pointer["about"]
        whole = pointer["sha256"] == _seal(about)
    except _BROKEN as error:
        raise _damaged(folder, f"{POINTER} cannot be read") from error
    if not whole or about.get("format") != _FORMAT or not _GENERATION.fullmatch(str(about.get("generation"))):
        raise _damaged(folder, f"{POINTER} is not what was written, or was written by another version of whenbuy")
    return about


def _seal(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _open(folder: Path, about: dict[str, Any], verify: bool) -> History:
    try:
        place = folder / about["generation"]
        for name, file in about["files"].items():
            _check(place / name, file["bytes"], file["sha256"] if verify or name != _EVENTS else None)
        profiles = {entity: _profile(place, said) for entity, said in about["profiles"].items()}
        return History(_log(place, about), Clock(about["zone"]), lateness_days=about["lateness_days"], **profiles)
    except _BROKEN as error:
        raise error if isinstance(error, DamagedError) else _damaged(folder, f"{type(error).__name__}: {error}") from error


def _check(path: Path, size: int, sha256: str | None) -> None:
    if (found := path.stat().st_size) != size:
        raise _damaged(path.parent.parent, f"{path.name} has {found:,} bytes instead of {size:,}")
    if sha256 is not None:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise _damaged(path.parent.parent, f"{path.name} has other bytes than were written")


def _log(place: Path, about: dict[str, Any]) -> EventLog:
    known_at, kind, *further = _arrays(place / _EVENTS, about["events"])
    time, by_time = (further.pop(0), further.pop(0)) if about["late"] else (known_at, None)
    columns = {
        said["name"]: Column(values, None if said["names"] is None else _dictionary(place / said["names"]), said["scale"])
        for said, values in zip(about["columns"], further, strict=True)
    }
    users, (offsets,) = _dictionary(place / _USERS), _arrays(place / _OFFSETS)
    return EventLog(users, tuple(about["kinds"]), offsets, known_at, time, kind, columns, about["end"], by_time)


def _table(path: Path) -> tuple[np.ndarray[Any, Any], pa.Table]:
    """Return the bytes of a file, mapped (writing to them would not reach the file), and the table that lies in them."""
    whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="c"))
    return whole, pa.ipc.open_file(pa.py_buffer(whole)).read_all()


def _arrays(path: Path, rows: int | None = None) -> list[np.ndarray[Any, Any]]:
    """Return the columns of a file as views of it. They are plain writable arrays: kernels are compiled for one kind of array only."""
    whole, table = _table(path)
    if rows not in (None, table.num_rows):
        raise ValueError(f"{path.name} has {table.num_rows} rows instead of {rows}")
    return [_view(whole, column) for column in table.columns]


def _view(whole: np.ndarray[Any, Any], column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    dtype = np.dtype(_TYPES[column.type.bit_width])
    if not len(column):
        return np.empty(0, dtype)
    (chunk,) = column.chunks
    start = chunk.buffers()[1].address - whole.ctypes.data
    return whole[start : start + len(chunk) * dtype.itemsize].view(dtype)


def _dictionary(path: Path) -> Dictionary:
    ids = pl.from_arrow(_table(path)[1]["id"])
    assert isinstance(ids, pl.Series)
    return Dictionary(ids.alias("id"))


def _profile(place: Path, said: dict[str, Any]) -> Profile:
    table = pl.from_arrow(_table(place / said["file"])[1])
    assert isinstance(table, pl.DataFrame)
    return Profile(said["entity"], table, said["timeless"])


def _damaged(folder: Path, what: str) -> DamagedError:
    return DamagedError(
        f"The log in {folder} is damaged: {what}.", "Its files must be as they were written.", "Restore a copy, or import again."
    )
