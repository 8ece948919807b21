"""The answer to price: found where the log can say, refused and why where it cannot."""

import numpy as np
import pytest

from whenbuy.core.errors import UsageError
from whenbuy.models.series.price import FEW, PROMOTED, SEASONAL, STILL, VAGUE, PriceHistory, PriceResponse, poisson

DAYS = 364


def shop(seed=0, elasticity=(-1.5, -1.5, -0.5), *, level=60.0, lift=0.3, moves=True, promotions=True, k=3):
    """Categories whose prices move on their own and with campaigns of different depths."""
    rng = np.random.default_rng(seed)
    t = np.arange(DAYS)
    price = np.zeros((k, DAYS))
    if moves:
        steps = rng.normal(0, 0.08, (k, DAYS // 28 + 1))
        price += np.repeat(steps, 28, axis=1)[:, :DAYS]
    running = np.zeros(DAYS)
    if promotions:
        for start, off in zip(range(20, DAYS, 45), [0.1, 0.2, 0.15, 0.25, 0.1, 0.2, 0.15, 0.25], strict=True):
            running[start : start + 5] = 1
            price[:, start : start + 5] += np.log(1 - off)
    season = 0.2 * np.sin(2 * np.pi * t / 364) + 0.1 * (t % 7 == 5)
    mean = level * np.exp(season + lift * running + np.array(elasticity)[:k, None] * price)
    names = tuple(f"c{i}" for i in range(k))
    return PriceHistory(names, rng.poisson(mean).astype(float), price, running, 18_000 + t)


def test_true_answers_lie_in_their_intervals():
    hits = []
    for seed in range(8):
        found = PriceResponse().fit(shop(seed))
        assert found.refused == ("", "", "")
        hits += [low <= true <= high for low, high, true in zip(found.low, found.high, (-1.5, -1.5, -0.5), strict=True)]
    assert np.mean(hits) >= 0.9


def test_a_category_that_says_nothing_takes_no_answer_from_the_others():
    told = shop(1)
    units, price = told.units.copy(), told.log_price.copy()
    units[2, 100:], price[2, :100] = 0.0, 0.0  # its price moves in the months without a sale alone: nothing holds the regression there
    found = PriceResponse().fit(PriceHistory(told.categories, units, price, told.promotions, told.day))
    assert found.refused == ("", "", VAGUE)
    assert np.isnan(found.elasticity[2])
    for row in range(2):
        assert found.low[row] <= -1.5 <= found.high[row]


def test_a_category_with_few_sales_leans_on_the_others():
    told = shop(1, (-1.5, -1.5, -1.5))
    units = told.units.copy()
    units[2] = np.random.default_rng(0).poisson(0.02 * units[2])
    found = PriceResponse().fit(PriceHistory(told.categories, units, told.log_price, told.promotions, told.day))
    assert abs(found.elasticity[2] + 1.5) < abs(found.own[2] + 1.5) + 0.3
    assert found.own_error[2] > found.own_error[0]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (shop(0, level=0.1), FEW),
        (shop(0, moves=False, promotions=False), STILL),
    ],
)
def test_what_the_log_cannot_say_is_refused(told, why):
    found = PriceResponse().fit(told)
    assert set(found.refused) == {why}
    assert np.isnan(found.elasticity).all()


def test_prices_that_only_follow_promotions_or_the_season_are_refused():
    told = shop(0, moves=False)
    one_depth = np.tile(told.promotions * np.log(0.8), (3, 1))
    found = PriceResponse().fit(PriceHistory(told.categories, told.units, one_depth, told.promotions, told.day))
    assert set(found.refused) == {PROMOTED}
    trend = np.tile(np.linspace(0, 0.2, DAYS), (3, 1))
    assert set(PriceResponse().fit(PriceHistory(told.categories, told.units, trend, told.promotions, told.day)).refused) == {SEASONAL}


def test_too_wide_an_interval_is_no_answer():
    found = PriceResponse(widest=1e-6).fit(shop(2))
    assert set(found.refused) == {VAGUE}
    assert np.isnan(found.low).all()


def test_the_regression_solves_its_equations():
    rng = np.random.default_rng(5)
    design = np.column_stack([np.ones(400), rng.normal(size=(400, 3))])
    counts = rng.poisson(np.exp(design @ np.array([1.0, 0.3, -0.5, 0.1]))).astype(float)
    beta, information = poisson(design, counts)
    assert np.abs(design.T @ (counts - np.exp(design @ beta))).max() < 1e-5
    assert np.allclose(information, design.T @ (design * np.exp(design @ beta)[:, None]))


def test_days_of_different_counts_are_refused():
    with pytest.raises(UsageError):
        PriceHistory(("a",), np.ones((1, 3)), np.ones((1, 4)), np.zeros(3), np.arange(3))
    with pytest.raises(UsageError):
        PriceHistory(("a",), -np.ones((1, 3)), np.ones((1, 3)), np.zeros(3), np.arange(3))
