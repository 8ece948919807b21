"""An update: models learn on from what happened since, and nothing is learned twice."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.unit.pipeline.quick import HORIZONS, candidates, learn, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ImmatureError, LeakError
from whenbuy.evaluate.scores import compare
from whenbuy.models.when.floors import KaplanMeier
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.learning.update import update


@dataclass(frozen=True)
class Stays:
    """A model that learns once."""

    known_until: int
    name: str = "stays"


def strata(answer, grid):
    return (KaplanMeier(grid.days),) if answer in ("purchase", "orders") else candidates(answer, grid)


def day(history, before):
    return int(history.clock.midnight_before(np.array([history.end - before * DAY], np.int64))[0])


@pytest.fixture(scope="module")
def history():
    return shop()


@pytest.fixture(scope="module")
def model(history):
    return fit(history, day(history, 42), horizons=HORIZONS, candidates=strata)


@pytest.fixture(scope="module")
def new(model, history):
    return update(model, history, day(history, 14))


def test_what_can_learn_on_does_and_the_rest_is_named(model, new, history):
    assert new.known_until == day(history, 14) > model.known_until
    assert new.models["purchase"].known_until > model.models["purchase"].known_until
    assert new.models["amount"] is model.models["amount"]
    assert "purchase, orders learned on; amount stayed as they were." in new.notes[-1]
    with pytest.raises(LeakError):
        new.predict(history, day(history, 15))
    assert len(new.predict(history))


def test_it_is_what_one_fit_on_everything_would_be(new, history):
    """Strata stay where they were, so the pooled curve is what a fit would say; the strata's own are near."""
    whole = fit(history, day(history, 14), horizons=HORIZONS, candidates=strata)
    ours, theirs = (getattr(each.models["purchase"], "model", each.models["purchase"]) for each in (new, whole))
    assert ours.survival[-1] == pytest.approx(theirs.survival[-1], abs=0.02)
    assert ours.tally.came[-1].sum() == pytest.approx(theirs.tally.came[-1].sum(), rel=0.1)


def test_on_later_weeks_it_is_not_worse_beyond_noise(model, new, history):
    trial = Trial.of(history, weeks=1, horizon_days=14.0)
    assert trial.cutoffs[0] >= new.known_until or trial.cutoffs[0] >= day(history, 21)
    labels = trial.labels(model)
    pair = [each.answer(history, trial.keys, in_sample=True) for each in (new, model)]
    duel = compare(*pair, labels, names=["logloss_14d"], rounds=200)["logloss_14d"]
    assert duel.low <= 0


def test_the_same_bytes_and_a_bundle(model, new, history, tmp_path):
    for folder, made in (("one", new), ("other", update(model, history, day(history, 14)))):
        bundle.save(tmp_path / folder, made, {})
    assert (tmp_path / "one" / bundle.ARRAYS).read_bytes() == (tmp_path / "other" / bundle.ARRAYS).read_bytes()
    again, _ = bundle.load(tmp_path / "one", types())
    later = update(again, history)
    assert later.known_until > new.known_until


def test_nothing_new_is_an_error_that_says_when_to_come_back(new, history):
    with pytest.raises(ImmatureError, match="nothing up to"):
        update(new, history, day(history, 14))


def test_answers_that_are_given_in_batches_only_are_named_among_those_that_stay(model, history):
    asked = replace(model, further={"visits": Stays(model.known_until)})
    assert "amount, visits stayed as they were." in update(asked, history, day(history, 14)).notes[-1]


def test_models_that_cannot_learn_on_are_not_updated(history):
    made = learn(history, day(history, 42))
    amounts = replace(made, models={"purchase": Stays(made.models["purchase"].known_until), "amount": made.models["amount"]})
    with pytest.raises(ImmatureError):
        update(amounts, history)
