"""What to order, from shelves and demand."""

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.demand.shop_with_model import shop, told
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, NotEnoughDataError, NotFoundError
from whenbuy.decide.stock import StockRule
from whenbuy.ingest.read import read
from whenbuy.pipeline.demand.restocking import horizon_days, region_shares, require_history, restocking
from whenbuy.pipeline.demand.stock_file import checked

RULE = StockRule(7, 7)


def stock(**columns):
    return checked(pl.DataFrame(columns), "category")


def names(count=3):
    return told().of("category").keys.ids().to_list()[:count]


def test_without_shelves_everything_known_is_planned():
    found = restocking(shop()[0], told(), "category", RULE)
    assert len(found.plan) == len(told().of("category")) - 1  # not what was sold beside them
    assert (found.plan.quantity == found.plan.order_up_to).all()


def test_only_what_the_stock_names_is_planned_and_strangers_are_told():
    held = stock(category=[*names(2), "zeppelins"], on_hand=[0, 10_000, 5])
    found = restocking(shop()[0], told(), "category", RULE, held)
    assert found.unknown == ("zeppelins",)
    frame = found.frame()
    assert frame["category"].to_list() == names(2)  # the most urgent first
    assert frame["quantity"].to_list()[1] == 0
    assert frame["slow"].to_list() == [False, True]


def test_regions_share_the_demand():
    history, _ = shop()
    regions = ["east", "north", "south", "west"]
    held = stock(category=names(1) * 5, region=[*regions, "moon"], on_hand=[0] * 5)
    found = restocking(history, told(), "category", RULE, held)
    whole = restocking(history, told(), "category", RULE, names=names(1))
    frame = found.frame()
    assert set(frame["category"]) == set(names(1))
    assert frame["expected_units"].sum() == pytest.approx(whole.plan.expected[0], rel=1e-6)
    assert frame.filter(region="moon")["quantity"][0] == 0
    assert frame["order_up_to"].sum() > whole.plan.order_up_to[0]  # many small stocks need more than one large one
    keys = told().of("category").keys.take(np.zeros(4, np.int64))
    assert region_shares(history, keys, regions).sum() == pytest.approx(1)


def test_a_log_without_regions_cannot_plan_them(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,time,category\nu1,2024-01-01,a\n")
    with pytest.raises(ColumnError):
        region_shares(read(tmp_path / "a.csv").history, told().of("category").keys, ["east"] * len(told().of("category")))


def test_names_that_the_log_does_not_know_are_refused():
    with pytest.raises(NotFoundError):
        restocking(shop()[0], told(), "category", RULE, names=["zeppelins"])
    with pytest.raises(NotFoundError):
        restocking(shop()[0], told(), "category", RULE, stock(category=["zeppelins"], on_hand=[1]))


def test_a_lead_time_longer_than_the_history_is_refused():
    history, _ = shop()
    with pytest.raises(NotEnoughDataError):
        require_history(history, int(history.log.start + 20 * DAY), 28)
    require_history(history, history.end, 200)
    assert horizon_days(StockRule(30, 7), None) == 37
    assert horizon_days(RULE, stock(category=["a"], on_hand=[1], lead_days=[60])) == 67
    assert horizon_days(RULE, None) == 28
