"""Snapshots: what arrived since the log was written, in one file, with a seal that shows whether it is what was written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from whenbuy.core.errors import AccessError, DamagedError, NotFoundError
from whenbuy.ingest.reception import Event

NAME: Final = "live.snapshot"
_MAGIC: Final = b"whenbuy live 1\n"
_DIGEST: Final = 32
_AGAIN: Final = "Take the state from the log and the journal."


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """What a state knew beyond its log.

    Parameters
    ----------
    base
        The place in the journal up to which the log held everything.
    seq
        The place up to which the state knew everything.
    rows, end
        How many events the log had, and the instant up to which it was complete.
    events
        What lies between, with its place; events without a customer are not kept.
    """

    base: int
    seq: int
    rows: int
    end: int
    events: list[tuple[int, Event]]


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot into a folder, in place of the one before: after a crash it is the old one or the new one.

    Raises
    ------
    AccessError
        When the file system says no.
    """
    body = msgspec.msgpack.encode(snapshot)
    path = folder / NAME
    part = path.with_name(f"{path.name}.part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise AccessError(
            f"{path} cannot be written: {error.strerror}.", "The old snapshot stays.", "Look at permissions and space."
        ) from error


def read_snapshot(folder: Path, base: int, rows: int, end: int) -> Snapshot:
    """Return the snapshot in a folder, which must have been taken over this log.

    Raises
    ------
    NotFoundError
        When there is none for this log.
    DamagedError
        When it is not what was written.
    """
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no snapshot in {folder}.", "One is written when the server ends.", _AGAIN) from error
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}.", "whenbuy must be able to read it.", _AGAIN) from error
    head, body = data[: len(_MAGIC) + _DIGEST], data[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC + hashlib.sha256(body).digest():
        raise DamagedError(f"{path} is not what was written.", "A snapshot is used only when every byte of it is.", _AGAIN)
    try:
        found = msgspec.msgpack.decode(body, type=Snapshot)
    except msgspec.DecodeError as error:
        raise DamagedError(f"{path} holds no snapshot ({error}).", "It is whole, but not whenbuy's.", _AGAIN) from error
    if (found.base, found.rows, found.end) != (base, rows, end):
        raise NotFoundError(f"The snapshot in {folder} stands on a log of {found.rows:,} events.", f"This log has {rows:,}.", _AGAIN)
    return found
