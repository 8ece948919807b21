"""The silence since her last act, whatever kind it was of."""

import numpy as np

from whenbuy.core.codec import decode, encode
from whenbuy.core.examples import Table
from whenbuy.models.last_act import TYPES, LastAct

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


def test_a_row_reads_the_same_in_any_company() -> None:
    np.testing.assert_array_equal(made(ROWS[1:2]).values, made().values[1:2])


def test_it_comes_back_from_a_bundle() -> None:
    arrays: dict = {}
    fitted = LastAct().fit(Table(NAMES, ROWS))
    assert decode(encode(fitted, arrays), arrays, TYPES) == fitted
