"""Churn is the survival of the activity curve at a horizon of her own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.lapse import Lapse, own_days
from whenbuy.core.log import Dictionary

DAYS = np.array([7.0, 14.0, 28.0, 56.0])


def activity(rates) -> TimeToEvent:
    n = len(rates)
    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))
    return TimeToEvent.of(keys, DAYS, np.exp(-np.array(rates)[:, None] * DAYS), None, "test")


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.one_of(st.floats(0.1, 60.0), st.just(float("nan")))), min_size=1, max_size=6))
def test_the_chance_is_the_survival_at_her_own_horizon(rows):
    rates, gaps = (np.array(column) for column in zip(*rows, strict=True))
    found = Lapse.of(activity(rates), gaps, 56.0)
    for row, (rate, gap) in enumerate(rows):
        days = 56.0 if np.isnan(gap) else min(max(3 * gap, 7.0), 56.0)
        assert found.days[row] == pytest.approx(days)
        assert found.chance[row] == pytest.approx(np.exp(-rate * days))
    assert found.take(np.array([0])).days.tolist() == found.days[:1].tolist()
    assert found.frame().columns == ["user_id", "as_of", "probability", "days"]


def test_nobody_is_asked_beyond_what_the_curve_knows():
    assert own_days(np.array([1.0, 100.0]), 5.0).tolist() == [5.0, 5.0]


def test_a_horizon_for_each_key_is_needed():
    told = Lapse.of(activity([0.1, 0.2]), np.array([3.0, 4.0]), 56.0)
    with pytest.raises(WhenbuyError, match="horizon of each key"):
        Lapse(told.keys, told.chance, "test", days=np.array([7.0]))
