"""Runs: what was learned, from what, with which settings, and how well; one file each, on this machine."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, NotFoundError
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.core.log import Dictionary
from whenbuy.core.profile import Profile
from whenbuy.pipeline.keeping.shop import version, write

FILE: Final = "run.json"
_CHUNK: Final = 1 << 22
"""Rows that are hashed at once."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: enough to do it again, and to see which of two was better.

    Parameters
    ----------
    question
        What was done: the verb, with what changes its meaning.
    learner
        What answers, by answer, as one text.
    settings
        The horizons, the sha256 of the shop's settings and these as TOML, and what was said on the command line, as plain data.
    seed
        Where chance started.
    data
        Fingerprint of the history it learned from.
    code
        Version of the code, as ``code_version`` gives it.
    cutoffs
        The instants at which it was scored.
    scores
        Value, low and high of each score, NaN where there is none.
    started
        When it started, as an instant.
    seconds
        How long it took.
    folder
        Where it was recorded; nowhere yet when absent. It does not belong to the content.
    chosen
        Which model answers, by answer; empty where nothing was chosen.
    """

    question: str
    learner: str
    settings: Mapping[str, Any]
    seed: int
    data: str
    code: str
    cutoffs: tuple[int, ...]
    scores: Mapping[str, tuple[float, float, float]]
    started: int
    seconds: float
    folder: Path | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of the run: when it started, and the first letters of the sha256 of its content."""
        return named(self.started, hashlib.sha256(_json(self)).hexdigest())


def record(runs: Path, run: Run) -> Run:
    """Return the run as it now lies in its own folder under ``runs``; raises AccessError when the file system says no."""
    folder = runs / run.id
    write(folder / FILE, _json(run))
    return replace(run, folder=folder)


def recorded(runs: Path) -> list[Run]:
    """Return all runs under a folder, the earliest first.

    Raises
    ------
    DamagedError
        When a record cannot be read.
    """
    return sorted((_read(runs / id / FILE) for id in ids(runs)), key=lambda run: (run.started, run.id))


def ids(runs: Path) -> list[str]:
    """Return the ids of all runs under a folder, by the second in which they started, the earliest first."""
    return sorted(file.parent.name for file in runs.glob(f"*/{FILE}"))


def moment(run: Run) -> datetime:
    """Return when a run started, in UTC."""
    return datetime.fromtimestamp(run.started / 1e6, UTC)


def show(runs: Path, name: str) -> Run:
    """Return one run by its id or the beginning of it.

    Raises
    ------
    NotFoundError
        When none or more than one begins so.
    """
    return _read(runs / pick(ids(runs), name, "runs") / FILE)


def named(instant: int, digest: str) -> str:
    """Return the id of what was made at an instant: its second in UTC, by which ids sort in time, and eight letters of a sha256."""
    return f"{Clock().local(np.array([instant])).dt.strftime('%Y%m%d-%H%M%S')[0]}-{digest[:8]}"


