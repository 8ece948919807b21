"""`whenbuy reviews` from a file of events to what customers say."""

import json

import polars as pl
import pytest

from tests.scenarios.foreign import ok, refused
from tests.unit.pipeline.reviewing.shop import drawn, history


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    history([*drawn(), ("z", 7, "mug", 77, None)]).log.frame().drop("orders", strict=False).write_csv(folder / "events.csv")
    ok("init", folder / "events.csv", "--shop", folder / "shop")
    return folder / "shop"


def test_what_customers_say(place, tmp_path):
    said = ok("reviews", "--shop", place, "--json")
    told = json.loads(said.out)
    assert (told["reviews"], told["outside"], told["scale"], told["falling"]) == (241, 1, [1, 5], 1)
    assert "1 ratings lie outside" in " ".join(told["notes"])
    first = told["things"][0]
    assert first["item_id"] == "shoe"
    assert first["falling"]
    assert "Falls from" in first["words"]
    assert {"mean_rating", "expected_rating", "sentiment", "topics", "trend", "p_value"} <= set(first)
    assert sum(topic["share"] for topic in told["topics"]) == pytest.approx(1)
    said = ok("reviews", "--shop", place, "--item", "lamp", "--item", "mug", "--out", tmp_path / "items.csv")
    assert "2 things" in said.err
    assert set(pl.read_csv(tmp_path / "items.csv")["item_id"]) == {"lamp", "mug"}
    months = json.loads(ok("reviews", "--shop", place, "--by", "month", "--json").out)["things"]
    assert [row["month"] for row in months] == ["2024-01", "2024-02", "2024-03", "2024-04"]
    early = json.loads(ok("reviews", "--shop", place, "--as-of", "2024-02-20", "--json").out)
    assert early["falling"] == 0
    assert early["reviews"] < 120


def test_who_will_review(place, tmp_path):
    told = json.loads(ok("reviews", "--shop", place, "--customers", "--horizon", "2w", "--json").out)
    assert told["horizon_days"] == 14
    customers = len(told["customers"])
    assert customers > 50
    assert all(
        0 <= row["p_review"] <= 1 and 1 <= row["rating_low"] <= row["rating"] <= row["rating_high"] <= 5 for row in told["customers"]
    )
    ok("reviews", "--shop", place, "--customers", "--horizon", "2w", "--out", tmp_path / "who.parquet")
    assert pl.read_parquet(tmp_path / "who.parquet").height == customers


def test_what_makes_no_sense_is_refused(place, tmp_path):
    refused(2, "reviews", "--shop", place, "--item", "mug", "--category", "light")
    refused(2, "reviews", "--shop", place, "--item", "mug", "--by", "month")
    refused(2, "reviews", "--shop", place, "--out", tmp_path / "table.xls")
    refused(3, "reviews", "--shop", place, "--by", "category")
    refused(6, "reviews", "--shop", place, "--item", "zeppelin")
    assert "no reviews before" in refused(4, "reviews", "--shop", place, "--as-of", "2023-01-01")
    refused(4, "reviews", "--shop", place, "--customers", "--horizon", "100d")
