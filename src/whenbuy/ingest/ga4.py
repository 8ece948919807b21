"""The export of Google Analytics 4 to BigQuery: events with nested parameters and items, as Parquet or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from whenbuy.core.errors import ColumnError, EmptyError, InputError
from whenbuy.ingest.layout import Layout, named_files
from whenbuy.ingest.text import Dialect, kind_of_file, open_text

_S, _I, _F = pl.String(), pl.Int64(), pl.Float64()
_VALUE = pl.Struct({"string_value": _S, "int_value": _I, "float_value": _F, "double_value": _F})
_ITEM = pl.Struct({
    "item_id": _S, "item_brand": _S, "item_category": _S, "price": _F, "quantity": _F, "item_revenue": _F, "promotion_id": _S, "coupon": _S,
})  # fmt: skip
SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "event_timestamp": _I, "event_name": _S, "event_server_timestamp_offset": _I, "user_id": _S, "user_pseudo_id": _S,
    "event_params": pl.List(pl.Struct({"key": _S, "value": _VALUE})), "items": pl.List(_ITEM),
    "ecommerce": pl.Struct({"transaction_id": _S, "purchase_revenue": _F, "refund_value": _F}),
    "device": pl.Struct({"category": _S}), "geo": pl.Struct({"country": _S}), "traffic_source": pl.Struct({"medium": _S}),
}  # fmt: skip
"""What is read of the export's schema; whatever else it holds is left out."""
KINDS: Final = {
    "page_view": "view", "screen_view": "view", "view_item": "view", "select_item": "click", "view_search_results": "search",
    "add_to_wishlist": "favourite", "add_to_cart": "cart", "purchase": "purchase", "in_app_purchase": "purchase", "refund": "refund",
    "view_item_list": "view_item_list", "view_promotion": "shown", "select_promotion": "clicked", "sign_up": "subscribe",
    "generate_lead": "enquiry",
}  # fmt: skip
"""The recommended and automatic events that have a meaning here; others keep their names."""
_OF_ITEMS: Final = (
    "view_item", "select_item", "add_to_wishlist", "add_to_cart", "remove_from_cart", "purchase", "refund", "view_promotion",
    "select_promotion",
)  # fmt: skip
"""Events that become one row per item; of others the items are no more than a list that was shown."""
_NONE = ("", "(not set)", "(none)", "(data deleted)", "<Other>")
_ENDINGS = (".parquet", ".json", ".jsonl", ".ndjson", ".gz")


def ga4(source: object = None) -> Layout:
    """Return the layout of a Google Analytics 4 export (tables ``events_YYYYMMDD`` of BigQuery).

    One row per event; one per item where the event is about items. A user is ``user_id`` where it is set, else ``user_pseudo_id``. An
    event is known when it was uploaded (``event_server_timestamp_offset``), which may be three days late. A session is
    ``ga_session_id`` of one device. Revenue is in the property's currency, as reported by the parameter ``currency``.

    Parameters
    ----------
    source
        A Parquet or JSON-lines file of the export, plain or gzip, or a folder of them; a table with the same nested columns.
    """
    if isinstance(source, pl.DataFrame):
        frames = [_shaped(source, "the table")]
    else:
        path = named_files(source, "ga4")
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in _ENDINGS) if path.is_dir() else [path]
        if not files:
            raise EmptyError(f"The folder {path} holds no Parquet and no JSON file.", "The layout ga4 reads an export.", "Name its folder.")
        frames = [_shaped(pl.read_parquet(file), str(file)) if kind_of_file(file) == "parquet" else _lines(file) for file in files]
    events = pl.concat([_rows(frame) for frame in frames])
    named = ("user_id", "kind", "time", "known_at", "order_id", "session_id", "item_id", "category", "brand", "unit_price", "quantity",
             "amount", "currency", "dwell_s", "text", "offer_id", "channel", "device", "region")  # fmt: skip
    return Layout(
        source=events, columns=MappingProxyType({name: name for name in named}), kinds=MappingProxyType(KINDS), timezone=None,
        lateness_days=3.0,
    )  # fmt: skip


