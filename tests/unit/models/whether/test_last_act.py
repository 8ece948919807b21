"""The silence since her last act, whatever kind it was of."""

import numpy as np
import pytest

from whenbuy.core.codec import decode, encode
from whenbuy.core.examples import Table
from whenbuy.models.whether.last_act import TYPES, FittedLastAct, LastAct

NAMES = (
    "recency_days", "event_recency_days", "event_tenure_days", "orders_84d", "view_count_84d", "view_recency_days", "opened_count_84d",
    "opened_recency_days", "shown_recency_days", "delivered_late_recency_days", "day_recency_days",
)  # fmt: skip
NAN = np.nan
ROWS = np.array(
    [
        [20.0, 1.0, 80.0, 4.0, 6.0, 12.0, 2.0, 5.0, 1.0, 19.0, 20.0],  # opened a message five days ago; another came since
        [NAN, 3.0, 30.0, 0.0, 2.0, 10.0, 0.0, NAN, 3.0, NAN, NAN],
        [NAN, NAN, NAN, 0.0, 0.0, NAN, 0.0, NAN, NAN, NAN, NAN],  # nobody
    ],
    np.float32,
)


def made(rows: np.ndarray = ROWS) -> Table:
    table = Table(NAMES, ROWS)
    return LastAct().fit(table).apply(Table(NAMES, rows))


def test_it_is_the_latest_of_what_she_does_herself() -> None:
    np.testing.assert_array_equal(made().column("act_recency_days"), [5.0, 10.0, NAN])


def test_what_came_after_it_is_told_by_kind() -> None:
    np.testing.assert_array_equal(made().column("shown_since_act_days"), [4.0, 7.0, NAN])
    np.testing.assert_array_equal(made().column("delivered_late_since_act_days"), [-14.0, NAN, NAN])
    assert {name for name in made().names if name.endswith("_since_act_days")} == {"shown_since_act_days", "delivered_late_since_act_days"}


def test_acts_are_missed_by_her_own_rate() -> None:
    usual = 14 / 110
    expected = [5 * (12 + 1) / (75 + 1 / usual), 10 * (2 + 1) / (20 + 1 / usual), NAN]
    np.testing.assert_allclose(made().column("acts_missed"), expected, rtol=1e-5)


def test_the_chance_of_silence_is_that_of_many_customers_drawn() -> None:
    """Rates and chances drawn from what is lent, and only those kept who did in their past what she did: so many of them are silent."""
    rng = np.random.default_rng(0)
    names = (*NAMES, "visits", "shown_count", "opened_count", "shown_count_28d")
    row = np.array([[40.0, 1.0, 80.0, 4.0, 6.0, 40.0, 2.0, 40.0, 1.0, 19.0, 20.0, 3.0, 20.0, 4.0, 7.0]], np.float32)
    usual = FittedLastAct(LastAct(), 0.1, 0.05, 0.2)
    told = usual.apply(Table(names, row))
    rate = rng.gamma(2.0, 1 / (2.0 / 0.05), 2_000_000)
    likely = np.exp(-rate * 40) * rate**3
    assert told.column("silent_visits_log")[0] == pytest.approx(np.log(np.average(np.exp(-rate * 40), weights=likely)), abs=0.01)
    assert told.column("ahead_visits_log")[0] == pytest.approx(np.log(np.average(np.exp(-rate * 28), weights=likely)), abs=0.01)
    chance = rng.beta(0.8, 3.2, 2_000_000)
    likely = chance**4 * (1 - chance) ** 6
    assert told.column("silent_messages_log")[0] == pytest.approx(np.log(np.average((1 - chance) ** 10, weights=likely)), abs=0.01)
    parts = told.column("silent_visits_log") + told.column("silent_messages_log")
    assert told.column("silent_log") == pytest.approx(parts, rel=1e-5)
    nobody = usual.apply(Table(names, np.full((1, len(names)), NAN, np.float32)))
    assert np.isnan(nobody.column("silent_log")).all()


def test_a_row_reads_the_same_in_any_company() -> None:
    np.testing.assert_array_equal(made(ROWS[1:2]).values, made().values[1:2])


def test_it_comes_back_from_a_bundle() -> None:
    arrays: dict = {}
    fitted = LastAct().fit(Table(NAMES, ROWS))
    assert decode(encode(fitted, arrays), arrays, TYPES) == fitted
