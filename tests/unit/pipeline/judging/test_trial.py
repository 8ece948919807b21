"""Trials and segments: who is judged when, by what, and in which group."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.unit.core.logs import make
from tests.unit.pipeline.quick import HORIZONS, candidates, learn, shop
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.whether.chance import BaseChance
from whenbuy.models.which.class_rates import ClassRate
from whenbuy.pipeline.judging import trial as module
from whenbuy.pipeline.judging.segments import portrait, segments
from whenbuy.pipeline.judging.trial import Trial, asked, headline, only
from whenbuy.pipeline.learning.build import people_at
from whenbuy.pipeline.learning.learn import fit


def test_a_trial_stands_at_cutoffs_whose_windows_have_closed():
    history = shop()
    trial = Trial.of(history, weeks=3, horizon_days=14.0)
    assert np.diff(trial.cutoffs).tolist() == [7 * DAY] * 2
    assert trial.keys.ids().to_list() == people_at(history, np.array(trial.cutoffs)).ids().to_list()
    labels = trial.labels(learn(history, trial.cutoffs[0]))
    assert set(labels) == {"purchase", "orders", "amount"}
    assert labels["orders"].observed.all()
    assert sum(len(trial.at(cutoff)) for cutoff in trial.cutoffs) == len(trial.keys)
    earlier = Trial.of(history, trial.cutoffs[-1], weeks=1, horizon_days=14.0)
    assert earlier.cutoffs[0] + 14 * DAY <= trial.cutoffs[-1] == earlier.history.end


def test_many_forecasts_are_thinned_by_whole_users(monkeypatch):
    whole = Trial.of(shop(), weeks=2, horizon_days=14.0).keys
    monkeypatch.setattr(module, "ROWS", 120)
    thin = Trial.of(shop(), weeks=2, horizon_days=14.0).keys
    assert 60 < len(thin) < 200 < len(whole)
    stayed = set(thin.ids())
    assert [name for name in whole.ids() if name in stayed] == thin.ids().to_list()
    other = Trial.of(shop(), weeks=2, horizon_days=14.0, seed=1).keys
    assert set(other.ids()) != stayed


def test_only_some_users_are_left_and_keep_their_names():
    history = make([(u, d * DAY, 0, 1, 500, 1) for u in (0, 1, 2, -1) for d in range(u + 1, 9)])
    left = only(history, np.array([True, False, True]))
    assert left.log.users is history.log.users
    assert np.diff(left.log.offsets).tolist() == [8, 0, 6]
    assert len(left.log) - left.log.offsets[-1] == len(history.log) - history.log.offsets[-1]
    assert left.log.end == history.log.end


def test_the_headline_names_the_middle_horizon_and_every_answer():
    assert {"auc_14d", "ibs_28d", "coverage_80", "amount_mae", "spend_rmse", "classes_logloss"} <= set(headline((28.0, 7.0, 14.0)))


@pytest.fixture(scope="module")
def answering():
    """Models of every answer but redemption, which nobody does in this shop."""
    further = {"spend": lambda grid: (SpendRate(),), "classes": lambda grid: (ClassRate(grid.shortest),)}

    def all_of_them(answer, grid):
        return further[answer](grid) if answer in further else candidates(answer, grid)

    return fit(shop(), Trial.of(shop(), horizon_days=14.0).cutoffs[0], horizons=HORIZONS, candidates=all_of_them)


def test_what_is_answered_is_judged_over_its_own_window(answering):
    trial = Trial.of(shop(), weeks=2, horizon_days=14.0)
    labels = trial.labels(answering)
    assert set(labels) == {"purchase", "orders", "amount", "spend", "classes"}
    assert (labels["spend"].end - trial.keys.cutoff == 7 * DAY).all()
    assert labels["classes"].value.shape == (len(trial.keys), len(answering.classes))
    names = {measure.name for measure in trial.measured(answering, trial.history, labels, headline(HORIZONS))}
    assert {"logloss_14d", "orders_rmse", "amount_rmse", "spend_rmse", "classes_logloss"} <= names
    few = trial.measured(answering, trial.history, labels, ("orders_bias",), trial.at(trial.cutoffs[0]))
    assert [measure.name for measure in few] == ["orders_bias"]
    assert len(few[0].statistic.parts) == len(trial.at(trial.cutoffs[0]))


def test_only_what_is_asked_alike_is_compared(answering):
    def names(*forecasters, days=14.0):
        return [question.name for question in asked(days, *forecasters)]

    plain = replace(answering, models={name: answering.models[name] for name in ("purchase", "orders")})
    assert names(plain) == names(answering, plain) == ["purchase", "orders"]
    assert names(answering, answering) == ["purchase", "orders", "amount", "spend", "classes"]
    assert names(answering, replace(answering, classes=answering.classes[::-1])) == ["purchase", "orders", "amount", "spend"]
    assert names(answering, replace(answering, windows={"spend": 14.0, "classes": 7.0})) == ["purchase", "orders", "amount", "classes"]
    assert names(answering, days=3.0) == ["purchase", "orders", "amount"]
    redeems = replace(answering, models={**plain.models, "redemption": BaseChance("redemption")}, windows={"redemption": 14.0})
    assert [question.horizon_days for question in asked(28.0, redeems)] == [28.0, 28.0, 14.0]


def test_segments_say_what_was_known_before_the_cutoff():
    end = 120 * DAY
    rows = [(0, d * DAY, 0, 1, 500, 1) for d in range(0, 119, 3)]  # old and frequent
    rows += [(1, d * DAY, 0, 1, 5000, 1) for d in (100, 110)]  # new
    rows += [(2, 5 * DAY, 0, 0, MISSING, 0), (2, 150 * DAY, 0, 1, 99, 1)]  # has only looked; buys after the cutoff
    history = make(rows, late=False, end=200 * DAY)
    keys = people_at(history, np.array([end]))
    found = segments(history, keys)
    assert set(found) == {"customer", "orders", "recency", "amount"}
    assert found["customer"].to_list() == ["old", "new (first order less than 28 days ago)", "no order yet"]
    assert found["orders"].to_list() == ["above 2 orders in 84 days", "above 0 up to 2 orders in 84 days", "up to 0 orders in 84 days"]
    assert found["recency"].to_list()[2] is None
    assert found["amount"].to_list()[:2] == ["up to 5 per order", "above 5 per order"]
    table = portrait(history, keys)
    assert table.column("tenure_days").tolist()[:2] == [120.0, 20.0]


def test_segments_by_category_channel_and_attribute():
    history = shop()
    keys = Trial.of(history, weeks=1, horizon_days=14.0).keys
    found = segments(history, keys, ["region"])
    past, codes = history.before(keys), history.log.columns["category"]
    for row in range(0, len(keys), 7):
        mine = past.events(row).filter(pl.col("kind") == "purchase")["category"].drop_nulls()
        said = found["category"][row]
        if not len(mine):
            assert said is None
        elif said != "other":
            counts = mine.value_counts()
            listed = counts.filter(pl.col("category").is_in(found["category"].dtype.categories))
            assert counts.filter(pl.col("category") == said)["count"].item() == listed["count"].max()
    assert len(codes.dictionary) == 0 or found["category"].n_unique() > 1
    assert found["channel"].n_unique() > 1
    assert found["region"].to_list() == past.attributes()["region"].cast(pl.String).to_list()


def test_nobody_has_no_segments():
    history = shop()
    nobody = Trial.of(history, weeks=1, horizon_days=14.0).keys.take(slice(0, 0))
    assert all(len(of) == 0 for of in segments(history, nobody).values())
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        segments(history, nobody, ["shoe_size"])
