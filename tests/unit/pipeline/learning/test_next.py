"""The answer `next`: kind, thing and time together, asked for by name."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.contracts.shops import GRID
from tests.unit.pipeline import quick
from whenbuy.core.acts import usual_acts
from whenbuy.core.errors import SettingsError
from whenbuy.core.forecast import Classes
from whenbuy.features.acts import LatestActs
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.which.next_act import ActChain, ActTrees
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.catalogue import every, types


def candidates(answer, grid):
    if answer == "next":
        few = Boosting(trees=30, learning_rate=0.2, leaves=8, min_leaf=40, feature_fraction=1.0)
        return (ActChain(grid.shortest), ActTrees(grid.shortest, few, most=60_000))
    return quick.candidates(answer, grid)


@cache
def shop():
    return simulate(150, 200, 3).history


@cache
def fitted():
    return quick.fit(shop(), horizons=(7, 14), candidates=candidates, ask=["next"])


def test_it_is_learned_gated_and_told():
    model = fitted()
    assert next(choice.model for choice in model.choices if choice.answer == "next") == "act-chain"
    assert model.windows["next"] == 7
    said = model.predict(shop()).answers["next"]
    assert isinstance(said, Classes)
    assert said.classes == usual_acts(shop().log)
    assert (said.chance.sum(axis=1) <= 1 + 1e-9).all()
    frame = said.frame()
    assert set(frame.columns) == {"user_id", "as_of", "class", "probability"}
    assert frame["class"].str.contains(" of ").any()


def test_it_is_kept_and_says_the_same_afterwards(tmp_path):
    bundle.save(tmp_path / "b", fitted(), {})
    again, _ = bundle.load(tmp_path / "b", types())
    np.testing.assert_array_equal(again.predict(shop()).answers["next"].chance, fitted().predict(shop()).answers["next"].chance)


def test_a_trial_judges_it():
    trial = Trial.of(shop(), horizon_days=14.0, weeks=2)
    model = quick.fit(shop(), int(trial.cutoffs[0]), horizons=(7, 14), candidates=candidates, ask=["next"])
    labels = trial.labels(model)
    assert labels["next"].value.shape[1] == len(model.classes_of("next"))
    measures = trial.measured(model, shop(), labels, ["next_logloss"])
    assert [measure.name for measure in measures] == ["next_logloss"]
    assert 0 < measures[0].value() < 1


def test_a_log_of_purchases_alone_is_refused_in_words_and_the_rest_goes_on():
    bought = shop().log.frame().filter(pl.col("kind") == "purchase").select("user_id", "time", event=pl.col("kind").cast(pl.String))
    model = quick.fit(read(bought).history, horizons=(7, 14), candidates=candidates, ask=["next"])
    assert "next" not in model.learners
    assert "purchase" in model.models
    told = next(note for note in model.notes if "'next'" in note)
    assert "It needs events of other kinds beside purchases" in told
    assert "go on without it" in told


def test_the_table_lists_it_and_nets_are_among_its_candidates():
    answer = ANSWERS["next"]
    assert not answer.usual
    assert answer.window(GRID) == GRID.shortest
    assert [learner.name for learner in every("next", GRID)] == ["act-chain", "act-trees", "net-acts-linear-32x1"]


def test_acts_are_named_once():
    with pytest.raises(SettingsError):
        LatestActs(("view", "view"))
    with pytest.raises(SettingsError):
        LatestActs(("view",), 0)
