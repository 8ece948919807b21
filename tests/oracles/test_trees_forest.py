"""Forests beside LightGBM's own answers, scikit-learn's forest, and Shapley's sum over all sets of columns."""

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import roc_auc_score

from tests.unit.models.trees.planted import slow_shapley
from whenbuy.models.trees import Forest
from whenbuy.models.trees.binned import BINS


def sample(n=3000, columns=8, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, columns)).astype(np.float32)
    mean = values[:, 0] * values[:, 1] + np.abs(values[:, 2]) + 0.5 * values[:, 3] - 1
    values[rng.random(values.shape) < 0.1] = np.nan
    return values, mean + rng.normal(size=n)


def test_a_forest_of_means_is_lightgbms_to_the_bit():
    values, target = sample()
    settings = Forest("l2", trees=40, leaves=40, min_leaf=5, feature_fraction=0.5, row_fraction=0.7, seed=3)
    options = {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "feature_fraction_bynode": 0.5}
    options |= {"num_leaves": 40, "min_data_in_leaf": 5, "min_sum_hessian_in_leaf": 0.0, "seed": 3}
    options |= {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "max_bin": BINS}
    trained = lightgbm.train(options, lightgbm.Dataset(values[:2000], target[:2000], params=options), 40)
    grown = settings.grow(values[:2000], target[:2000])
    assert np.array_equal(grown.raw(values[2000:]), trained.predict(values[2000:]))
    shares = Forest(trees=40, leaves=40, min_leaf=5, feature_fraction=0.5, row_fraction=0.7, seed=3).grow(values[:2000], target[:2000] > 0)
    trained = lightgbm.train(options, lightgbm.Dataset(values[:2000], target[:2000] > 0, params=options), 40)
    np.testing.assert_allclose(
        shares.predict(values[2000:]), trained.predict(values[2000:]), atol=1e-7
    )  # leaves outside [0, 1] are clipped


def test_a_forest_is_as_good_as_scikit_learns():
    values, target = sample(4000)
    train, test = slice(0, 3000), slice(3000, 4000)
    ours = Forest(trees=100, leaves=64).grow(values[train], target[train] > 0).predict(values[test])
    other = RandomForestClassifier(100, max_leaf_nodes=64, max_features=0.35, min_samples_leaf=10, random_state=0)
    theirs = other.fit(values[train], target[train] > 0).predict_proba(values[test])[:, 1]
    assert roc_auc_score(target[test] > 0, ours) > roc_auc_score(target[test] > 0, theirs) - 0.005
    assert np.mean((ours - (target[test] > 0)) ** 2) < 1.02 * np.mean((theirs - (target[test] > 0)) ** 2)
    means = Forest("l2", trees=100, leaves=64).grow(values[train], target[train]).predict(values[test])
    regressor = RandomForestRegressor(100, max_leaf_nodes=64, max_features=0.35, min_samples_leaf=10, random_state=0)
    theirs = regressor.fit(values[train], target[train]).predict(values[test])
    assert np.mean((means - target[test]) ** 2) < 1.02 * np.mean((theirs - target[test]) ** 2)


@pytest.mark.parametrize("objective", ["binary", "l2"])
def test_contributions_of_a_forest_are_shapley_values(objective):
    values, target = sample(800, columns=5)
    grown = Forest(objective, trees=6, leaves=10).grow(values, target > 0 if objective == "binary" else target)
    np.testing.assert_allclose(grown.contributions(values[:8]), slow_shapley(grown, values[:8]), rtol=0, atol=1e-12)
