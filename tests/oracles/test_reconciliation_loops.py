"""Reconciliation against the published formulas, written as loops and plain inverses."""

import numpy as np

from whenbuy.models.series.reconciliation import Tree, shrunk_covariance, weighted

TREE = Tree(np.array([-1, 0, 0, 1, 1, 2, 2, 2, 0]))


def test_min_trace_is_the_theorem():
    """Wickramasuriya, Athanasopoulos and Hyndman (2019), theorem 1: S (S'W⁻¹S)⁻¹ S'W⁻¹ ŷ, with variances alone."""
    rng = np.random.default_rng(2)
    for m in [len(TREE)] + [int(rng.integers(1, 15)) for _ in range(20)]:
        tree = TREE if m == len(TREE) else Tree(np.array([-1, *(int(rng.integers(0, node)) for node in range(1, m))]))
        summing = np.zeros((m, len(tree.leaves)))
        for column, leaf in enumerate(tree.leaves):
            node = int(leaf)
            while node >= 0:
                summing[node, column] = 1
                node = int(tree.parent[node])
        base, variance = rng.uniform(0, 10, (m, 4)), rng.uniform(0.1, 5, m)
        inverse = np.diag(1 / variance)
        wanted = summing @ np.linalg.inv(summing.T @ inverse @ summing) @ summing.T @ inverse @ base
        found = weighted(base, tree, variance)
        assert np.allclose(found, wanted, atol=1e-8)
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
