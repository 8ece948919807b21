"""Segments beside scikit-learn and scipy: the same clusters from our arrays, the same index, the same tests of pairs."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, false_discovery_control
from sklearn.cluster import KMeans as Lloyd
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from whenbuy.core.examples import Table
from whenbuy.models.segment.k_means import KMeans
from whenbuy.models.segment.mixture import Mixture
from whenbuy.models.segment.stability import adjusted_rand
from whenbuy.pipeline.segmenting import together

RNG = np.random.default_rng(4)
NAMES = ("recency_days", "orders_84d", "mean_amount")
TABLE = Table(NAMES, RNG.gamma([1.0, 2.0, 3.0], [40.0, 3.0, 10.0], (600, 3)).astype(np.float32))


def test_the_mixture_places_as_scikit_learn_does():
    ours = Mixture(NAMES).learn(TABLE, 4, 0)
    points = ours.scale.coordinates(TABLE)
    theirs = GaussianMixture(4, n_init=2, reg_covar=Mixture(NAMES).least, random_state=0, max_iter=60, tol=1e-3).fit(points)
    assert adjusted_rand_score(ours.place(TABLE), theirs.predict(points)) == 1.0


def test_k_means_places_as_scikit_learn_does():
    ours = KMeans(NAMES).learn(TABLE, 5, 0)
    points = ours.scale.coordinates(TABLE)
    theirs = Lloyd(5, n_init=KMeans(NAMES).starts, random_state=0, algorithm="lloyd").fit(points)
    assert adjusted_rand_score(ours.place(TABLE), theirs.predict(points)) == 1.0


def test_the_adjusted_rand_index_is_scikit_learn_s():
    for seed in range(20):
        one, other = np.random.default_rng(seed).integers(0, 5, (2, 80)).astype(np.int32)
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)


def test_pairs_are_tested_as_scipy_does():
    n, a, b, both = 500.0, np.array([60.0, 200.0, 30.0]), np.array([40.0, 90.0, 30.0]), np.array([20.0, 30.0, 29.0])
    chi = together._chi_square(both, a, b, n)
    for place in range(3):
        cells = [[both[place], a[place] - both[place]], [b[place] - both[place], n - a[place] - b[place] + both[place]]]
        assert chi[place] == pytest.approx(chi2_contingency(cells, correction=False).statistic)
    from scipy.stats import chi2

    q = together._false_discovery(chi, np.array([True, True, True]), 10)
    assert q == pytest.approx(false_discovery_control(np.append(chi2.sf(chi, 1), np.ones(7)))[:3])
