"""The grid: read off the shop's own rhythm, every horizon on it, as far as twice the longest."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.core.logs import make
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.pipeline.learning.grid import HOURS, Grid, has_clock_times, order_gaps

BUY, VIEW = 1, 0


def shop(days, *, user=0, head=1, kind=BUY):
    return [(user, round(day * DAY), 0, kind, MISSING, head) for day in days]


def test_a_daily_shop_has_a_point_every_day_and_a_weekly_one_every_week():
    daily, weekly = (Grid.of(make(shop(range(0, 100, gap)), late=False), (7.0, 14.0, 28.0)) for gap in (3, 8))
    assert daily.step_days == 1.0
    assert daily.days == (*map(float, range(1, 29)), 35.0, 42.0, 49.0, 56.0)
    assert weekly.step_days == 7.0
    assert weekly.days == (7.0, 14.0, 21.0, 28.0, 35.0, 42.0, 49.0, 56.0)


@pytest.mark.parametrize("horizons", [(1.0,), (3.0,), (7.0, 14.0, 28.0), (10.5,), (30.0, 90.0), (0.5,)])
@pytest.mark.parametrize("gap", [2, 10])
@pytest.mark.parametrize("at", [0.0, 0.6])
def test_every_horizon_is_on_it_and_it_reaches_twice_the_longest(horizons, gap, at):
    grid = Grid.of(make(shop(np.arange(0, 100, gap) + at), late=False), horizons)
    assert set(horizons) <= set(grid.days)
    assert grid.days[-1] == 2 * max(horizons)
    assert (np.diff(grid.days) > 0).all()
    assert grid.days[0] > 0
    assert (grid.days[0] < 1 / 12) == (at > 0)


def test_hours_are_on_it_where_the_log_has_clock_times():
    log = make(shop([0.4, 3.5, 6.1]), late=False)
    assert set(HOURS) <= set(Grid.of(log, (7.0,)).days)
    assert has_clock_times(log)
    assert not has_clock_times(make(shop([1, 4, 9]), late=False))


def test_a_day_log_of_another_zone_has_no_clock_times():
    offset = 5 / 24  # midnight in New York, January
    there = make(shop([1 + offset, 4 + offset]), late=False)
    assert not has_clock_times(replace(there, clock=Clock("America/New_York")))
    assert has_clock_times(there)


def test_gaps_are_between_orders_of_one_user():
    lines = shop([1, 4, 10]) + shop([4], head=0) + shop([2, 3], kind=VIEW) + shop([5, 7], user=1) + shop([50, 60], user=-1)
    assert order_gaps(make(lines, late=False)).tolist() == [3.0, 6.0, 2.0]


def test_a_shop_without_a_repeat_order_counts_in_days():
    assert Grid.of(make(shop([1]), late=False), (7.0,)).step_days == 1.0
    assert Grid.of(make(shop([1], kind=VIEW), late=False), (7.0,)).step_days == 1.0
    assert len(order_gaps(make([], end=DAY))) == 0


@pytest.mark.parametrize(("longest", "checked"), [(28.0, True), (21.0, True), (20.0, False)])
def test_the_longest_horizon_counts_as_checked_from_three_quarters_on(longest, checked):
    grid = Grid.of(make(shop([1, 4, 9]), late=False), (7.0, 28.0))
    assert replace(grid, horizons=(7.0, longest)).checked is checked
