"""The steps of a fit are counted as they are said."""

from tests.unit.pipeline import quick
from whenbuy.core.progress import Step
from whenbuy.pipeline.learning import pace
from whenbuy.pipeline.learning.catalogue import every, learners
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.learn import refit

GRID = Grid((1.0, 7.0, 28.0), 1.0, (28.0,))


def test_the_shares_of_a_fit_rise_and_end_before_the_last_learning():
    said = []
    model = quick.learn(quick.shop(), say=said.append)
    shares = [step.share for step in said if isinstance(step, Step)]
    assert len(shares) == len(said)
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.7
    assert 0.5 < shares[-1] < 1
    again = []
    refit(model, quick.shop(), say=again.append)
    assert [step.share for step in again] == sorted(step.share for step in again)
    assert again[-1].share < 1


def test_every_measured_candidate_exists():
    names = {f"{answer}/{learner.name}" for answer in {name.split("/")[0] for name in pace.SHARES} for learner in every(answer, GRID)}
    assert set(pace.SHARES) <= names


def test_what_costs_more_weighs_more():
    weights = pace.pace([("purchase",)], {"purchase": learners("purchase", GRID)})
    assert len(weights) == len(learners("purchase", GRID)) + 3
    assert all(weight > 0 for weight in weights)
