"""The backtest: forecasts of past weeks from what was known then, beside what came."""

from functools import partial

import numpy as np
import polars as pl
import pytest

from tests.unit.core.logs import make
from tests.unit.pipeline.quick import HORIZONS, candidates, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.which.class_rates import ClassRate, OwnClassRate
from whenbuy.pipeline.judging import backtest as module
from whenbuy.pipeline.judging.backtest import backtest
from whenbuy.pipeline.judging.error_analysis import error_analysis
from whenbuy.pipeline.learning.build import people_at
from whenbuy.pipeline.learning.learn import fit, learned


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """The candidates are few here: the catalogue is the contracts' affair. The floor's learners are its own."""
    monkeypatch.setattr(module, "learned", lambda made, _, **options: learned(made, candidates, **options))


@pytest.fixture(scope="module")
def history():
    return shop()


def everything(answer, grid):
    curves = (PoissonRate(grid.days), KaplanMeier(grid.days))
    listed = {"purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean()), "spend": (SpendRate(),)}
    return {**listed, "classes": (ClassRate(grid.shortest), OwnClassRate(grid.shortest))}.get(answer, ())


run = partial(backtest, horizons=HORIZONS, rounds=20)


def test_it_forecasts_the_last_weeks_whose_windows_have_closed(history):
    found = run(history, weeks=4)
    assert len(found.cutoffs) == 4
    assert np.diff(found.cutoffs).tolist() == [7 * DAY] * 3
    assert (
        found.cutoffs[-1] + (14 + history.lateness_days) * DAY <= history.end < found.cutoffs[-1] + (14 + history.lateness_days + 8) * DAY
    )
    keys = people_at(history, np.array(found.cutoffs))
    assert found.ours.keys.ids().to_list() == found.floor.keys.ids().to_list() == keys.ids().to_list()
    assert all(label.end.max() <= history.end for label in found.labels.values())
    assert found.labels["orders"].observed.all()


def test_it_learned_from_nothing_after_the_first_of_them(history):
    found = run(history, weeks=4)
    assert found.forecaster.known_until == found.cutoffs[0]
    assert not found.ours.purchase.in_sample
    alone = fit(history.cut(found.cutoffs[0]), found.cutoffs[0], horizons=HORIZONS, candidates=candidates)
    assert repr(alone.choices) == repr(found.forecaster.choices)
    other = alone.answer(history, found.ours.keys)
    assert other.purchase.survival.tobytes() == found.ours.purchase.survival.tobytes()


def test_the_floor_is_the_first_of_the_catalogue(history):
    found = run(history, weeks=2)
    assert found.floor.purchase.model == "rate-84d"
    assert found.floor.amount.model == "mean-amount"
    assert found.comparison.floor


def test_as_of_stands_at_an_earlier_moment(history):
    moment = history.clock.instant("2024-05-10")
    earlier, cut = run(history, moment, weeks=2), run(history.cut(moment), weeks=2)
    assert earlier.cutoffs == cut.cutoffs
    assert earlier.cutoffs[-1] <= moment - 14 * DAY
    assert earlier.ours.purchase.survival.tobytes() == cut.ours.purchase.survival.tobytes()
    assert earlier.comparison.frame().equals(cut.comparison.frame())


def test_the_same_seed_gives_the_same_scores(history):
    one, same = (run(history, weeks=2, seed=3).comparison.frame() for _ in range(2))
    assert one.equals(same)


def test_the_calibration_counts_every_forecast_once_per_horizon(history):
    found = run(history, weeks=3)
    table = found.calibration()
    for days in found.ours.horizons:
        part = table.filter(table["horizon"] == days)
        assert part["n"].sum() == len(found.ours)
        assert part["mean_probability"].is_sorted()
        chance, came = found.ours.purchase.probability(days), found.labels["purchase"].observed & (found.labels["purchase"].value < days)
        assert (part["mean_probability"] * part["n"]).sum() == pytest.approx(chance.sum())
        assert (part["share_bought"] * part["n"]).sum() == pytest.approx(came.sum())


def test_few_forecasts_have_few_buckets():
    log = make([(u, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 120, 6)], late=False)
    assert run(log, weeks=1).calibration().height == 3 * len(HORIZONS)


def test_fewer_weeks_than_asked_are_scored_when_the_log_is_short():
    log = make([(u % 3, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 45, 3)], late=False)
    assert 1 <= len(run(log, weeks=50).cutoffs) < 5


def test_a_log_too_short_for_a_backtest_says_how_long_it_must_be():
    log = make([(0, d * DAY, 0, 1, 500, 1) for d in range(20)], late=False)
    with pytest.raises(NotEnoughDataError, match="A backtest needs about 30 days"):
        run(log)
    with pytest.raises(UsageError, match="0 steps"):
        run(log, weeks=0)


def test_a_shop_without_amounts_is_scored_without_them():
    log = make([(u, d * DAY, 0, 1, -(2**63), 1) for u in range(3) for d in range(u, 120, 6)], late=False)
    found = run(log, weeks=2)
    assert set(found.labels) == {"purchase", "orders"}
    assert found.ours.amount is None


def test_every_cutoff_stands_in_a_row_of_its_own_beside_the_floor(history):
    found = run(history, weeks=3)
    table = found.by_cutoff()
    assert table["as_of"].unique(maintain_order=True).dt.epoch("us").to_list() == list(found.cutoffs)
    assert {"auc_14d", "ece_14d", "coverage_80", "amount_coverage_80", "orders_bias"} <= set(table["name"]) <= set(found.headline)
    assert table.filter(pl.col("name") == "auc_14d")["n"].sum() == len(found.ours)
    row = table.filter(pl.col("name") == "logloss_14d").row(1, named=True)
    assert row["ours_low"] < row["ours"] < row["ours_high"]
    rows = found.trial.at(found.cutoffs[1])
    came = found.labels["purchase"].take(rows)
    chance = np.clip(found.ours.purchase.probability(14.0)[rows], 1e-6, 1 - 1e-6)
    assert row["ours"] == pytest.approx(-np.mean(np.where(came.observed & (came.value < 14), np.log(chance), np.log1p(-chance))))
    assert found.by_cutoff(["auc_7d"])["name"].unique().to_list() == ["auc_7d"]


def test_every_answer_is_scored_at_every_cutoff(history, monkeypatch):
    monkeypatch.setattr(module, "learned", lambda made, _, **options: learned(made, everything, **options))
    found = run(history, weeks=2)
    assert set(found.labels) == {"purchase", "orders", "amount", "spend", "classes"}
    table = found.by_cutoff()
    for name in ("logloss_14d", "orders_rmse", "amount_rmse", "spend_rmse", "classes_logloss"):
        rows = table.filter(pl.col("name") == name)
        assert len(rows) == 2
        assert (rows["ours_low"] < rows["ours"]).all()
        assert (rows["ours"] < rows["ours_high"]).all()
        assert found.comparison[name].ours > 0
    analysis = error_analysis(found, names=["bias_14d"], attributes=["region"], least=10)
    by = set(analysis.slices["by"])
    assert {"customer", "orders", "recency", "amount", "category", "channel", "region"} == by
    for one in ("customer", "orders"):
        assert analysis.slices.filter(pl.col("by") == one)["n"].sum() == len(found.ours)
    assert {"new (first order less than 28 days ago)", "old"} <= set(analysis.slices["segment"])
    groups = analysis.frame()
    judged = {"chance to buy within 14 days", "log-loss of 14 days against the floor's", "amount of the next order", "spend within 7 days"}
    assert set(groups["of"]) == judged == {one.of for one in analysis.judged}
    assert groups["words"].str.contains("promised .*, came .*, n = |the floor's .*, ours .*, n = ").all()
    assert (groups["n"] > 0).all()
    assert set(analysis.classes["class"]) == set(found.forecaster.classes)
    again = error_analysis(found, names=["bias_14d"], attributes=["region"], least=10)
    assert again.frame().equals(groups)
    assert "ece_14d" not in set(error_analysis(found, rounds=0).slices["name"])


def test_three_customers_have_tables_too():
    log = make([(u, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 120, 6)], late=False)
    found = run(log, weeks=2)
    assert found.by_cutoff()["n"].unique().to_list() == [3]
    analysis = error_analysis(found)
    assert set(analysis.slices["by"]) == {"customer", "orders", "recency", "amount"}
    assert analysis.frame().is_empty()
    assert analysis.classes.is_empty()
    assert "words" in analysis.frame().columns
