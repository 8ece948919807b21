"""The quarantine of a shop: every row that is not in its log, with the reason, and all that is needed to put it back."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.clean import Cleaned, Report
from whenbuy.core.arrays import Ints
from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.core.log import EventLog
from whenbuy.ingest.store import open_log, write_log
from whenbuy.pipeline.keeping.shop import write

FOLDER: Final = "quarantine"
READING, CLEANING, PROFILES = "reading.parquet", "cleaning.parquet", "profiles.parquet"
"""Rows that reading rejected, rows that cleaning took out or changed, rows of profiles that were rejected."""
_ORIGIN, _ORIGINALS = "origin.json", "originals"


def keep(folder: Path, cleaned: Cleaned, rejects: pl.DataFrame) -> None:
    """Store a quarantine beside the log of a shop, in place of the one that may be there.

    Raises
    ------
    AccessError
        When the file system says no.
    """
    place = folder / FOLDER
    keep_table(rejects, place / READING)
    keep_table(cleaned.quarantine, place / CLEANING)
    if len(cleaned.originals):
        write_log(replace(cleaned.history, log=cleaned.originals, users=None, items=None, offers=None), place / _ORIGINALS)
    starts, lengths = _runs(cleaned.origin)
    about = {"log": _seal(cleaned.history.log), "originals": len(cleaned.originals), "starts": starts, "lengths": lengths}
    write(place / _ORIGIN, json.dumps(about).encode())


def keep_table(table: pl.DataFrame, path: Path) -> None:
    """Store one table of a quarantine."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    write(path, buffer.getvalue())


def kept(folder: Path) -> tuple[Cleaned, pl.DataFrame]:
    """Return the cleaning of a shop as it was stored, and the rows that reading rejected.

    Raises
    ------
    NotFoundError
        When the shop has no quarantine.
    UsageError
        When its log is not the one that was cleaned.
    DamagedError
        When a file is not what was written.
    """
    place = folder / FOLDER
    history = open_log(folder / "log", verify=True)
    try:
        about: dict[str, Any] = json.loads((place / _ORIGIN).read_text("utf-8"))
        origin = _origin(about["starts"], about["lengths"])
        entries, rejects = pl.read_parquet(place / CLEANING), pl.read_parquet(place / READING)
        seal, count = str(about["log"]), int(about["originals"])
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{folder} keeps no quarantine ({error.filename}).", "An import makes one.", f"Run `whenbuy init --shop {folder}`."
        ) from error
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DamagedError(
            f"The quarantine of {folder} cannot be read ({error}).", "It must be as it was written.", "Restore a copy, or import again."
        ) from error
    if seal != _seal(history.log) or len(origin) != len(history.log):
        raise UsageError(
            "The log has grown or changed since it was cleaned.", "Rows are put back into the very log that they were taken from.",
            f"Run `whenbuy init --shop {folder}` to read and clean everything again.",
        )  # fmt: skip
    originals = _originals(place, history, count)
    return Cleaned(history, Report(len(history.log), len(history.log), ()), entries, origin, originals), rejects


def _originals(place: Path, history: History, count: int) -> EventLog:
    if not count:
        return history.log.take(np.empty(0, np.int64))
    found = open_log(place / _ORIGINALS, verify=True).log
    if len(found) != count:
        raise DamagedError(
            f"The quarantine holds {len(found):,} original rows instead of {count:,}.", "It must be as it was written.", "Import again."
        )
    return found


def _seal(log: EventLog) -> str:
    """Return a sha256 over what places rows in a log: users, instants, kinds."""
    digest = hashlib.sha256()
    for values in (log.offsets, log.known_at, log.kind):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _runs(origin: Ints) -> tuple[list[int], list[int]]:
    """Return rows as runs of successive ones: the first and the length of each."""
    if not len(origin):
        return [], []
    breaks = np.flatnonzero(np.diff(origin) != 1) + 1
    edges = np.concatenate([[0], breaks, [len(origin)]])
    return origin[edges[:-1]].tolist(), np.diff(edges).tolist()


def _origin(starts: list[int], lengths: list[int]) -> Ints:
    first, many = np.array(starts, np.int64), np.array(lengths, np.int64)
    before = np.cumsum(many) - many
    return np.repeat(first - before, many) + np.arange(int(many.sum()))
