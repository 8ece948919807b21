"""The assortment: which items gain and lose, which could go without much loss, and where more would be bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.pipeline.demand.bottom_up import Lines

DAYS: Final = 56
"""The length of each of the two times that are compared."""
FALSE: Final = 0.1
"""Of the items said to gain or lose so large a share may be chance."""
SMALL: Final = 0.25
"""What could be dropped belongs to the items that together make up so much of their category's items from the bottom."""
LOYAL: Final = 0.2
"""… and at most so many of its buyers bought nothing else of its category."""
NOTICED: Final = 3
"""With fewer purchases an item is not noticed to have come or gone: none of three expected is rare (1 in 20)."""
MANY: Final = 10
"""So many groups show by how much they vary more than Poisson counts: by the median of their changes (in units of chance)."""
_ONE_MORE: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Assortment:
    """What changes in the assortment.

    Parameters
    ----------
    items
        One row per item sold in either time: ``item_id``, ``category``, ``units_before``, ``units_now``, ``change`` (its purchases now over
        before, beside those of the whole shop; 1 is as the shop), ``low``, ``high`` (95 %), ``verdict`` (gains, loses, new, gone, steady),
        ``only_this`` (share of its buyers who bought nothing else of its category), ``advice`` (drop, watch or nothing), ``units_lost``
        (expected to be lost per time if it went).
    categories
        One row per category: ``category``, ``items``, ``units_before``, ``units_now``, ``change``, ``low``, ``high``, ``verdict``,
        ``units_per_item`` and ``advice`` (add, where it gains and its items sell more than the shop's usual ones).
    """

    items: pl.DataFrame
    categories: pl.DataFrame


def assortment(history: History, as_of: int | str | None = None, days: int = DAYS) -> Assortment:
    """Return what changed between the last ``days`` before a cutoff and the same time before them.

    A change is the ratio of an item's purchases (lines) to those of the shop, now over before; its interval takes lines as Poisson counts,
    widened by how much items of the shop vary more than that. Verdicts hold for all items at once (Benjamini and Hochberg 1995).

    Raises
    ------
    ColumnError
        When the log names no items.
    NotEnoughDataError
        When the log is shorter than both times, or nothing was sold in them.
    """
    if days < 1:
        raise UsageError(f"Times of {days} days were asked for.", "They have at least one.", "Ask for longer ones.")
    if "item_id" not in history.log.columns:
        raise ColumnError("The log names no items.", "An assortment has items.", "Add the column item_id.")
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    table = _sold(history, cutoff)
    if not len(table) or cutoff - int(table["time"].min()) < 2 * days * DAY * 0.99:  # type: ignore[arg-type]
        raise NotEnoughDataError(
            f"The log is shorter than twice {days} days before {history.clock.show(cutoff)}.", "Two times are compared.",
            "Compare shorter ones.",
        )  # fmt: skip
    since = cutoff - 2 * days * DAY
    early = table.filter(pl.col("time") < since)["item_id"].unique()
    table = table.filter(pl.col("time") >= since).with_columns(now=pl.col("time") >= cutoff - days * DAY)
    items = _compared(table, ["item_id", "category"])
    known = pl.col("item_id").is_in(early.implode())
    shop_change = float(table["now"].sum()) / max(float((~table["now"]).sum()), 1.0)
    come = (pl.col("lines_before") == 0) & ~known & (pl.col("lines_now") >= NOTICED)
    went = (pl.col("lines_now") == 0) & (pl.col("lines_before") * shop_change >= NOTICED)
    items = items.with_columns(verdict=pl.when(come).then(pl.lit("new")).when(went).then(pl.lit("gone")).otherwise(pl.col("verdict")))
    return Assortment(_advised(items, table), _by_category(table))


def _sold(history: History, cutoff: int) -> pl.DataFrame:
    """Return the purchase lines known before a cutoff: item_id, category, user, units, time."""
    lines = Lines.of(history, "item")
    category = Lines.of(history, "category") if "category" in history.log.columns else None
    names = lines.names.names(np.where(lines.leaf < len(lines.names), lines.leaf, -1).astype(np.int32))
    none = pl.Series([None] * len(lines), dtype=pl.String)
    kinds = (
        none
        if category is None
        else category.names.names(np.where(category.leaf < len(category.names), category.leaf, -1).astype(np.int32))
    )
    table = pl.DataFrame(
        {"item_id": names, "category": kinds, "user": lines.user, "units": lines.units, "time": lines.time, "known_at": lines.known_at}
    )
    return table.filter((pl.col("known_at") < cutoff) & (pl.col("time") < cutoff) & pl.col("item_id").is_not_null())