def second(id: str) -> int:
    """Return the instant that an id begins with, of whole seconds."""
    return int(datetime.strptime(id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()) * 1_000_000


def pick(ids: Iterable[str], name: str, things: str) -> str:
    """Return the id that is ``name``, or the only one that begins with it; ``things`` is what the ids are of.

    Raises
    ------
    NotFoundError
        When none or more than one begins so.
    """
    known = set(ids)
    found = sorted(each for each in known if each.startswith(name)) if name not in known else [name]
    if not name or len(found) != 1:
        raise NotFoundError(
            f"{len(found) if name else 'No'} {things} have an id that begins with {name!r}.",
            "One id is needed, or a beginning that only it has.",
            f"`whenbuy {things}` lists them.",
        )
    return found[0]


def compare(runs: Sequence[Run]) -> pl.DataFrame:
    """Return one row per run: id, started, question, learner, seed, data, code, seconds and the value of every score that any has."""
    names = list(dict.fromkeys(name for run in runs for name in run.scores))
    text = pl.String
    frame = pl.DataFrame(
        {
            "id": pl.Series([run.id for run in runs], dtype=text),
            "started": instants(np.array([run.started for run in runs], np.int64)),
            "question": pl.Series([run.question for run in runs], dtype=text),
            "learner": pl.Series([run.learner for run in runs], dtype=text),
            "seed": pl.Series([run.seed for run in runs], dtype=pl.Int64),
            "data": pl.Series([run.data[:12] for run in runs], dtype=text),
            "code": pl.Series([run.code for run in runs], dtype=text),
            "seconds": pl.Series([run.seconds for run in runs], dtype=pl.Float64),
        }
    )
    values = [pl.Series(name, [run.scores[name][0] if name in run.scores else None for run in runs], dtype=pl.Float64) for name in names]
    return frame.with_columns(value.fill_nan(None) for value in values)


def fingerprint(history: History) -> str:
    """Return a sha256 over everything that a learner could see: events, dictionaries, profiles, the clock and the lateness.

    It is the same wherever the log is stored, and costs one pass over the columns.
    """
    log = history.log
    digest = hashlib.sha256()
    head = [history.clock.zone, history.lateness_days, log.end, log.kinds, len(log), log.late, sorted(log.columns)]
    digest.update(json.dumps(head).encode())
    for part in _names(log.users):
        digest.update(part)
    arrays: list[np.typing.NDArray[Any]] = [log.offsets, log.known_at, log.kind, *([log.time] if log.late else [])]
    for array in arrays:
        _update(digest, array)
    for name in sorted(log.columns):
        column = log.columns[name]
        digest.update(json.dumps([name, column.scale, column.dictionary is None]).encode())
        _update(digest, column.values)
        for part in _names(column.dictionary) if column.dictionary else ():
            digest.update(part)
    for profile in (history.users, history.items, history.offers):
        digest.update(_profile(profile))
    return digest.hexdigest()


@functools.cache
def code_version() -> str:
    """Return the version of whenbuy and the first letters of a sha256 over its source files: edited code is other code."""
    package = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{version()}+{digest.hexdigest()[:12]}"


def _update(digest: Any, array: np.typing.NDArray[Any]) -> None:
    for start in range(0, len(array), _CHUNK):
        part = np.ascontiguousarray(array[start : start + _CHUNK])
        digest.update(part.astype(part.dtype.newbyteorder("<"), copy=False).data)


def _names(dictionary: Dictionary) -> Iterator[bytes]:
    """Yield the names as bytes, each chunk after the lengths of its names, so that no two lists look alike."""
    yield len(dictionary).to_bytes(8, "little")
    for start in range(0, len(dictionary), _CHUNK):
        part = dictionary.ids.slice(start, _CHUNK)
        yield part.str.len_bytes().cast(pl.UInt64).to_numpy().astype("<u8").tobytes()
        yield "".join(part.to_list()).encode("utf-8")


def _profile(profile: Profile | None) -> bytes:
    if profile is None:
        return b"none"
    schema = [profile.entity, profile.timeless, [[name, str(kind)] for name, kind in profile.table.schema.items()]]
    return json.dumps(schema).encode() + profile.table.write_ndjson().encode()


# -------------------------------------------------------------------------------------------------------- the files


def _json(run: Run) -> bytes:
    """Return a run as its file: plain JSON, null where a score has no value."""
    plain = {each.name: getattr(run, each.name) for each in fields(run) if each.name != "folder"}
    plain["scores"] = {name: [float(v) if math.isfinite(v) else None for v in values] for name, values in run.scores.items()}
    plain |= {"settings": dict(run.settings), "chosen": dict(run.chosen)}
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()


def _read(file: Path) -> Run:
    try:
        plain = json.loads(file.read_bytes())
        scores = {str(name): _triple(values) for name, values in plain.pop("scores").items()}
        return Run(**plain | {"scores": scores, "cutoffs": tuple(plain["cutoffs"]), "folder": file.parent})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(
            f"{file} is not the record of a run ({error}).", "Every run's record must be readable.", "Delete its folder."
        ) from error


def _triple(values: Sequence[float | None]) -> tuple[float, float, float]:
    value, low, high = (math.nan if each is None else float(each) for each in values)
    return value, low, high
