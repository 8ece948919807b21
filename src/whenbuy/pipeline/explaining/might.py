"""What might come: a customer's history with an event appended to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog, order_by_time

_OWN: Final = "event_id"
"""The column in which no two events are alike."""


def with_event(history: History, key: Keys, kind: str, others: Keys) -> tuple[History, Keys] | None:
    """Return the history of one user, known up to her cutoff, with one more order or event just then, and her key just after it.

    The event is her last one of that kind once more: the same items, amounts, channel. Where she has none, it is that of the first of the
    ``others`` who has one; None where nobody has.
    """
    past = history.before(key)
    copied = next((rows for whom in (past, history.before(others)) for rows in _last(whom, kind) if len(rows)), None)
    if copied is None:
        return None
    log, moment = history.log, int(key.cutoff[0])
    rows = np.concatenate([np.arange(past.start[0], past.stop[0]), copied])
    known_at = log.known_at[rows]
    known_at[len(rows) - len(copied) :] = moment
    time = known_at
    if log.late:
        time = log.time[rows]
        time[len(rows) - len(copied) :] = moment
    offsets = np.array([0, len(rows)], np.int64)
    columns = {name: Column(column.values[rows], column.dictionary, column.scale) for name, column in log.columns.items() if name != _OWN}
    user = Dictionary(key.ids().alias("id"))
    made = EventLog(
        user, log.kinds, offsets, known_at, time, log.kind[rows], columns, moment + 1, order_by_time(offsets, time) if log.late else None
    )
    return replace(history, log=made), Keys("user", np.zeros(1, np.int32), key.cutoff + 1, user)


def _last(past: Past, kind: str) -> list[Ints]:
    """Return the rows of each key's last event of a kind, all lines of an order; none where there is none."""
    log, found = past._history.log, []
    heads = log.columns[ORDERS].values if kind == "purchase" and ORDERS in log.columns else None
    for start, stop in zip(past.start.tolist(), past.stop.tolist(), strict=True):
        rows = start + np.flatnonzero(log.kind[start:stop] == log.code(kind))
        if heads is None:
            found.append(rows[-1:])
        else:
            first = np.flatnonzero(heads[rows] == 1)[-1:]
            found.append(rows[first[0] :] if len(first) else rows[:0])
    return found