def _shaped(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return the columns that are read, in the types of ``SCHEMA``; null where the export lacks one."""
    for name in ("event_timestamp", "event_name", "user_pseudo_id"):
        if name not in frame.columns:
            raise ColumnError(
                f"{where} has no column {name!r}.", "The export of Google Analytics 4 has it.", "Name another layout, or none."
            )
    try:
        return frame.select(
            pl.col(name).cast(kind, strict=False) if name in frame.columns else pl.lit(None, kind).alias(name)
            for name, kind in SCHEMA.items()
        )
    except pl.exceptions.PolarsError as error:
        raise ColumnError(
            f"{where} is nested otherwise than an export of Google Analytics 4 ({error}).",
            "Its event_params and items are lists of records.", "Export the table as it is in BigQuery.",
        ) from error  # fmt: skip


def _lines(path: Path) -> pl.DataFrame:
    """Return the events of a file of JSON lines; numbers may be written as text, as BigQuery does."""
    text = open_text(path, Dialect())
    if not text.json:
        raise InputError(f"{path} holds no JSON lines.", "The layout ga4 reads Parquet and JSON lines.", "Export in one of these.")
    found: list[dict[str, Any]] = []
    for block in text.lines():
        for place, line in enumerate(block, 1):
            try:
                found.append(_record(json.loads(line)))
            except (ValueError, AttributeError, TypeError) as error:
                raise InputError(
                    f"Line {place} of a block of {path} is no event of Google Analytics 4 ({error}): {line[:100]}",
                    "Each line is one JSON object.", "Mend or remove that line.",
                ) from error  # fmt: skip
    return _shaped(pl.DataFrame(found, schema=dict(SCHEMA), strict=False), str(path))


def _record(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _typed(thing.get(name), kind) for name, kind in SCHEMA.items()}


def _typed(value: Any, kind: pl.DataType) -> Any:
    """Return a JSON value as its column holds it."""
    if value is None:
        return None
    if isinstance(kind, pl.List):
        inner = kind.inner
        return [_typed(each, inner() if isinstance(inner, type) else inner) for each in value]
    if isinstance(kind, pl.Struct):
        return {field.name: _typed(value.get(field.name), field.dtype) for field in kind.fields}  # type: ignore[arg-type]
    if kind == pl.Int64:
        return int(value)
    return float(value) if kind == pl.Float64 else str(value)


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per event, or per item of an event about items."""
    of_items = pl.col("event_name").is_in(_OF_ITEMS) & (pl.col("items").list.len() > 0)
    events = frame.with_row_index("event").with_columns(items=pl.when(of_items).then("items")).explode("items", empty_as_null=True)
    item, money = pl.col("items").struct.field, pl.col("ecommerce").struct.field
    bought = pl.col("event_name").is_in(["purchase", "refund", "in_app_purchase"])
    each = pl.coalesce(item("item_revenue"), item("price") * item("quantity").fill_null(1))
    whole = pl.coalesce(money("purchase_revenue"), money("refund_value"), _parameter("value"))
    stamp = pl.col("event_timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    late = pl.duration(microseconds=pl.col("event_server_timestamp_offset").fill_null(0).clip(0))
    session = _parameter("ga_session_id").cast(pl.Int64).cast(pl.String)
    return events.select(
        user_id=pl.coalesce(_named("user_id"), _named("user_pseudo_id")),
        kind="event_name",
        time=stamp,
        known_at=stamp + late,
        order_id=pl.coalesce(_told(money("transaction_id")), _told(_parameter("transaction_id", True))),
        session_id=pl.col("user_pseudo_id") + "." + session,
        item_id=_told(item("item_id")),
        category=_told(item("item_category")),
        brand=_told(item("item_brand")),
        unit_price=item("price"),
        quantity=pl.when(item("item_id").is_not_null()).then(item("quantity").fill_null(1)),
        amount=pl.when(bought).then(pl.when(item("item_id").is_not_null()).then(each).otherwise(whole)),
        currency=_told(_parameter("currency", True)),
        dwell_s=_parameter("engagement_time_msec") / 1000,
        text=_told(_parameter("search_term", True)),
        offer_id=pl.coalesce(_told(item("promotion_id")), _told(item("coupon")), _told(_parameter("coupon", True))),
        channel=_told(pl.coalesce(_parameter("medium", True), pl.col("traffic_source").struct.field("medium"))),
        device=_told(pl.col("device").struct.field("category")),
        region=_told(pl.col("geo").struct.field("country")),
    )


def _parameter(key: str, text: bool = False) -> pl.Expr:
    """Return the value of an event's parameter: as text, or as a number."""
    value = pl.element().struct.field("value").struct.field
    one = value("string_value") if text else pl.coalesce(
        value("int_value").cast(pl.Float64), value("float_value"), value("double_value"),
        value("string_value").cast(pl.Float64, strict=False),
    )  # fmt: skip
    return pl.col("event_params").list.eval(pl.when(pl.element().struct.field("key") == key).then(one)).list.drop_nulls().list.first()


def _named(name: str) -> pl.Expr:
    return _told(pl.col(name))


def _told(text: pl.Expr) -> pl.Expr:
    """Return a text, null where it says that there is none."""
    return pl.when(~text.is_in(_NONE)).then(text)
