"""Public layouts of what visitors of a web shop did: RetailRocket, REES46."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl

from whenbuy.core.errors import NotFoundError
from whenbuy.core.profile import Profile
from whenbuy.ingest.layout import Layout, named_files
from whenbuy.ingest.profiles import at_each_change

PROPERTIES: Final = {"categoryid": "category", "available": "available", "790": "property_790"}
"""The properties of RetailRocket's items that are kept, and their names here. All others are hashes that name nothing; 790 is a number."""

_UTC = pl.Datetime("us", "UTC")


def retailrocket(source: object = None) -> Layout:
    """Return the layout of RetailRocket: 2.76 million views, carts and transactions of 4.5 months in 2015, and dated properties of items.

    Items have a profile that changes with time: ``category``, ``parent_category`` (its parent in the category tree), ``available`` (whether
    it was in stock) and ``property_790`` (the one hashed property that is a number for every item). A row is true from the snapshot that
    first showed it. Beside each event stands the category that its item was known to have then.

    Parameters
    ----------
    source
        The folder with events.csv, item_properties*.csv and category_tree.csv, as published; the last two may be absent.
    """
    folder = named_files(source, "retailrocket")
    place = folder if folder.is_dir() else folder.parent
    events = pl.read_csv(_file(place, "events.csv"), infer_schema=False)
    items = _items(place)
    if items is not None:
        events = _with_category(events, items.table)
    columns = {"user_id": "visitorid", "time": "timestamp", "kind": "event", "item_id": "itemid", "order_id": "transactionid"}
    return Layout(
        source=events,
        columns=MappingProxyType(columns | ({"category": "category"} if items is not None else {})),
        kinds=MappingProxyType({"view": "view", "addtocart": "cart", "transaction": "purchase"}),
        timezone="UTC",
        profiles=(None, items, None),
    )


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).exists():
        raise NotFoundError(f"There is no {name} in {folder}.", "The layout retailrocket needs it.", "Name the folder that holds it.")
    return folder / name


def _items(folder: Path) -> Profile | None:
    """Return the dated properties of items, None where there is no file of them."""
    files = sorted(folder.glob("item_properties*.csv"))
    if not files:
        return None
    rows = pl.scan_csv(files, infer_schema=False).filter(pl.col("property").is_in([*PROPERTIES]))
    told = rows.select(
        id="itemid",
        valid_from=(pl.col("timestamp").cast(pl.Int64) * 1000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        name=pl.col("property").replace_strict(PROPERTIES, return_dtype=pl.String),
        value="value",
    ).collect()
    wide = told.pivot("name", index=["id", "valid_from"], values="value", aggregate_function="last", maintain_order=True)
    table = at_each_change(wide)
    if "property_790" in table.columns:
        table = table.with_columns(pl.col("property_790").str.strip_prefix("n").cast(pl.Float64, strict=False))
    if "available" in table.columns:
        table = table.with_columns(pl.col("available") == "1")
    if (folder / "category_tree.csv").exists() and "category" in table.columns:
        tree = pl.read_csv(folder / "category_tree.csv", infer_schema=False)
        parents = tree.select(category="categoryid", parent_category="parentid").unique("category", keep="first", maintain_order=True)
        table = table.join(parents, on="category", how="left", maintain_order="left")
    return Profile("item", table)


def _with_category(events: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return the events with the category that their item was last known to have."""
    if "category" not in items.columns:
        return events.with_columns(category=pl.lit(None, pl.String))
    known = items.select(itemid="id", at=pl.col("valid_from").cast(pl.Int64) // 1000, category="category").drop_nulls().sort("at")
    asked = events.with_row_index("row").with_columns(at=pl.col("timestamp").cast(pl.Int64, strict=False)).sort("at", nulls_last=True)
    found = asked.join_asof(known, on="at", by="itemid", strategy="backward", check_sortedness=False)
    return found.sort("row").drop("row", "at")


def rees46(source: object = None) -> Layout:
    """Return the layout of REES46's behaviour data (Open CDP): views, carts, purchases and removals from the cart of a web shop.

    A row is one item at its price of then; a purchase has no quantity, so its amount is that price. ``category`` is the number that every
    item has (``category_id``); its readable name (``category_code``), which a third lacks, rides along.

    Parameters
    ----------
    source
        One monthly CSV file, plain or compressed, the folder of all, or a table.
    """
    if source is None or isinstance(source, str | Path):
        named_files(source, "rees46")
    columns = {
        "user_id": "user_id", "time": "event_time", "kind": "event_type", "item_id": "product_id", "category": "category_id",
        "brand": "brand", "unit_price": "price", "session_id": "user_session", "category_code": "category_code",
    }  # fmt: skip
    kinds = {kind: kind for kind in ("view", "cart", "purchase", "remove_from_cart")}
    return Layout(columns=MappingProxyType(columns), kinds=MappingProxyType(kinds), timezone="UTC")
