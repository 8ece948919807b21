"""What to order: from the quantiles of demand over lead time and review."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.series_forecast import LEVELS, SeriesForecast
from whenbuy.decide.stock import Shelf, StockRule, part_of, restock


def demand(*rates, days=28, step=1):
    """Poisson demand of so many a day."""
    mean = np.repeat(np.array(rates, float)[:, None], days // step, axis=1) * step
    levels = np.array(LEVELS)
    each, summed = (poisson.ppf(levels, part[:, :, None]) for part in (mean, np.cumsum(mean, axis=1)))
    keys = Keys(
        "item", np.arange(len(rates), dtype=np.int32), np.zeros(len(rates), np.int64), Dictionary.of([f"i{i}" for i in range(len(rates))])
    )
    return SeriesForecast(keys, step, 20_000, mean, levels, each, ("truth",) * len(rates), None, "demand", summed)


def shelf(*on_hand, **more):
    n = len(on_hand)
    parts = {"on_order": np.zeros(n), "lead_days": np.full(n, np.nan), "pack": np.ones(n)} | {
        k: np.array(v, float) for k, v in more.items()
    }
    return Shelf(np.array(on_hand, float), **parts)


@pytest.mark.parametrize("step", [1, 7])
def test_the_levels_are_quantiles_of_what_comes_until_goods_arrive(step):
    plan = restock(demand(5.0, 20.0, step=step), StockRule(7, 7, 0.95))
    assert np.allclose(plan.expected, [70, 280])
    assert np.abs(plan.order_up_to - poisson.ppf(0.95, [70, 280])).max() <= 1
    assert np.abs(plan.reorder_point - poisson.ppf(0.95, [35, 140])).max() <= 1
    assert (plan.quantity == plan.order_up_to).all()  # empty shelves
    assert not plan.known
    assert plan.frame()["on_hand"].null_count() == 2


def test_quantiles_of_steps_are_not_added_up():
    told = demand(5.0)
    plan = restock(told, StockRule(7, 7, 0.95))
    assert plan.order_up_to[0] < told.quantile(0.95)[0, :14].sum() - 10


def test_what_is_there_and_on_its_way_is_not_ordered_again_and_packages_are_whole():
    plan = restock(demand(5.0, 5.0, 5.0), StockRule(), shelf(0, 500, 20, on_order=[30, 0, 0], pack=[1, 1, 24]))
    assert plan.quantity[0] == plan.order_up_to[0] - 30
    assert plan.quantity[1] == 0
    assert not np.signbit(plan.quantity).any()
    assert plan.quantity[2] % 24 == 0
    assert plan.quantity[2] >= plan.order_up_to[2] - 20


def test_costs_give_the_newsvendor_level():
    rule = StockRule(7, 7, None, over=1.0, under=19.0)
    assert rule.level == pytest.approx(0.95)
    told = demand(5.0)
    best = restock(told, rule)
    for other in (0.5, 0.8, 0.99):
        worse = restock(told, StockRule(7, 7, other))
        assert best.cost[0] <= 1.0 * worse.left[0] + 19.0 * worse.short[0] + 0.1
    drawn = np.random.default_rng(0).poisson(70, 100_000)
    ready = float(best.order_up_to[0])
    assert best.left[0] == pytest.approx(np.maximum(ready - drawn, 0).mean(), abs=2.0)
    assert best.short[0] == pytest.approx(np.maximum(drawn - ready, 0).mean(), abs=0.3)


def test_what_is_asked_for_in_vain_before_an_order_arrives_is_not_ordered():
    told, rule = demand(5.0, 5.0, 5.0), StockRule(7, 7, None, over=7.0, under=13.0)
    plan = restock(told, rule, shelf(0, 20, 60))
    assert plan.quantity.tolist() == [*(plan.order_up_to - plan.reorder_point)[:2], plan.order_up_to[2] - 60]
    assert (restock(told, rule).quantity == plan.order_up_to).all()  # nobody said what is there
    service = restock(told, StockRule(7, 7, rule.level), shelf(0, 20, 60))
    assert service.quantity.tolist() == (plan.order_up_to - [0, 20, 60]).tolist()
    within, until = (poisson.ppf((np.arange(10_000) + 0.5) / 10_000, mean) for mean in (35, 70))  # good weeks and bad ones go together
    for i, there in enumerate([0, 20, 60]):
        first = np.minimum(within, there)
        then, ready = until - within, there + plan.quantity[i] - first
        assert plan.left[i] == pytest.approx(np.maximum(ready - then, 0).mean(), abs=2)
        assert plan.short[i] == pytest.approx((within - first + np.maximum(then - ready, 0)).mean(), abs=0.5)
    assert plan.left[0] > 1  # what is ordered is more than a bad week asks for, though not half of what both weeks do


def test_the_day_on_which_stock_runs_out():
    plan = restock(demand(5.0, 5.0, 0.01), StockRule(), shelf(50, 0, 1000))
    assert plan.out_median[0] == pytest.approx(10, abs=1)
    assert plan.out_early[0] < plan.out_median[0]
    assert plan.out_median[1] == 0
    assert np.isnan(plan.out_median[2])
    assert plan.out_chance[1] == pytest.approx(1, abs=0.01)
    assert plan.out_chance[2] < 0.01
    assert plan.cover_days[0] == pytest.approx(10)
    assert plan.slow.tolist() == [False, False, True]
    frame = plan.frame()
    assert frame["item_id"][0] == "i1"  # the most urgent first
    assert frame.filter(item_id="i0")["stock_out_date"][0].toordinal() - frame.filter(item_id="i1")["stock_out_date"][0].toordinal() in (
        9,
        10,
    )


def test_an_item_has_its_own_lead_time():
    plan = restock(demand(5.0, 5.0), StockRule(7, 7), shelf(0, 0, lead_days=[np.nan, 21]))
    assert plan.expected.tolist() == [70, 140]


def test_a_part_of_the_customers_takes_a_thinned_share():
    whole = demand(20.0)
    part = part_of(whole, np.array([0.25]))
    assert np.allclose(part.mean, 5.0)
    assert abs(part.sum_quantile(0.95)[0, 13] - poisson.ppf(0.95, 70)) <= 2
    assert np.allclose(part_of(whole, np.array([1.0])).quantiles, whole.quantiles)
    assert not part_of(whole, np.array([0.0])).mean.any()
    with pytest.raises(UsageError):
        part_of(whole, np.array([1.2]))


def test_what_sells_nothing_needs_nothing():
    plan = restock(demand(0.0), StockRule(), shelf(5))
    assert plan.quantity[0] == 0
    assert np.isinf(plan.cover_days[0])
    assert plan.slow[0]
    assert plan.frame()["cover_days"][0] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"service": 1.0},
        {"service": 0.0},
        {"lead_days": -1},
        {"review_days": 0},
        {"over": 1.0, "service": None},
        {"over": 1.0, "under": 2.0},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        StockRule(**wrong)


def test_costs_below_nothing_are_refused():
    with pytest.raises(UsageError):
        StockRule(service=None, over=-1.0, under=1.0)


def test_too_short_a_forecast_is_refused():
    with pytest.raises(UsageError):
        restock(demand(5.0, days=14), StockRule(14, 7))
    with pytest.raises(UsageError):
        restock(replace(demand(5.0), sums=None), StockRule())


def test_shelves_below_nothing_are_refused():
    with pytest.raises(UsageError):
        shelf(-1)
    with pytest.raises(UsageError):
        shelf(1, pack=[0])
    with pytest.raises(WhenbuyError):
        restock(demand(5.0), StockRule(), shelf(1, 2))


def test_levels_beyond_those_held_go_on_as_a_tail():
    plan = restock(demand(5.0), StockRule(7, 7, 0.999))
    assert abs(plan.order_up_to[0] - poisson.ppf(0.999, 70)) <= 6
