"""Ladders: quantiles by what was expected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whenbuy.models.how_much.ladder import Ladder, without_crossings

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


def test_each_step_holds_the_quantiles_of_its_own_rows():
    rng = np.random.default_rng(0)
    expected = rng.uniform(1, 100, 40_000)
    came = expected * rng.gamma(2, 0.5, len(expected))
    ladder = Ladder.learn(expected, came, np.ones(len(came)), LEVELS)
    asked = rng.uniform(5, 95, 20_000)
    then = asked * rng.gamma(2, 0.5, len(asked))
    assert (then[:, None] <= ladder.read(asked)).mean(axis=0) == pytest.approx(LEVELS, abs=0.02)
    assert ladder.read(np.array([1000.0]))[0] == pytest.approx(10 * ladder.read(np.array([100.0]))[0], rel=0.05)


def test_few_rows_make_one_step_in_proportion():
    ladder = Ladder.learn(np.array([1.0, 3.0]), np.array([2.0, 8.0]), np.ones(2), LEVELS)
    assert ladder.read(np.array([2.0]))[0].tolist() == [2.0, 2.0, 2.0, 8.0, 8.0]
    assert ladder.read(np.array([4.0, 0.0])).tolist() == [[4.0, 4.0, 4.0, 16.0, 16.0], [0.0] * 5]


def test_where_nothing_was_expected_of_anybody_everybody_gets_the_same():
    ladder = Ladder.learn(np.zeros(200), np.arange(200.0), np.ones(200), LEVELS)
    assert ladder.read(np.array([0.0, 5.0]))[1].tolist() == ladder.everybody.tolist()


def test_a_weight_counts_as_so_many_rows():
    rng = np.random.default_rng(1)
    expected, came, weight = rng.uniform(1, 2, 90), rng.gamma(1, 1, 90), rng.integers(0, 3, 90)
    many = np.repeat(np.arange(90), weight)
    one = Ladder.learn(expected, came, weight.astype(float), LEVELS)
    assert (one.everybody == np.quantile(came[many], LEVELS, method="inverted_cdf")).all()


@given(arrays(float, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(0, 1e6)), st.lists(st.floats(0, 1e6), max_size=9))
def test_quantiles_never_cross(rows, asked):
    ladder = Ladder.learn(rows[:, 0], rows[:, 1], np.ones(len(rows)), LEVELS)
    told = ladder.read(np.array(asked, float))
    assert np.isfinite(told).all()
    assert (np.diff(told, axis=1) >= -1e-9 * np.abs(told[:, 1:])).all()


@given(arrays(float, (7, 5), elements=st.floats(-1e3, 1e3)))
def test_crossings_make_room_for_the_median(quantiles):
    free = without_crossings(LEVELS, quantiles)
    assert (np.diff(free, axis=1) >= 0).all()
    assert (free[:, 2] == quantiles[:, 2]).all()
    assert (without_crossings(LEVELS, free) == free).all()
