"""Cleaning a log: causal rules in a stated order, a report, and a quarantine from which everything can be put back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from whenbuy.clean.draft import Addition, Draft, Finding, Rule, Touch, readable, with_kind
from whenbuy.clean.duplicates import DoubleClicks, Duplicates
from whenbuy.clean.heads import opened_twice, opening, order_keys, with_heads
from whenbuy.clean.impossible import Impossible
from whenbuy.clean.people import Bots, TestOrders
from whenbuy.clean.refunds import Refunds
from whenbuy.clean.report import Count, Report, RuleReport, examples_of
from whenbuy.core.arrays import MISSING, Ints
from whenbuy.core.errors import EmptyError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, EventLog, order_by_time

DEFAULT: tuple[Rule, ...] = (Duplicates(), DoubleClicks(), Impossible(), TestOrders(), Refunds(), Bots())
"""The rules that run when none are named, in this order."""

T = TypeVar("T", bound=np.generic)

_ENTRY = {
    "row": pl.Int64, "rule": pl.String, "reason": pl.String, "done": pl.String, "column": pl.String, "original": pl.String,
    "became": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A cleaned history, with all that is needed to say what was done and to undo it.

    Parameters
    ----------
    history
        The history with the cleaned log.
    report
        Counts before and after each rule.
    quarantine
        One row per finding: ``row`` (in the log as it came; events that cleaning added are counted on behind its last row), ``rule``,
        ``reason``, ``done`` (removed, changed, added), ``column``, ``original`` and ``became`` of a changed value, then the event as it
        came.
    origin
        Where each row of the cleaned log was in the log as it came (n).
    originals
        The removed and changed rows as they came, in their order.
    """

    history: History
    report: Report
    quarantine: pl.DataFrame
    origin: Ints
    originals: EventLog


def clean(source: History | EventLog, rules: Sequence[Rule] = DEFAULT, now: str | date | datetime | int | None = None) -> Cleaned:
    """Return the history cleaned by causal rules: cut at any instant it equals the cleaned cut history.

    Parameters
    ----------
    source
        The history, or a log whose shop keeps its days in UTC.
    rules
        What to look for, in the order in which it is done.
    now
        The instant of cleaning: what lies after it cannot be. Not judged where it is not stated.

    Raises
    ------
    EmptyError
        When no event is left.
    """
    history = source if isinstance(source, History) else History(source)
    log = history.log
    instant = None if now is None else history.clock.instant(now)
    draft = Draft(log, np.ones(len(log), bool), np.arange(len(log)), history.clock, instant)
    entries, parts = [pl.DataFrame(schema=_ENTRY)], []
    additions: list[tuple[str, Addition]] = []
    links: set[str] = set()
    for rule in rules:
        before = int(np.count_nonzero(draft.alive))
        draft, finding = _applied(draft, rule, entries)
        additions += [(rule.name, addition) for addition in finding.additions]
        links |= finding.links.keys()
        parts.append(_part(rule.name, before, int(np.count_nonzero(draft.alive)), finding))
    _refuse_empty(len(log), parts)
    cleaned, origin = _assembled(draft, [addition for _, addition in additions], links, len(log))
    entries += _added_entries(additions, len(log))
    cleaned, origin = _opened(log, draft, cleaned, origin, entries)
    quarantine, originals = _quarantine(log, cleaned, origin, pl.concat(entries))
    report = Report(len(log), len(cleaned), tuple(_with_examples(part, quarantine) for part in parts))
    return Cleaned(replace(history, log=cleaned), report, quarantine, origin, originals)


def _applied(draft: Draft, rule: Rule, entries: list[pl.DataFrame]) -> tuple[Draft, Finding]:
    finding = rule.find(draft)
    for touch in finding.touches:
        entries.append(_entry(draft, rule.name, touch))
    remarks = dict(finding.columns) | {name: Column(link) for name, link in finding.links.items()}
    draft = draft.with_columns(remarks)
    for touch in finding.touches:
        draft = draft.with_touch(touch)
    return draft, finding


