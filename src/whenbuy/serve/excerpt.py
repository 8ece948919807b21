"""Excerpts: the history of a few customers alone, with what has arrived since the log was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from whenbuy.core.arrays import Codes, Instants, Ints
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog, order_by_time
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.reception import Event
from whenbuy.serve.compaction import lines_of

_UNREAD = ("event_id", ORDERS)
"""Columns that need not be carried along: one tells events apart, the other is worked out anew."""


def excerpt(history: History, users: Sequence[tuple[str, int]], tail: Mapping[str, Sequence[Event]]) -> History:
    """Return the history of some users alone: the log's events and those that arrived later, as one import of both would tell it.

    Parameters
    ----------
    history
        What is stored.
    users
        Name of each user and her code in the log; -1 where the log does not know her.
    tail
        The later events of each user, in the order of their arrival.
    """
    events = [event for name, _ in users for event in tail.get(name, ())]
    known = sorted((pair for pair in users if pair[1] >= 0), key=lambda pair: pair[1])
    log = _slice(history.log, known, keep_orders=not events)
    if events:
        later, _ = lines_of(events, log)
        log = group(Lines.of(log).followed_by(later), history.end)
    return History(log, history.clock, history.users, history.items, history.offers, history.lateness_days)


def past_of(
    history: History, codes: Mapping[str, int], tail: Mapping[str, Sequence[Event]], users: Sequence[str], at: Instants
) -> Past:  # fmt: skip
    """Return the past of users before an instant each (n), in an excerpt of their events.

    Parameters
    ----------
    history, codes, tail
        What is stored, each user's code there (-1 where it does not know her), and what arrived later.
    users, at
        Whose past, some of them perhaps twice, and before when.
    """
    some = excerpt(history, list(codes.items()), tail)
    each = some.keys(list(codes), 0)
    place = dict(zip(codes, each.code.tolist(), strict=True))
    return some.before(Keys("user", np.array([place[user] for user in users], np.int32), at, each.names))


def _slice(log: EventLog, users: Sequence[tuple[str, int]], *, keep_orders: bool) -> EventLog:
    """Return the events of some users, rising by code, with no more names than they need."""
    codes = np.array([code for _, code in users], np.int64)
    start, stop = log.offsets[codes], log.offsets[codes + 1]
    length = stop - start
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    rows = np.repeat(start - offsets[:-1], length) + np.arange(offsets[-1])
    known_at = np.array(log.known_at[rows], np.int64)
    time = np.array(log.time[rows], np.int64) if log.late else known_at
    gone = ("event_id",) if keep_orders else _UNREAD
    columns = {name: _column(column, rows) for name, column in log.columns.items() if name not in gone}
    by_time = order_by_time(offsets, time) if log.late else None
    names = Dictionary.of(name for name, _ in users)
    return EventLog(names, log.kinds, offsets, known_at, time, np.array(log.kind[rows]), columns, log.end, by_time)


def _column(column: Column, rows: Ints) -> Column:
    if column.dictionary is None:
        return Column(np.asarray(column.values[rows], np.int64), None, column.scale)
    used, place = np.unique(np.asarray(column.values[rows], np.int32), return_inverse=True)
    named = used >= 0
    code: Codes = np.full(len(used), -1, np.int32)
    code[named] = np.arange(int(named.sum()))
    return Column(code[place.reshape(-1)], Dictionary(column.dictionary.ids.gather(used[named])), column.scale)
