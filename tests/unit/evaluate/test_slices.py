"""Slices: groups beside the rest, and each class of things by itself."""

import numpy as np
import polars as pl
import pytest

from tests.unit.evaluate.test_scores import curves, keys, labels
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Classes
from whenbuy.evaluate.scores import score
from whenbuy.evaluate.slices import by_class, slices

NAMES = ("logloss_7d", "auc_7d", "bias_7d")


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2, 0.04, 900)
    return rate, labels(rng.exponential(1 / rate)), np.where(np.arange(900) % 3 == 0, "odd", "even")


def test_a_slice_is_the_score_of_its_rows(case):
    rate, truth, group = case
    found = slices(curves(rate), truth, {"parity": pl.Series(group)}, NAMES, (7,), rounds=100)
    assert found.columns[:5] == ["by", "segment", "n", "users", "name"]
    assert found["segment"].unique(maintain_order=True).to_list() == ["even", "odd"]
    for row in found.iter_rows(named=True):
        for rows, value in ((group == row["segment"], row["value"]), (group != row["segment"], row["rest"])):
            where = np.flatnonzero(rows)
            assert value == pytest.approx(score(curves(rate).take(where), truth.take(where), (7,), rounds=0)[row["name"]], abs=1e-12)
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == (group == row["segment"]).sum() == row["users"]
        assert row["verdict"] == "no clear difference"


def test_a_group_that_is_promised_too_much_is_found(case):
    rate, truth, group = case
    told = np.where(group == "odd", 2.5 * rate, rate)
    found = slices(curves(told), truth, {"parity": pl.Series(group)}, NAMES, (7,), rounds=100)
    verdicts = {(row["segment"], row["name"]): row["verdict"] for row in found.iter_rows(named=True)}
    assert verdicts["odd", "bias_7d"] == verdicts["odd", "logloss_7d"] == "worse"
    assert verdicts["even", "bias_7d"] == "better"
    odd = found.filter((pl.col("segment") == "odd") & (pl.col("name") == "bias_7d")).row(0, named=True)
    assert odd["value"] > 1.5
    assert odd["difference_low"] > 0


def test_rows_without_a_segment_belong_to_nobody_and_enums_keep_their_order(case):
    rate, truth, group = case
    names = pl.Enum(["zebra", "ant"])
    of = pl.Series([None if g == "odd" else ("zebra" if i % 2 else "ant") for i, g in enumerate(group)], dtype=names)
    found = slices(curves(rate), truth, {"animal": of}, ("base_rate_7d",), (7,), rounds=10)
    assert found["segment"].to_list() == ["zebra", "ant"]
    assert found["n"].sum() == (group == "even").sum()
    rest = found.filter(pl.col("segment") == "zebra")["rest"].item()
    assert rest == found.filter(pl.col("segment") == "ant")["value"].item()
    assert set(found["verdict"]) == {""}  # a base rate judges nobody


def test_a_slice_of_everybody_has_no_rest_and_one_class_no_area(case):
    rate, truth, _ = case
    found = slices(curves(rate), truth, {"all": pl.Series(["all"] * 900)}, NAMES, (7,), rounds=10)
    assert found["rest"].null_count() == len(found)
    assert set(found["verdict"]) == {""}
    came = truth.observed & (truth.value < 7)
    found = slices(curves(rate), truth, {"came": pl.Series(came.astype(str))}, ("auc_7d",), (7,), rounds=10)
    assert found["value"].null_count() == 2
    assert slices(curves(rate), truth, {}, NAMES, (7,)).is_empty()
    with pytest.raises(UsageError, match="900 keys were given 3 segments by x"):
        slices(curves(rate), truth, {"x": pl.Series(["a"] * 3)}, NAMES, (7,))


def test_each_class_is_scored_by_itself():
    rng = np.random.default_rng(0)
    chance = rng.beta(1, 4, (300, 3)) * np.array([1, 0.5, 0.0])
    came = Labels((rng.random((300, 3)) < chance).astype(float), np.ones(300, bool), keys(300).cutoff)
    answer = Classes(keys(300), ("MILK", "SOUP", "nothing"), chance, 7.0, "m")
    found = by_class(answer, came, rounds=20)
    assert found["class"].unique(maintain_order=True).to_list() == ["MILK", "SOUP", "nothing"]
    macro = score(answer, came, rounds=20)
    areas = found.filter(pl.col("name") == "auc")["value"]
    assert areas.to_list()[2] is None  # nobody bought from it
    assert macro["auc"] == pytest.approx(areas.mean())
    assert by_class(Classes(keys(3), (), np.zeros((3, 0)), 7.0, "m"), Labels(np.zeros((3, 0)), np.ones(3, bool), keys(3).cutoff)).is_empty()
