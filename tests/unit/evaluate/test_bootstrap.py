"""Draws and intervals: what they hold, and what they refuse."""

import numpy as np
import pytest

from whenbuy.core.errors import WhenbuyError
from whenbuy.evaluate import bootstrap
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.measure import Measure, Sums, Whole, ratio


def mean(values: np.ndarray) -> Measure:
    parts = np.stack([np.ones(len(values)), values], axis=1)
    return Measure("mean", Sums(parts, lambda s: ratio(s[..., 1], s[..., 0])), "lower", "the mean")


def test_the_interval_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).normal(3, 2, 4_000)
    (found,) = draws([mean(values)], np.arange(4_000), 2_000, np.random.default_rng(1))
    low, high = interval(found)
    error = values.std() / np.sqrt(4_000)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error)


def test_sums_and_whole_see_the_same_draws_in_whatever_portions(monkeypatch):
    values = np.random.default_rng(0).normal(size=30)
    whole = Measure("mean", Whole(30, lambda weight: float(weight @ values / weight.sum())), "lower", "the mean")
    user = np.arange(30) // 3
    monkeypatch.setattr(bootstrap, "_CELLS", 25)
    a, b = draws([mean(values), whole], user, 31, np.random.default_rng(2), slow_rounds=17)
    assert len(a) == 31
    assert b == pytest.approx(a[:17])


def test_measures_without_a_value_and_single_users_have_no_draws():
    unknown = mean(np.ones(4)).unknown("because")
    assert [len(part) for part in draws([unknown, mean(np.ones(4))], np.arange(4), 5, np.random.default_rng(0))] == [0, 5]
    assert [len(part) for part in draws([mean(np.ones(4))], np.zeros(4, int), 5, np.random.default_rng(0))] == [0]


def test_an_interval_needs_half_of_its_draws():
    assert interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval(np.array([1.0, np.nan, np.nan]))).all()
    assert np.isnan(interval(np.empty(0))).all()


def test_measures_of_other_rows_are_refused():
    with pytest.raises(WhenbuyError, match="made of 4 rows, but 5 clusters"):
        draws([mean(np.ones(4))], np.arange(5), 5, np.random.default_rng(0))


def test_badness_knows_its_direction():
    values = np.array([0.7, 0.9])
    for better, expected in [("higher", -values), ("lower", values), ("near", np.array([0.1, 0.1])), ("context", np.zeros(2))]:
        assert Measure("m", None, better, "", aim=0.8).badness(values) == pytest.approx(expected)
