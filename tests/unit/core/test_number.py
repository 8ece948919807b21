"""A number with its distribution: the chances and quantiles are those of scipy."""

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.number import Number, log_chances, quantiles

MEAN = np.array([0.02, 0.5, 3.0, 40.0])


def number(mean=MEAN, dispersion=None) -> Number:
    n = len(mean)
    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))
    return Number(keys, np.asarray(mean, float), np.full(n, 0.4) if dispersion is None else np.asarray(dispersion, float), "test")


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.3, 2.0])
def test_chances_and_quantiles_are_those_of_scipy(spread):
    size = 1 / spread if spread else np.inf
    for mean in MEAN:
        law = nbinom(size, size / (size + mean)) if spread else poisson(mean)
        many = np.arange(60.0)
        told = log_chances(many, np.full(60, mean), np.full(60, spread))
        assert told == pytest.approx(law.logpmf(many), rel=1e-6, abs=1e-6)
        for level in (0.1, 0.5, 0.9):
            assert quantiles(np.array([mean]), np.array([spread]), level, 1000)[0] == law.ppf(level)


def test_it_takes_rows_and_tells_a_table():
    whole = number()
    frame = whole.frame()
    assert frame.columns == ["user_id", "as_of", "mean", "none", "p10", "p50", "p90"]
    assert whole.take(np.array([2])).frame().equals(frame[2:3])
    assert frame["none"].to_list() == sorted(frame["none"], reverse=True)
    assert "expected" in whole._repr_html_()
    assert repr(whole) == "Number(4 keys, model='test')"


@pytest.mark.parametrize(("mean", "dispersion"), [([0.0], [0.1]), ([np.nan], [0.1]), ([1.0], [-0.1])])
def test_impossible_numbers_are_refused(mean, dispersion):
    with pytest.raises(WhenbuyError):
        number(mean, dispersion)
