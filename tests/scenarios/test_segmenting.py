"""The commands `segment` and `paths`, from a shop's folder."""

import json

import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok, refused


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return small.shop(tmp_path_factory.mktemp("segmenting"))


def test_segments_are_told_kept_and_written(shop, tmp_path):
    said = json.loads(ok("segment", "--shop", shop, "--hold-out", "20%", "--since", "2024-03-01", "--json").out)
    assert set(said["segments"][0]) == {"user_id", "as_of", "segment", "name", "hold_out"}
    assert said["held_out"] == sum(row["hold_out"] for row in said["segments"])
    assert sum(each["customers"] for each in said["profiles"]) == said["customers"] == sum(each["customers"] for each in said["moves"])
    assert all(each["p_purchase_7d"] is None or 0 <= each["p_purchase_7d"] <= 1 for each in said["profiles"])
    assert (shop / "segments" / "rfm" / "manifest.json").exists()
    out = tmp_path / "segments.csv"
    again = ok("segment", "--shop", shop, "--out", out)
    assert "dividing" not in again.err
    assert pl.read_csv(out)["name"].to_list() == [row["name"] for row in said["segments"]]


def test_ids_and_names_stay_a_month_later(shop):
    asked = ("segment", "--shop", shop, "--by", "k-means", "--k", "3", "--json")
    first = json.loads(ok(*asked, "--as-of", "2024-05-01").out)
    said = ok(*asked)
    assert "dividing" in said.err
    names = {each["segment"]: each["name"] for each in first["profiles"]}
    again = {each["segment"]: each["name"] for each in json.loads(said.out)["profiles"]}
    assert len(names.keys() & again.keys()) >= 2
    assert all(again[id] == names[id] for id in names.keys() & again.keys())
    assert "ids of their own" in ok(*asked, "--as-of", "2024-05-01").err


def test_a_portrait(shop):
    user = json.loads(ok("segment", "--shop", shop, "--json").out)["segments"][0]["user_id"]
    said = json.loads(ok("segment", "--shop", shop, user, "--json").out)
    assert said["user_id"] == user
    assert said["words"]["segment"].startswith(said["segment"]["name"])
    assert "within 7 days" in said["words"]["next"]
    assert "nobody" in refused(6, "segment", "--shop", shop, "nobody")


def test_kept_segments_that_cannot_be_read_are_learned_anew(shop):
    ok("segment", "--shop", shop)
    model = shop / "segments" / "rfm" / "model.json"
    model.write_bytes(model.read_bytes().replace(b"Segmentation", b"Segmentatiox"))
    assert "the ids begin anew" in ok("segment", "--shop", shop).err


def test_what_makes_no_sense_is_refused(shop):
    assert "Ask for fewer" in refused(2, "segment", "--shop", shop, "--by", "k-means", "--k", "61")
    assert "--k" in refused(2, "segment", "--shop", shop, "--k", "3")
    refused(4, "segment", "--shop", shop, "--as-of", "1999-01-01")
    refused(2, "segment", "--shop", shop, "--since", "2100-01-01")
    refused(3, "paths", "--shop", shop, "--what", "together", "--of", "amount")
    refused(4, "paths", "--shop", shop, "--what", "funnel", "--steps", "view,teleport")
    refused(3, "paths", "--shop", shop, "--as-of", "1999-01-01")


@pytest.mark.parametrize("what", ["transitions", "funnel", "sequences", "together"])
def test_paths_are_tables(shop, tmp_path, what):
    said = json.loads(ok("paths", "--shop", shop, "--what", what, "--top", "5", "--json").out)
    assert len(said[what]) == said["rows"]
    out = tmp_path / "paths.parquet"
    ok("paths", "--shop", shop, "--what", what, "--top", "5", "--out", out)
    assert len(pl.read_parquet(out)) == said["rows"]
    assert ok("paths", "--shop", shop, "--what", what, "--as-of", "2024-03-01").code == 0
