"""The spec as data: names, checks, the codec, other logs; and the arithmetic below it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.features import naive
from tests.unit.features.test_engines import EVERYTHING, KINDS, START, make_log, random_log, random_past, same
from whenbuy import features as f
from whenbuy.core import codec
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError, SettingsError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Column, Dictionary, EventLog
from whenbuy.features import lanes


def test_names_spell_what_is_measured():
    assert f.Count("view", "7d").name == "view_count_7d"
    assert f.Count().name == "event_count"
    assert f.Orders("28d").name == "orders_28d"
    assert f.Sum("amount", window="4w", where=("category", "MEAT")).name == "purchase_amount_sum_category_MEAT_4w"
    assert f.Rate(f.Count("click"), f.Count("view")).name == "click_count_per_view_count"
    assert f.Gaps("mean").name == "purchase_gap_mean_days"
    assert f.Decayed("view", 0.5).name == "view_decay_0.5d"
    assert f.Sum("amount", name="spend").name == "spend"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: f.Count(window="30"), lambda: f.Count(window="0d"), lambda: f.Orders("-1d"), lambda: f.Orders("1m"),
        lambda: f.Decayed("view", 0), lambda: f.Decayed("view", math.inf), lambda: f.Gaps("median"), lambda: f.Calendar("moon"),
        lambda: f.Payday(()), lambda: f.Payday((32,)), lambda: f.Holiday(("Christmas",)), lambda: f.Context("channel", ("a", "a")),
        lambda: f.BigOrder("median"), lambda: f.Weekdays(f.Orders("7d", where=("hour", "night"))),
        lambda: f.Features((f.Count("view"), f.Count("view"))),
    ],
)  # fmt: skip
def test_a_wrong_spec_is_refused_when_it_is_made(wrong):
    with pytest.raises(SettingsError):
        wrong()


def test_a_feature_made_of_what_is_not_measured_is_refused():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=False)
    chain = (f.Recency(name="a"), f.Tenure(name="b"), f.Over("a", "b", name="c"), f.Over("c", "a", name="d"))
    for wrong in ((f.Recency(), f.Over("event_recency_days", "gap")), chain):
        with pytest.raises(SettingsError, match="not measured"):
            f.Features(wrong).compile(log, Clock())


def test_a_spec_is_data():
    arrays: dict[str, np.ndarray] = {}
    plain = codec.encode(EVERYTHING, arrays)
    assert codec.decode(plain, arrays, f.TYPES) == EVERYTHING
    assert not arrays


def test_a_column_of_the_wrong_sort_is_refused():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=False)
    for wrong in (f.Sum("category"), f.Last("category"), f.Context("amount", ("x",)), f.Count(where=("amount", "1"))):
        with pytest.raises(ColumnError):
            f.Features((wrong,)).compile(log, Clock())


def test_a_program_refuses_what_it_was_not_compiled_for():
    rng = np.random.default_rng(0)
    log, other = (random_log(rng, 2, 20, late=False, heads=False) for _ in range(2))
    past = random_past(rng, History(log), 3)
    with pytest.raises(UsageError):
        f.sweep(past, EVERYTHING.compile(other, Clock()))
    items = History(log).before(Keys("item", np.zeros(1, np.int32), np.array([START]), log.users))
    with pytest.raises(UsageError):
        EVERYTHING.table(items)


def test_a_spec_reads_another_log_by_names_not_codes():
    rng = np.random.default_rng(1)
    log = random_log(rng, 3, 200, late=True, heads=True)
    kinds = ("new", *reversed(KINDS))
    kind = np.array([kinds.index(name) for name in KINDS], np.uint8)[log.kind]
    code = np.array([2, 0, 1, -1], np.int32)[log.columns["category"].values]
    columns = dict(log.columns) | {
        "category": Column(code, Dictionary.of(["fish", "bread", "meat"])),
        "amount": log.columns["amount"],
        "more": Column(rng.integers(0, 9, len(log))),
    }
    other = EventLog(log.users, kinds, log.offsets, log.known_at, log.time, kind, columns, log.end, log.by_time)
    past = random_past(rng, History(log), 30)
    same(EVERYTHING.table(History(other).before(past.keys)).values, EVERYTHING.table(past).values, EVERYTHING.names)


def test_equal_needs_share_their_lanes():
    log = random_log(np.random.default_rng(0), 2, 20, late=False, heads=False)
    spec = f.Features((f.Orders("7d"), f.Count("purchase", "7d"), f.Orders("28d"), f.Frequency(), f.Mean("amount"), f.Deviation("amount")))
    code = spec.compile(log, Clock()).code
    assert code.width == 2 + 2 + 2  # orders and purchases; sum and known; squares in two parts
    assert code.windows.tolist() == [7 * DAY, 28 * DAY]


@pytest.mark.parametrize("columns", [{}, {"amount": 100, "unit_price": 100}])
def test_default_features_fit_the_log(columns):
    n = 50
    rng = np.random.default_rng(2)
    time = START + np.sort(rng.integers(0, 99 * DAY, n))
    log = make_log(2, np.sort(rng.integers(0, 2, n)), time, time, rng.integers(0, 4, n),
                   {name: Column(rng.integers(0, 900, n), None, scale) for name, scale in columns.items()})  # fmt: skip
    spec = f.default_features(log)
    wanted = {"recency_days", "frequency", "tenure_days", "event_recency_days", "event_tenure_days", "gap_mean_days", "gap_deviation_days"}
    wanted |= {f"orders_{days}d" for days in (7, 14, 28, 56, 84, 365)} | {f"orders_decay_{days}d" for days in (4, 8, 16, 32, 64, 128)}
    wanted |= {"gap_last_days", "weekday_sin", "weekday_cos", "view_count_7d", "refund_count_84d", "orders_per_view_84d"}
    money = {"first_amount", "last_amount", "mean_amount", "spend_28d", "spend_84d", "spend_365d"}
    assert wanted <= set(spec.names)
    assert money.isdisjoint(spec.names) if not columns else money <= set(spec.names)
    past = History(log).before(History(log).keys())
    same(spec.table(past).values, naive.table(past, spec), spec.names)


def test_kinds_stand_in_one_order_whatever_that_of_the_log():
    rng = np.random.default_rng(3)
    log = random_log(rng, 2, 90, late=False, heads=False)
    names = ("zebra", "purchase", "click", "ant")
    there, back = (EventLog(log.users, kinds, log.offsets, log.known_at, log.time, kind, log.columns, log.end) for kinds, kind in (
        (names, log.kind), (names[::-1], 3 - log.kind)))  # fmt: skip
    assert f.default_features(there) == f.default_features(back)
    kinds = [name.removesuffix("_count_7d") for name in f.default_features(there).names if name.endswith("_count_7d")]
    assert kinds == ["click", "ant", "zebra"]


def test_the_rhythm_fits_the_log_and_stands_beside_the_default_features():
    log = random_log(np.random.default_rng(2), 3, 300, late=True, heads=True)
    spec = f.Features((*f.default_features(log).spec, *f.rhythm_features(log)))
    assert {"days_decay_64d_on_weekday_in_0d", "days_decay_64d_on_weekday_in_6d", "spend_decay_16d", "big_amount_order_share"} <= set(
        spec.names
    )
    past = History(log, Clock("Europe/Berlin")).before(History(log).keys())
    table = spec.table(past)
    same(table.values, naive.table(past, spec), spec.names)
    week = sum(table.column(f"days_decay_64d_on_weekday_in_{days}d") for days in range(7))
    np.testing.assert_allclose(week, table.column("days_decay_64d"), rtol=1e-5)
    bare = EventLog(
        log.users, ("view", "search", "refund", "curious"), log.offsets, log.known_at, log.time, log.kind, {}, log.end, log.by_time
    )
    assert f.Features(f.rhythm_features(bare)).names == tuple(f"orders_decay_64d_on_weekday_in_{days}d" for days in range(7))


def test_big_orders_by_hand():
    time = START + np.arange(5) * DAY
    amounts = np.array([300, 400, 100, MISSING, 900])
    log = make_log(1, np.zeros(5, np.int64), time, time, np.ones(5), {"amount": Column(amounts, None, 100)})
    spec = f.Features((f.BigOrder("recency"), f.BigOrder("share")))
    cutoffs = START + np.array([1, 2, 4, 5]) * DAY
    past = History(log).before(Keys("user", np.zeros(4, np.int32), cutoffs, log.users))
    np.testing.assert_allclose(spec.table(past).values, [[np.nan, 0], [1, 1 / 2], [3, 1 / 3], [1, 2 / 4]], rtol=1e-6)


def test_an_affinity_and_a_price_level_by_hand():
    columns = {
        "category": Column(np.array([0, 0, 1, -1], np.int32), Dictionary.of(["meat", "fish"])),
        "unit_price": Column(np.array([200, 400, 900, 100]), None, 100),
    }
    time = START + np.arange(4) * DAY
    log = make_log(1, np.zeros(4, np.int64), time, time, np.ones(4), columns)
    past = History(log).before(Keys("user", np.zeros(1, np.int32), np.array([START + 4 * DAY]), log.users))
    spec = f.Features((f.Share(("category", "meat")), f.Mean("unit_price", window="2d"), f.Recency("purchase"), f.Decayed("purchase", 1)))
    meat, price, recency, rate = spec.table(past).values[0]
    assert (meat, price, recency) == (0.5, 5.0, 1.0)
    assert rate == pytest.approx(math.log(2) * (1 / 2 + 1 / 4 + 1 / 8 + 1 / 16))


@given(st.floats(0, 1100))
def test_halving_is_a_power_of_two(x):
    assert lanes.halve(x) == pytest.approx(2.0**-x, rel=4e-16, abs=1e-307)
    assert lanes.halve(x) == naive.halve(x)


def test_halving_whole_numbers_is_exact():
    assert [lanes.halve(float(k)) for k in range(1000)] == [2.0**-k for k in range(1000)]


@given(st.integers(-(2**47) + 1, 2**47 - 1))
def test_squares_are_exact(x):
    high, low = lanes.square(x)
    assert high * 2**32 + low == x * x
    assert 0 <= low < 2**32


@given(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=50), st.integers(-(2**46), 2**46))
def test_the_deviation_loses_nothing_to_cancellation(values, shift):
    values = [value + shift for value in values]
    parts = [lanes.square(value) for value in values]
    ours = lanes.deviation(len(values), sum(values), sum(high for high, _ in parts), sum(low for _, low in parts))
    mean = Fraction(sum(values), len(values))
    exact = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    assert ours == pytest.approx(math.sqrt(exact), rel=1e-14, abs=1e-7)
