"""Columns that know the future are found, and honest ones are left alone."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from tests.unit.pipeline.checking import planted
from whenbuy.core.profile import Profile
from whenbuy.pipeline.checking.leaks import _best_kappa, leaks

FOUND = {
    "total_orders": "number of orders in the customer's whole history",
    "last_purchase_date": "day of the customer's last order in the whole log",
    "churned": "the customer's last order to the end of the log in two",
    "next_order_amount": "amount of the customer's next order",
    "segment": "worked out from the customer's whole history",
    "item_total_sales": "number of sales of the item in the whole log",
    "returned": "given back later",
    "orders_next_30_days": "number of orders within the next 30 days",
    "delivery_status": "filled in some days after the event",
    "delivered_at": "fact that was filled in after the event",
    "customer_value": "worked out from the customer's whole history",
    "mean_order": "mean order of the customer's whole history",
    "days_to_next": "days until the customer's next order",
}


@pytest.mark.parametrize("name", planted.LEAKS)
def test_a_planted_leak_is_found_and_called_by_its_name(name: str) -> None:
    frame = planted.LEAKS[name](planted.table(1)).drop("price_class", "region")
    found, tested = leaks(planted.history(frame))
    assert tested == 1
    assert [leak.column for leak in found] == ["leak"]
    assert FOUND[name] in found[0].why
    assert any(digit in found[0].evidence for digit in "0123456789")
    assert "eave it out" in found[0].do


SIZES = [(80, 150), (120, 182), (160, 121), (100, 244), (140, 213)]
"""Customers and days: the last two lengths end with a month, where plans for its end never pass the end of the log."""


@pytest.mark.parametrize("seed", range(20))
def test_no_honest_column_is_called_a_leak(seed: int) -> None:
    users, days = (500, 200) if seed == 0 else SIZES[seed % len(SIZES)]
    found, tested = leaks(planted.history(planted.honest(planted.table(seed, users, days), seed)))
    assert tested == 24
    assert found == ()


def test_a_timeless_profile_may_leak_too() -> None:
    frame = planted.table(1)
    history = planted.history(frame.drop("price_class", "region"))
    per_user = planted.orders(frame).group_by("user_id").agg(lifetime=pl.len(), last=pl.col("time").max()).rename({"user_id": "id"})
    rng = np.random.default_rng(0)
    per_user = per_user.with_columns(town=pl.Series(rng.choice(["A", "B", "C"], len(per_user))))
    found, tested = leaks(replace(history, users=Profile("user", per_user, timeless=True)))
    assert tested == 3
    assert [(leak.column, leak.of) for leak in found] == [("lifetime", "user"), ("last", "user")]
    sold = frame.filter(pl.col("kind") == "purchase").group_by("item_id").agg(sold=pl.len(), price=pl.col("unit_price").first())
    found, tested = leaks(replace(history, items=Profile("item", sold.drop_nulls("item_id").rename({"item_id": "id"}), timeless=True)))
    assert tested == 2
    assert [(leak.column, leak.of) for leak in found] == [("sold", "item")]


@pytest.mark.parametrize("name", [name for name in planted.LEAKS if name not in ("segment", "customer_value")])
def test_a_small_shop_is_told_too(name: str) -> None:
    found, _ = leaks(planted.history(planted.LEAKS[name](planted.table(9, 300, 250)).drop("price_class", "region")))
    assert [leak.column for leak in found] == ["leak"]


def test_the_best_bound_against_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, truth = rng.integers(0, 9, 40).astype(float), (rng.random(40) < 0.4).astype(float)
        values[:3] = np.nan
        low = np.where(np.isnan(values), -1.0, values)
        sides = [side for bound in range(-1, 9) for side in ((low > bound), (low <= bound)) if 0 < side.sum() < 40]
        assert _best_kappa(values, truth) == pytest.approx(max(cohen_kappa_score(side, truth) for side in sides))


def test_nothing_is_said_where_nobody_buys_twice() -> None:
    frame = planted.table(1).filter(pl.col("kind") == "view").with_columns(leak=pl.lit(3))
    assert leaks(planted.history(frame)) == ((), 3)


def test_the_same_log_gives_the_same_words() -> None:
    frame = planted.segment(planted.table(1))
    assert leaks(planted.history(frame)) == leaks(planted.history(frame))
