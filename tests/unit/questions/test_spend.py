"""Spend within a horizon: every order of the window, and nothing before it has closed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.keys import Keys
from whenbuy.questions.spend import Spend

VIEW, BUY, BACK = 0, 1, 2


def label(history, cutoff, days=7.0):
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, cutoff, np.int64), history.log.users)
    return Spend(days).label(history.before(keys), history.within(keys, days))


@given(rows(), st.integers(0, 22 * DAY), st.integers(0, 3))
def test_the_label_equals_a_slow_loop(events, cutoff, lateness):
    history = replace(make(events, end=24 * DAY), lateness_days=lateness)
    sure = min(cutoff + 7 * DAY, history.end - lateness * DAY)
    found = label(history, cutoff)
    for user in range(3):
        window = [e for e in events if e[0] == user and e[3] == BUY and cutoff <= e[1] < cutoff + 7 * DAY]
        assert found.value[user] == pytest.approx(sum(e[4] for e in window if e[4] != MISSING) / 100)
    assert (found.observed == (sure == cutoff + 7 * DAY)).all()
    assert (found.end == max(sure, cutoff)).all()


def test_nobody_buying_is_an_observed_zero():
    found = label(make([(0, DAY, 0, BUY, 500, 1)], end=40 * DAY), 10 * DAY)
    assert (found.value.tolist(), found.observed.tolist()) == ([0.0] * 3, [True] * 3)


def test_only_purchases_count_and_an_unknown_amount_counts_as_nothing():
    events = [
        (0, 11 * DAY, 0, BUY, 500, 1),
        (0, 12 * DAY, 0, BUY, MISSING, 1),
        (0, 12 * DAY, 0, BACK, 300, 0),
        (0, 12 * DAY, 0, VIEW, 7, 0),
    ]
    assert label(make(events, end=40 * DAY), 10 * DAY).value[0] == 5.0


def test_it_says_what_it_is_and_asks_people():
    history = make([(0, DAY, 0, VIEW, MISSING, 0)], end=40 * DAY)
    asked = Spend(7.0)
    assert (asked.name, asked.entity, asked.horizon_days) == ("spend", "user", 7.0)
    assert asked.population(history.before(history.keys(["u0", "ghost"], 9 * DAY))).tolist() == [True, False]
