"""Sessions as customers: whoever has no name is known by what was done in one session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whenbuy.core.errors import ColumnError
from whenbuy.core.history import History
from whenbuy.core.log import Column, EventLog, order_by_time


def by_session(history: History) -> History:
    """Return the same events with each session in the place of a customer; events without a session belong to nobody.

    Raises
    ------
    ColumnError
        When the log has no sessions.
    """
    log = history.log
    held = log.columns.get("session_id")
    if held is None or held.dictionary is None:
        raise ColumnError("The log has no column 'session_id'.", "Sessions are told apart by it.", "Read the log with that column.")
    code = np.asarray(held.values, np.int64)
    owner = np.where(code >= 0, code, len(held.dictionary))
    order = np.lexsort((log.known_at, owner))
    offsets = np.searchsorted(owner[order], np.arange(len(held.dictionary) + 1)).astype(np.int64)
    known_at = log.known_at[order]
    time = log.time[order] if log.late else known_at
    columns = {name: Column(one.values[order], one.dictionary, one.scale) for name, one in log.columns.items()}
    by_time = order_by_time(offsets, time) if log.late else None
    return replace(
        history, users=None, log=EventLog(held.dictionary, log.kinds, offsets, known_at, time, log.kind[order], columns, log.end, by_time)
    )
