"""Putting quarantined rows back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from whenbuy.clean.cleaning import Cleaned
from whenbuy.clean.heads import opened_twice, with_heads
from whenbuy.core.arrays import Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, EventLog, order_by_time


def replay(cleaned: Cleaned, which: str | pl.DataFrame | None = None) -> History:
    """Return the history with rows put back as they came; see `put_back`."""
    return put_back(cleaned, which).history


def put_back(cleaned: Cleaned, which: str | pl.DataFrame | None = None) -> Cleaned:
    """Return what is left of a cleaning when rows are put back as they came; events that cleaning added for them are taken out again.

    The rest stays in quarantine and can be put back later. Remarks that cleaning wrote beside the events (such as ``refund_of``) are
    dropped: they may be true no longer. Clean again for new ones.

    Parameters
    ----------
    cleaned
        What cleaning returned.
    which
        The name of a rule, some rows of the quarantine, or None for all. A row touched by several rules comes back as it was before all
        of them.

    Raises
    ------
    UsageError
        When the quarantine holds nothing of that rule, or the table is no part of it.
    """
    entries = _chosen(cleaned, which)
    back = np.unique(entries["row"].to_numpy())
    touched = cleaned.quarantine.filter(pl.col("done") != "added")["row"].unique().sort().to_numpy()
    restored = np.flatnonzero(np.isin(touched, back))
    kept = np.flatnonzero(~np.isin(cleaned.origin, back))
    log, origin = _merged(cleaned, kept, restored, touched)
    rest = cleaned.quarantine.filter(~pl.col("row").is_in(pl.Series(back).implode()))
    if ORDERS in log.columns:  # a stand-in whose line is back stands in no longer
        heads = np.isin(rest["row"].to_numpy(), origin[log.columns[ORDERS].values == 1])
        rest = rest.filter((pl.col("rule") != ORDERS) | pl.Series(heads))
    stays = np.flatnonzero(np.isin(touched, rest.filter(pl.col("done") != "added")["row"].to_numpy()))
    return replace(
        cleaned, history=replace(cleaned.history, log=log), quarantine=rest, origin=origin, originals=cleaned.originals.take(stays)
    )


def _chosen(cleaned: Cleaned, which: str | pl.DataFrame | None) -> pl.DataFrame:
    if which is None:
        return cleaned.quarantine
    if isinstance(which, pl.DataFrame):
        if "row" not in which.columns or not which["row"].is_in(cleaned.quarantine["row"].implode()).all():
            raise UsageError("The table is no part of this quarantine.", "It needs rows of `cleaned.quarantine`.", "Filter that table.")
        return which
    chosen = cleaned.quarantine.filter(pl.col("rule") == which)
    if not len(chosen):
        rules = ", ".join(cleaned.quarantine["rule"].unique().sort()) or "nothing"
        raise UsageError(f"The quarantine holds nothing of a rule {which!r}.", f"It holds rows of: {rules}.", "Name one of them.")
    return chosen


def _merged(cleaned: Cleaned, kept: Ints, restored: Ints, touched: Ints) -> tuple[EventLog, Ints]:
    """Return kept rows of the cleaned log and restored rows as they came, in the order of the log as it came, and where each was."""
    new, old = cleaned.history.log, cleaned.originals
    owner = np.concatenate([_owner(new, kept), _owner(old, restored)])
    origin = np.concatenate([cleaned.origin[kept], touched[restored]])
    known_at = np.concatenate([new.known_at[kept], old.known_at[restored]])
    order = np.lexsort((origin, known_at, owner))
    time = np.concatenate([new.time[kept], old.time[restored]])[order]
    known_at, owner = known_at[order], owner[order]
    offsets = np.searchsorted(owner, np.arange(len(new.users) + 1)).astype(np.int64)
    late = not np.array_equal(time, known_at)
    columns = {}
    for name, column in old.columns.items():
        values = np.concatenate([new.columns[name].values[kept], column.values[restored]])[order]
        columns[name] = Column(values, new.columns[name].dictionary, column.scale)
    kind = np.concatenate([new.kind[kept], old.kind[restored]])[order]
    end = old.end if (old.time[restored] >= new.end).any() else new.end
    time = time if late else known_at
    log = EventLog(new.users, new.kinds, offsets, known_at, time, kind, columns, end, order_by_time(offsets, time) if late else None)
    return _heads(cleaned, log, origin[order]), origin[order]


def _owner(log: EventLog, rows: Ints) -> Ints:
    return np.searchsorted(log.offsets, rows, side="right") - 1


def _heads(cleaned: Cleaned, log: EventLog, origin: Ints) -> EventLog:
    """Return the log without the heads that stood in for lines which are back."""
    stand_ins = cleaned.quarantine.filter(pl.col("rule") == ORDERS, pl.col("column") == ORDERS)["row"].to_numpy()
    if not len(stand_ins):
        return log
    return replace(log, columns=with_heads(log, opened_twice(log, np.flatnonzero(np.isin(origin, stand_ins))), 0))
