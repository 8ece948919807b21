"""Order days: orders of one user on one day of the shop count once, in every engine."""

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.unit.features import naive
from tests.unit.features.test_engines import START, check, make_log, random_log, random_past, same
from whenbuy import features as f
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import ORDERS, Column

HOUR = DAY // 24
GAPS = tuple(f.Gaps(part, once_a_day=True) for part in ("mean", "deviation", "last", "number", "open"))
DAYS = f.Features((*GAPS, f.Decayed("purchase", 1, once_a_day=True), f.Decayed("purchase", 1), f.Gaps("number")))


def orders(time, known_at=None, heads=None):
    """The orders of one user."""
    time = np.asarray(time, np.int64)
    known_at = time if known_at is None else np.asarray(known_at, np.int64)
    columns = {} if heads is None else {ORDERS: Column(np.asarray(heads))}
    return make_log(1, np.zeros(len(time), np.int64), known_at, time, np.ones(len(time)), columns)


def past_of(log, cutoffs, zone="UTC"):
    cutoffs = np.asarray(cutoffs, np.int64)
    return History(log, Clock(zone)).before(Keys("user", np.zeros(len(cutoffs), np.int32), cutoffs, log.users))


def measured(log, cutoffs, zone="UTC", spec=DAYS):
    """The columns, after a look whether all engines and the twin agree."""
    past = past_of(log, cutoffs, zone)
    check(past, spec)
    table = spec.table(past)
    return {name: table.column(name) for name in spec.names}


def test_order_days_by_hand():
    """Day 0 at 8 and 20 h, day 1 at 8 h (two lines), day 4 at 8, 9 and 10 h; read at midnight after days 0, 1 and 4."""
    time = START + np.array([8, 20, 32, 32, 104, 105, 106]) * HOUR
    got = measured(orders(time, heads=[1, 1, 1, 0, 1, 1, 1]), START + np.array([1, 2, 5]) * DAY)
    np.testing.assert_array_equal(got["purchase_day_gap_number"], [0, 1, 2])
    np.testing.assert_array_equal(got["purchase_gap_number"], [1, 2, 5])
    np.testing.assert_array_equal(got["purchase_day_gap_mean_days"], [np.nan, 1, 2])
    np.testing.assert_array_equal(got["purchase_day_gap_last_days"], [np.nan, 1, 3])
    np.testing.assert_allclose(got["purchase_day_gap_deviation_days"], [np.nan, np.nan, math.sqrt(2)])
    np.testing.assert_allclose(got["purchase_day_gap_open_days"], np.full(3, 16 / 24), rtol=1e-6)
    rest = 0.5 ** (16 / 24) * math.log(2)
    np.testing.assert_allclose(got["purchase_days_decay_1d"], [rest, 1.5 * rest, (1.5 / 8 + 1) * rest], rtol=1e-6)


def test_a_single_order_and_none():
    got = measured(orders([START + HOUR]), [START, START + HOUR, START + DAY])
    np.testing.assert_array_equal(got["purchase_day_gap_number"], [0, 0, 0])
    np.testing.assert_allclose(got["purchase_day_gap_open_days"], [np.nan, np.nan, 23 / 24], rtol=1e-6)
    assert np.isnan(got["purchase_day_gap_mean_days"]).all()


def test_orders_at_one_instant_count_once():
    got = measured(orders([START, START, START, START + DAY - 1, START + DAY]), [START + 2 * DAY])
    assert got["purchase_day_gap_number"] == 1
    assert got["purchase_gap_number"] == 4


