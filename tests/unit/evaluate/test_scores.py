"""Scores, comparisons and what they say when there is nothing to score."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotFoundError, UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.scores import compare, score

GRID = np.arange(1.0, 57.0)
CUTOFF = 17_000 * DAY


def keys(n, users=None):
    names = Dictionary.of(f"u{i}" for i in range(max(users or n, 1)))
    return Keys("user", (np.arange(n) % (users or max(n, 1))).astype(np.int32), np.full(n, CUTOFF, np.int64), names)


def curves(rate, users=None, model="m"):
    return TimeToEvent.of(keys(len(rate), users), GRID, np.exp(-rate[:, None] * GRID), rate[:, None] * GRID, model)


def labels(when, window=28.0):
    observed = when < window
    return Labels(np.where(observed, when, window), observed, np.full(len(when), CUTOFF + round(window * DAY), np.int64))


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2, 0.04, 600)
    return rate, labels(rng.exponential(1 / rate)), rng


def test_a_score_has_value_interval_and_words(case):
    rate, truth, _ = case
    found = score(curves(rate), truth, (7, 28), rounds=100)
    frame = found.frame()
    assert frame.columns == ["name", "value", "low", "high", "better", "definition", "note"]
    assert frame["name"].n_unique() == len(frame)
    assert {"auc_7d", "logloss_28d", "ibs_28d", "c_index", "mae_28d", "bias_days_28d", "coverage_80"} <= set(frame["name"])
    assert frame["definition"].str.len_chars().min() > 20
    row = frame.filter(pl.col("name") == "logloss_7d").row(0, named=True)
    assert row["low"] < row["value"] < row["high"]
    assert row["better"] == "lower"
    assert found["logloss_7d"] == row["value"] == found.values()["logloss_7d"][0]
    assert frame.filter(pl.col("name") == "coverage_80")["better"].item() == "near 0.8"
    assert (found.keys, found.users, found.model) == (600, 600, "m")


def test_the_same_seed_gives_the_same_numbers(case):
    rate, truth, _ = case
    one, two = (score(curves(rate), truth, (7,), rounds=60, seed=3) for _ in range(2))
    assert one.frame().equals(two.frame())
    assert not one.frame().equals(score(curves(rate), truth, (7,), rounds=60, seed=4).frame())


def test_the_truth_beats_noise_and_noise_loses_to_it(case):
    rate, truth, rng = case
    known, noise = curves(rate, model="known"), curves(rng.permuted(rate), model="noise")
    found = compare(known, noise, truth, (7, 28), rounds=300)
    assert (found.model, found.floor) == ("known", "noise")
    for name in ("auc_7d", "logloss_7d", "brier_28d", "ibs_28d", "c_index", "mae_28d"):
        row = found[name]
        assert row.verdict == "better", name
        assert row.difference == pytest.approx(row.ours - row.floor)
        assert row.low < row.difference < row.high
    back = compare(noise, known, truth, (7, 28), rounds=300)
    assert back["auc_7d"].verdict == back["logloss_7d"].verdict == "worse"
    assert found["base_rate_7d"].verdict == ""
    assert found.frame().columns[:4] == ["name", "ours", "floor", "difference"]


def test_a_forecast_is_not_better_than_itself(case):
    rate, truth, _ = case
    found = compare(curves(rate), curves(rate), truth, (7,), rounds=50)
    assert {row.verdict for row in found.rows} <= {"no clear difference", ""}
    assert {row.difference for row in found.rows} == {0.0}


def test_rows_of_one_user_are_drawn_together(case):
    rate, truth, _ = case
    four = [np.repeat(part, 4) for part in (rate[:150], truth.value[:150], truth.observed[:150], truth.end[:150])]
    repeated = Labels(four[1], four[2], four[3])
    user = np.repeat(np.arange(150), 4)
    together = score(curves(four[0]), repeated, (7,), user, rounds=400)
    apart = score(curves(four[0]), repeated, (7,), rounds=400)
    width = [high - low for _, low, high in (together.values()["brier_7d"], apart.values()["brier_7d"])]
    assert together.users == 150
    assert width[0] / width[1] == pytest.approx(2.0, rel=0.25)  # four copies of a row are one row


def test_rows_censored_before_a_horizon_count_for_nothing_survivors_and_events_alike():
    """Half of the rows were watched for 5 days only: at 7 days they are left out even where they came."""
    when, window = np.array([1.0, 3.0, 6.0, 9.0, 20.0]), np.array([5.0, 28.0, 28.0, 5.0, 28.0])
    observed = when < window
    truth = Labels(np.minimum(when, window), observed, CUTOFF + (window * DAY).astype(np.int64))
    found = score(curves(np.full(5, 0.05)), truth, (4, 7), rounds=0)
    assert found["base_rate_4d"] == pytest.approx(2 / 5)
    assert found["base_rate_7d"] == pytest.approx(2 / 3)


def test_an_event_at_the_end_of_the_half_open_window_is_outside():
    found = score(curves(np.full(2, 0.05)), labels(np.array([7.0, 6.999])), (7,), rounds=0)
    assert found["base_rate_7d"] == 0.5


def test_one_class_has_no_auc_and_says_why():
    found = score(curves(np.linspace(0.01, 0.1, 20)), labels(np.full(20, 50.0)), (7,), rounds=20)
    notes = dict(zip(found.frame()["name"], found.frame()["note"], strict=True))
    assert np.isnan(found["auc_7d"])
    assert notes["auc_7d"] == "only one class: 0 of 20 rows came true"
    assert notes["c_index"] == "no two people can be compared"
    assert notes["recall_7d"] == "nothing came true"
    assert found["logloss_7d"] > 0
    assert found.frame()["value"].is_nan().sum() == 0
    assert found.frame().filter(pl.col("name") == "auc_7d")["value"].item() is None


def test_a_horizon_that_nobody_was_watched_for_has_no_scores():
    found = score(curves(np.linspace(0.01, 0.1, 20)), labels(np.linspace(0.1, 9, 20), window=0.5), (7,), rounds=20)
    assert all(np.isnan(row.value) and row.note for row in found.rows if row.name not in {"c_index"})


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_one_user_are_no_exception(n):
    found = score(curves(np.full(n, 0.1)), labels(np.full(n, 3.0)), (7,), rounds=20)
    assert found.keys == n
    assert found.frame()["low"].null_count() == len(found.rows)
    amount = Amount(keys(n), np.full(n, 3.0), np.array([0.5]), np.full((n, 1), 3.0), "a")
    assert score(amount, Labels(np.full(n, 2.0), np.ones(n, bool), amount.keys.cutoff), rounds=20).keys == n


def outlook(rate, amounts):
    n = len(rate)
    amount = Amount(keys(n), amounts, np.array([0.1, 0.5, 0.9]), amounts[:, None] * np.array([0.5, 1, 2]), "a")
    return Outlook(keys(n), {"purchase": curves(rate), "amount": amount}, (7.0, 28.0))


def test_an_outlook_is_scored_answer_by_answer(case):
    rate, truth, rng = case
    n = len(rate)
    amounts = Labels(rng.gamma(2, 10, n), rng.random(n) < 0.5, truth.end)
    orders = Labels(rng.poisson(28 * rate).astype(float), np.ones(n, bool), truth.end)
    found = score(outlook(rate, np.full(n, 20.0)), {"purchase": truth, "amount": amounts, "orders": orders}, rounds=30)
    assert found["orders_bias"] == pytest.approx((28 * rate).sum() / orders.value.sum())
    assert found["orders_r2"] > 0
    assert found["amount_spearman"] == 0.0  # one number for all ranks nobody
    assert found["amount_bias"] == pytest.approx(20 / amounts.value[amounts.observed].mean())
    assert not np.isnan(found["auc_28d"])


def test_an_amount_without_an_observation_says_so():
    amount = Amount(keys(3), np.ones(3), np.array([0.5]), np.ones((3, 1)), "a")
    found = score(amount, Labels(np.zeros(3), np.zeros(3, bool), amount.keys.cutoff), rounds=10)
    assert {row.note for row in found.rows} == {"no amount was observed"}


def test_a_constant_truth_has_no_r2():
    amount = Amount(keys(3), np.arange(3.0), np.array([0.5]), np.ones((3, 1)), "a")
    found = score(amount, Labels(np.full(3, 0.1), np.ones(3, bool), amount.keys.cutoff), rounds=10)
    assert np.isnan(found["amount_r2"])
    assert np.isnan(found["amount_spearman"])
    assert found["amount_rmse"] > 0


def test_what_does_not_belong_together_is_refused(case):
    rate, truth, _ = case
    forecast = curves(rate)
    with pytest.raises(WhenbuyError, match="600 curves were given 5 labels"):
        score(forecast, truth.take(slice(0, 5)), (7,))
    with pytest.raises(UsageError, match="horizons are"):
        score(forecast, truth)
    with pytest.raises(UsageError, match="horizons are"):
        score(forecast, truth, (0,))
    with pytest.raises(UsageError, match="600 keys were given 3 clusters"):
        score(forecast, truth, (7,), np.arange(3))
    with pytest.raises(UsageError, match="different keys"):
        compare(forecast, forecast.take(slice(0, 9)), truth, (7,))
    with pytest.raises(UsageError, match="mapping"):
        score(forecast, {"purchase": truth}, (7,))
    with pytest.raises(UsageError, match="mapping"):
        score(outlook(rate, rate), truth)
    with pytest.raises(UsageError, match="in common"):
        score(outlook(rate, rate), {"churn": truth})
    with pytest.raises(NotFoundError, match="no score 'acu_7d'"):
        score(forecast, truth, (7,), rounds=0)["acu_7d"]


@given(st.integers(0, 10_000), st.integers(2, 60))
def test_scores_lie_where_they_must(seed, n):
    rng = np.random.default_rng(seed)
    truth = labels(rng.exponential(20, n), window=float(rng.choice([0.3, 7, 28])))
    found = score(curves(rng.gamma(1, 0.05, n)), truth, (7, 28), rounds=5, seed=seed)
    for row in found.rows:
        assert np.isnan(row.value) == bool(row.note), row
        if not np.isnan(row.value) and row.name.split("_")[0] in {"auc", "pr", "f1", "ece", "brier", "c", "ibs", "coverage", "accuracy"}:
            assert 0 <= row.value <= 1, row
