"""Price and assortment: what `whenbuy prices` and `whenbuy assortment` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.assortment import assortment
from whenbuy.pipeline.demand.pricing import price_answers
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15


def prices(folder: Path | None, as_of: str | None, *, out: Path | None, say: Say) -> Result:
    """Say how the demand for each category answers to its price, or why the log cannot say."""
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    table = price_answers(history, instant).sort("elasticity", nulls_last=True, maintain_order=True)
    told = int(table["refused"].null_count())
    stands = history.clock.show(history.end if instant is None else instant)
    facts = {"as_of": stands, "categories": len(table), "answered": told, "file": None if out is None else str(out)}
    if out is not None:
        write_frame(table, out)
        return Result(facts, after=(f"{len(table):,} rows as of {stands} are in {out}",))
    rows = tuple(
        (row["category"][:40], _number(row["elasticity"]), _range(row), row["refused"] or "")
        for row in table.head(_LISTED).iter_rows(named=True)
    )
    below = ("-1.2 means 1.2 % fewer units where the price is 1 % higher; beside it the 95 % range.", *_more(table))
    page = Screen(f"How demand answers to price, as of {stands}:", ("category", "answer>", "95 % range>", "no answer because"), rows, below)
    return Result(facts, table, "prices", (page,))


def shelf(folder: Path | None, as_of: str | None, days: int, *, out: Path | None, say: Say) -> Result:
    """Say which items gain, lose, are new or gone, which could be dropped, and in which categories more could be added."""
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    shop.settings(RULES)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    found = assortment(history, instant, days)
    stands = history.clock.show(history.end if instant is None else instant)
    facts = {
        "as_of": stands, "days": days, "items": len(found.items), "categories": found.categories.to_dicts(),
        "file": None if out is None else str(out),
    }  # fmt: skip
    if out is not None:
        write_frame(found.items, out)
        return Result(facts, after=(f"{len(found.items):,} rows as of {stands} are in {out}",))
    moved = found.items.filter(pl.col("verdict") != "steady")
    droppable = found.items.filter(pl.col("advice") == "drop").sort("units_lost", maintain_order=True)
    screens = [
        _items(moved, f"The last {days} days beside the {days} before, as of {stands}:", "Nothing moved beyond chance."),
        _items(droppable, "Could go: sold little, and most of their buyers buy others of the category:", ""),
        _categories(found.categories),
    ]
    return Result(facts, found.items, "items", tuple(page for page in screens if page.rows or page.below))


def _items(table: pl.DataFrame, title: str, nothing: str) -> Screen:
    heads = ("item", "category", "verdict", "units before>", "now>", "change>", "95 % range>")
    rows = tuple(
        (
            (row["item_id"])[:28],
            (row["category"] or "–")[:24],
            row["verdict"],
            count(row["units_before"]),
            count(row["units_now"]),
            *_change(row),
        )
        for row in table.head(_LISTED).iter_rows(named=True)
    )
    return Screen(title, heads, rows, _more(table) if rows else tuple(filter(None, (nothing,))))


def _categories(table: pl.DataFrame) -> Screen:
    heads = ("category", "verdict", "items>", "units now>", "change>", "95 % range>", "advice")
    if "verdict" not in table.columns:
        return Screen("Categories:", heads, ())
    moved = table.filter(pl.col("verdict") != "steady")
    rows = tuple(
        (row["category"][:28], row["verdict"], count(row["items"] or 0), count(row["units_now"]), *_change(row), row["advice"] or "")
        for row in moved.head(_LISTED).iter_rows(named=True)
    )
    return Screen("Categories that gain or lose beside the shop:", heads, rows)


def _change(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['change']:.2f} ×", f"{row['low']:.2f} – {row['high']:.2f}"


def _more(table: pl.DataFrame) -> tuple[str, ...]:
    return () if len(table) <= _LISTED else (f"The first {_LISTED} of {len(table):,}; --out or a pipe gets all.",)


def _range(row: dict[str, Any]) -> str:
    return "–" if row["low"] is None else f"{_number(row['low'])} – {_number(row['high'])}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
