"""Shapley values of a tree model, one family per column: against a loop over all orders, and beside path-dependent TreeSHAP."""

import itertools
import math

import numpy as np
import pytest

from whenbuy.models.trees.arrays import linked
from whenbuy.models.trees.boosting import Boosting
from whenbuy.reasons.shapley import shapley


@pytest.fixture(scope="module")
def planted():
    """Rows of columns that do not depend on each other, and trees that learned an outcome with an interaction."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 5)).astype(np.float32)
    score = 1.2 * values[:, 0] - 0.8 * values[:, 1] + 0.6 * values[:, 2] * values[:, 3]
    came = (rng.random(4000) < 1 / (1 + np.exp(-score))).astype(float)
    return values, Boosting(trees=40, learning_rate=0.15, leaves=8, min_leaf=30).grow(values, came)


def asker(values, typical, rows, answer):
    def ask(customer, beside, members):
        return answer(np.where(members, values[rows[customer]], values[typical[beside]]).astype(np.float32))

    return ask


def differs(values, typical, rows):
    return values[rows][:, None, :] != values[typical][None, :, :]


def test_exact_values_are_those_of_a_loop_over_all_orders(planted):
    values, trees = planted
    typical, rows = np.arange(6), np.arange(10, 13)

    def chance(asked):
        return linked(trees.raw(asked), trees.link)

    found = shapley(asker(values, typical, rows, chance), differs(values, typical, rows), walks=2, seed=0)
    assert found.exact
    for place, row in enumerate(rows):
        size = np.zeros(5)
        for z in typical:
            for order in itertools.permutations(range(5)):
                mixed = values[z].copy()
                for column in order:
                    before = chance(mixed[None])[0]
                    mixed[column] = values[row, column]
                    size[column] += chance(mixed[None])[0] - before
        np.testing.assert_allclose(found.size[place], size / len(typical) / math.factorial(5), rtol=0, atol=1e-9)


def test_values_of_the_score_rank_as_tree_shap_does(planted):
    values, trees = planted
    typical, rows = np.arange(200), np.arange(300, 360)
    found = shapley(asker(values, typical, rows, trees.raw), differs(values, typical, rows), walks=2, seed=0, exact=True)
    path = trees.contributions(values[rows])
    np.testing.assert_allclose(path.sum(axis=1), found.chance, rtol=0, atol=1e-9)
    ranks = [np.argsort(np.argsort(part.ravel())) for part in (found.size, path[:, :-1])]
    assert np.corrcoef(*ranks)[0, 1] > 0.95
    assert np.abs(found.size - path[:, :-1]).mean() < 0.15 * np.abs(found.size).mean()


def test_walked_values_of_chances_come_near_the_exact_ones(planted):
    values, trees = planted
    typical, rows = np.arange(16), np.arange(300, 320)

    def chance(asked):
        return linked(trees.raw(asked), trees.link)

    exact, walked = (
        shapley(asker(values, typical, rows, chance), differs(values, typical, rows), walks=2, seed=0, exact=exact)
        for exact in (True, False)
    )
    away = np.abs(walked.size - exact.size)
    assert away.max() < 0.02
    assert away.mean() < 2 * walked.error.mean()
