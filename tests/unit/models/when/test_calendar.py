"""Offers that run or are announced move the customers' curves on their days, by what was known on the day of the forecast."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.profile import Profile
from whenbuy.ingest.simulate import simulate
from whenbuy.models.series.promoted import NOTHING, Lifts, Promoted, signals
from whenbuy.models.when.calendar import Calendar

START = Clock().instant("2024-03-01")
TWICE = Promoted(np.array([1.0, 0.0]), 0.8)  # 2 ** 1 while one offer runs, beside a usual day of .8


def offers(*begins, days=3, told=10):
    utc = pl.Datetime("us", "UTC")

    def at(shift):
        return pl.Series([START + (begin + shift) * DAY for begin in begins], dtype=pl.Int64).cast(utc)

    table = pl.DataFrame({"id": [f"o{i}" for i in range(len(begins))], "valid_from": at(-told), "begins": at(0), "ends": at(days)})
    return Profile("offer", table)


def curves(read_at, grid):
    n = len(read_at)
    keys = Keys("user", np.arange(n, dtype=np.int32), np.asarray(read_at, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))
    fallen = np.outer(0.01 * np.arange(1, n + 1), grid)
    return TimeToEvent.of(keys, np.asarray(grid, float), np.exp(-fallen), 2 * fallen, "constant")


def test_an_announced_offer_quickens_its_days_and_the_others_are_slower_than_a_usual_one():
    found = Calendar(TWICE, offers(2), Clock()).apply(curves([START], [1.0, 2.0, 3.0, 5.0, 6.0]))
    hazard = np.diff(-np.log(found.survival[0]), prepend=0.0)
    np.testing.assert_allclose(hazard, 0.01 / 0.8 * np.array([1, 1, 2, 4, 1]))
    np.testing.assert_allclose(np.diff(found.mean_count[0], prepend=0.0), 2 * hazard)


def test_an_offer_told_today_is_known_tomorrow():
    found = Calendar(TWICE, offers(12, told=12), Clock()).apply(curves([START + DAY // 2, START + DAY], [20.0]))
    np.testing.assert_allclose(-np.log(found.survival[:, 0]), [0.2 / 0.8, 0.4 * (17 + 3 * 2) / 20 / 0.8])


def test_each_curve_is_moved_as_if_alone_by_the_mean_factor_of_each_bin():
    rng, grid = np.random.default_rng(1), np.array([0.25, 1.0, 7.0, 28.0])
    table, clock = offers(5, 17, 28, 45), Clock("Europe/Berlin")  # its clock changes on day 30
    plain = curves(START + rng.integers(0, 40 * DAY, 50), grid)
    calendar = Calendar(TWICE, table, clock)
    found = calendar.apply(plain)
    for i, at in enumerate(plain.keys.cutoff.tolist()):
        alone = calendar.one(plain.survival[i], plain.mean_count[i], at, grid)
        np.testing.assert_array_equal(alone[0], found.survival[i])
        np.testing.assert_array_equal(alone[1], found.mean_count[i])
        day = int(clock.days(np.array([at]))[0])
        midnights = clock.midnights(np.arange(day, day + 31))
        factor = TWICE.factors(signals(table, int(midnights[0]), midnights[:-1]))
        edges, slow = at + np.concatenate([[0.0], grid]) * DAY, np.zeros(4)
        for place, (low, high) in enumerate(pairwise(edges)):
            parts = np.clip(np.minimum(midnights[1:], high) - np.maximum(midnights[:-1], low), 0, None)
            slow[place] = (parts * factor).sum() / (high - low)
        hazard = np.diff(-np.log(plain.survival[i]), prepend=0.0) * slow
        np.testing.assert_allclose(-np.log(found.survival[i]), np.cumsum(hazard), rtol=1e-7)
        np.testing.assert_allclose(found.mean_count[i], 2 * np.cumsum(hazard), rtol=1e-7)


def test_what_offers_did_is_learned_from_the_orders_of_customers():
    history = simulate(1200, 300, 3).history
    learned = Lifts.of_orders(history).learned(history.end)
    assert learned.effects[1] < -0.3  # discounts: elasticities lie between .4 and 2
    assert 1.0 < learned.usual < 1.2
    assert Lifts.of_orders(history).learned(history.log.start + 40 * DAY) is NOTHING  # one campaign


@pytest.mark.parametrize(
    "told",
    [
        None,
        Profile("offer", pl.DataFrame({"id": ["a"], "kind": ["b"]}), timeless=True),
        Profile("offer", pl.DataFrame({"id": ["a"], "ends": ["soon"]}), timeless=True),
    ],
)
def test_a_shop_that_dates_no_offers_learns_nothing(told):
    log = simulate(50, 100, 3).history
    history = History(log.log, log.clock, log.users, log.items, told, log.lateness_days)
    assert Lifts.of_orders(history).learned(history.end) is NOTHING
