"""The heads of orders: when the first line of an order is taken out, its next line opens the order."""

from __future__ import annotations

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Ints
from whenbuy.core.log import ORDERS, Column, EventLog

_KEYS = ("user", "order", "time")


def order_keys(log: EventLog, rows: Ints) -> pl.DataFrame:
    """Return what tells the order of each row from others (n rows): the user with the order's id or, without one, the instant."""
    owner = np.searchsorted(log.offsets, rows, side="right") - 1
    order = log.columns["order_id"].values[rows].astype(np.int32) if "order_id" in log.columns else np.full(len(rows), -1, np.int32)
    return pl.DataFrame({"row": rows, "user": owner, "order": order, "time": np.where(order >= 0, 0, log.time[rows])})


def opening(log: EventLog, lost: pl.DataFrame) -> Ints:
    """Return the first remaining line of each order that lost a head (rising), where it does not open the order already.

    Only earlier-known lines decide, so the answer does not change when the log grows.
    """
    lines = _lines(log, lost)
    first = lines.join(lost, on=_KEYS, how="semi").group_by(_KEYS).agg(pl.col("row").min())["row"].to_numpy()
    return np.sort(first[log.columns[ORDERS].values[first] == 0]).astype(np.int64)


def opened_twice(log: EventLog, rows: Ints) -> Ints:
    """Return those of the rows whose order has a head besides them."""
    keys = order_keys(log, rows)
    lines = _lines(log, keys)
    lines = lines.filter(~pl.col("row").is_in(pl.Series(rows).implode()))
    heads = lines.filter(pl.Series(log.columns[ORDERS].values[lines["row"].to_numpy()] == 1))
    return keys.join(heads, on=_KEYS, how="semi")["row"].to_numpy()


def with_heads(log: EventLog, rows: Ints, value: int) -> dict[str, Column]:
    """Return the log's columns with these rows marked as heads (1) or as further lines (0)."""
    if not len(rows):
        return dict(log.columns)
    values = log.columns[ORDERS].values.copy()
    values[rows] = value
    return {**log.columns, ORDERS: Column(values)}


def _lines(log: EventLog, of: pl.DataFrame) -> pl.DataFrame:
    """Return the purchase lines of the users of these orders."""
    wanted: Bools = np.zeros(len(log.offsets), bool)
    wanted[of["user"].to_numpy()] = True
    mask = np.repeat(wanted, np.diff(np.append(log.offsets, len(log)))) & (log.kind == log.code("purchase"))
    return order_keys(log, np.flatnonzero(mask))
