"""Intake: from the sources of a shop to its log, with an account of every row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.clean import DEFAULT, RULES, Cleaned, clean
from whenbuy.config import FILE, Settings, SourceSettings
from whenbuy.core.errors import AccessError, SettingsError, UsageError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.ingest.lock import LOCK
from whenbuy.ingest.read import Reading
from whenbuy.ingest.read import read as read_source
from whenbuy.ingest.store import write_log, writing
from whenbuy.ingest.text import Dialect
from whenbuy.pipeline.keeping.shop import FOLDERS, write
from whenbuy.pipeline.learning.grid import has_clock_times
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.export import write_frame
from whenbuy.pipeline.telling.screen import Result

Say = Callable[[str], None]
FOUND: Final = "found.json"
"""The file, beside the quarantine, with what reading and cleaning found, in sentences for the report."""


@contextmanager
def founding(folder: Path) -> Iterator[None]:
    """Hold a folder that becomes a shop; where that fails, take away what was made on the way.

    Raises
    ------
    UsageError
        When it already is a shop.
    AccessError, BusyError
        When it cannot be made, or another process is writing to it.
    """
    fresh = not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AccessError(
            f"{folder} cannot be made: {error.strerror}.", "A shop is a folder of its own.", "Name another place with --shop."
        ) from error
    with writing(folder):
        if (folder / FILE).exists():
            raise UsageError(
                f"{folder} already is a shop.", f"A shop is made once; its {FILE} says from then on how its sources are read.",
                f"Edit that file and run `whenbuy init --shop {folder}` without anything else, or name another folder with --shop.",
            )  # fmt: skip
        made = [folder / name for name in FOLDERS if not (folder / name).exists()]
        try:
            for path in made:
                path.mkdir(mode=0o700)
            yield
        except BaseException:
            if not (folder / FILE).exists():
                _taken_away(folder, made, fresh)
            raise


def _taken_away(folder: Path, made: list[Path], fresh: bool) -> None:
    for path in made:
        shutil.rmtree(path, ignore_errors=True)
    if fresh:
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def take_in(folder: Path, settings: Settings, say: Say, now: datetime | None) -> tuple[Result, Settings]:
    """Read, clean and store a log; return what was found, and the settings by which it would be read the same way again.

    The log comes last, in one step: until then the old one counts.
    """
    now, source = now or datetime.now(UTC), settings.source
    say(f"reading {', '.join(Path(path).name for path in source.paths[:3]) or source.layout}" + " …" * (len(source.paths) > 3))
    reading = read_source(
        (source.paths[0] if len(source.paths) == 1 else list(source.paths)) if source.paths else None,
        columns=settings.columns, kinds=settings.kinds, timezone=settings.shop.timezone, layout=source.layout or None,
        currency=settings.shop.currency or None, lateness_days=settings.shop.lateness_days, now=now, dialect=_dialect(source),
    )  # fmt: skip
    history = reading.history
    say(f"cleaning {len(history.log):,} events")
    cleaned = clean(history, rules(history, settings.clean), now=now)
    counts = _accounts(reading, cleaned)
    found = {"reading": _read_words(reading), "cleaning": list(cleaned.report.sentences()), "counts": counts}
    write_frame(reading.rejects.frame, folder / "quarantine" / "reading.parquet")
    write_frame(cleaned.quarantine, folder / "quarantine" / "cleaning.parquet")
    write(folder / "quarantine" / FOUND, json.dumps(found, ensure_ascii=False).encode())
    write_log(cleaned.history, folder / "log")
    log, clock = cleaned.history.log, history.clock
    facts = {"shop": str(folder.resolve()), **counts, "users": len(log.users), "first": clock.show(log.start), "end": clock.show(log.end)}
    guessed = screen.guesses(reading.mapping.guesses)
    return Result(
        facts, _guesses(reading), "understood", () if guessed is None else (guessed,),
        after=(*_remarks(reading, cleaned), *_outcome(cleaned.history, counts)),
    ), _understood(settings, reading)  # fmt: skip


def _accounts(reading: Reading, cleaned: Cleaned) -> dict[str, int]:
    """Return what became of every row.

    Raises
    ------
    WhenbuyError
        When a row was lost: every row that was read is an event, a reject or in quarantine.
    """
    entries, done, log = cleaned.quarantine, pl.col("done"), cleaned.history.log
    removed, changed = (entries.filter(done == what)["row"].n_unique() for what in ("removed", "changed"))
    added = len(entries.filter(done == "added"))
    if reading.rows != len(log) - added + len(reading.rejects) + removed:
        raise WhenbuyError(
            f"Of {reading.rows:,} rows {len(log) - added:,} became events, {len(reading.rejects):,} were rejected, {removed:,} taken out.",
            "These must be all of them: a row was lost.", "This is a bug, not your doing: please report it with these numbers.",
        )  # fmt: skip
    return {
        "rows": reading.rows, "events": len(log), "rejected": len(reading.rejects), "removed": removed, "changed": changed, "added": added,
    }  # fmt: skip


def _understood(settings: Settings, reading: Reading) -> Settings:
    """Return the settings with what reading found out, so that the next import reads the same way; a layout says it by itself."""
    shop = replace(settings.shop, timezone=reading.history.clock.zone)
    if settings.source.layout:
        return replace(settings, shop=shop)
    mapping = reading.mapping
    written = {guess.key: guess.value for guess in mapping.guesses if guess.table == "source"}
    kinds = {name: kind for name, kind in sorted(mapping.kinds.items()) if name and kind}
    source = replace(
        settings.source, encoding=str(written.get("encoding", "")), separator=str(written.get("separator", "")),
        decimal=str(written.get("decimal", "")), day_first=written.get("day_first", ""),
    )  # fmt: skip
    columns, kinds = {**mapping.columns, **settings.columns}, {**kinds, **settings.kinds}
    return replace(settings, shop=shop, source=source, columns=columns, kinds=kinds)


def _dialect(source: SourceSettings) -> Dialect:
    """Return how the text of the sources is written, as far as the settings say it."""
    first = source.day_first if isinstance(source.day_first, bool) else None
    return Dialect(source.encoding or None, source.separator or None, decimal=source.decimal or None, day_first=first)


def _guesses(reading: Reading) -> pl.DataFrame:
    """Return one row per guess; kinds by their number of rows, since they are met in any order."""
    frame = reading.mapping.frame()
    kinds = pl.col("table") == "kinds"
    return pl.concat([frame.filter(~kinds), frame.filter(kinds).sort("rows", "key", descending=[True, False], nulls_last=True)])


def _read_words(reading: Reading) -> list[str]:
    """Return what reading found, in sentences, for the report."""
    mapping = reading.mapping
    said = [
        f"{row['key']} is {row['value']} ({row['reason']}; confidence {row['confidence']:.0%})."
        for row in _guesses(reading).iter_rows(named=True)
    ]
    said += [f"{note[:1].upper()}{note[1:]}." for note in mapping.notes]
    said += [f"The column {name} was not read: {why}." for name, why in mapping.left_out.items()]
    said += [f"{count:,} rows were rejected: {reason}." for reason, count in reading.rejects.counts().iter_rows()]
    return [f"{reading.rows:,} rows were read.", *said]


def _remarks(reading: Reading, cleaned: Cleaned) -> list[str]:
    """Return what a person should know of an import: how it was read where that is not obvious, and what was taken out."""
    mapping = reading.mapping
    said = [f"Read as {screen.writing(mapping.guesses)}."] if screen.writing(mapping.guesses) else []
    said += [f"{note[:1].upper()}{note[1:]}." for note in mapping.notes]
    said += [f"Not read: {name} ({why})." for name, why in list(mapping.left_out.items())[:10]]
    reasons = list(reading.rejects.counts().iter_rows())
    said += [f"{count:,} rows rejected: {reason} (quarantine/reading.parquet)." for reason, count in reasons[:10]]
    said += [f"{part.rule}: {count}" for part in cleaned.report.rules for count in part.counts]
    return said


def _outcome(history: History, counts: Mapping[str, int]) -> list[str]:
    log, clock = history.log, history.clock
    bought, users = log.count("purchase"), f"{len(log.users):,} customer{'s' * (len(log.users) != 1)}"
    first, last = (f"{day:%Y-%m-%d}" for day in clock.local(np.array([log.start, int(log.time.max())], np.int64)))
    said = [f"{counts['rows']:,} rows became {len(log):,} events of {users}, {first} to {last} ({clock.zone})."]
    if not bought:
        said.append("There is no purchase among them: say which events are with --kind NAME=purchase, or under [kinds] in whenbuy.toml.")
    return said


def rules(history: History, said: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the cleaning rules: the default ones, changed as the shop's settings say.

    In a log of bare days equal rows may be two real purchases of one day, so they stay. Under [clean], ``rule = false`` leaves a rule out,
    and ``rule = {…}`` sets it, or adds it behind the default ones.
    """
    exact = has_clock_times(history) or "event_id" in history.log.columns
    rules = {name: rule for name, kind in RULES.items() for rule in DEFAULT if type(rule) is kind and (exact or name != "duplicates")}
    for name, value in (said or {}).items():
        if value is False:
            rules.pop(name, None)
            continue
        try:
            rules[name] = RULES[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in (value or {}).items()})
        except (TypeError, AttributeError, KeyError) as error:
            raise SettingsError(
                f"[clean] {name} = {value!r} is not understood ({error}).", f"The rules are {', '.join(RULES)}.", "Give false or a table."
            ) from error
    return tuple(rules.values())