def _compared(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Return one row per group: lines and units before and now, the change beside the shop's with its interval, and the verdict."""
    now = pl.col("now")
    found = table.group_by(by).agg(
        lines_before=(~now).sum(), lines_now=now.sum(),
        units_before=pl.col("units").filter(~now).sum(), units_now=pl.col("units").filter(now).sum(),
    ).sort(by)  # fmt: skip
    before, after = (found[name].to_numpy().astype(float) for name in ("lines_before", "lines_now"))
    usual = np.log((after.sum() + _ONE_MORE) / (before.sum() + _ONE_MORE))
    change = np.log((after + _ONE_MORE) / (before + _ONE_MORE)) - usual
    spread = np.sqrt(1 / (after + _ONE_MORE) + 1 / (before + _ONE_MORE))
    z = change / spread
    if len(z) >= MANY:
        spread = spread * max(1.0, float(np.median(np.abs(z)) / 0.6745))
    said = _discovered(np.abs(change) / spread)
    words = np.where(said & (change > 0), "gains", np.where(said & (change < 0), "loses", "steady"))
    return found.with_columns(
        change=np.exp(change), low=np.exp(change - 1.96 * spread), high=np.exp(change + 1.96 * spread), verdict=pl.Series(words.tolist())
    )


def _discovered(z: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which of many changes are real, at a false discovery rate of ``FALSE``."""
    from scipy.special import erfc

    p = erfc(z / np.sqrt(2))
    order = np.argsort(p, kind="stable")
    passed = np.flatnonzero(p[order] <= FALSE * np.arange(1, len(p) + 1) / len(p))
    out = np.zeros(len(p), bool)
    out[order[: passed[-1] + 1 if len(passed) else 0]] = True
    return out


def _advised(items: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return the items with how many buyers want only them, and the advice to drop what few would miss."""
    bought = table.filter(pl.col("now") & (pl.col("user") >= 0)).unique(["user", "category", "item_id"])
    several = bought.group_by("user", "category").agg(kinds=pl.len())
    buyers = (
        bought.join(several, on=["user", "category"], nulls_equal=True).group_by("item_id").agg(only_this=(pl.col("kinds") == 1).mean())
    )
    rank = (pl.col("units_now").rank("ordinal").over("category") / pl.len().over("category")) <= SMALL
    small = rank & pl.col("verdict").is_in(["loses", "steady"]) & (pl.col("units_now") > 0)
    few = pl.col("only_this") <= LOYAL
    return (
        items.join(buyers, on="item_id", how="left", maintain_order="left")
        .with_columns(
            advice=pl.when(small & few).then(pl.lit("drop")).when(pl.col("verdict") == "loses").then(pl.lit("watch")),
            units_lost=pl.col("units_now") * pl.col("only_this"),
        )
        .drop("lines_before", "lines_now")
        .sort(["units_now", "item_id"], descending=[True, False])
    )


def _by_category(table: pl.DataFrame) -> pl.DataFrame:
    """Return the categories with how they change, and the advice to add where demand grows and each item sells much."""
    named = table.filter(pl.col("category").is_not_null())
    if not len(named):
        columns = {"category": pl.String, "items": pl.UInt32, "units_now": pl.Float64, "advice": pl.String}
        return pl.DataFrame(schema=columns)
    sizes = named.filter("now").group_by("category").agg(items=pl.col("item_id").n_unique())
    found = _compared(named, ["category"]).join(sizes, on="category", how="left", maintain_order="left")
    each = found["units_now"].sum() / max(int(found["items"].sum()), 1)
    per_item = pl.col("units_now") / pl.col("items")
    return found.with_columns(
        units_per_item=per_item, advice=pl.when((pl.col("verdict") == "gains") & (per_item > each)).then(pl.lit("add"))
    ).select("category", "items", "units_before", "units_now", "change", "low", "high", "verdict", "units_per_item", "advice")
