"""Blends: the weighted mean of unlike answers is an answer of the same kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.errors import LeakError, UsageError
from whenbuy.core.forecast import Amount, Classes, Probability, TimeToEvent
from whenbuy.models.when.floors import TYPES as FLOORS
from whenbuy.models.when.floors import PoissonRate
from whenbuy.models.wrapping.blend import TYPES, Blend, blended, mixed_chances

GRID = np.array([1.0, 7.0, 28.0])


def keys(n):
    return examples({"recency_days": [1.0] * n}).keys


def curve(chance, count=None, prior=None):
    chance = np.atleast_2d(np.array(chance, float))
    return TimeToEvent.of(keys(len(chance)), GRID, 1 - chance, None if count is None else np.atleast_2d(count), "one", prior=prior)


def test_chances_are_averaged_as_log_odds_and_counts_as_they_are():
    mean = blended([curve([0.1, 0.5, 0.9], [1.0, 2.0, 3.0]), curve([0.2, 0.5, 0.6], [2.0, 4.0, 6.0])], (0.75, 0.25), "both")
    odds = np.exp(0.75 * np.log([1 / 9, 1, 9]) + 0.25 * np.log([0.25, 1, 1.5]))
    assert 1 - mean.survival[0] == pytest.approx(odds / (1 + odds))
    assert mean.mean_count[0] == pytest.approx([1.25, 2.5, 3.75])
    assert mean.model == "both"


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=4), st.data())
def test_a_blend_of_curves_is_a_curve_between_its_members(chances, data):
    curves = [curve(np.sort(chance)) for chance in chances]
    weights = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(curves), max_size=len(curves))))
    mean = blended(curves, (weights / weights.sum()).tolist(), "all")  # a forecast checks itself when made
    told = np.array([1 - one.survival[0] for one in curves])
    assert (1 - mean.survival[0] <= told.max(axis=0) + 1e-8).all()
    assert (1 - mean.survival[0] >= told.min(axis=0) - 1e-8).all()


def test_other_answers_are_blended_too():
    amounts = [Amount(keys(1), np.array([m]), np.array([0.1, 0.9]), np.array([[m / 2, m * 2]]), "a") for m in (10.0, 20.0)]
    assert blended(amounts, (0.5, 0.5), "b").frame()["amount_mean"].to_list() == [15.0]
    chances = [Probability(keys(2), np.array([p, 0.5]), "a", prior=np.array([True, p < 0.5])) for p in (0.2, 0.8)]
    mean = blended(chances, (0.5, 0.5), "b")
    assert mean.chance == pytest.approx([0.5, 0.5])
    assert mean.prior.tolist() == [True, False]
    classes = [Classes(keys(1), ("x", "y"), np.array([[p, 0.3]]), 7.0, "a") for p in (0.2, 0.8)]
    assert blended(classes, (0.5, 0.5), "b").chance == pytest.approx(np.array([[0.5, 0.3]]))


def test_nobody_who_is_sure_outvotes_all_others_for_ever():
    assert 0 < mixed_chances([np.array([0.0]), np.array([0.5])], (0.5, 0.5))[0] < 0.01


def test_a_blend_learns_answers_and_is_stored():
    made = examples({"orders_84d": [0.0, 4.0, np.nan], "orders_28d": [0.0, 2.0, np.nan]})
    learner = Blend((PoissonRate((1.0, 7.0)), PoissonRate((1.0, 7.0), 28.0)), (3.0, 1.0))
    model = learner.fit(made)
    assert (learner.name, model.name, model.weights) == ("rate-84d+rate-28d", "rate-84d+rate-28d", (0.75, 0.25))
    parts = [member.predict(made, in_sample=True) for member in model.members]
    told = model.predict(made, in_sample=True)
    assert told.survival.tobytes() == blended(parts, model.weights, model.name).survival.tobytes()
    assert told.prior.tolist() == [False, False, True]
    assert told.in_sample
    kept = stored(model, TYPES | FLOORS)
    assert kept.predict(made, in_sample=True).survival.tobytes() == told.survival.tobytes()
    assert stored(learner, TYPES | FLOORS) == learner
    assert model.known_until == max(member.known_until for member in model.members)
    with pytest.raises(LeakError):
        model.predict(examples({"orders_84d": [1.0], "orders_28d": [1.0]}, cutoff_day=-9))


@pytest.mark.parametrize("weights", [(1.0,), (1.0, -1.0), (0.0, 0.0), (np.nan, 1.0)])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UsageError, match="2 members of a blend"):
        Blend((PoissonRate((1.0,)), PoissonRate((1.0,), 28.0)), weights)


def test_a_blend_of_nobody_is_refused():
    with pytest.raises(UsageError, match="no learners"):
        Blend(())
