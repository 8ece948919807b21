"""Prices from the log: each category's price level day by day, and how its demand answers to it."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING, Floats
from whenbuy.core.errors import ColumnError, NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.models.series.price import PriceAnswers, PriceHistory, PriceResponse
from whenbuy.models.series.promoted import signals

ITEMS: Final = 100
"""The price level of a category is that of so many of its best sold items."""


def prices(history: History, as_of: int | str | None = None) -> PriceHistory:
    """Return units and price levels of each category day by day, from what was known before a cutoff.

    The level is the mean of log(price / the item's own mean price) over those of the best sold items whose price was seen that day, at a
    view, in a cart or bought: it does not move when cheaper things are bought. A day without any keeps the level of the day before.

    Raises
    ------
    ColumnError
        When the log has no prices, items or categories.
    NotEnoughDataError
        When nothing was bought at a known price.
    """
    log = history.log
    missing = [name for name in ("item_id", "category") if name not in log.columns]
    if missing or not {"unit_price", "amount"} & set(log.columns):
        raise ColumnError(
            f"The log has no {', '.join(missing or ['unit_price'])}.",
            "The answer to price needs prices of items in categories.",
            "Add them.",
        )
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    columns = {name: log.columns[name].values for name in ("item_id", "category")}
    seen = (log.known_at < cutoff) & (columns["item_id"] >= 0) & (columns["category"] >= 0)
    bought = seen & (log.kind == log.code("purchase"))
    if not bought.any():
        raise NotEnoughDataError("Nothing was bought before the cutoff.", "The answer to price needs sales.", "Name a later date.")
    days = history.clock.days(log.time)
    start, end = int(days[bought].min()), int(history.clock.days(np.array([cutoff]))[0])
    category, quantity = columns["category"].astype(np.int64), _quantity(history)
    names = log.columns["category"].dictionary
    assert names is not None
    size = (len(names), end - start)
    inside = bought & (days >= start) & (days < end)
    units = np.bincount(category[inside] * size[1] + days[inside] - start, quantity[inside], minlength=size[0] * size[1]).reshape(size)
    price = _price(history, quantity)
    priced = seen & (price > 0) & (days >= start) & (days < end)
    table = pl.DataFrame(
        {
            "item": columns["item_id"][priced], "category": category[priced], "day": days[priced] - start,
            "price": np.log(price[priced]), "units": np.where(bought, quantity, 0.0)[priced],
        }
    )  # fmt: skip
    sold = np.flatnonzero(units.sum(axis=1) > 0)
    level = np.stack([_level(table.filter(pl.col("category") == code), size[1]) for code in sold]) if len(sold) else np.empty((0, size[1]))
    promotions = np.expm1(signals(history.offers, cutoff, history.clock.midnights(np.arange(start, end)))[:, 0])
    told = tuple(names.ids[int(code)] for code in sold)
    return PriceHistory(told, units[sold].astype(np.float64), level, promotions, np.arange(start, end, dtype=np.int64))


def price_answers(history: History, as_of: int | str | None = None, settings: PriceResponse | None = None) -> pl.DataFrame:
    """Return how the demand for each category answers to its price: category, elasticity, low, high, refused (why there is no answer).

    Raises
    ------
    ColumnError
        When the log has no prices, items or categories.
    NotEnoughDataError
        When nothing was bought at a known price.
    """
    return frame((settings or PriceResponse()).fit(prices(history, as_of)))


def frame(answers: PriceAnswers) -> pl.DataFrame:
    """Return the answers as a table."""
    numbers = {name: pl.Series(getattr(answers, name), nan_to_null=True) for name in ("elasticity", "low", "high")}
    refused = pl.Series([one or None for one in answers.refused], dtype=pl.String)
    return pl.DataFrame({"category": pl.Series(answers.categories, dtype=pl.String)} | numbers | {"refused": refused})


def _level(rows: pl.DataFrame, days: int) -> Floats:
    """Return the price level of one category on each day (days)."""
    best = rows.group_by("item").agg(pl.col("units").sum()).sort(["units", "item"], descending=[True, False]).head(ITEMS)
    best = best.filter(pl.col("units") > 0).with_row_index("row")
    if not len(best):
        return np.zeros(days)
    each = rows.join(best.select("item", "row"), on="item").group_by("row", "day").agg(pl.col("price").mean()).sort("row", "day")
    table = np.full((len(best), days), np.nan)
    table[each["row"].to_numpy(), each["day"].to_numpy()] = each["price"].to_numpy()
    apart = table - np.nanmean(table, axis=1, keepdims=True)
    weights = np.where(np.isfinite(apart), best["units"].to_numpy()[:, None], 0.0)
    sums = weights.sum(axis=0)
    level = np.divide((weights * np.nan_to_num(apart)).sum(axis=0), sums, out=np.full(days, np.nan), where=sums > 0)
    return _filled(level)


def _filled(level: Floats) -> Floats:
    """Return the numbers with each gap filled by the one before it, and the first ones by the one after them."""
    known = np.isfinite(level)
    last = np.maximum.accumulate(np.where(known, np.arange(len(level)), -1))
    return np.asarray(level[np.where(last < 0, known.argmax(), last)])


def _quantity(history: History) -> Floats:
    held = history.log.columns.get("quantity")
    if held is None:
        return np.ones(len(history.log))
    return np.where(held.values == MISSING, 1.0, np.maximum(held.values, 0) / held.scale)


def _price(history: History, quantity: Floats) -> Floats:
    """Return the price of a unit on each row, 0 where none is told: its own, or what was paid for a purchase over the units bought."""
    columns, told = history.log.columns, np.zeros(len(history.log))
    if "amount" in columns:
        paid = np.where(history.log.kind == history.log.code("purchase"), np.nan_to_num(columns["amount"].numbers()), 0.0)
        told = np.divide(paid, quantity, out=told, where=quantity > 0)
    return told if "unit_price" not in columns else np.where(columns["unit_price"].values == MISSING, told, columns["unit_price"].numbers())
