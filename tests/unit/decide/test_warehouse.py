"""The simulated warehouse, against a slow one."""

import numpy as np
import pytest

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


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError):
        Warehouse(-1)
    with pytest.raises(UsageError):
        run(Warehouse(), -np.ones((1, 5)), lambda day, position: position, np.zeros(1))
