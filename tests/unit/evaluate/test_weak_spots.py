"""Weak spots: groups that are wrong are found and said in words, and luck is not."""

import numpy as np
import pytest

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Table
from whenbuy.evaluate.weak_spots import frame, weak_spots


def world(seed=0, n=6000):
    rng = np.random.default_rng(seed)
    values = np.stack([rng.uniform(0, 100, n), rng.integers(0, 9, n), rng.normal(size=n)], axis=1).astype(np.float32)
    values[rng.random(n) < 0.2, 2] = np.nan
    return Table(("tenure_days", "orders_84d", "noise"), values), rng.uniform(0.2, 0.6, n), np.arange(n) // 3, rng


def test_a_group_that_is_promised_too_much_is_named_first():
    table, promised, users, rng = world()
    bad = (table.column("tenure_days") <= 30) & (table.column("orders_84d") >= 4)
    came = (rng.random(len(promised)) < promised - 0.2 * bad).astype(float)
    first, *rest = weak_spots(table, promised, came, users, depth=2)
    assert first.clear
    assert first.rule.startswith(("tenure_days ≤ ", "orders_84d ≥ 4"))
    assert "orders_84d ≥ 4" in first.rule
    assert "noise" not in first.rule
    assert first.difference == pytest.approx(-0.2, abs=0.05)
    assert first.low < first.difference < first.high < 0
    assert first.users <= first.n
    assert first.says() == f"{first.rule}: promised {first.expected:.3g}, came {first.found:.3g}, n = {first.n:,}"
    assert first.n + sum(spot.n for spot in rest) < 0.6 * len(promised)  # only the half that drew nothing is counted
    shown = frame((first, *rest))
    assert shown["rule"][0] == first.rule
    assert shown["clear"][0]


def test_a_good_forecast_has_few_clear_weak_spots():
    """Groups are judged on people who had no say in how they were drawn: what a tree finds in noise is not clear."""
    clear = total = 0
    for seed in range(20):
        table, promised, users, rng = world(seed, 2000)
        found = weak_spots(table, promised, (rng.random(2000) < promised).astype(float), users, rounds=200, seed=seed)
        clear, total = clear + sum(spot.clear for spot in found), total + len(found)
    assert clear <= 0.12 * total


def test_missing_values_are_said():
    table, promised, users, _ = world(1)
    unknown = np.isnan(table.values[:, 2])
    found = weak_spots(table, promised, promised - 0.3 * unknown, users, depth=1)
    assert {spot.rule for spot in found} == {"noise unknown", "noise known"}
    lower = unknown | (table.values[:, 2] < -1)
    found = weak_spots(table, promised, promised - 0.3 * lower, users, depth=1)
    assert any(spot.rule.startswith("noise ≤ -") and spot.rule.endswith(" or unknown") for spot in found)
    assert any(spot.rule.startswith("noise > -") for spot in found)


def test_whole_numbers_are_said_as_such():
    table, promised, users, _ = world(2)
    orders = table.column("orders_84d")
    found = weak_spots(table, promised, promised + 0.3 * (orders == 5), users, depth=2)
    assert "orders_84d = 5" in {spot.rule for spot in found}
    found = weak_spots(table, promised, promised + 0.3 * ((orders >= 3) & (orders <= 6)), users, depth=2)
    assert "3 ≤ orders_84d ≤ 6" in {spot.rule for spot in found}


def test_rows_of_which_nothing_is_known_do_not_count_and_few_rows_have_no_groups():
    table, promised, users, _ = world(3)
    came = np.full(len(promised), np.nan)
    assert weak_spots(table, promised, came, users) == ()
    came[:300] = 0.0
    found = weak_spots(table, promised, came, users, least=50)
    assert sum(spot.n for spot in found) < 300
    assert weak_spots(table.take(slice(0, 5)), promised[:5], promised[:5], users[:5]) == ()
    assert frame(()).is_empty()
    with pytest.raises(WhenbuyError, match="A table of 6000 rows was given 5"):
        weak_spots(table, promised[:5], promised[:5], users[:5])


def test_the_same_seed_gives_the_same_groups():
    table, promised, users, rng = world(4)
    came = (rng.random(len(promised)) < promised).astype(float)
    assert frame(weak_spots(table, promised, came, users, seed=1)).equals(frame(weak_spots(table, promised, came, users, seed=1)))
