"""Stress: planted faults are what they say, and the forecast from a harmed log is judged by what really came."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.pipeline.quick import learn, shop
from whenbuy.clean import Duplicates, clean
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import UsageError
from whenbuy.core.log import ORDERS
from whenbuy.evaluate.scores import score
from whenbuy.pipeline.judging.harm import doubled, harms, lost, misplaced, misread, mixed, outage, shifted
from whenbuy.pipeline.judging.stress import stress
from whenbuy.pipeline.judging.trial import Trial


def rng():
    return np.random.default_rng(0)


def owners(log):
    return np.repeat(np.arange(len(log.users) + 1), np.diff(np.append(log.offsets, len(log))))


@pytest.fixture(scope="module")
def log():
    return shop().log


def test_lost_events_are_lost_by_whole_moments(log):
    left = lost(0.3)(log, rng())
    assert len(left) / len(log) == pytest.approx(0.7, abs=0.03)
    size, kept = (Counter(zip(owners(each).tolist(), each.known_at.tolist(), strict=True)) for each in (log, left))
    assert all(size[moment] == count for moment, count in kept.items())
    assert len(lost(0)(log, rng())) == len(log)
    assert len(lost(1)(log, rng())) == 0


def test_an_outage_is_a_gap_before_the_end(log):
    left = outage(7, 28)(log, rng())
    gone = (log.known_at >= log.end - 35 * DAY) & (log.known_at < log.end - 28 * DAY)
    assert gone.any()
    assert np.array_equal(left.known_at, log.known_at[~gone])
    assert outage(1)(log, rng()).known_at.max() < log.end - DAY


def test_doubled_rows_stand_beside_their_twins_and_make_no_orders(log):
    more = doubled(0.2)(log, rng())
    assert len(more) / len(log) == pytest.approx(1.2, abs=0.02)
    assert set(more.known_at.tolist()) == set(log.known_at.tolist())
    same = clean(make([(0, DAY, 0, 1, 500, 1), (0, 9 * DAY, 0, 1, 100, 1)]), (Duplicates(),)).history.log
    twice = doubled(1.0)(same, rng())
    assert len(twice) == 2 * len(same)
    assert twice.columns[ORDERS].values.sum() == 2  # lines of one instant are one order


def test_wrong_clocks_keep_moments_together_and_know_no_future(log):
    moved = shifted(24)(log, rng())
    assert len(moved) == len(log)
    assert moved.known_at.max() < log.end
    assert 0.5 < np.abs(np.sort(moved.known_at) - np.sort(log.known_at)).mean() / DAY * 24 < 24
    assert np.array_equal(moved.offsets, log.offsets)
    assert moved.columns[ORDERS].values.sum() == pytest.approx(log.columns[ORDERS].values.sum(), rel=0.02)


def test_misread_amounts_are_a_hundred_times_too_large(log):
    wrong = misread(0.05)(log, rng()).columns["amount"].values
    right = log.columns["amount"].values
    changed = wrong != right
    assert changed[right != MISSING].mean() == pytest.approx(0.05, abs=0.02)
    assert np.array_equal(wrong[changed], 100 * right[changed])
    assert (wrong[right == MISSING] == MISSING).all()


def test_mixed_names_are_the_same_names_elsewhere(log):
    after = mixed("category", 0.5)(log, rng()).columns["category"].values
    before = log.columns["category"].values
    assert np.array_equal(np.sort(after), np.sort(before))
    assert 0.1 < (after != before)[before >= 0].mean() < 0.5
    assert ((after >= 0) == (before >= 0)).all()


def test_misplaced_events_stay_what_they_are(log):
    moved = misplaced(0.1)(log, rng())
    assert np.array_equal(np.sort(moved.known_at), np.sort(log.known_at))
    assert moved.offsets[-1] == log.offsets[-1]  # events of nobody stay with nobody
    assert not np.array_equal(moved.offsets, log.offsets)


@given(rows(), st.integers(0, 100))
def test_every_fault_leaves_a_log_that_keeps_its_promises(some, seed):
    log = make(some).log
    for fault in harms(log):
        harmed = fault(log, np.random.default_rng(seed))  # an EventLog checks itself when made
        assert harmed.end == log.end
        assert len(harmed.users) == len(log.users)
        again = fault(log, np.random.default_rng(seed))
        assert again.known_at.tobytes() == harmed.known_at.tobytes()


def test_faults_that_cannot_be_are_refused():
    for fault in (lost, doubled, misread, misplaced):
        with pytest.raises(UsageError, match=r"A share of 1\.5"):
            fault(1.5)
    with pytest.raises(UsageError, match="An outage of -1 days"):
        outage(-1)


def test_a_log_has_the_faults_that_its_columns_allow(log):
    names = {fault.name for fault in harms(log)}
    assert {
        "events lost",
        "nothing recorded",
        "rows doubled",
        "clocks wrong",
        "amounts misread",
        "category mixed up",
        "wrong customer",
    } <= names
    bare = make([(0, DAY, 0, 0, MISSING, 0)]).log
    assert "category mixed up" not in {fault.name for fault in harms(bare)}


@pytest.fixture(scope="module")
def trial():
    return Trial.of(shop(), weeks=2, horizon_days=14.0)


@pytest.fixture(scope="module")
def forecaster(trial):
    return learn(trial.history, trial.cutoffs[0])


NAMES = ("logloss_14d", "auc_14d", "amount_mae")


def test_harm_is_the_difference_to_the_clean_forecast(trial, forecaster):
    faults = (outage(0), outage(21), misplaced(0.5))
    found = stress(forecaster, trial, faults, names=NAMES, rounds=100).frame()
    assert found.columns == ["harm", "level", "name", "clean", "harmed", "difference", "low", "high", "verdict"]
    assert len(found) == len(faults) * len(NAMES)
    none = found.filter(found["level"] == "0 d")
    assert none["difference"].to_list() == [0.0] * len(NAMES)
    loss = found.filter(found["name"] == "logloss_14d")
    outlook = forecaster.answer(trial.history, trial.keys)
    direct = score(outlook, trial.labels(forecaster), names=("logloss_14d",), rounds=0)
    assert loss["clean"].to_list() == pytest.approx([direct["logloss_14d"]] * len(faults))
    assert loss.filter(loss["harm"] == "wrong customer")["verdict"].item() == "worse"
    assert loss.filter(loss["level"] == "21 d")["harmed"].item() > loss["clean"][0]
    assert found.equals(stress(forecaster, trial, faults, names=NAMES, rounds=100).frame())


def test_learning_again_from_the_harmed_log_is_judged_instead(trial, forecaster):
    seen = []

    def again(history, cutoff):
        seen.append(len(history.log))
        return learn(history, cutoff)

    found = stress(forecaster, trial, (lost(0.5),), learn=again, names=NAMES, rounds=20).frame()
    assert len(seen) == 1
    assert seen[0] < len(trial.history.cut(trial.cutoffs[0]).log)
    assert found["clean"].to_list() == stress(forecaster, trial, (lost(0.5),), names=NAMES, rounds=20).frame()["clean"].to_list()
    assert found["harmed"].to_list() != stress(forecaster, trial, (lost(0.5),), names=NAMES, rounds=20).frame()["harmed"].to_list()


def test_mending_repairs_what_it_can(trial, forecaster):
    found = stress(
        forecaster, trial, (doubled(0.5),), mend=lambda history: clean(history, (Duplicates(),)).history, names=NAMES, rounds=20
    ).frame()
    assert found["difference"].abs().max() == 0.0