def test_a_late_order_counts_only_after_the_last_day_that_did():
    """Known in this order: day 5, day 3 (late), day 5 again, day 7 (a day late), day 8."""
    day = START + np.array([5, 3, 5, 7, 8]) * DAY
    known = START + np.array([5.0, 6.0, 6.5, 8.0, 8.5]) * DAY
    got = measured(orders(day, known), known.astype(np.int64) + 1)
    np.testing.assert_array_equal(got["purchase_day_gap_number"], [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(got["purchase_day_gap_last_days"], [np.nan, np.nan, np.nan, 2, 1])


@pytest.mark.parametrize(("zone", "days"), [("UTC", 2), ("Europe/Berlin", 1), ("America/New_York", 2)])
def test_days_are_those_of_the_shop(zone, days):
    """23:30 and 00:30 UTC: one day in Berlin; 18:30 and 19:30 of one day in New York, then 13 hours later."""
    time = START + np.array([23 * HOUR + HOUR // 2, 24 * HOUR + HOUR // 2, 24 * HOUR + 13 * HOUR + HOUR // 2])
    got = measured(orders(time), [START + 3 * DAY], zone)
    assert got["purchase_day_gap_number"] + 1 == days


@pytest.mark.parametrize(
    ("zone", "day"), [("Europe/Berlin", "2020-03-29"), ("Europe/Berlin", "2020-10-25"), ("America/New_York", "2020-11-01")]
)
def test_days_of_23_and_25_hours_count_once(zone, day):
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    begin, end = (int(moment.timestamp()) * 1_000_000 for moment in (midnight, midnight + timedelta(days=1)))
    assert end - begin in (23 * HOUR, 25 * HOUR)
    time = [begin - 1, *range(begin, end, HOUR), end - 1, end]
    assert measured(orders(time), [end, end + 1], zone)["purchase_day_gap_number"].tolist() == [1, 2]


def test_a_filter_asks_about_the_order_that_counts():
    spec = f.Features((f.Weekdays(f.Decayed("purchase", 28, once_a_day=True)), f.Decayed("purchase", 28, once_a_day=True)))
    rng = np.random.default_rng(0)
    log = random_log(rng, 4, 600, late=True, heads=True)
    past = random_past(rng, History(log, Clock("America/New_York")), 60)
    check(past, spec)
    values = spec.table(past).values
    np.testing.assert_allclose(values[:, :7].sum(axis=1), values[:, 7], rtol=1e-5)


def test_a_spec_without_days_is_compiled_as_before():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=True)
    program = f.Features((f.Gaps("mean"), f.Decayed("purchase", 4))).compile(log, Clock())
    assert program.parts == ()
    assert len(program.code.folds) == 2
    assert len(DAYS.compile(log, Clock()).code.folds) == 5  # one gate, two behind it, two that pass it by


def test_days_of_a_sum_are_refused():
    with pytest.raises(SettingsError, match="once a day"):
        f.Decayed("purchase", 4, "amount", once_a_day=True)


def names_of(log, zone="UTC"):
    return set(f.Features(f.rhythm_features(log, Clock(zone))).names)


def test_the_rhythm_is_of_days_where_orders_share_them():
    apart = START + np.arange(100) * DAY
    assert "orders_decay_64d_on_weekday_in_0d" in names_of(orders(apart))
    assert "days_decay_64d" not in names_of(orders(np.append(apart, apart[:2])))
    shared = names_of(orders(np.append(apart, apart[:3])))
    assert not any(name.startswith("orders_") for name in shared)
    assert {f"days_decay_{days}d" for days in (2, 4, 8, 16, 28, 32, 64, 128)} <= shared
    assert {f"days_decay_{days}d_on_weekday_in_{ahead}d" for days in (28, 64) for ahead in range(7)} <= shared
    assert {"day_gap_mean_days", "day_gap_deviation_days", "day_gap_last_days", "day_recency_days", "day_frequency"} <= shared


def test_lines_of_one_order_do_not_share_a_day_and_the_shops_midnight_parts_them():
    time = START + np.repeat(np.arange(50), 2) * DAY + np.tile([22, 23], 50) * HOUR
    assert "days_decay_64d" in names_of(orders(time))
    assert "days_decay_64d" not in names_of(orders(time, heads=np.tile([1, 0], 50)))
    assert "days_decay_64d" not in names_of(orders(time, heads=np.tile([1, 0], 50)), "Europe/Berlin")
    beside = START + np.repeat(np.arange(50) * 2, 2) * DAY + np.tile([22, 24], 50) * HOUR + HOUR // 2
    assert "days_decay_64d" not in names_of(orders(beside))
    assert "days_decay_64d" in names_of(orders(beside), "Europe/Berlin")
    assert "orders_decay_64d_on_weekday_in_0d" in names_of(orders([]))


def test_the_rhythm_of_days_in_every_engine_and_blind_to_the_future():
    rng = np.random.default_rng(2)
    log, clock = random_log(rng, 6, 900, late=True, heads=True), Clock("Europe/Berlin")
    spec = f.Features((*f.default_features(log).spec, *f.rhythm_features(log, clock)))
    assert "day_frequency" in spec.names
    check(random_past(rng, History(log, clock), 40), spec)
    cutoff = int(np.median(log.known_at))
    keys = History(log, clock).keys(as_of=cutoff)
    whole, cut = (spec.table(History(seen, clock).before(keys)).values for seen in (log, log.cut(cutoff)))
    same(whole, cut, spec.names)
    same(whole, naive.table(History(log, clock).before(keys), spec), spec.names)
