"""Trends: no more false alarms than promised, and a real fall is found where it begins."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.pipeline.reviewing.trends import LEAST, falling, trend


def test_a_fall_is_found_where_it_begins():
    rng = np.random.default_rng(0)
    score = np.where(np.arange(40) < 25, 4.5, 3.0) + rng.normal(0, 0.4, 40)
    found = trend(np.arange(40) * DAY, score)
    assert found.p_value < 1e-3
    assert found.split == 25
    assert found.since == 25 * DAY
    assert found.before > found.after + 1
    assert trend(np.arange(40) * DAY, score[::-1]).p_value > 0.99


def test_nothing_is_said_of_little():
    time = np.arange(LEAST) * DAY
    assert trend(time[1:], np.arange(LEAST - 1.0)) is None
    assert trend(time, np.full(LEAST, 5.0)) is None
    assert trend(np.zeros(LEAST, np.int64), np.arange(float(LEAST))) is None
    assert trend(time, -np.arange(float(LEAST))).tau < -0.999


def test_few_false_alarms():
    rng = np.random.default_rng(1)
    shops = [np.array([trend(np.arange(12), rng.integers(1, 6, 12).astype(float)).p_value for _ in range(40)]) for _ in range(40)]
    assert np.mean([falling(p_value).any() for p_value in shops]) < 0.25  # where nothing falls, some alarm comes in one shop of ten


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12))
def test_the_tests_that_hold_are_those_of_the_slow_rule(p_value):
    known = sorted(p for p in p_value if not math.isnan(p))
    bound = max((p for rank, p in enumerate(known, 1) if p <= 0.1 * rank / len(known)), default=-1.0)
    assert falling(np.array(p_value, float)).tolist() == [p <= bound for p in p_value]
