"""Logs for tests of demand: purchases of items by day."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from whenbuy.core.history import History
from whenbuy.core.profile import Profile
from whenbuy.ingest.read import read

START = date(2024, 1, 1)


def log(sales, *, timezone="UTC", users=40, start=START, further=(), **profiles) -> History:
    """A history in which each item (its name) sells so many units on each day (t)."""
    rows = []
    for item, units in sales.items():
        for day, count in enumerate(units):
            if count:
                rows.append((f"u{(day * 7 + len(item)) % users}", start + timedelta(days=day), item, f"c{ord(item[-1]) % 2}", float(count)))
    table = pl.DataFrame(rows, ["user_id", "day", "item_id", "category", "quantity"], orient="row")
    table = table.select("user_id", "item_id", "category", "quantity", time=pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=12))
    table = table.with_columns(kind=pl.lit("purchase"))
    if further:
        table = pl.concat([table, pl.DataFrame(further)], how="diagonal_relaxed")
    found = read(table, timezone=timezone).history
    return History(found.log, found.clock, None, profiles.get("items"), profiles.get("offers"), 0.0)


def steady(seed=0, days=120, items=12):
    rng = np.random.default_rng(seed)
    week = np.array([1, 0.8, 0.9, 1, 1.2, 1.6, 0.6])[np.arange(days) % 7]
    return {f"i{k:02}": rng.poisson((2 + k) * week).tolist() for k in range(items)}


def offers(*runs) -> Profile:
    """Offers that run from one day to another and are known three days before."""
    utc = [(datetime(*begin, tzinfo=UTC), datetime(*end, tzinfo=UTC)) for begin, end in runs]
    return Profile(
        "offer",
        pl.DataFrame(
            {
                "id": [f"o{k}" for k in range(len(utc))], "valid_from": [begin - timedelta(days=3) for begin, _ in utc],
                "begins": [begin for begin, _ in utc], "ends": [end for _, end in utc],
            }
        ),
    )  # fmt: skip
