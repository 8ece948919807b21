"""Chances, classes, rankings, effects and series: how they are named, and what they say when there is nothing to score."""

import numpy as np
import pytest

from tests.unit.evaluate.test_scores import curves, keys, labels
from whenbuy.core.errors import NotEnoughDataError, UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Classes, Probability
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.answers import measures_of
from whenbuy.evaluate.measure import Measure, Sums, Whole, pooled, ratio
from whenbuy.evaluate.ranking import catalogue_measures, ranking_measures
from whenbuy.evaluate.scores import compare, score
from whenbuy.evaluate.series import mase, seasonal_naive, wape
from whenbuy.evaluate.uplift import profit_measures, uplift_measures


def yes(value, observed=None):
    value = np.asarray(value, float)
    return Labels(value, np.ones(len(value), bool) if observed is None else observed, keys(len(value)).cutoff)


def chances(p):
    return Probability(keys(len(p)), np.asarray(p, float), "m")


def test_a_chance_is_scored_over_the_rows_that_were_watched():
    found = score(chances([0.9, 0.2, 0.7, 0.1]), yes([1, 0, 1, 1], np.array([1, 1, 1, 0], bool)), rounds=20)
    assert found["auc"] == 1.0
    assert found["base_rate"] == pytest.approx(2 / 3)
    assert found["bias"] == pytest.approx(1.8 / 2)
    assert found["accuracy"] == 1.0
    rare = score(chances([0.08, 0.02, 0.01]), yes([1, 0, 0]), threshold=0.05, rounds=0)
    assert rare["precision"] == rare["recall"] == 1.0
    row = next(row for row in rare.rows if row.name == "precision")
    assert row.definition.endswith("at least 0.05")
    only = score(chances([0.9, 0.2]), yes([1, 0]), names=("auc", "brier"), rounds=0)
    assert [row.name for row in only.rows] == ["brier", "auc"]
    with pytest.raises(WhenbuyError, match="2 chances were given 3 labels"):
        score(chances([0.9, 0.2]), yes([1, 0, 1]))


def test_an_outlook_carries_the_question_in_front():
    rng = np.random.default_rng(0)
    rate, n = rng.gamma(2, 0.04, 200), 200
    chance = rng.random((n, 3))
    answers = {
        "purchase": curves(rate),
        "redemption": chances(chance[:, 0]),
        "category": Classes(keys(n), ("a", "b", "c"), chance, 7.0, "k"),
    }
    outlook = Outlook(keys(n), answers, (7.0,))
    came = (rng.random((n, 3)) < chance).astype(float)
    truth = {"purchase": labels(rng.exponential(1 / rate)), "redemption": yes(came[:, 0]), "category": yes(came)}
    found = score(outlook, truth, rounds=10)
    assert {"auc_7d", "redemption_auc", "redemption_ece", "category_auc", "category_precision_at_3"} <= {row.name for row in found.rows}
    assert found["category_precision_at_3"] == pytest.approx(came[came.any(axis=1)].mean())
    beside = compare(outlook, outlook, truth, rounds=10)
    assert beside["category_pr_auc"].verdict == "no clear difference"
    assert beside["category_auc"].ours_low < beside["category_auc"].ours < beside["category_auc"].ours_high


@pytest.mark.parametrize(
    ("came", "note"),
    [
        (np.zeros((4, 2)), "nobody bought from any class"),
        (np.zeros((0, 2)), "no label window has closed"),
    ],
)
def test_classes_without_buyers_say_so(came, note):
    n = len(came)
    found = score(Classes(keys(n), ("a", "b"), np.full((n, 2), 0.1), 7.0, "k"), yes(came), rounds=5)
    assert note in {row.note for row in found.rows}
    for row in found.rows:
        assert np.isnan(row.value) == bool(row.note), row
    with pytest.raises(WhenbuyError, match="were given labels of shape"):
        score(Classes(keys(2), ("a", "b"), np.zeros((2, 2)), 7.0, "k"), yes(np.zeros((2, 3))))


def test_an_unknown_kind_of_answer_is_refused():
    with pytest.raises(UsageError, match="cannot be scored"):
        measures_of(object(), yes([1.0]))


def test_pooled_scores_are_sums_of_sums_and_means_of_ranks():
    values = np.arange(10.0)
    parts = [slice(0, 4), slice(4, 10)]

    def mean(of):
        made = np.stack([np.ones(len(of)), of], axis=1)
        return Measure("mean", Sums(made, lambda s: ratio(s[..., 1], s[..., 0])), "lower", "the mean")

    def most(of):
        return Measure("most", Whole(len(of), lambda weight: float((weight * of).max())), "lower", "the largest")

    sizes = [4, 6]
    assert pooled([mean(values[part]) for part in parts], sizes).value() == values.mean()
    assert pooled([most(values[part]) for part in parts], sizes).value() == pytest.approx((4 * 3 + 6 * 9) / 10)
    assert pooled([mean(values[:4]).unknown("none"), mean(values[4:])], sizes).value() == values[4:].mean()
    assert pooled([most(values[:4]).unknown("none"), most(values[4:])], sizes).value() == 9
    assert pooled([most(values[:4]).unknown("none")] * 2, sizes).note == "none"


def test_rankings_of_nobody_and_wrong_rankings_say_so():
    ranked, nothing = np.array([[0, 1, -1]]), np.empty(0, np.int64)
    assert {measure.note for measure in ranking_measures(ranked, nothing, nothing, 2)} == {"nothing was taken"}
    assert [measure.note for measure in catalogue_measures(np.array([[2, -1]]), 3, np.zeros(3, np.int32), 2)] == [
        "",
        "no list holds two things",
    ]
    with pytest.raises(UsageError, match="shows one thing twice"):
        ranking_measures(np.array([[4, 4]]), nothing, nothing)
    with pytest.raises(UsageError, match="but 1 were ranked"):
        ranking_measures(ranked, np.array([3]), np.array([0]))


def test_effects_need_both_arms():
    rng = np.random.default_rng(0)
    for treated in (np.zeros(5, bool), np.ones(5, bool)):
        assert {measure.note for measure in uplift_measures(rng.random(5), treated, rng.random(5))} == {
            "nobody was treated, or nobody was left alone"
        }
    with pytest.raises(UsageError, match="Propensities from 0 to 1"):
        profit_measures(np.ones(2), np.array([True, False]), np.ones(2, bool), np.array([0.0, 1.0]))
    free = profit_measures(np.ones(2), np.array([True, False]), np.ones(2, bool), 0.5)
    assert [measure.note for measure in free] == ["", "nothing would have been spent", ""]


def test_series_that_cannot_be_scored_say_why():
    flat = np.ones((1, 5))
    assert np.isnan(mase(flat, flat, flat)).all()
    assert np.isnan(wape(np.zeros(3), np.ones(3)))
    with pytest.raises(NotEnoughDataError, match="The past has 5 steps, the season 7"):
        mase(flat, flat, flat, 7)
    with pytest.raises(NotEnoughDataError, match="The past has 5 steps, the season 7"):
        seasonal_naive(flat, 3, 7)
    with pytest.raises(UsageError, match="A season of 0 steps"):
        mase(flat, flat, flat, 0)
    with pytest.raises(UsageError, match="A truth of shape"):
        wape(np.ones(2), np.ones(3))
