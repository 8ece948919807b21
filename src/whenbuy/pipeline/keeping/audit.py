"""The audit log: what was done to a shop that decides who may ask it and which model answers. It is written to, never changed.

One JSON object a line. Each line holds the sha256 of the one before, so a line that was changed or taken out shows by the next one.
It names no customer and no person: who did it is the number of their account on the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, Final

from whenbuy.core.errors import BusyError, DamagedError
from whenbuy.ingest.lock import told, writing

FOLDER: Final = "audit"
FILE: Final = "audit.jsonl"
_TRIES, _PAUSE_S = 50, 0.02
_TAIL: Final = 1 << 16
_FIRST: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Act:
    """One act.

    Parameters
    ----------
    at
        Instant at which it was done.
    what
        ``key.made``, ``key.revoked``, ``model.answers``, ``letters.replayed``, ``server.started`` or ``server.ended``; ``unreadable`` where
        a disk kept a part of a line only.
    by
        The number of the account that did it; -1 where the system has none.
    facts
        What it was done to.
    before
        The sha256 of the line before.
    """

    at: int
    what: str
    by: int
    facts: Mapping[str, Any]
    before: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log of a shop.

    Parameters
    ----------
    shop
        The shop's folder.
    """

    shop: Path

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.shop / FOLDER / FILE

    def note(self, what: str, at: int, **facts: Any) -> None:
        """Write an act behind those before; return when it is on the disk.

        Raises
        ------
        AccessError
            When the file system says no.
        BusyError
            When others write all the time.
        """
        folder = self.path.parent
        with told(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in range(_TRIES, 0, -1):
            try:
                with writing(folder), told(folder):
                    self._append(what, at, facts)
                return
            except BusyError:
                if left == 1:
                    raise
                sleep(_PAUSE_S)

    def acts(self) -> tuple[Act, ...]:
        """Return all acts, the earliest first; none where nothing was done.

        Raises
        ------
        DamagedError
            When a line was changed or taken out.
        """
        with told(self.path.parent):
            try:
                lines = self.path.read_bytes().splitlines()
            except FileNotFoundError:
                return ()
        found, before = [], _FIRST
        for number, line in enumerate(lines, 1):
            act = _act(line) or Act(0, "unreadable", -1, {}, before)  # what follows it must still fit
            if act.before != before:
                raise DamagedError(
                    f"Line {number} of {self.path} does not follow the one before it.", "Nothing is changed in an audit log.",
                    "Somebody changed it, or a disk did: compare it with a copy.",
                )  # fmt: skip
            found.append(act)
            before = _digest(line)
        return tuple(found)

    def _append(self, what: str, at: int, facts: Mapping[str, Any]) -> None:
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            os.lseek(handle, max(size - _TAIL, 0), os.SEEK_SET)
            tail = os.read(handle, _TAIL)
            torn = bool(tail) and not tail.endswith(b"\n")  # a line of which a killed process wrote a part stays, and shows
            last = tail.removesuffix(b"\n").rpartition(b"\n")[2] if tail else b""
            by = os.getuid() if hasattr(os, "getuid") else -1
            line = {"at": at, "what": what, "by": by, "before": _digest(last) if last else _FIRST, **facts}
            os.write(handle, b"\n" * torn + json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)


def _act(line: bytes) -> Act | None:
    try:
        found = json.loads(line)
        return Act(int(found.pop("at")), str(found.pop("what")), int(found.pop("by")), before=str(found.pop("before")), facts=found)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
