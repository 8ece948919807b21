"""Customers who are still to come: the chain ladder against a slow one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.errors import UsageError
from whenbuy.models.series.arrivals import Arrivals


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_ladder_is_the_slow_one(t, horizon, seed):
    rng = np.random.default_rng(seed)
    newcomers = rng.integers(0, 5, t).astype(float)
    cohorts = np.triu(rng.integers(0, 9, (t, t))).astype(float)
    model = Arrivals(steps=8)
    coming, each = model.newcomers(newcomers, horizon), []
    for age in range(horizon):
        bought = came = 0.0
        for b in range(max(0, t - age - 8), t - age):
            bought, came = bought + cohorts[b, b + age], came + newcomers[b]
        each.append(bought / came if came else (each[-1] if each else 0.0))
    wanted = [sum(coming[b] * each[step - b] for b in range(step + 1)) for step in range(horizon)]
    if newcomers.sum():
        assert np.allclose(model.forecast(cohorts, newcomers, horizon), wanted)
    else:
        assert not model.forecast(cohorts, newcomers, horizon).any()


def test_a_steady_stream_goes_on():
    cohorts = np.triu(np.where(np.subtract.outer(np.arange(30), np.arange(30)) == 0, 20.0, 5.0))
    found = Arrivals().forecast(cohorts, np.full(30, 10.0), 3)
    assert np.allclose(found, [20, 25, 30])


def test_a_fading_stream_never_falls_below_nothing():
    assert (Arrivals(damping=1.0, trend=1.0).newcomers(np.arange(30.0)[::-1], 60) >= 0).all()


@pytest.mark.parametrize("wrong", [{"level": 0}, {"damping": 2}, {"steps": 0}, {"trend": -1}])
def test_weights_outside_their_range_are_refused(wrong):
    with pytest.raises(UsageError):
        Arrivals(**wrong)


def test_nobody_ever_came():
    assert not Arrivals().forecast(np.empty((0, 0)), np.empty(0), 4).any()
