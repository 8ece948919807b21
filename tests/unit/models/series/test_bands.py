"""Intervals hold where series behave tomorrow as they did, follow the size of a series, and are there where nothing was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.series.panels import made
from whenbuy.models.series.bands import bands
from whenbuy.models.series.newcomers import newcomers

LEVELS = np.array([0.05, 0.1, 0.5, 0.9, 0.95])


def drawn(seed, n=300, o=8, h=6, noise=0.4):
    """Forecasts of steady series whose steps err by chance, and what came."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(1.0, 20.0, n) + 1
    told = np.repeat(np.repeat(size[:, None, None], o, 1), h, 2).astype(np.float32)
    came = np.maximum(told * (1 + noise * rng.standard_normal(told.shape)), 0).astype(np.float32)
    ahead = np.repeat(size[:, None], h, 1)
    return told, came, ahead, np.maximum(ahead * (1 + noise * rng.standard_normal(ahead.shape)), 0)


def test_intervals_hold_for_steps_and_for_sums():
    inside, summed = [], []
    for seed in range(4):
        told, came, ahead, truth = drawn(seed)
        found = bands(told, came, ahead, np.arange(300), LEVELS)
        inside.append(((truth >= found.quantiles[:, :, 1]) & (truth <= found.quantiles[:, :, 3])).mean())
        total = truth.sum(axis=1)
        summed.append(((total >= found.sums[:, -1, 1]) & (total <= found.sums[:, -1, 3])).mean())
    assert 0.77 <= np.mean(inside) <= 0.85
    assert 0.77 <= np.mean(summed) <= 0.85
    assert (found.sums[:, -1, 3] - ahead.sum(axis=1)).mean() < 0.7 * (found.quantiles[:, :, 3] - ahead).sum(axis=1).mean()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 12), o=st.integers(0, 5), h=st.integers(1, 9))
def test_quantiles_rise_and_never_fall_below_zero(seed, n, o, h):
    rng = np.random.default_rng(seed)
    told = rng.poisson(1.0, (n, o, h)).astype(np.float32)
    came = rng.poisson(1.0, (n, o, h)).astype(np.float32)
    came[rng.random(came.shape) < 0.3] = np.nan
    found = bands(told, came, rng.poisson(1.0, (n, h)).astype(float), np.arange(n), LEVELS)
    for part in (found.quantiles, found.sums):
        assert part.shape == (n, h, 5)
        assert np.isfinite(part).all()
        assert part.min() >= 0
        assert (np.diff(part, axis=2) >= 0).all()


def test_a_series_that_errs_more_has_wider_intervals_and_a_stranger_to_the_pool_changes_nothing():
    told, came, ahead, _ = drawn(0)
    came[:50] = told[:50] + 4 * (came[:50] - told[:50])
    found = bands(told, np.maximum(came, 0), ahead, np.arange(300), LEVELS)
    width = (found.quantiles[:, :, 3] - found.quantiles[:, :, 1]).mean(axis=1) / ahead.mean(axis=1)
    assert width[:50].mean() > 2 * width[50:].mean()
    fewer = bands(told[:200], np.maximum(came, 0)[:200], ahead[:200], np.arange(150), LEVELS)
    more = bands(told, np.maximum(came, 0), ahead, np.arange(150), LEVELS)
    np.testing.assert_allclose(fewer.quantiles, more.quantiles[:200])


def test_steps_near_a_holiday_are_as_wide_as_their_errors_ask_for():
    inside, rng = {True: [], False: []}, np.random.default_rng(0)
    for seed in range(40):
        told, came, ahead, truth = drawn(seed, n=60, o=12, noise=0.2)
        near = rng.random((13, 6)) < 0.3
        near[-1, 2:4] = True
        shift = near * rng.normal(0, 0.3 * np.sqrt(np.pi / 2), near.shape)  # 0.3 mean absolute
        came = np.maximum(came + told * shift[:-1], 0).astype(np.float32)
        truth = np.maximum(truth + ahead * shift[-1], 0)
        found = bands(told, came, ahead, np.arange(60), LEVELS, near)
        held = (truth >= found.quantiles[:, :, 1]) & (truth <= found.quantiles[:, :, 3])
        for part in (True, False):
            inside[part].append(held[:, near[-1] == part].mean())
        assert (np.diff(found.sums, axis=2) >= 0).all()
    assert 0.72 <= np.mean(inside[True]) <= 0.88
    assert 0.77 <= np.mean(inside[False]) <= 0.85


def test_where_every_origin_lies_near_a_holiday_the_errors_there_are_all_there_is():
    told, came, ahead, _ = drawn(2, o=2)
    near = np.zeros((3, 6), bool)
    near[:-1, 3] = True
    found = bands(told, came, ahead, np.arange(300), LEVELS, near)
    width = (found.quantiles[:, :, 3] - found.quantiles[:, :, 1]) / ahead
    assert width[:, 3].mean() > 0.5 * width[:, 2].mean()
    assert (np.diff(found.sums[:, :, 3] - found.sums[:, :, 1], axis=1) > 0).mean() > 0.9


def test_without_a_holiday_nothing_changes_and_an_unseen_one_is_wider_by_a_shift_of_the_whole_shop():
    told, came, ahead, _ = drawn(1)
    plain = bands(told, came, ahead, np.arange(300), LEVELS)
    none = bands(told, came, ahead, np.arange(300), LEVELS, np.zeros((9, 6), bool))
    np.testing.assert_array_equal(plain.quantiles, none.quantiles)
    coming = np.zeros((9, 6), bool)
    coming[-1, 3:] = True
    found = bands(told, came, ahead, np.arange(300), LEVELS, coming)
    width, usual = (part.quantiles[:, :, 3] - part.quantiles[:, :, 1] for part in (found, plain))
    np.testing.assert_allclose(width[:, :3], usual[:, :3])
    error = 0.4 * np.sqrt(2 / np.pi) * np.sqrt(1 + 1 / 8)  # mean absolute, of what is told
    assert (width[:, 3:] / usual[:, 3:]).mean() == pytest.approx(np.hypot(1, 0.3 / error), abs=0.05)


def test_newcomers_sell_what_others_sold_first():
    values = np.zeros((20, 60))
    for i in range(20):
        values[i, 20 + i :] = 2.0 + (i % 2)
    mean, quantiles, sums = newcomers(made(values), 30, LEVELS)
    np.testing.assert_allclose(mean, 2.5, atol=0.1)
    assert (quantiles[:, 0] == 2.0).all()
    assert sums[-1, 2] == pytest.approx(75, rel=0.1)
    steady = np.full((3, 30), 4.0)
    np.testing.assert_allclose(newcomers(made(steady), 5, LEVELS)[0], 4.0)
    assert not newcomers(made(np.zeros((3, 30)), pool=[]), 5, LEVELS)[0].any()
