"""Segments: the groups of people by which forecasts are judged apart, read off what was known of each before her cutoff."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.examples import Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Column
from whenbuy.features import Context, Feature, Features, Frequency, Gaps, Orders, Rate, Recency, Share, Sum, Tenure

NEW_DAYS: Final = 28.0
"""Who ordered first less than so long ago is new."""
BANDS: Final = 4
"""Bands of about equal size into which a number is cut."""
NAMES: Final = 8
"""The most frequent categories and channels that are segments of their own; the rest is one."""
_OTHER: Final = "other"


def portrait(history: History, keys: Keys) -> Table:
    """Return a few plain features of each key, those that a person can picture (n rows): what errors are described by."""
    return Features(tuple(_plain(history))).table(history.before(keys))


def segments(history: History, keys: Keys, attributes: Sequence[str] = ()) -> dict[str, pl.Series]:
    """Return the segment of each key (n), by segmentation; null where a key belongs to none.

    ``customer``: no order yet, new, old; ``orders``, ``recency`` and, where the log has amounts, ``amount``: bands of the orders in 84
    days, the days since the last order and the mean amount of an order; ``category`` and ``channel``, where the log has them: the one most
    often bought from, and that of the last purchase. The names of all segments sort in the order in which they are to be read.

    Parameters
    ----------
    history, keys
        Whom the segments are about, and as of when.
    attributes
        Attributes of the users' profile that are segmentations too.
    """
    table = portrait(history, keys)
    found = {
        "customer": _customers(table.column("tenure_days")),
        "orders": _banded(table.column("orders_84d"), "orders in 84 days"),
        "recency": _banded(table.column("recency_days"), "days since the last order"),
    }
    if "mean_amount" in table.names:
        found["amount"] = _banded(table.column("mean_amount"), "per order")
    past, columns = history.before(keys), history.log.columns
    if "category" in columns:
        names = _frequent(columns["category"])
        shares = Features(tuple(Share(("category", name)) for name in names)).table(past).values.astype(np.float64)
        found["category"] = _named(_favourite(shares), names)
    if "channel" in columns:
        names = _frequent(columns["channel"])
        last = Features((Context("channel", tuple(names), "purchase", name="channel"),)).table(past).column("channel")
        found["channel"] = _named(np.nan_to_num(last, nan=-1).astype(np.int64), names)
    known = past.attributes()
    return found | {name: known[name].cast(pl.String) for name in attributes}


def _plain(history: History) -> list[Feature]:
    found: list[Feature] = [
        Tenure("purchase", name="tenure_days"), Recency("purchase", name="recency_days"), Recency(), Frequency(), Orders("84d"),
        Orders("7d"), Gaps("mean", name="gap_mean_days"),
    ]  # fmt: skip
    return [*found, Rate(Sum("amount"), Orders(), name="mean_amount")] if "amount" in history.log.columns else found


def _customers(tenure_days: Floats) -> pl.Series:
    names = ("no order yet", f"new (first order less than {NEW_DAYS:g} days ago)", "old")
    place = np.where(np.isnan(tenure_days), 0, np.where(tenure_days < NEW_DAYS, 1, 2))
    return _ordered(place, names)


def _banded(values: Floats, unit: str) -> pl.Series:
    """Return the band of each value: edges are quantiles, so that the bands are about equally large; null where there is no value."""
    known = values[np.isfinite(values)]
    if not len(known):
        return pl.Series([None] * len(values), dtype=pl.String)
    edges = np.unique([float(f"{edge:.3g}") for edge in np.quantile(known, np.arange(1, BANDS) / BANDS, method="lower")])
    edges = edges[edges < known.max()]
    shown = [f"{edge:,.10g}" for edge in edges]
    between = [f"above {low} up to {high}" for low, high in pairwise(shown)]
    names = [f"up to {shown[0]}", *between, f"above {shown[-1]}"] if shown else [f"{known.max():,.3g}"]
    place = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)
    return _ordered(place, [f"{name} {unit}" for name in names])


def _frequent(column: Column) -> list[str]:
    """Return the most frequent names of a column."""
    if column.dictionary is None or not len(column.dictionary):
        return []
    count = np.bincount(column.values[column.values >= 0], minlength=len(column.dictionary))
    first = np.argsort(-count, kind="stable")[:NAMES]
    return column.dictionary.names(first[count[first] > 0].astype(np.int32)).to_list()


def _favourite(shares: Floats) -> Ints:
    """Return the place of each row's largest share (n): the number of columns where all are 0, -1 where none is known."""
    if not shares.shape[1]:
        return np.full(len(shares), -1, np.int64)
    filled = np.nan_to_num(shares, nan=-1.0)
    place = np.where(filled.max(axis=1) > 0, filled.argmax(axis=1), shares.shape[1])
    return np.where(filled.max(axis=1) < 0, -1, place).astype(np.int64)


def _named(place: Ints, names: Sequence[str]) -> pl.Series:
    return _ordered(place, [*names, _OTHER if _OTHER not in names else f"{_OTHER} (all the rest)"])


def _ordered(place: Ints, names: Sequence[str]) -> pl.Series:
    """Return names by their place (n), -1 for none, so that they sort as they are given."""
    of = pl.Enum(list(names))
    return pl.Series([names[at] if at >= 0 else None for at in place.tolist()], dtype=of)
