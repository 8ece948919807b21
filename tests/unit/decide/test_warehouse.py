"""The simulated warehouse, against a slow one."""

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from whenbuy.core.errors import UsageError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.series_forecast import LEVELS, SeriesForecast
from whenbuy.decide.stock import Shelf, restock
from whenbuy.decide.warehouse import Warehouse, run


@pytest.mark.parametrize("lead", [0, 3])
def test_every_unit_is_accounted_for(lead):
    rng = np.random.default_rng(lead)
    demand, house = rng.poisson(3, (4, 40)).astype(float), Warehouse(lead, 5, 1.0, 10.0)

    def policy(day, position):
        return np.maximum(30.0 - position, 0)

    books = run(house, demand, policy, np.full(4, 8.0))
    for item in range(4):
        on_hand, way, held, short, ordered = 8.0, {}, 0.0, 0.0, 0.0
        for day in range(40):
            if day % 5 == 0:
                order = max(30.0 - on_hand - sum(v for d, v in way.items() if d >= day), 0.0)
                way[day + lead] = way.get(day + lead, 0.0) + order
                ordered += order
            on_hand += way.pop(day, 0.0)
            sold = min(on_hand, demand[item, day])
            on_hand -= sold
            held, short = held + on_hand, short + demand[item, day] - sold
        assert books.held[item] == pytest.approx(held)
        assert books.short[item] == pytest.approx(short)
        assert books.ordered[item] == pytest.approx(ordered)
        assert books.cost[item] == pytest.approx(held + 10 * short)


def test_only_the_days_that_count_cost():
    books = run(Warehouse(1, 7), np.ones((1, 20)), lambda day, position: np.zeros(1), np.array([10.0]), counts_from=10)
    assert books.held[0] == 0
    assert books.short[0] == 10


def test_its_rule_costs_least():
    """Of all amounts to order up to, tried one by one against a long steady demand, none is much cheaper than that of the rule."""
    rng, house = np.random.default_rng(0), Warehouse(7, 7, 1.0, 20.0)
    assert house.rule.level == pytest.approx(13 / 20)
    demand = rng.poisson(3, (40, 1400)).astype(float)
    cost = {}
    for most in range(36, 56):
        books = run(house, demand, lambda day, position, most=most: np.maximum(most - position, 0), np.full(40, 20.0), counts_from=28)
        cost[most] = books.cost.sum()
    at, plain = (int(poisson.ppf(level, 14 * 3)) for level in (house.rule.level, 20 / 27))
    assert cost[at] < 1.01 * min(cost.values())
    assert cost[at] < cost[plain]


def test_an_order_knows_of_what_is_lost_before_it_arrives():
    """Ordering up to the same level costs more than what a plan orders that is told what is there."""
    rng, house = np.random.default_rng(0), Warehouse(7, 7, 1.0, 20.0)
    coming, told = rng.poisson(rng.gamma(4, 0.75, (40, 50)).repeat(14, axis=1)).astype(float), known(np.full(40, 3.0), 4.0)
    level = restock(told, house.rule).order_up_to

    def planned(day, position):
        return restock(told, house.rule, Shelf(position, np.zeros(40), np.full(40, np.nan), np.ones(40))).quantity

    ways = (planned, lambda day, position: np.maximum(level - position, 0))
    plan, plain = (run(house, coming, way, np.full(40, 20.0), counts_from=28).cost.sum() for way in ways)
    assert plan < 0.99 * plain


def known(rate, shape):
    """Poisson demand of so many a day on average, whose rate stays the same for the whole forecast and is spread by a gamma law."""
    mean = np.cumsum(np.repeat(rate[:, None], 28, axis=1), axis=1)
    sums = nbinom.ppf(np.array(LEVELS), shape, (shape / (shape + mean))[:, :, None])
    keys = Keys(
        "item", np.arange(len(rate), dtype=np.int32), np.zeros(len(rate), np.int64), Dictionary.of([str(i) for i in range(len(rate))])
    )
    each = np.diff(mean, axis=1, prepend=0.0)
    quantiles = nbinom.ppf(np.array(LEVELS), shape, (shape / (shape + each))[:, :, None])
    return SeriesForecast(keys, 1, 20_000, each, np.array(LEVELS), quantiles, ("truth",) * len(rate), None, "demand", sums)


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError):
        Warehouse(-1)
    with pytest.raises(UsageError):
        _ = Warehouse(7, 7, 1.0, 7.0).rule
    with pytest.raises(UsageError):
        run(Warehouse(), -np.ones((1, 5)), lambda day, position: position, np.zeros(1))
