"""What might come, and what might not have been: a customer's history with an event appended to it, or with one left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Instants, Ints
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog, order_by_time
from whenbuy.core.profile import Profile

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
    user = Dictionary(key.ids().alias("id"))
    made = _log(log, user, np.array([0, len(rows)], np.int64), rows, (known_at, time), moment + 1)
    return replace(history, log=made), Keys("user", np.zeros(1, np.int32), key.cutoff + 1, user)


def without_each(history: History, key: Keys, latest: int) -> tuple[History, Keys, tuple[Ints, ...]]:
    """Return what one user's history would be, had one of her latest events before her cutoff never been.

    The history holds her once for each of these events (e), without it; all lines of an order are one event. With it come a key for each
    and the rows of the log that are left out, the latest event last.
    """
    log, past = history.log, history.before(key)
    rows = np.arange(past.start[0], past.stop[0])
    event = _events(log, rows)
    asked = np.unique(event)[-latest:]
    out = tuple(rows[event == one] for one in asked.tolist())
    kept = [rows[event != one] for one in asked.tolist()]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in kept])]).astype(np.int64)
    held = np.concatenate([np.empty(0, np.int64), *kept])
    name = str(key.ids()[0])
    users = Dictionary.of(f"{name} without {place}" for place in range(len(kept)))
    known_at = log.known_at[held]
    made = _log(log, users, offsets, held, (known_at, log.time[held] if log.late else known_at), int(key.cutoff[0]))
    keys = Keys("user", np.arange(len(kept), dtype=np.int32), np.repeat(key.cutoff, len(kept)), users)
    return replace(history, log=made, users=_copied(history.users, name, users)), keys, out


def _log(log: EventLog, users: Dictionary, offsets: Ints, rows: Ints, when: tuple[Instants, Instants], end: int) -> EventLog:
    """Return a log of copied rows, known and happened at the instants of ``when``."""
    columns = {name: Column(column.values[rows], column.dictionary, column.scale) for name, column in log.columns.items() if name != _OWN}
    by_time = order_by_time(offsets, when[1]) if log.late else None
    return EventLog(users, log.kinds, offsets, *when, log.kind[rows], columns, end, by_time)


def _events(log: EventLog, rows: Ints) -> Ints:
    """Return the event to which each row of one user belongs (n), as the place of its first row: lines of an order follow its head."""
    place = np.arange(len(rows))
    if ORDERS not in log.columns:
        return place
    bought = np.flatnonzero(log.kind[rows] == log.code("purchase"))
    if len(bought):
        head = np.flatnonzero(log.columns[ORDERS].values[rows[bought]] == 1)
        order = np.maximum(np.searchsorted(head, np.arange(len(bought)), side="right") - 1, 0)
        place[bought] = bought[head][order] if len(head) else bought
    return place


def _copied(users: Profile | None, name: str, copies: Dictionary) -> Profile | None:
    """Return a profile in which each of the copies has what is known of one user."""
    if users is None:
        return None
    own = users.table.filter(pl.col("id") == name).drop("id")
    return replace(users, table=copies.ids.alias("id").to_frame().join(own, how="cross").select(users.table.columns))


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
