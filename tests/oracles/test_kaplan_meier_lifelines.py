"""Kaplan-Meier against lifelines."""

import numpy as np
import pytest

from whenbuy.models.when.floors import product_limit

lifelines = pytest.importorskip("lifelines")


@pytest.mark.parametrize("seed", range(4))
def test_product_limit_equals_lifelines(seed):
    """Lifelines counts a row censored at c as at risk at c and reads the curve from the right; whenbuy's windows are half-open, so the
    censorings are moved just before their moment and the curve is read just before the day."""
    rng = np.random.default_rng(seed)
    n = 500
    event, watched = np.floor(rng.exponential(15, n)), rng.integers(1, 29, n).astype(float)
    observed = event < watched
    value, weight = np.minimum(event, watched), rng.integers(1, 4, n).astype(float)
    fitted = lifelines.KaplanMeierFitter().fit(np.where(observed, value, value - 1e-6), observed, weights=weight)
    days = np.arange(1.0, 29.0)
    theirs = fitted.survival_function_at_times(days - 1e-7).to_numpy()
    assert product_limit(value, observed, weight, days) == pytest.approx(theirs, abs=1e-12)


def test_without_ties_it_is_the_textbook_estimate():
    rng = np.random.default_rng(9)
    event, watched = rng.exponential(15, 800), rng.uniform(1, 28, 800)
    observed, value = event < watched, np.minimum(event, watched)
    days = np.arange(1.0, 27.0)
    theirs = lifelines.KaplanMeierFitter().fit(value, observed).survival_function_at_times(days).to_numpy()
    assert product_limit(value, observed, np.ones(800), days) == pytest.approx(theirs, abs=1e-12)
