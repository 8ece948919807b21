"""A few events as a log, for rules that look at a few: the log that `lines_of` and `group` make of them, without what these do for many."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from whenbuy.core.arrays import MISSING, Ints
from whenbuy.core.log import CODED, SCALES, Column, Dictionary, EventLog
from whenbuy.ingest.group import arrange, in_time
from whenbuy.ingest.known import Value
from whenbuy.ingest.reception import Event


def small_log(events: Sequence[Event], read: Collection[str], scales: Mapping[str, int]) -> tuple[EventLog, Ints]:
    """Return events as a log, and which of them each of its rows is (n).

    Parameters
    ----------
    events
        One or more, in the order of their arrival.
    read
        The columns that are wanted; a column that no event fills is left out.
    scales
        Stored units per one of each column of numbers; any other column holds names.
    """
    users: dict[str, int] = {}
    kinds: dict[str, int] = {}
    user = np.array([-1 if event.user is None else users.setdefault(event.user, len(users)) for event in events], np.int32)
    kind = np.array([kinds.setdefault(event.kind, len(kinds)) for event in events], np.uint8)
    known_at, time = np.array([event.known_at for event in events], np.int64), np.array([event.time for event in events], np.int64)
    order, edges = arrange(user, len(users), known_at)
    rows = order.astype(np.int64)
    known_at = known_at[rows]
    late = bool((time[rows] != known_at).any())
    time = time[rows] if late else known_at
    columns = {}
    for name in read:
        cells = [event.values.get(name) for event in events]
        if any(cell is not None for cell in cells):
            columns[name] = _numbers(cells, rows, scales[name]) if name in scales else _names(cells, rows)
    log = EventLog(
        Dictionary.of(users), tuple(kinds), edges[:-1], known_at, time, kind[rows], columns, int(known_at.max()) + 1,
        in_time(edges, time) if late else None,
    )  # fmt: skip
    return log, rows


def scales_of(log: EventLog) -> dict[str, int]:
    """Return the stored units per one of the columns of numbers, those that a log has and those that it may get."""
    held = {name: column.scale for name, column in log.columns.items() if column.dictionary is None and name not in CODED}
    return {**SCALES, **held}


def _numbers(cells: Sequence[Value | None], rows: Ints, scale: int) -> Column:
    found = np.array([np.nan if (number := _number(cell)) is None else number for cell in cells])
    known = np.isfinite(found)
    return Column(np.where(known, np.rint(np.where(known, found, 0.0) * scale), MISSING).astype(np.int64)[rows], None, scale)


def _number(cell: Value | None) -> float | None:
    try:
        return None if cell is None else float(cell)
    except (TypeError, ValueError):
        return None


def _names(cells: Sequence[Value | None], rows: Ints) -> Column:
    names: dict[str, int] = {}
    codes = [-1 if cell is None else names.setdefault(str(cell), len(names)) for cell in cells]
    return Column(np.array(codes, np.int32)[rows], Dictionary.of(names))
