"""Splits: no label window reaches into another part, whatever the log's length, horizon, zone and step."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotEnoughDataError, UsageError, WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.pipeline.learning.split import PARTS, Split, folds, rolling_origin, spread, time_split

UTC = Clock()
START = 17_000 * DAY
cases = st.tuples(
    st.integers(15_000 * DAY, 18_000 * DAY),
    st.floats(1, 800),
    st.one_of(st.floats(0.3, 90), st.sampled_from([7.0, 14.0, 28.0])),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from([1, 7, 28]),
)


def a_split(case):
    first, days, horizon, zone, late, step = case
    end, clock = first + round(days * DAY), Clock(zone)
    try:
        return first, end, horizon, clock, late, time_split(first, end, horizon, clock, lateness_days=late, every_days=step)
    except NotEnoughDataError:
        assert days < horizon + late + 2.1
        assume(False)


@given(cases)
def test_no_label_window_reaches_into_the_next_part(case):
    first, end, horizon, clock, late, split = a_split(case)
    length = round((horizon + late) * DAY)
    for part in PARTS:
        cutoffs = split.cutoffs(part)
        assert (np.diff(cutoffs) > 0).all()
        assert (clock.midnight_before(cutoffs) == cutoffs).all()
        assert first < cutoffs.min()
        assert cutoffs.max() <= end - length or part == "train"
    if split.shares is not None:
        assert split.reason
        assert split.train.tolist() == split.valid.tolist() == split.test.tolist()
        assert end - first < 3 * length + 3.2 * DAY  # three whole windows and the way to the next midnight fit no better
        return
    assert not split.reason
    assert split.censored_at("train") == split.valid[0]
    assert split.censored_at("valid") == split.test[0]
    assert split.censored_at("test") == end
    assert split.train.max() < split.valid.min() <= split.valid.max() < split.test.min()
    assert split.train.min() + length <= split.valid.min()  # at least one whole window to learn from
    assert (split.valid + length <= split.test.min()).all()  # all whole: nothing to censor
    assert (split.test + length <= end).all()


@given(cases)
def test_parts_have_about_their_shares_and_leave_nothing_out(case):
    first, end, horizon, _, late, split = a_split(case)
    step = case[5]
    assume(split.shares is None)
    one, reach = (end - first) / 10, (horizon + late) * DAY
    assert end - split.test[0] <= max(one, reach + DAY * 1.1) + step * DAY
    assert split.test[0] - split.valid[0] <= max(one, reach + DAY * 1.1) + step * DAY
    assert split.train.min() - first < (step + 2.1) * DAY  # training begins as early as it can
    assert split.valid[0] - split.train.max() < (step + 0.1) * DAY  # and ends at the boundary, where its windows are cut
    assert end - split.test.max() < reach + 1.1 * DAY  # the test ends at the last ripe midnight


def test_a_year_in_weeks():
    split = time_split(START, START + 365 * DAY, 28, UTC)
    days = {part: ((split.cutoffs(part) - START) / DAY).tolist() for part in PARTS}
    assert days["test"] == [330.0, 337.0]  # a tenth is 36 days, of which 28 are the last window
    assert days["valid"] == [295.0, 302.0]
    assert days["train"][-1] == 288.0
    assert days["train"][0] == 1.0
    assert split.until == (START + 295 * DAY, START + 330 * DAY, START + 365 * DAY)


def test_midnights_are_the_shops_own():
    clock = Clock("Europe/Berlin")
    split = time_split(clock.instant("2017-01-01T12:00"), clock.instant("2017-12-31"), 7, clock)
    shown = {clock.show(int(cutoff)) for part in PARTS for cutoff in split.cutoffs(part)}
    assert all(len(text) == 10 for text in shown)


def test_a_short_log_is_split_by_users_and_says_so():
    split = time_split(START, START + 60 * DAY, 28, UTC)
    assert split.shares == (0.8, 0.1, 0.1)
    assert "60.0 days" in split.reason
    assert "by users" in split.reason
    assert split.test.tolist() == [START + 32 * DAY]
    assert split.until == (START + 60 * DAY,) * 3
    n = 5_000
    keys = Keys("user", np.arange(n, dtype=np.int32), np.full(n, START + 32 * DAY, np.int64), Dictionary.of(f"u{i}" for i in range(n)))
    parts = np.stack([split.rows(keys, part) for part in PARTS])
    assert (parts.sum(axis=0) == 1).all()
    assert parts.mean(axis=1) == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    some = np.arange(0, n, 3)
    assert np.array_equal(split.rows(keys.take(some), "test"), parts[2][some])  # a user's part does not depend on the others
    other = Keys("user", keys.code, keys.cutoff + DAY, keys.names)
    assert not split.rows(other, "train").any()


def test_lateness_counts_in_every_part():
    assert time_split(START, START + 93 * DAY, 28, UTC, lateness_days=3).shares is not None
    split = time_split(START, START + 94 * DAY, 28, UTC, lateness_days=3)
    assert [(int(split.cutoffs(part)[-1]) - START) / DAY for part in PARTS] == [29, 32, 63]
    assert (int(split.train[0]) - START) / DAY == 1


def test_rows_of_a_split_by_time_are_those_at_its_cutoffs():
    split = time_split(START, START + 365 * DAY, 28, UTC)
    cutoffs = np.concatenate([split.train[:2], split.valid[:1], split.test[:1], [START]])
    keys = Keys("user", np.zeros(5, np.int32), cutoffs, Dictionary.of(["u"]))
    assert split.rows(keys, "train").tolist() == [True, True, False, False, False]
    assert split.rows(keys, "valid").tolist() == [False, False, True, False, False]
    assert split.rows(keys, "test").tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("days", [0, 5, 28])
def test_a_log_shorter_than_a_horizon_says_what_it_has_and_needs(days):
    with pytest.raises(NotEnoughDataError, match=rf"holds {days:.1f} days.*28 days.*at least 29 days.*shorter horizon"):
        time_split(START, START + days * DAY, 28, UTC)
    with pytest.raises(NotEnoughDataError):
        rolling_origin(START, START + days * DAY, 28, UTC, 3)


def test_an_absurd_horizon_is_not_enough_data():
    with pytest.raises(NotEnoughDataError):
        time_split(START, START + 100 * DAY, 1e7, UTC)


@given(cases, st.integers(1, 8))
def test_every_step_of_a_rolling_backtest_learns_only_from_before_it(case, steps):
    first, days, horizon, zone, late, every = case
    end, clock = first + round(days * DAY), Clock(zone)
    length = round((horizon + late) * DAY)
    try:
        found = rolling_origin(first, end, horizon, clock, steps, lateness_days=late, every_days=every)
    except NotEnoughDataError:
        assert days < 2 * (horizon + late) + 3.2 + every
        return
    assert 1 <= len(found) <= steps
    assert end - found[-1].cutoff < length + 1.1 * DAY  # the last ripe one
    for origin in found:
        assert origin.cutoff + length <= end
        assert first < origin.train.min()
        assert origin.train.min() + length <= origin.cutoff
        assert origin.train.max() < origin.cutoff
        assert (np.diff(origin.train) > 0).all()
    apart = np.diff([origin.cutoff for origin in found]) / DAY
    assert np.allclose(apart, every, atol=1.1 / 24)  # a summer-time hour more or less


def test_rolling_weekly():
    found = rolling_origin(START, START + 100 * DAY, 28, UTC, 3)
    assert [(origin.cutoff - START) / DAY for origin in found] == [58, 65, 72]
    assert ((found[0].train - START) / DAY).tolist() == [2, 9, 16, 23, 30, 37, 44, 51]


def test_folds_follow_the_name_and_the_seed_alone():
    users = [f"user {i}" for i in range(2_000)]
    found = folds(users, 5)
    assert np.bincount(found).min() > 300
    assert np.array_equal(folds(users[::-1], 5), found[::-1])
    assert np.array_equal(folds(Dictionary.of(users[100:200]).ids, 5), found[100:200])
    assert not np.array_equal(folds(users, 5, seed=1), found)
    assert folds([], 3).tolist() == []
    assert folds(["a", "b", "c"], 2).tolist() == folds(["a", "b", "c"], 2).tolist() == [0, 1, 1]  # for ever, on every machine


@given(st.lists(st.text(max_size=20), max_size=20), st.integers(0, 2**63 - 1))
def test_a_share_lies_in_its_range(names, seed):
    found = spread(names, seed)
    assert len(found) == len(names)
    assert ((found >= 0) & (found < 1)).all()


@pytest.mark.parametrize("parts", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (float("nan"), 0.5, 0.5)])
def test_impossible_parts(parts):
    with pytest.raises(UsageError, match="sum to 1"):
        time_split(START, START + 365 * DAY, 28, UTC, parts)


def test_other_impossible_wishes():
    for horizon, late, step in [(0, 0, 7), (-1, 0, 7), (float("nan"), 0, 7), (7, -1, 7), (7, float("inf"), 7), (7, 0, 0)]:
        with pytest.raises(UsageError, match="above 0"):
            time_split(START, START + 365 * DAY, horizon, UTC, lateness_days=late, every_days=step)
    with pytest.raises(UsageError, match="at least 2"):
        folds(["a"], 1)
    with pytest.raises(UsageError, match="at least one"):
        rolling_origin(START, START + 365 * DAY, 28, UTC, 0)


def test_a_split_that_leaks_cannot_be_made():
    day = [np.array([START + d * DAY], np.int64) for d in (0, 10, 20)]
    with pytest.raises(WhenbuyError, match="reach into each other"):
        Split(day[0], day[1], day[2], (START + 11 * DAY, START + 20 * DAY, START + 30 * DAY))
    with pytest.raises(WhenbuyError, match="empty part"):
        Split(day[0], day[1], day[2][:0], (START, START, START))
