"""Small logs for the tests of cleaning: some written by hand, some drawn at random with everything wrong in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.log import CODED, ORDERS, SCALES, Column, Dictionary, EventLog, order_by_time

KINDS = ("view", "click", "cart", "purchase", "refund", "search")
START = Clock().instant("2017-01-01T10:00")
SECOND = 1_000_000
HOUR = DAY // 24


def make(rows: list[dict[str, object]], end: int | None = None) -> EventLog:
    """Return a log of rows with user, kind, at (seconds since START), known (the same where absent) and any known columns."""
    order = sorted(range(len(rows)), key=lambda i: (rows[i].get("user") is None, str(rows[i].get("user")), known(rows[i])))
    rows = [rows[i] for i in order]
    users = sorted({str(row["user"]) for row in rows if row.get("user") is not None})
    owner = [users.index(str(row["user"])) if row.get("user") is not None else len(users) for row in rows]
    known_at = np.array([START + round(known(row) * SECOND) for row in rows], np.int64)
    time = np.array([START + round(float(row["at"]) * SECOND) for row in rows], np.int64)  # type: ignore[arg-type]
    offsets = np.searchsorted(owner, np.arange(len(users) + 1)).astype(np.int64)
    late = not np.array_equal(time, known_at)
    names = dict.fromkeys(name for row in rows for name in row if name not in ("user", "kind", "at", "known"))
    kind = np.array([KINDS.index(str(row["kind"])) for row in rows], np.uint8)
    end = end if end is not None else int(max(known_at.max(initial=START), time.max(initial=START))) + 1
    return EventLog(
        Dictionary.of(users), KINDS, offsets, known_at, time if late else known_at, kind, {name: column(name, rows) for name in names}, end,
        order_by_time(offsets, time) if late else None,
    )  # fmt: skip


def known(row: dict[str, object]) -> float:
    return float(row.get("known", row["at"]))  # type: ignore[arg-type]


def column(name: str, rows: list[dict[str, object]]) -> Column:
    if name in CODED:
        texts = [None if row.get(name) is None else str(row[name]) for row in rows]
        dictionary = Dictionary.of(sorted({text for text in texts if text is not None}))
        return Column(dictionary.codes(pl.Series(texts, dtype=pl.String)), dictionary)
    scale = SCALES.get(name, 1)
    numbers = [MISSING if row.get(name) is None else round(float(row[name]) * scale) for row in rows]  # type: ignore[arg-type]
    return Column(np.array(numbers, np.int64), None, scale)


def with_orders(log: EventLog) -> EventLog:
    """Return the log with the first line of each order marked."""
    user = np.searchsorted(log.offsets, np.arange(len(log)), side="right")
    order = log.columns["order_id"].values if "order_id" in log.columns else np.full(len(log), -1)
    rows = pl.DataFrame({"user": user, "order": order, "time": log.time}).with_columns(
        time=pl.when(pl.col("order") >= 0).then(0).otherwise(pl.col("time")), bought=log.kind == log.code("purchase")
    )
    head = rows.select(pl.struct(pl.all()).is_first_distinct() & pl.col("bought")).to_series().to_numpy()
    return replace(log, columns={**log.columns, ORDERS: Column(head.astype(np.int64))})


def drawn(seed: int, n: int = 60, *, late: bool = True, ids: bool = True) -> EventLog:
    """Return a random log in which every rule finds something: few users, few items, crowded instants."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        at = float(rng.integers(0, 40)) * float(rng.choice([0.5, 1, 60, 3600]))
        price = float(rng.choice([1.0, 2.0, 100.0, 0.0, -1.0, 0.01, 9.5]))
        quantity = float(rng.choice([1, 1, 2, 0, -1, 3]))
        row: dict[str, object] = {
            "user": rng.choice(["a", "b", "test-1", "c", None], p=[0.4, 0.3, 0.1, 0.15, 0.05]),
            "kind": rng.choice(KINDS, p=[0.25, 0.1, 0.1, 0.35, 0.15, 0.05]),
            "at": at,
            "known": at + (float(rng.choice([0, 0, 5, 3600, -2 * 86_400])) if late else 0.0),
            "item_id": rng.choice(["i", "j", None]),
            "order_id": rng.choice(["o1", "o2", "o3", "test", None], p=[0.3, 0.2, 0.2, 0.05, 0.25]),
            "category": rng.choice(["x", "y", None]),
            "currency": rng.choice(["EUR", "GBP", "USD", None]),
            "channel": rng.choice(["web", "app", "qa"], p=[0.6, 0.35, 0.05]),
            "unit_price": price if rng.random() < 0.8 else None,
            "quantity": quantity if rng.random() < 0.8 else None,
            "amount": price * quantity if rng.random() < 0.8 else None,
            "dwell_s": float(rng.choice([3, 20, 3000, 20_000, 50_000])) if rng.random() < 0.6 else None,
        }
        if ids:
            row["event_id"] = str(rng.integers(0, 2 * n)) if rng.random() < 0.7 else None
        rows.append(row)
        if rng.random() < 0.1:
            rows.append(row | {"known": row["known"] + float(rng.choice([0, 2])) if late else row["known"]})  # type: ignore[operator]
    return with_orders(make(rows, end=START + 50 * HOUR))