def _entry(draft: Draft, rule: str, touch: Touch) -> pl.DataFrame:
    column, original, became = None, None, None
    if touch.values:
        column, new = next(iter(touch.values.items()))
        old = _column(draft, column, touch.rows)
        original, became = readable(old), readable(Column(new.values, new.dictionary, old.scale))
    return pl.DataFrame(
        {"row": draft.origin[touch.rows]}
        | {"rule": rule, "reason": touch.reason, "done": "changed" if touch.values else "removed", "column": column}
        | {"original": original, "became": became},
        schema=_ENTRY,
    )


def _column(draft: Draft, name: str, rows: Ints) -> Column:
    """Return some rows of a column, or of the kind or an instant in the guise of one."""
    log = draft.log
    if name == "kind":
        names = draft.kinds(log.kinds[0], 0).dictionary
        return Column(log.kind[rows].astype(np.int32), names)
    if name in ("time", "known_at"):
        return Column((log.time if name == "time" else log.known_at)[rows])
    column = log.columns[name]
    return Column(column.values[rows], column.dictionary, column.scale)


def _part(rule: str, before: int, after: int, finding: Finding) -> RuleReport:
    counts = [Count("changed" if touch.values else "removed", len(touch.rows), touch.reason) for touch in finding.touches]
    counts += [Count("added", len(addition.user), addition.reason) for addition in finding.additions]
    return RuleReport(rule, before, after, tuple(counts), tuple(finding.facts.items()))


def _with_examples(part: RuleReport, quarantine: pl.DataFrame) -> RuleReport:
    return replace(part, counts=tuple(replace(count, examples=examples_of(quarantine, part.rule, count.reason)) for count in part.counts))


def _refuse_empty(rows: int, parts: Sequence[RuleReport]) -> None:
    if not rows or not parts or parts[-1].after:
        return
    took = "; ".join(
        f"{part.rule} {count.rows:,}: {count.reason}" for part in parts for count in part.counts if count.done == "removed" and count.rows
    )
    raise EmptyError(
        f"Cleaning took out all {rows:,} events ({took}).",
        "At least one must remain.",
        "Correct the data, or loosen or leave out that rule.",
    )


def _assembled(draft: Draft, additions: Sequence[Addition], links: Iterable[str], before: int) -> tuple[EventLog, Ints]:
    """Return the log of the rows that still stand and the added events, and where each row came from."""
    log, kept = draft.log, np.flatnonzero(draft.alive)
    offsets, end = np.searchsorted(kept, log.offsets).astype(np.int64), _end(draft, kept)
    user = np.concatenate([np.empty(0, np.int32), *(addition.user for addition in additions)])
    if len(kept) == len(log) and not len(user):
        cleaned, origin = replace(log, end=end), draft.origin
    else:
        instant = np.concatenate([np.empty(0, np.int64), *(addition.instant for addition in additions)])
        slices = [log.known_at[kept[offsets[u] : offsets[u + 1]]] for u in user]
        later = [np.searchsorted(part, at, side="right") for part, at in zip(slices, instant, strict=True)]
        place = offsets[user] + np.array(later, np.int64)
        source = np.insert(kept, place, -1 - np.arange(len(user)))
        for addition in additions:
            log = replace(log, kinds=with_kind(log.kinds, addition.kind))
        codes = np.concatenate([np.empty(0, np.uint8), *(np.full(len(a.user), log.code(a.kind), np.uint8) for a in additions)])
        offsets = offsets + np.searchsorted(np.sort(user), np.arange(len(offsets)))
        known_at = _gathered(log.known_at, source, instant)
        time = _gathered(log.time, source, instant) if log.late else known_at
        columns = {name: _gathered_column(name, column, source) for name, column in log.columns.items()}
        kind = _gathered(log.kind, source, codes)
        by_time = order_by_time(offsets, time) if log.late else None
        cleaned = EventLog(log.users, log.kinds, offsets, known_at, time, kind, columns, end, by_time)
        origin = _gathered(draft.origin, source, before + np.arange(len(user)))
    return _linked(cleaned, origin, links, before), origin


