"""The verb ``check``: the data doctor on a file before there is a shop, or on the data of a shop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from whenbuy.clean import RULES, clean
from whenbuy.config import FILE, Settings
from whenbuy.core.errors import NotEnoughDataError, NotFoundError
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.checking.checkup import Checkup
from whenbuy.pipeline.checking.examine import examine
from whenbuy.pipeline.keeping.shop import Shop, write
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs import intake
from whenbuy.pipeline.verbs.checkup import unused
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop

_NEW = Path("shop")
"""Where ``--fix`` puts the settings of a file that has no shop yet, as ``init`` does."""


def check(shop: Path | None, sources: Sequence[Path], fix: bool, say: Say, *, now: datetime | None = None) -> Result:
    """Say what the data are, what they can answer, and what is wrong with them; change nothing unless ``fix`` is said.

    Parameters
    ----------
    shop
        The shop's folder; the one in which we stand, where nothing is named.
    sources
        Files to look at, whether there is a shop or not; the shop's own sources where none is named.
    fix
        Whether the settings that are proposed are written. An earlier file is kept beside the new one.
    say
        Where words about the progress go.
    now
        The instant after which nothing can have happened yet; this moment by default.

    Raises
    ------
    NotFoundError
        When there is no shop and no source was named.
    InputError
        When the source is no event log.
    """
    now = now or datetime.now(UTC)
    folder = _folder(shop, sources)
    settings = Shop(folder).settings(RULES) if folder is not None and (folder / FILE).is_file() else Settings()
    if sources:
        settings = replace(settings, source=replace(settings.source, paths=tuple(str(Path(path).absolute()) for path in sources)))
    found = _examined(folder, settings, say, now)
    after = [*_summary(found), *_proposal(found, folder, fix, at(shop))]
    code = 0 if found.usable else NotEnoughDataError.exit_code
    return Result(found.plain(), found.frame(), "findings", found.screens(), after=tuple(after), code=code)


def _folder(shop: Path | None, sources: Sequence[Path]) -> Path | None:
    """Return the shop's folder; where sources are named it need not be one yet, and none need be there."""
    if not sources:
        return find_shop(shop).folder
    return None if shop is None else shop.resolve()


def _examined(folder: Path | None, settings: Settings, say: Say, now: datetime) -> Checkup:
    """Read, clean and examine; a shop whose sources have gone is examined by its stored log."""
    base = folder or Path.cwd()
    source = replace(settings.source, paths=tuple(str(base / path) for path in settings.source.paths))
    if not source.paths and not source.layout:
        return _stored(base, settings, say, now)
    say(f"reading {', '.join(Path(path).name for path in source.paths[:3]) or source.layout}")
    try:
        reading = intake.read_in(replace(settings, source=source), now)
    except NotFoundError:
        if folder is None or not (folder / "log").exists():
            raise
        say("the sources are not there any more: the stored log is examined")
        return _stored(folder, settings, say, now)
    say(f"cleaning and examining {len(reading.history.log):,} events")
    history, told, _ = intake.with_profiles(base, settings, reading.history, say)
    cleaned = clean(history, intake.rules(history, settings.clean, settings.fill), now=now)
    named = list(source.paths) or None
    understood = intake.understood(replace(settings, source=source), reading)
    return examine(history, cleaned, understood, reading, unused(named, reading, intake.dialect_of(source)), told)


def _stored(folder: Path, settings: Settings, say: Say, now: datetime) -> Checkup:
    history = open_log(folder / "log")
    say(f"examining {len(history.log):,} events")
    return examine(history, clean(history, (), now=now), settings)


def _summary(found: Checkup) -> list[str]:
    grades = {grade: [one.question for one in found.questions if one.grade == grade] for grade in ("ready", "thin", "not possible")}
    said = "; ".join(f"{grade}: {', '.join(names)}" for grade, names in grades.items() if names)
    facts = found.facts
    return [
        f"{facts['rows']:,} rows, {facts['events']:,} events of {facts['customers']:,} customers, {facts['first']} to {facts['end']}.",
        f"{said[:1].upper()}{said[1:]}.",
    ]


def _proposal(found: Checkup, folder: Path | None, fix: bool, where: str) -> list[str]:
    changes = [f"Proposed: {change}." for change in found.changes]
    if not fix:
        return [*changes, *(["Write it with --fix."] if changes else [])]
    home = folder or _NEW.resolve()
    path = home / FILE
    text = found.settings.text()
    if path.exists() and path.read_text(encoding="utf-8-sig") == text:
        return [f"{path} already says all that."]
    kept = []
    if path.exists():
        aside = _aside(path)
        write(aside, path.read_bytes())
        kept = [f"The old {FILE} is kept as {aside.name}."]
    write(path, text.encode())
    return [*changes, f"Written: {path}.", *kept, f"Next: whenbuy init{where or at(home)}"]


def _aside(path: Path) -> Path:
    """Return a name beside a file that is free."""
    number = 1
    while (found := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return found
