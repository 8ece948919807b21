"""Intake: from the sources of a shop to its log, with an account of every row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.clean import DEFAULT, RULES, Cleaned, Duplicates, Missing, Rate, Rule, ShiftClock, clean
from whenbuy.config import FILE, Settings, SourceSettings
from whenbuy.core.errors import AccessError, SettingsError, UsageError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.profile import Profile
from whenbuy.ingest.frames import Rejects
from whenbuy.ingest.lock import LOCK
from whenbuy.ingest.profiles import ProfileSource, beside_events, read_profile
from whenbuy.ingest.read import Reading
from whenbuy.ingest.read import read as read_source
from whenbuy.ingest.store import POINTER, write_log, writing
from whenbuy.ingest.text import Dialect
from whenbuy.pipeline.keeping.quarantine import PROFILES, keep, keep_table
from whenbuy.pipeline.keeping.shop import FOLDERS, came_in, write
from whenbuy.pipeline.learning.grid import has_clock_times
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result

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


def read_in(settings: Settings, now: datetime) -> Reading:
    """Return the sources as the settings say they are read."""
    source = settings.source
    return read_source(
        (source.paths[0] if len(source.paths) == 1 else list(source.paths)) if source.paths else None,
        columns=settings.columns, kinds=settings.kinds, timezone=settings.shop.timezone, layout=source.layout or None,
        currency=settings.shop.currency or None, lateness_days=settings.shop.lateness_days, now=now, dialect=dialect_of(source),
        cancelled={"": None, "-": ""}.get(source.cancelled, source.cancelled),
    )  # fmt: skip


def take_in(folder: Path, settings: Settings, say: Say, now: datetime | None) -> tuple[Result, Settings]:
    """Read, clean and store a log; return what was found, and the settings by which it would be read the same way again.

    The log comes last, in one step: until then the old one counts.
    """
    now, source = now or datetime.now(UTC), settings.source
    say(f"reading {', '.join(Path(path).name for path in source.paths[:3]) or source.layout}" + " …" * (len(source.paths) > 3))
    reading = read_in(settings, now)
    history, told, strange = with_profiles(folder, settings, reading.history, say)
    say(f"cleaning {len(history.log):,} events")
    found_rules = rules(history, settings.clean, settings.fill)
    cleaned = clean(history, found_rules, now=now)
    counts = accounts(reading.rows, len(reading.rejects), cleaned)
    found = {"reading": [*_read_words(reading), *told], "cleaning": list(cleaned.report.sentences()), "counts": counts}
    keep_table(strange, folder / "quarantine" / PROFILES)
    store(folder, cleaned, reading.rejects.frame, found, as_it_came(history, cleaned, found_rules))
    log, clock = cleaned.history.log, history.clock
    facts = {"shop": str(folder.resolve()), **counts, "users": len(log.users), "first": clock.show(log.start), "end": clock.show(log.end)}
    guessed = screen.guesses(reading.mapping.guesses)
    return Result(
        facts, _guesses(reading), "understood", () if guessed is None else (guessed,),
        after=(*_remarks(reading, cleaned), *told, *_outcome(cleaned.history, counts)),
    ), understood(settings, reading)  # fmt: skip


def store(folder: Path, cleaned: Cleaned, rejects: pl.DataFrame, found: Mapping[str, Any], came: History | None = None) -> None:
    """Store what an import made: first what was found and every row that was set aside, last, in one step, the log.

    The log as it came is kept where there is one to keep; see `as_it_came`.
    """
    keep(folder, cleaned, rejects)
    write(folder / "quarantine" / FOUND, json.dumps(found, ensure_ascii=False).encode())
    place = came_in(folder)
    if came is None:
        (place / POINTER).unlink(missing_ok=True)  # it counts no longer, however far the rest gets
        shutil.rmtree(place, ignore_errors=True)
    else:
        write_log(came, place)
    write_log(cleaned.history, folder / "log")


def own_rules(found: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that a shop set itself: those of which there is no default."""
    return tuple(rule for rule in found if type(rule) not in map(type, DEFAULT))


def as_it_came(history: History, cleaned: Cleaned, found: Sequence[Rule]) -> History | None:
    """Return the log before cleaning, without its duplicates; None for a shop without rules of its own, which never needs it.

    Such rules learn from what was known before, as it was: what comes later is cleaned with it, from the beginning.
    """
    if not own_rules(found):
        return None
    twice = tuple(rule for rule in found if isinstance(rule, Duplicates))
    came = clean(history, twice).history if twice else history
    return replace(came, log=replace(came.log, end=cleaned.history.end))