def _gathered(values: npt.NDArray[T], source: Ints, added: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the values of the source rows; a source of -1 - k stands for the k-th added value."""
    picked = values[source]
    new = source < 0
    picked[new] = added[-1 - source[new]]
    return picked


def _gathered_column(name: str, column: Column, source: Ints) -> Column:
    absent = 0 if name == ORDERS else MISSING if column.dictionary is None else -1
    picked = column.values[source]
    picked[source < 0] = absent
    return Column(picked, column.dictionary, column.scale)


def _end(draft: Draft, kept: Ints) -> int:
    """Return the end of the cleaned log: an end after the instant of cleaning is that of a row that cannot be."""
    log = draft.log
    if draft.now is None or log.end <= draft.now or not len(kept):
        return log.end
    return min(draft.now, draft.clock.next_midnight(int(log.known_at[kept].max())))


def _linked(log: EventLog, origin: Ints, links: Iterable[str], before: int) -> EventLog:
    """Return the log with columns that point at rows as places among the rows of the same user."""
    columns = dict(log.columns)
    for name in links:
        values = np.full(len(log), MISSING, np.int64)
        linked = np.flatnonzero(columns[name].values >= 0)
        if len(linked):
            place = np.full(before, -1, np.int64)
            came = np.flatnonzero(origin < before)
            place[origin[came]] = came
            row = place[columns[name].values[linked]]
            linked, row = linked[row >= 0], row[row >= 0]
            values[linked] = row - log.offsets[np.searchsorted(log.offsets, linked, side="right") - 1]
        columns[name] = Column(values)
    return replace(log, columns=columns)


def _opened(before: EventLog, draft: Draft, cleaned: EventLog, origin: Ints, entries: list[pl.DataFrame]) -> tuple[EventLog, Ints]:
    """Return the log with a new head for each order that lost its own, or whose own became known after another line."""
    if ORDERS not in before.columns:
        return cleaned, origin
    head = ((before.columns[ORDERS].values == 1) & (before.kind == before.code("purchase")))[draft.origin]
    gone = ~draft.alive | (draft.log.kind != before.code("purchase"))
    later = ~gone & (draft.log.known_at > before.known_at[draft.origin])
    lost = np.flatnonzero(head & (gone | later))
    if not len(lost):
        return cleaned, origin
    no_purchase = np.flatnonzero(np.isin(origin, draft.origin[head & gone]))
    cleaned = replace(cleaned, columns=with_heads(cleaned, no_purchase, 0))
    rows = opening(cleaned, order_keys(draft.log, lost))
    reason = "the first line of its order left the purchases or became known later; this line now opens the order"
    entry = {"row": origin[rows], "rule": ORDERS, "reason": reason, "done": "changed", "column": ORDERS, "original": "0", "became": "1"}
    entries.append(pl.DataFrame(entry, schema=_ENTRY))
    cleaned = replace(cleaned, columns=with_heads(cleaned, rows, 1))
    heads = np.flatnonzero(np.isin(origin, draft.origin[head & later]))
    heads = heads[~np.isin(heads, rows)]
    return replace(cleaned, columns=with_heads(cleaned, opened_twice(cleaned, heads), 0)), origin


def _added_entries(additions: Sequence[tuple[str, Addition]], before: int) -> list[pl.DataFrame]:
    found, row = [], before
    for rule, addition in additions:
        rows = np.arange(row, row + len(addition.user))
        empty = {"column": None, "original": None, "became": None}
        found.append(pl.DataFrame({"row": rows, "rule": rule, "reason": addition.reason, "done": "added"} | empty, schema=_ENTRY))
        row += len(addition.user)
    return found


def _quarantine(log: EventLog, cleaned: EventLog, origin: Ints, entries: pl.DataFrame) -> tuple[pl.DataFrame, EventLog]:
    """Return the entries beside their events in readable form, and the events as they came."""
    touched = entries.filter(pl.col("done") != "added")["row"].unique().sort().to_numpy()
    originals = log.take(touched)
    events = originals.frame().with_columns(pl.Series("row", touched, dtype=pl.Int64))
    new = np.flatnonzero(origin >= len(log))
    if len(new):
        added = cleaned.take(new).frame().with_columns(pl.Series("row", origin[new])).select(events.columns)
        events = pl.concat([events, added], how="vertical_relaxed")
    return entries.join(events, on="row", how="left", suffix="_of_event", maintain_order="left"), originals
