"""Gamma-Gamma against simulation, its own gradient, numeric integration, and bad amounts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import betaprime

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.models.how_much import gamma_gamma
from whenbuy.models.how_much.gamma_gamma import LEVELS, TYPES, GammaGamma

TRUTH = (3.0, 4.0, 30.0)


def spenders(orders, mean, **more):
    return examples({"frequency": np.asarray(orders, float) - 1, "mean_amount": mean}, **more)


def drawn(n, seed=1):
    """Orders, their mean, and the amount of the order after them."""
    rng, (p, q, gamma) = np.random.default_rng(seed), TRUTH
    rate = rng.gamma(q, 1 / gamma, n)
    orders = rng.integers(1, 8, n).astype(float)
    return orders, rng.gamma(p * orders) / rate / orders, rng.gamma(p, 1 / rate)


@given(st.integers(1, 500), st.floats(0.01, 1000), st.tuples(*[st.floats(-2, 3)] * 3))
def test_gradient(orders, mean, logs):
    n, z = np.array([float(orders)]), np.array([mean])

    def value(theta):
        return float(gamma_gamma.log_likelihood(*np.exp(theta), n, z)[0][0])

    theta = np.array(logs)
    gradient = gamma_gamma.log_likelihood(*np.exp(theta), n, z)[1][0] * np.exp(theta)
    assert gradient == pytest.approx(approx_fprime(theta, value, 1e-6), rel=2e-3, abs=0.02)


@pytest.mark.parametrize("orders", [1.0, 5.0])
def test_the_likelihood_is_a_density(orders):
    total = quad(lambda v: np.exp(v + gamma_gamma.log_likelihood(*TRUTH, np.array([orders]), np.exp(np.array([v])))[0][0]), -12, 20)[0]
    assert total == pytest.approx(1, rel=1e-7)


def test_the_fit_is_as_likely_as_the_truth():
    orders, mean, _ = drawn(5_000)
    found = gamma_gamma.fit(orders, mean, np.ones(len(mean)))
    gained = gamma_gamma.log_likelihood(*found, orders, mean)[0].sum() - gamma_gamma.log_likelihood(*TRUTH, orders, mean)[0].sum()
    assert 0 <= 2 * gained < 18


def test_next_order_mean_and_quantiles_equal_simulation():
    orders, mean, following = drawn(60_000, seed=2)
    expected = gamma_gamma.next_mean(*TRUTH, orders, mean)
    assert following.mean() == pytest.approx(expected.mean(), rel=0.02)
    for low, high in ((0, 7), (7, 12), (12, 500)):
        some = (mean >= low) & (mean < high)
        assert following[some].mean() == pytest.approx(expected[some].mean(), rel=0.05)
    below = following[:, None] <= gamma_gamma.next_quantiles(*TRUTH, orders, mean, np.array(LEVELS))
    assert below.mean(axis=0) == pytest.approx(LEVELS, abs=0.01)


def test_quantiles_are_those_of_the_beta_prime():
    p, q, gamma = TRUTH
    found = gamma_gamma.next_quantiles(p, q, gamma, np.array([0.0, 3.0]), np.array([0.0, 20.0]), np.array(LEVELS))
    assert found[0] == pytest.approx(gamma * betaprime.ppf(LEVELS, p, q), rel=1e-8)
    assert found[1] == pytest.approx((gamma + 60) * betaprime.ppf(LEVELS, p, q + 3 * p), rel=1e-8)


def test_bad_amounts_are_left_out_and_answered_by_the_population():
    orders, mean, _ = drawn(300)
    clean = GammaGamma().fit(spenders(orders, mean))
    bad = np.array([0.0, -5.0, np.nan, 7.0])
    dirty = GammaGamma().fit(spenders(np.append(orders, [2, 2, 2, np.nan]), np.append(mean, bad)))
    assert (dirty.p, dirty.q) == pytest.approx((clean.p, clean.q), rel=1e-4)
    forecast = clean.predict(spenders([2, 2, 2, np.nan], bad))
    assert forecast.mean == pytest.approx(np.full(4, clean.p * clean.gamma / (clean.q - 1)))


@pytest.mark.parametrize("level", [1e-3, 12.5, 1e9])
def test_equal_amounts_give_that_amount(level):
    model = GammaGamma().fit(spenders([1, 2, 3, 9], np.full(4, level)))
    forecast = model.predict(spenders([4, np.nan], [level, np.nan]))
    assert forecast.mean == pytest.approx(level, rel=1e-3)
    assert forecast.quantiles == pytest.approx(level, rel=0.03)


@pytest.mark.parametrize(
    ("orders", "mean"), [([], []), ([3], [5.0]), ([1, 1, 1], [0.0, 0.0, np.nan])], ids=["nobody", "one user", "nothing paid"]
)
def test_too_little_to_learn_from(orders, mean):
    with pytest.raises(NotEnoughDataError, match="spent a positive amount"):
        GammaGamma().fit(spenders(orders, mean))


def test_latest_cutoff_storage_and_leak():
    orders, mean, _ = drawn(50)
    panel = spenders(np.append(orders, 1), np.append(mean, 1e6), code=[*range(50), 0], cutoff_day=[90] * 50 + [60])
    model = GammaGamma().fit(panel)
    assert model.p == GammaGamma().fit(spenders(orders, mean)).p
    assert model.known_until == 90 * DAY
    asked = spenders([2, 3], [5.0, 50.0])
    assert np.array_equal(stored(model, TYPES).predict(asked).quantiles, model.predict(asked).quantiles)
    with pytest.raises(LeakError):
        model.predict(spenders([2], [5.0], cutoff_day=50))


@given(st.integers(0, 10_000), st.floats(1e-3, 1e7))
def test_quantiles_rise_and_are_finite(orders, mean):
    found = gamma_gamma.next_quantiles(0.4, 1.05, 3.0, np.array([float(orders)]), np.array([mean]), np.array(LEVELS))
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
