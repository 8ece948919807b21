"""What loops of basic operations say is what the libraries say."""

import math

import numpy as np
from scipy.special import gammaincc

from whenbuy.models.rows.powers import exps, logs
from whenbuy.models.rows.rhythm import unspent


def test_logarithms_and_exponentials_are_the_librarys():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 5000)), 1 + rng.normal(0, 1e-8, 500), [1.0, 2.0, 0.5, 1e-300]])
    found = x.copy()
    logs(found)
    np.testing.assert_allclose(found, np.log(x), rtol=1e-15, atol=1e-16)
    x = np.concatenate([rng.uniform(-700, 700, 5000), rng.normal(0, 1e-3, 500), [0.0, -0.0, 1.0, -1.0]])
    found = x.copy()
    exps(found)
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-15)


def test_the_incomplete_gamma_function_is_the_librarys():
    rng = np.random.default_rng(1)
    shapes = np.concatenate([rng.uniform(0.05, 20, 4000), [0.05, 20.0, 1.0]])
    ratios = np.concatenate([rng.exponential(1.0, 4000) * rng.choice([0.0, 0.01, 1.0, 30.0], 4000), [1e6, 1e6, np.inf]])
    found = [unspent(shape, shape * ratio, math.lgamma(shape)) for shape, ratio in zip(shapes, ratios, strict=True)]
    np.testing.assert_allclose(found, gammaincc(shapes, shapes * ratios), rtol=1e-11, atol=1e-13)
    assert math.isnan(unspent(1.0, math.nan, 0.0))
