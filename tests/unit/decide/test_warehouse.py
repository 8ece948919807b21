"""The simulated warehouse, against a slow one."""

import numpy as np
import pytest
from scipy.stats import poisson

from whenbuy.core.errors import UsageError
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


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError):
        Warehouse(-1)
    with pytest.raises(UsageError):
        _ = Warehouse(7, 7, 1.0, 7.0).rule
    with pytest.raises(UsageError):
        run(Warehouse(), -np.ones((1, 5)), lambda day, position: position, np.zeros(1))
