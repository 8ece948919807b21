"""`whenbuy stock` from a till's file to an order list."""

import json

import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok, refused


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return small.shop(tmp_path_factory.mktemp("stock"))


def test_an_order_list(place, tmp_path):
    plan = json.loads(ok("stock", "--shop", place, "--by-category", "--lead-time", "1w", "--review", "7d", "--json").out)
    assert plan["lead_days"] == 7
    assert plan["level"] == 0.95
    assert not plan["stock_known"]
    assert len(plan["why"]) == 3
    assert all(" units within 28 days" in said for said in plan["why"])
    assert any("usual gap" in said for said in plan["why"])
    names = [row["category"] for row in plan["stock"]]
    file = tmp_path / "shelves.csv"
    file.write_text("category,on_hand,pack\n" + "".join(f"{name},1,6\n" for name in names) + "kites,4,1\n")
    said = ok("stock", "--shop", place, "--by-category", "--stock", file, "--out", tmp_path / "orders.csv")
    assert "kites" in said.err
    orders = pl.read_csv(tmp_path / "orders.csv")
    assert set(orders["category"]) == set(names)
    assert (orders["quantity"] % 6 == 0).all()
    costs = json.loads(ok("stock", "--shop", place, "--category", names[0], "--over", "1", "--under", "3", "--json").out)
    assert costs["level"] == 0.75
    assert costs["stock"][0]["expected_cost"] is not None


def test_what_makes_no_sense_is_refused(place, tmp_path):
    assert "from 0 on" in refused(3, "stock", "--shop", place, "--stock", _file(tmp_path, "item_id,on_hand\na,-1\n"))
    refused(3, "stock", "--shop", place, "--stock", _file(tmp_path, "item_id,amount\na,1\n"))
    refused(6, "stock", "--shop", place, "--stock", tmp_path / "none.csv")
    refused(6, "stock", "--shop", place, "--category", "zeppelins")
    refused(4, "stock", "--shop", place, "--by-category", "--lead-time", "300d")
    refused(2, "stock", "--shop", place, "--over", "1")
    refused(2, "stock", "--shop", place, "--service", "120%")
    refused(2, "stock", "--shop", place, "--item", "a", "--by-category")


def _file(folder, text):
    (folder / "stock.csv").write_text(text)
    return folder / "stock.csv"
