"""Walks: what people did one after the other, cut into sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Instants, Ints
from whenbuy.core.errors import EmptyError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog

SILENCE: Final = DAY // 48
"""A silence of more than half an hour ends a session, where the log has none of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Events of known users in the order in which they happened.

    Parameters
    ----------
    log
        Where they lie.
    row
        The row of each event (m), user by user, by time within.
    user
        The user of each (m).
    session
        Its session, rising (m): the log's own, else what half an hour of silence cuts.
    time
        When it happened (m).
    kind
        Its kind, a position in ``log.kinds`` (m).
    """

    log: EventLog
    row: Ints
    user: Ints
    session: Ints
    time: Instants
    kind: Ints

    @classmethod
    def of(cls, history: History, as_of: int | str | None = None, *, lines: bool = False) -> Walks:
        """Return what happened, as far as it was known before a moment (the log's end, by default).

        An order is one event, unless its ``lines`` are asked for.

        Raises
        ------
        EmptyError
            When nothing was known by then.
        """
        log = history.log if as_of is None else history.cut(history.clock.instant(as_of)).log
        owned = int(log.offsets[-1])
        row = np.arange(owned, dtype=np.int64) if log.by_time is None else log.by_time[:owned]
        if ORDERS in log.columns and not lines:
            row = row[(log.kind[row] != log.code("purchase")) | (log.columns[ORDERS].values[row] == 1)]
        if not len(row):
            raise EmptyError("No event of a customer is known by then.", "Paths are made of events.", "Ask as of a later date.")
        user = np.searchsorted(log.offsets, row, side="right").astype(np.int64) - 1
        time = log.time[row]
        return cls(log, row, user, _sessions(log, row, user, time), time, log.kind[row].astype(np.int64))

    def __len__(self) -> int:
        return len(self.row)


def _sessions(log: EventLog, row: Ints, user: Ints, time: Instants) -> Ints:
    """Return the session of each event (m), rising."""
    breaks = np.diff(time) > SILENCE
    if "session_id" in log.columns:
        code = log.columns["session_id"].values[row]
        known = (code[1:] >= 0) & (code[:-1] >= 0)
        breaks = np.where(known, code[1:] != code[:-1], breaks | (code[1:] != code[:-1]))
    breaks |= np.diff(user) != 0
    return np.concatenate([[0], np.cumsum(breaks)]).astype(np.int64)
