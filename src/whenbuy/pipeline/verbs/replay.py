"""Putting back what was set aside: rows that cleaning took out, and rows that reading rejected before the mapping was mended."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES, Cleaned, clean, put_back
from whenbuy.config import Settings
from whenbuy.core.errors import EmptyError, UsageError
from whenbuy.core.history import History
from whenbuy.ingest.frames import Rejects
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.profiles import beside_events
from whenbuy.ingest.read import Reading, read
from whenbuy.pipeline.keeping.quarantine import kept
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.intake import FOUND, Say, accounts, as_it_came, dialect_of, rules, store

READING: Final = "reading"
"""The name under which rows that reading rejected are read again, beside the names of rules."""


def replay(folder: Path, rule: str | None = None, reason: str | None = None, *, say: Say, now: datetime | None = None) -> Result:
    """Put rows of a shop's quarantine back into its log as they came; the next import cleans them by the settings of then.

    Parameters
    ----------
    folder
        The shop.
    rule
        The name of a rule as the quarantine has it; ``reading`` reads rejected rows again, by the settings of now; all rules by default.
    reason
        A text: only rows whose reason has it.
    say
        Where words about the progress go.
    now
        The instant after which nothing can have happened yet; this moment by default.

    Raises
    ------
    UsageError
        When the quarantine holds nothing of that kind, or the log has changed since it was cleaned.
    EmptyError
        When none of the rejected rows can be read now either.
    """
    shop = Shop(folder.resolve())
    with shop.writing():
        cleaned, rejects = kept(shop.folder)
        found = dict(json.loads((shop.quarantine / FOUND).read_text("utf-8")))
        held = rejects if rule == READING else cleaned.quarantine if rule is None else cleaned.quarantine.filter(pl.col("rule") == rule)
        chosen = held if reason is None else held.filter(pl.col("reason").str.contains(reason, literal=True))
        if not len(chosen):
            wanted = f"of the rule {rule!r}" if rule else "of any rule"
            raise UsageError(
                f"The quarantine holds no row {wanted}" + (f" with the reason {reason!r}." if reason else "."), _held(cleaned, rejects),
                "Name one of these.",
            )  # fmt: skip
        if rule == READING:
            return _read_again(shop, cleaned, rejects, chosen, found, say, now or datetime.now(UTC))
        left = put_back(cleaned, chosen)
        counts = accounts(int(found["counts"]["rows"]), len(rejects), left)
        settings, before = shop.settings(RULES), put_back(cleaned).history
        came = as_it_came(before, left, rules(before, settings.clean, settings.fill))
        store(shop.folder, left, rejects, {**found, "counts": counts}, came)
    back = counts["removed"]
    undone = len(cleaned.quarantine) - len(left.quarantine)
    return _told(counts, f"{undone:,} findings of cleaning were undone; {back:,} rows are still set aside.")


def _held(cleaned: Cleaned, rejects: pl.DataFrame) -> str:
    named = [f"{rule} ({count:,})" for rule, count in cleaned.quarantine.group_by("rule", maintain_order=True).len().iter_rows()]
    return f"It holds rows of: {', '.join([*named, f'{READING} ({len(rejects):,})'])}."


def _told(counts: Mapping[str, int], words: str) -> Result:
    return Result(dict(counts), after=(words, f"The log has {counts['events']:,} events now. Next: whenbuy fit"))


# ------------------------------------------------------------------------------------------------ rejected rows


def _read_again(
    shop: Shop, cleaned: Cleaned, rejects: pl.DataFrame, chosen: pl.DataFrame, found: dict[str, Any], say: Say, now: datetime,
) -> Result:  # fmt: skip
    """Read rejected rows by the settings of now, add them to the log as it came, and clean all of it again."""
    settings = shop.settings(RULES)
    say(f"reading {len(chosen):,} rejected rows again")
    readings, still = _readings(chosen, settings, cleaned.history, now)
    if not readings:
        raise EmptyError(
            f"None of the {len(chosen):,} rejected rows can be read now either ({chosen['reason'][0]}).", "The settings must fit them.",
            "Mend [source], [columns] or [kinds] in whenbuy.toml, or the source itself, and import it again.",
        )  # fmt: skip
    history = put_back(cleaned).history
    lines = Lines.of(history.log)
    wanted = [name for one in settings.profiles.get("items", ()) for name in one.to_events]
    for reading in readings:
        new, _ = beside_events(replace(reading.history, items=history.items), wanted)
        lines = lines.followed_by(Lines.of(new.log))
    end = max(history.end, history.clock.next_midnight(int(lines.known_at.max())))
    history = replace(history, log=group(lines, end, history.clock))
    say(f"cleaning {len(history.log):,} events")
    found_rules = rules(history, settings.clean, settings.fill)
    again = clean(history, found_rules, now=now)
    others = rejects.join(chosen, on=["file", "row", "reason"], how="anti", maintain_order="left", nulls_equal=True)
    left = Rejects.of([others, still]).frame
    counts = accounts(int(found["counts"]["rows"]), len(left), again)
    came = as_it_came(history, again, found_rules)
    store(shop.folder, again, left, {**found, "cleaning": list(again.report.sentences()), "counts": counts}, came)
    return _told(counts, f"{len(chosen) - len(still):,} of {len(chosen):,} rejected rows could be read now.")


def _readings(chosen: pl.DataFrame, settings: Settings, history: History, now: datetime) -> tuple[list[Reading], pl.DataFrame]:
    """Return what can be read of rejected rows, and those that still cannot."""
    whole = pl.col("header").is_not_null() | pl.col("raw").str.starts_with("{")
    readings, still = [], [chosen.filter(~whole)]
    for (header,), part in chosen.filter(whole).group_by("header", maintain_order=True):
        try:
            reading = _again(part, header if isinstance(header, str) else None, settings, history, now)
        except EmptyError:
            still.append(part)
            continue
        still.append(part[(reading.rejects.frame["row"] - 1).to_list()])
        readings.append(reading)
    return readings, pl.concat(still)


def _again(part: pl.DataFrame, header: str | None, settings: Settings, history: History, now: datetime) -> Reading:
    """Read rows of one kind again: lines of text under their header, or objects."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl" if header is None else "rows.csv")
        lines = [line.replace("\n", " ") for line in part["raw"]]
        file.write_text("\n".join([*([] if header is None else [header]), *lines]) + "\n", encoding="utf-8")
        return read(
            file, columns=settings.columns, kinds=settings.kinds, timezone=history.clock.zone, currency=settings.shop.currency or None,
            lateness_days=history.lateness_days, now=now, dialect=replace(dialect_of(settings.source), encoding="utf-8"),
            cancelled=settings.source.cancelled.strip("-"),
        )  # fmt: skip
