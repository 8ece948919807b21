"""Reconciliation against the published formulas, written as loops and plain inverses."""

import numpy as np
from scipy.optimize import minimize

from whenbuy.models.series.agreement import best_weights
from whenbuy.models.series.reconciliation import Tree, min_trace, shrunk_covariance, weighted

TREE = Tree(np.array([-1, 0, 0, 1, 1, 2, 2, 2, 0]))


def test_min_trace_is_the_theorem():
    """Wickramasuriya, Athanasopoulos and Hyndman (2019), theorem 1: S (S'W⁻¹S)⁻¹ S'W⁻¹ ŷ."""
    rng = np.random.default_rng(1)
    m, leaves = len(TREE), TREE.leaves
    summing = np.zeros((m, len(leaves)))
    for column, leaf in enumerate(leaves):
        node = int(leaf)
        while node >= 0:
            summing[node, column] = 1
            node = int(TREE.parent[node])
    assert np.array_equal(summing, TREE.summing())
    for views in (1, 2):
        errors = rng.normal(size=(60, views * m))
        covariance = errors.T @ errors / 60
        base = rng.uniform(0, 10, (views * m, 3))
        stacked = np.vstack([summing] * views)
        inverse = np.linalg.inv(covariance)
        wanted = summing @ np.linalg.inv(stacked.T @ inverse @ stacked) @ stacked.T @ inverse @ base
        assert np.allclose(min_trace(base, summing, covariance), wanted, rtol=1e-5, atol=1e-5)


def test_one_pass_up_and_down_is_min_trace_with_variances_alone():
    rng = np.random.default_rng(2)
    for _ in range(20):
        m = int(rng.integers(1, 15))
        tree = Tree(np.array([-1, *(int(rng.integers(0, node)) for node in range(1, m))]))
        base, variance = rng.uniform(0, 10, (m, 4)), rng.uniform(0.1, 5, m)
        found = weighted(base, tree, variance)
        assert np.allclose(found, min_trace(base, tree.summing(), np.diag(variance)), atol=1e-5)
        assert np.allclose(tree.add_up(found[tree.leaves]), found, atol=1e-9)


def test_the_shrunk_covariance_is_that_of_schaefer_and_strimmer():
    """λ = Σ Var(r_ij) / Σ r_ij² over i ≠ j, with the variances of s. 2.3 computed product by product."""
    errors = np.random.default_rng(3).normal(size=(12, 4)) @ np.array([[1, 0.8, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0.5], [0, 0, 0, 1]])
    t, k = errors.shape
    scaled = errors / np.sqrt((errors**2).mean(axis=0))
    above = below = 0.0
    for i in range(k):
        for j in range(k):
            if i != j:
                products = [scaled[row, i] * scaled[row, j] for row in range(t)]
                mean = sum(products) / t
                above += t / (t - 1) ** 3 * sum((one - mean) ** 2 for one in products)
                below += mean**2
    found, shrunk = shrunk_covariance(errors)
    assert np.isclose(shrunk, min(above / below, 1.0), rtol=1e-9)
    off = (1 - shrunk) * (scaled[:, 0] * scaled[:, 1]).mean() * np.sqrt((errors[:, 0] ** 2).mean() * (errors[:, 1] ** 2).mean())
    assert np.isclose(found[0, 1], off)
    assert np.allclose(np.diag(found), (errors**2).mean(axis=0))


def test_the_best_weights_are_those_of_a_general_solver():
    rng = np.random.default_rng(4)
    for _ in range(10):
        errors = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 3))
        moments = errors.T @ errors / 30
        wanted = minimize(
            lambda w, m=moments: w @ m @ w, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}
        )
        found = best_weights(moments)
        assert np.isclose(found.sum(), 1)
        assert found @ moments @ found <= wanted.fun * (1 + 1e-4) + 1e-9
