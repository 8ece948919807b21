"""Compaction: what the journal holds becomes part of the columnar log, exactly once, wherever a process is stopped.

The log takes a part of the journal in one step, in the journal's order, and knows each event by its key. So whatever the journal was told,
the log itself says how far it reaches: up to the last event of the journal that it holds without a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl

from whenbuy.core.history import History
from whenbuy.core.log import CODED, SCALES, EventLog
from whenbuy.ingest.lines import Lines, LinesBuilder
from whenbuy.ingest.reception import Event
from whenbuy.ingest.store import append, open_log
from whenbuy.serve.journal import Journal

OTHER: Final = "other"
"""The kind of events whose own kind is one too many for the log."""
_PART: Final = 200_000
_PAGE: Final = 10_000
_MOST_KINDS: Final = 256
_UTC: Final = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did.

    Parameters
    ----------
    added
        How many events the log took.
    seq
        The place in the journal up to which the log holds everything.
    emptied
        By column, how many values the log could not hold: text where it has numbers. The journal still has them.
    """

    added: int
    seq: int
    emptied: Mapping[str, int]


def compact(
    journal: Journal,
    folder: Path,
    part: int = _PART,
    say: Callable[[str], None] | None = None,
    then: Callable[[History], History] = lambda it: it,
    seen: Callable[[Event], Event] = lambda it: it,
) -> Compacted:
    """Bring everything in the journal into the stored log.

    Parameters
    ----------
    journal
        Where the events are.
    folder
        The folder of the log.
    part
        How many events the log takes in one step.
    say
        Told after each step how far it came.
    then
        What is done with the whole log before it is stored; it takes no event out.
    seen
        What an event is for this log.

    Raises
    ------
    NotFoundError, DamagedError, BusyError, AccessError
        As from `append`; nothing is half done, and the next compaction goes on from there.
    """
    history = open_log(folder)
    seq, added, emptied = held(journal, history.log), 0, Counter[str]()
    while events := list(_range(journal, seq, part)):
        lines, lost = lines_of([seen(event) for _, event in events], history.log)
        done = append(folder, lines, max(history.end, events[-1][1].known_at + 1), then)
        history, seq, added = done.history, events[-1][0], added + done.added
        emptied.update(lost)
        journal.mark_compacted(seq)
        if say is not None:
            say(f"{added:,} new events are in the log")
    if seq != journal.compacted():
        journal.mark_compacted(seq)
    return Compacted(added, seq, dict(emptied))


def held(journal: Journal, log: EventLog) -> int:
    """Return the place in the journal up to which a log holds everything: from the next one on its events are to be added.

    A log that was made anew from its sources holds nothing of the journal; one that was written just before a crash holds more than the
    journal was told.
    """
    seq = journal.compacted()
    if seq and not _holds(log, [event for _, event in journal.events(seq - 1, 1)]):
        seq = 0
    while page := list(journal.events(seq, _PAGE)):
        there = _holding(log, [event for _, event in page])
        if not all(there):
            return seq + there.index(False)
        seq = page[-1][0]
    return seq


def key_of(event: Event) -> str:
    """Return the ``event_id`` of an event in the log: its source, in which ``:`` and ``%`` are written as in addresses, and its own id."""
    return f"{quote(event.source, safe='/')}:{event.event_id}"


def lines_of(events: Sequence[Event], log: EventLog) -> tuple[Lines, Mapping[str, int]]:
    """Return events as rows that a log can take, and by column how many values it could not.

    Kinds beyond the most that a log can tell apart become ``other``; an attribute that the log holds as numbers takes numbers only.
    """
    names = {name: None for event in events for name in event.values}
    figures = {name for name in names if _is_number(name, log)}
    kinds = _kinds(events, log)
    data: dict[str, pl.Series] = {
        "user_id": pl.Series([event.user for event in events], dtype=pl.String),
        "kind": pl.Series([kinds.get(event.kind, OTHER) for event in events], dtype=pl.String),
        "time": pl.Series([event.time for event in events], dtype=pl.Int64).cast(_UTC),
        "known_at": pl.Series([event.known_at for event in events], dtype=pl.Int64).cast(_UTC),
        "event_id": pl.Series([key_of(event) for event in events], dtype=pl.String),
    }
    lost = Counter[str]()
    for name in names:
        cells = [event.values.get(name) for event in events]
        if name in figures:
            found = [_figure(cell) for cell in cells]
            lost[name] = sum(cell is not None and number is None for cell, number in zip(cells, found, strict=True))
            whole = all(number is None or isinstance(number, int) for number in found)
            data[name] = pl.Series(found, dtype=pl.Int64 if whole else pl.Float64, strict=False)
        else:
            data[name] = pl.Series([None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    scales = {name: log.columns[name].scale for name in SCALES if name in log.columns}
    builder = LinesBuilder(len(events), scales)
    builder.add(pl.DataFrame([column.alias(name) for name, column in data.items()]))
    return builder.finish(), +lost


def _range(journal: Journal, after: int, most: int) -> Iterator[tuple[int, Event]]:
    """Yield at most so many events of the journal."""
    end = after + most
    while page := list(journal.events(after, min(_PAGE, end - after))):
        yield from page
        after = page[-1][0]
        if after >= end:
            return


def _holds(log: EventLog, events: Iterable[Event]) -> bool:
    return all(_holding(log, [*events]))


def _holding(log: EventLog, events: Sequence[Event]) -> list[bool]:
    column = log.columns.get("event_id")
    if column is None or column.dictionary is None:
        return [False] * len(events)
    return [bool(code >= 0) for code in column.dictionary.codes([key_of(event) for event in events])]


def _is_number(name: str, log: EventLog) -> bool:
    if name in SCALES or name in CODED:
        return name in SCALES
    return name in log.columns and log.columns[name].dictionary is None


def _figure(cell: Any) -> float | int | None:
    if isinstance(cell, (int, float)):
        return cell
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _kinds(events: Sequence[Event], log: EventLog) -> dict[str, str]:
    """Return the kind that each kind becomes in the log."""
    known = dict.fromkeys((*log.kinds, OTHER))
    for event in events:
        if event.kind not in known and len(known) < _MOST_KINDS:
            known[event.kind] = None
    return {kind: kind for kind in known}
