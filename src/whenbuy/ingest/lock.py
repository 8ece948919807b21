"""One writer at a time: the lock on a folder, and what the file system refuses, in words."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from whenbuy.core.errors import AccessError, BusyError

LOCK: Final = "log.lock"
"""The file that is locked. It stays: removing it would let two writers lock two files of one name."""

_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


@contextmanager
def writing(folder: Path | str) -> Iterator[None]:
    """Keep every other writer out of a folder. The one who is inside may enter again.

    The lock belongs to the process and ends with it: what a killed process locked is free.

    Raises
    ------
    BusyError
        When another process is writing there.
    AccessError
        When the folder cannot be written.
    """
    folder = Path(folder)
    place = str(folder.resolve())
    if place in _held.get():
        yield
        return
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with told(folder):
            if not _locked(lock):
                who = os.read(lock, 200).decode("utf-8", "replace") or "Another process"
                raise BusyError(f"{who} is writing to {folder}.", "Only one may write at a time.", "Wait until it is done, or stop it.")
            os.ftruncate(lock, 0)
            os.write(lock, f"Process {os.getpid()} on {socket.gethostname()}".encode())
        token = _held.set(_held.get() | {place})
        try:
            yield
        finally:
            _held.reset(token)
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


if sys.platform == "win32":
    import msvcrt

    def _locked(lock: int) -> bool:
        """Take the lock, or return False: a byte far behind the text, since Windows lets nobody read what is locked."""
        os.lseek(lock, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(lock, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _locked(lock: int) -> bool:
        """Take the lock, or return False."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Say what the file system refused, and where."""
    try:
        yield
    except OSError as error:
        raise AccessError(
            f"{error.filename or folder}: {error.strerror or error}.",
            f"whenbuy must be able to read and write in {folder}.",
            "Make room or change the rights, and do it again; what was stored before is still there.",
        ) from error