def with_profiles(folder: Path, settings: Settings, history: History, say: Say) -> tuple[History, tuple[str, ...], pl.DataFrame]:
    """Return the history with the profiles of the settings in place of its own; what was found, in sentences; and rows set aside.

    Relative paths are seen from the shop.
    """
    told: list[str] = []
    strange = [Rejects.of([]).frame]
    for name, sources in settings.profiles.items():
        say(f"reading the profile of {name}")
        files = [
            ProfileSource(tuple(str(folder / path) for path in one.path), one.key, one.valid_from, one.columns, one.property, one.value)
            for one in sources
        ]
        found = read_profile(name.removesuffix("s"), files, history.clock, dialect_of(settings.source))
        history = _with_profile(history, name, found.profile)
        strange.append(found.rejects.frame)
        told += [f"{note[:1].upper()}{note[1:]}." for note in found.notes]
        told += [f"{count:,} rows of it were rejected: {reason}." for reason, count in found.rejects.counts().iter_rows()]
        told += _known_ids(history, name, found.profile)
    history, beside = beside_events(history, [name for one in settings.profiles.get("items", ()) for name in one.to_events])
    if beside:
        told.append(f"Beside the events stands of their items, as it was known then: {', '.join(beside)}.")
    return history, tuple(told), pl.concat(strange)


def _with_profile(history: History, name: str, profile: Profile) -> History:
    if name == "users":
        return replace(history, users=profile)
    return replace(history, items=profile) if name == "items" else replace(history, offers=profile)


def _known_ids(history: History, name: str, profile: Profile) -> list[str]:
    """Return how many of the log's ids the profile describes: few mean that the two write ids differently."""
    column = {"items": "item_id", "offers": "offer_id"}.get(name)
    held = None if column is None else history.log.columns.get(column)
    names = history.log.users if column is None else None if held is None else held.dictionary
    if names is None or not len(names):
        return []
    known = int(names.ids.is_in(profile.table["id"].implode()).sum())
    return [f"It describes {known:,} of the {len(names):,} {name} of the log."]


def accounts(rows: int, rejected: int, cleaned: Cleaned) -> dict[str, int]:
    """Return what became of every row.

    Raises
    ------
    WhenbuyError
        When a row was lost: every row that was read is an event, a reject or in quarantine.
    """
    entries, done, log = cleaned.quarantine, pl.col("done"), cleaned.history.log
    removed, changed = (entries.filter(done == what)["row"].n_unique() for what in ("removed", "changed"))
    added = len(entries.filter(done == "added"))
    if rows != len(log) - added + rejected + removed:
        raise WhenbuyError(
            f"Of {rows:,} rows {len(log) - added:,} became events, {rejected:,} were rejected, {removed:,} taken out.",
            "These must be all of them: a row was lost.", "This is a bug, not your doing: please report it with these numbers.",
        )  # fmt: skip
    return {"rows": rows, "events": len(log), "rejected": rejected, "removed": removed, "changed": changed, "added": added}


def understood(settings: Settings, reading: Reading) -> Settings:
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
        cancelled=str(written.get("cancelled", settings.source.cancelled)),
    )  # fmt: skip
    columns, kinds = {**mapping.columns, **settings.columns}, {**kinds, **settings.kinds}
    return replace(settings, shop=shop, source=source, columns=columns, kinds=kinds)


def dialect_of(source: SourceSettings) -> Dialect:
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


def rules(history: History, said: Mapping[str, Any] | None = None, fill: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the cleaning rules: the default ones, changed as the shop's settings say.

    In a log of bare days equal rows may be two real purchases of one day, so they stay. Under [clean], ``rule = false`` leaves a rule out,
    and ``rule = {…}`` sets it, or adds it behind the default ones. Last come the fills of [fill], in their order. A wrong clock is set
    right before anything else is asked.
    """
    exact = has_clock_times(history) or "event_id" in history.log.columns
    rules = {name: rule for name, kind in RULES.items() for rule in DEFAULT if type(rule) is kind and (exact or name != "duplicates")}
    for name, value in (said or {}).items():
        if value is False:
            rules.pop(name, None)
            continue
        rules[name] = _rule(f"[clean] {name}", RULES.get(name), value or {})
    for column, how in (fill or {}).items():
        rules[f"missing_{column}"] = _rule(
            f"[fill] {column}", Missing, {"column": column, **({"how": how} if isinstance(how, str) else how)}
        )
    return tuple(sorted(rules.values(), key=lambda rule: not isinstance(rule, ShiftClock)))


def _rule(where: str, made: type | None, value: Any) -> Any:
    try:
        return made(**{key: tuple(map(_part, each)) if isinstance(each, list) else each for key, each in value.items()})  # type: ignore[misc]
    except (TypeError, AttributeError) as error:
        raise SettingsError(
            f"{where} = {value!r} is not understood ({error}).", f"The rules are {', '.join(RULES)}; [fill] names columns.",
            "Give false or a table.",
        ) from error  # fmt: skip


def _part(said: Any) -> Any:
    """Return an entry of a list as a rule takes it: a table is a rate of a currency."""
    return Rate(**said) if isinstance(said, dict) else said
