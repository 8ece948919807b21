"""Trees as arrays beside LightGBM's own answers: scores to the bit, contributions, and growing on after trees."""

import lightgbm
import numpy as np
import pytest

from whenbuy.models.trees import Boosting, Trees
from whenbuy.models.trees.binned import BINS
from whenbuy.models.trees.lightgbm_text import read_text

OBJECTIVES = {
    "binary": "logistic",
    "poisson": "exp",
    "tweedie": "exp",
    "regression": "identity",
    "regression_l1": "identity",
    "quantile": "identity",
}
QUIET = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "max_bin": BINS}


def sample(seed, n=1500, columns=6):
    """Rows with ties, a column without missing numbers, one of missing numbers and one value, and infinities among the asked rows."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, columns)).astype(np.float32)
    values[:, 1] = np.round(values[:, 1])
    values[:, 3] = 1.0
    values[rng.random(n) < 0.4, 3] = np.nan
    values[rng.random(n) < 0.2, 0] = np.nan
    target = np.nan_to_num(values[:, 0]) + np.isnan(values[:, 3]) + 0.5 * values[:, 1] * values[:, 2] + rng.normal(size=n)
    asked = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e-36, 0.4], (300, columns)).astype(np.float32)
    return values, target, np.vstack([values[:300], asked])


def target_of(objective, target):
    return {"binary": target > 0, "poisson": np.round(np.exp(target / 2)), "tweedie": np.maximum(target, 0)}.get(objective, target)


def booster(objective, seed, **more):
    values, target, asked = sample(seed)
    options = {**QUIET, "objective": objective, "num_leaves": 15, "learning_rate": 0.1, "seed": seed, **more}
    trained = lightgbm.train(options, lightgbm.Dataset(values, target_of(objective, target), params=options), 40)
    return trained, read_text(trained.model_to_string(), values.shape[1], OBJECTIVES[objective]), asked


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "more", [{"max_bin": 15}, {"min_data_in_leaf": 1, "num_leaves": 90}, {"extra_trees": True}, {"use_missing": False}]
)
def test_scores_are_lightgbms_to_the_bit(objective, more):
    trained, trees, asked = booster(objective, 3, **more)
    assert np.array_equal(trees.raw(asked), trained.predict(asked, raw_score=True))
    assert np.array_equal([trees.raw(row[None])[0] for row in asked[::7]], trees.raw(asked)[::7])
    np.testing.assert_allclose(trees.predict(asked), trained.predict(asked), rtol=1e-14)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("more", [{"num_leaves": 12}, {"num_leaves": 60, "min_data_in_leaf": 2, "max_bin": 20}])
def test_contributions_are_lightgbms(seed, more):
    trained, trees, asked = booster("binary", seed, **more)
    np.testing.assert_allclose(trees.contributions(asked), trained.predict(asked, pred_contrib=True), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", ["binary", "poisson", "l2"])
def test_the_settings_are_passed_on(objective):
    values, target, asked = sample(5)
    goal = target_of(objective, target)
    settings = Boosting(objective, trees=30, learning_rate=0.1, leaves=9, min_leaf=30, feature_fraction=0.6, l2=2.0, seed=4)
    options = {**QUIET, "objective": objective, "learning_rate": 0.1, "num_leaves": 9, "min_data_in_leaf": 30, "feature_fraction": 0.6}
    options |= {"lambda_l2": 2.0, "seed": 4}
    weight = np.random.default_rng(1).random(len(values)) + 0.5
    trained = lightgbm.train(options, lightgbm.Dataset(values, goal, weight=weight, params=options), 30)
    assert np.array_equal(settings.grow(values, goal, weight).raw(asked), trained.predict(asked, raw_score=True))


def test_importance_is_lightgbms_gain():
    trained, trees, _ = booster("regression", 2)
    np.testing.assert_allclose(trees.importance(), trained.feature_importance("gain"), rtol=1e-5)  # the text holds six digits


@pytest.mark.parametrize("objective", ["binary", "poisson", "l2", "l1"])
def test_the_arrays_hold_all_that_lightgbm_needs_to_score_and_to_go_on(objective):
    values, target, asked = sample(7)
    goal = np.asarray(target_of({"l2": "regression"}.get(objective, objective), target), float)
    settings = Boosting(objective, trees=25, learning_rate=0.1, min_leaf=20)
    first = settings.grow(values[:800], goal[:800])
    again = lightgbm.Booster(model_str=text_of(first, objective))
    assert np.array_equal(again.predict(asked, raw_score=True), first.raw(asked))
    options = {**QUIET, "objective": {"l1": "regression_l1"}.get(objective, objective), "learning_rate": 0.1, "num_leaves": 12}
    options |= {"min_data_in_leaf": 20, "feature_fraction": 0.3, "lambda_l2": 1.0, "seed": 0}
    theirs = lightgbm.train(options, lightgbm.Dataset(values, goal, params=options, free_raw_data=False), 25, init_model=again)
    ours = settings.grow(values, goal, after=first)
    assert len(ours) == theirs.num_trees() == 50
    np.testing.assert_allclose(ours.raw(asked), theirs.predict(asked, raw_score=True), rtol=1e-12, atol=1e-12)


def text_of(trees: Trees, objective: str) -> str:
    """LightGBM's text form of trees, made from the arrays alone."""
    blocks = []
    for number, (first, end) in enumerate(zip(trees.starts[:-1], trees.starts[1:], strict=True)):
        own = slice(first, end)
        feature, right = trees.feature[own], trees.right[own] - first
        inner, leaf = np.flatnonzero(feature >= 0), np.flatnonzero(feature < 0)
        name = np.empty(len(feature), int)
        name[inner], name[leaf] = np.arange(len(inner)), ~np.arange(len(leaf))
        parts = {
            "num_leaves": [len(leaf)],
            "num_cat": [0],
            "split_feature": feature[inner],
            "split_gain": trees.gain[own][inner],
            "threshold": trees.threshold[own][inner],
            "decision_type": 8 + 2 * trees.missing_left[own][inner],  # missing is NaN; 2: it goes left
            "left_child": name[inner + 1],
            "right_child": name[right[inner]],
            "leaf_value": trees.value[own][leaf],
            "leaf_weight": trees.cover[own][leaf],
            "leaf_count": trees.cover[own][leaf].astype(int),
            "internal_value": np.zeros(len(inner)),
            "internal_weight": trees.cover[own][inner],
            "internal_count": trees.cover[own][inner].astype(int),
            "is_linear": [0],
            "shrinkage": [1],
        }
        lines = "\n".join(f"{key}={' '.join(repr(part) for part in np.asarray(numbers).tolist())}" for key, numbers in parts.items())
        blocks.append(f"Tree={number}\n{lines}\n\n\n")
    header = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": trees.features - 1,
        "objective": {"binary": "binary sigmoid:1", "l2": "regression", "l1": "regression_l1"}.get(objective, objective),
        "feature_names": " ".join(f"Column_{i}" for i in range(trees.features)),
        "feature_infos": " ".join(["[-1e+300:1e+300]"] * trees.features),
        "tree_sizes": " ".join(str(len(block)) for block in blocks),
    }
    return "tree\n" + "\n".join(f"{key}={value}" for key, value in header.items()) + "\n\n" + "".join(blocks) + "end of trees\n"
