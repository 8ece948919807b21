"""What each event adds to a series: a line, a first line of an order, an order or a session met for the first time, units, a number."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import MISSING, Codes, Ints
from whenbuy.core.errors import ColumnError
from whenbuy.core.log import ORDERS, SCALES, EventLog

_PLAIN: Final = ("events", "orders", "baskets", "sessions")
_QUANTITY: Final = "quantity"


def counted(log: EventLog, name: str, rows: slice, kept: Ints, code: Codes, day: Ints) -> Ints:
    """Return what some events add to the series of their keys (k), in units of 1 / ``scale_of``.

    Parameters
    ----------
    log
        Where they lie.
    name
        The measure, as ``Daily`` names it.
    rows
        A stretch of the log that cuts no user in two.
    kept
        Which rows of the stretch count (k).
    code, day
        The key of each of them, and the shop-local day on which it happened (k).

    Raises
    ------
    ColumnError
        When the measure is a column of names.
    """
    if name == "events" or (name in ("orders", "baskets") and ORDERS not in log.columns):
        return np.ones(len(kept), np.int64)
    if name == "orders":
        return _heads(log, rows)[kept]
    if name == "baskets":
        return _firsts(_orders(log, rows, kept), code)
    if name == "sessions":
        return _firsts(_sessions(log, rows, kept, day), code)
    if name == "units":
        return _units(log, rows, kept)
    return _numbers(log, name, rows, kept)


def scale_of(log: EventLog, name: str) -> float:
    """Return how many stored units of a measure make one."""
    if name == "units":
        return float(log.columns[_QUANTITY].scale if _QUANTITY in log.columns else SCALES[_QUANTITY])
    return 1.0 if name in _PLAIN or name not in log.columns else float(log.columns[name].scale)


def _heads(log: EventLog, rows: slice) -> Ints:
    """Return 1 for what begins an order or is no purchase, 0 for the further lines of an order."""
    return np.asarray(np.where(log.kind[rows] == log.code("purchase"), log.columns[ORDERS].values[rows], 1))


def _orders(log: EventLog, rows: slice, kept: Ints) -> Ints:
    """Return a number for the order of each event: that of its name, or of the last first line before it where it has none."""
    own = -1 - np.cumsum(_heads(log, rows))[kept]
    if "order_id" not in log.columns:
        return np.asarray(own)
    named = log.columns["order_id"].values[rows][kept].astype(np.int64)
    return np.where(named >= 0, named, own)


def _sessions(log: EventLog, rows: slice, kept: Ints, day: Ints) -> Ints:
    """Return a number for the session of each event; for the user's day, where it has none."""
    places = np.arange(len(log))[rows][kept]
    user = np.searchsorted(log.offsets, places, side="right")
    nobody = places >= log.offsets[-1]  # events without a user do not belong together
    own = -2 - np.where(nobody, len(log.offsets) + places, user) * 100_000 - day % 100_000
    if "session_id" not in log.columns:
        return np.asarray(own)
    session = log.columns["session_id"].values[rows][kept].astype(np.int64)
    return np.where(session >= 0, session, own)


def _firsts(id: Ints, code: Codes) -> Ints:
    """Return 1 for the first event of each pair of an id and a key, 0 for the others."""
    order = np.lexsort((np.arange(len(id)), code, id))
    same = np.zeros(len(id), bool)
    same[1:] = (id[order][1:] == id[order][:-1]) & (code[order][1:] == code[order][:-1])
    found = np.empty(len(id), np.int64)
    found[order] = ~same
    return found


def _units(log: EventLog, rows: slice, kept: Ints) -> Ints:
    """Return thousandths of units: 1 where the quantity is not known, 0 where it is negative."""
    if _QUANTITY not in log.columns:
        return np.full(len(kept), SCALES[_QUANTITY], np.int64)
    values = log.columns[_QUANTITY].values[rows][kept]
    return np.maximum(np.where(values == MISSING, log.columns[_QUANTITY].scale, values), 0)


def _numbers(log: EventLog, name: str, rows: slice, kept: Ints) -> Ints:
    """Return the numbers of a column, 0 where there is none."""
    if name not in log.columns:
        return np.zeros(len(kept), np.int64)
    if log.columns[name].dictionary is not None:
        raise ColumnError(f"A series asks for the sum of {name!r}, which holds names.", "A sum needs numbers.", "Count events instead.")
    values = log.columns[name].values[rows][kept]
    return np.where(values == MISSING, 0, values)
