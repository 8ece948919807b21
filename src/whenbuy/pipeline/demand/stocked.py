"""Days on which an item could not be bought: what the items' profile says of its stock."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Singles
from whenbuy.core.history import History
from whenbuy.core.keys import Keys

_STOCK: Final = ("stock", "in_stock", "available")
"""The attributes of an item, each true from ``valid_from`` on, that say whether it can be bought: a number or a truth value."""


def without_stock(history: History, keys: Keys, cutoff: int, start: int, daily: Singles) -> None:
    """Mark as unknown, in place, the days (n x days) that lie wholly in a time without stock and on which nothing was sold.

    What came to be known at or after the cutoff does not count; without such an attribute, or in a timeless profile, nothing is marked.
    """
    profile = history.items
    found = None if profile is None or profile.timeless else next((name for name in _STOCK if name in profile.attributes), None)
    if profile is None or found is None:
        return
    row = {name: i for i, name in enumerate(keys.ids().to_list())}
    empty = (pl.col(found).cast(pl.Float64) <= 0).fill_null(False)
    table = profile.table.select(
        "id", since=pl.col("valid_from").cast(pl.Datetime("us")).cast(pl.Int64), empty=empty
    ).filter(pl.col("since") < cutoff).sort("id", "since", maintain_order=True)  # fmt: skip
    spans = table.with_columns(until=pl.col("since").shift(-1).over("id").fill_null(cutoff)).filter("empty")
    if not len(spans):
        return
    since, until = (spans[name].to_numpy() for name in ("since", "until"))
    midnight = history.clock.midnight_before(since)
    begin = history.clock.days(since) + (midnight < since)
    end = history.clock.days(until)
    for name, one, other in zip(spans["id"].to_list(), begin.tolist(), end.tolist(), strict=True):
        if (i := row.get(name)) is not None:
            part = daily[i, max(one - start, 0) : max(other - start, 0)]
            part[part == 0] = np.nan
