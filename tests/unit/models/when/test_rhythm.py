"""The rhythm: weekday rates and renewals against slow formulas, and what they say where little is known."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Table
from whenbuy.models.when.rhythm import OF_DAYS, OF_ORDERS, TYPES, Columns, Rhythm

WEEKLY = tuple(f"orders_decay_64d_on_weekday_in_{i}d" for i in range(7))


def rows(n=400, seed=0, today=2, **columns) -> Table:
    """Customers with orders on their own weekdays; ``today`` is the weekday of the cutoff, Monday 0."""
    rng = np.random.default_rng(seed)
    orders = rng.exponential(0.03, (n, 7))
    made = {
        "tenure_days": rng.uniform(30, 300, n), "recency_days": rng.exponential(6, n), "frequency": rng.poisson(8, n) * 1.0,
        "gap_mean_days": rng.gamma(4, 2.5, n), "gap_deviation_days": rng.gamma(4, 2, n), "orders_decay_32d": orders.sum(axis=1),
        "weekday_sin": np.full(n, np.sin(2 * np.pi * today / 7)), "weekday_cos": np.full(n, np.cos(2 * np.pi * today / 7)),
        **{name: orders[:, i] for i, name in enumerate(WEEKLY)}, **columns,
    }  # fmt: skip
    return examples(made).table


def slow_weekday(fitted, table, row, days):
    """P(she buys within so many days) by her weekdays, day by day and week by week."""
    value = {name: float(table.column(name)[row]) for name in table.names}
    today = round(np.arctan2(value["weekday_sin"], value["weekday_cos"]) / (2 * np.pi) * 7) % 7
    events, watched = [], []
    for ahead in range(7):
        events.append(value[WEEKLY[ahead]] * 64 / np.log(2))
        age, seen = 7 - ahead, 0.0
        while age <= value["tenure_days"]:
            seen, age = seen + 0.5 ** ((age - 0.5) / 64), age + 7
        watched.append(seen)
    often = (sum(events) + 7 * fitted.rate[0]) / (sum(watched) + 7)
    hazard = 0.0
    for day in range(int(days)):
        ahead = day % 7
        hazard += (events[ahead] + 4 * often * fitted.profile[0][(today + ahead) % 7]) / (watched[ahead] + 4)
    return 1 - np.exp(-hazard)


def slow_renewal(fitted, mean, shape, silence, days):
    """P(a gamma gap that has lasted so long ends within so many days), by integrating its density."""
    density = gamma(shape, scale=mean / shape).pdf
    ends = quad(density, silence, silence + days)[0]
    return ends / (ends + quad(density, silence + days, np.inf)[0])


def test_weekday_chances_equal_a_slow_loop():
    fitted, asked = Rhythm().fit(rows()), rows(20, seed=1, today=5)
    made = fitted.apply(asked)
    for days in (1, 3, 7, 14, 28):
        slow = [slow_weekday(fitted, asked, row, days) for row in range(20)]
        assert made.column(f"orders_decay_64d_on_weekdays_p_{days}d") == pytest.approx(slow, rel=1e-5)


def test_renewal_chances_equal_the_integral():
    fitted, asked = Rhythm().fit(rows()), rows(20, seed=1)
    made = fitted.apply(asked)
    gaps, shape = asked.column("frequency"), made.column("gap_shape")
    mean = (asked.column("gap_mean_days") * gaps + 2 * fitted.gap) / (gaps + 2)
    for days in (1.0, 7.0, 28.0):
        slow = [slow_renewal(fitted, *line, days) for line in zip(mean, shape, asked.column("recency_days"), strict=True)]
        assert made.column(f"gap_renewal_p_{days:g}d") == pytest.approx(slow, rel=1e-4)
    assert made.column("gap_silence_ratio") == pytest.approx(asked.column("recency_days") / mean, rel=1e-5)


def test_regular_gaps_make_a_due_order_likely_and_irregular_ones_do_not():
    base = {"recency_days": [9.0, 9.0], "gap_mean_days": [10.0, 10.0], "gap_deviation_days": [1.0, 12.0], "frequency": [60.0, 60.0]}
    asked = examples({**base, "tenure_days": [609.0, 609.0]}).table
    made = Rhythm(columns=Columns((), (), "gap", "recency_days", "frequency")).fit(rows()).apply(asked)
    regular, irregular = made.column("gap_renewal_p_3d")
    assert regular > 2 * irregular


def test_the_profile_is_that_of_the_shops_own_weekdays():
    """All buy on Saturdays; the table was learned on a Wednesday and is asked on a Friday."""
    saturday = {name: np.full(300, 0.1 if i == 3 else 0.0) for i, name in enumerate(WEEKLY)}
    fitted = Rhythm().fit(rows(300, today=2, **saturday))
    assert int(np.argmax(fitted.profile[0])) == 5
    nothing = {name: np.zeros(2) for name in WEEKLY}
    made = fitted.apply(rows(2, today=4, tenure_days=np.array([0.5, 0.5]), **nothing))
    one, two = (made.column(f"orders_decay_64d_on_weekdays_p_{days}d")[0] for days in (1, 2))
    assert two > 10 * one


def test_a_newcomer_reads_as_everybody():
    fitted = Rhythm().fit(rows())
    fresh = examples({"tenure_days": [0.0], "recency_days": [0.0], "frequency": [0.0]}).table
    made = fitted.apply(fresh)
    assert made.column("orders_decay_64d_on_weekdays_p_7d")[0] == pytest.approx(1 - np.exp(-7 * fitted.rate[0]), rel=0.05)
    assert made.column("orders_decay_32d_silence_ratio")[0] == 0


def test_of_a_stranger_nothing_is_said():
    fitted = Rhythm().fit(rows())
    asked = rows(3)
    values = asked.values.copy()
    values[1] = np.nan
    made = fitted.apply(Table(asked.names, values)).values[:, len(asked.names) :]
    assert np.isnan(made[1]).all()
    assert np.isfinite(made[[0, 2]]).all()


def test_rows_do_not_depend_on_each_other():
    fitted, asked = Rhythm().fit(rows()), rows(50, seed=3)
    whole = fitted.apply(asked).values
    for part in (slice(0, 1), slice(7, 20), np.array([49, 3])):
        assert np.array_equal(fitted.apply(asked.take(part)).values, whole[part])


def test_absurd_numbers_stay_numbers():
    asked = rows(40)
    values = asked.values.copy()
    values[::3] = np.float32(3e38)
    values[1::3] = np.float32(-3e38)
    fitted = Rhythm().fit(Table(asked.names, values))
    made = fitted.apply(Table(asked.names, values)).values[:, len(asked.names) :]
    assert np.isfinite(made).all()
    assert np.isfinite(Rhythm().fit(asked.take(slice(0, 0))).apply(asked).values).all()


def test_order_days_are_read_where_the_table_tells_of_them():
    """The same numbers under the names of order days say the same; those of orders are then left alone."""
    orders = rows(50)
    names = {"recency_days": "day_recency_days", "frequency": "day_frequency", "gap_mean_days": "day_gap_mean_days",
             "gap_deviation_days": "day_gap_deviation_days"}  # fmt: skip
    days = Table(tuple(names.get(name, name.replace("orders_", "days_")) for name in orders.names), orders.values)
    short = tuple(name.replace("64d", "28d") for name in days.names if "64d_on" in name)
    days = days.beside(Table(short, np.stack([days.column(name.replace("28d", "64d")) for name in short], axis=1)))
    fitted, plain = Rhythm().fit(days), Rhythm().fit(orders)
    assert (fitted.columns, plain.columns) == (OF_DAYS, OF_ORDERS)
    made, usual = fitted.apply(days), plain.apply(orders)
    for name in usual.names[len(orders.names) :]:
        renamed = f"day_{name}" if name.startswith("gap") else name.replace("orders_", "days_")
        np.testing.assert_array_equal(made.column(renamed), usual.column(name))
    assert "days_decay_28d_on_weekdays_p_7d" in made.names
    others = tuple(name for name in orders.names if name not in days.names)
    both = days.beside(Table(others, np.full((50, len(others)), 7, np.float32)))
    np.testing.assert_array_equal(Rhythm().fit(both).apply(both).values[:, len(both.names) :], made.values[:, len(days.names) :])
    assert stored(fitted, TYPES) == fitted


def test_it_survives_storage_and_refuses_what_makes_no_sense():
    fitted = Rhythm(days=(7.0,)).fit(rows())
    assert stored(fitted, TYPES) == fitted
    with pytest.raises(UsageError, match="above 0"):
        Rhythm(days=(0.0,))
    with pytest.raises(UsageError, match="orders_7d"):
        Columns(("orders_7d",), (), "gap", "recency_days", "frequency")
