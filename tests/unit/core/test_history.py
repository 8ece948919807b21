import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import KINDS, make, rows
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import ImmatureError, LeakError, WhenbuyError
from whenbuy.core.history import Past
from whenbuy.core.keys import Keys
from whenbuy.core.profile import Profile

cutoffs = st.lists(st.integers(0, 30 * DAY), min_size=1, max_size=6)


@given(rows(), cutoffs, st.randoms())
def test_a_past_holds_what_was_known_strictly_before_its_cutoff(events, at, random):
    history = make(events)
    code = np.array([random.randrange(4) for _ in at], np.int32)
    keys = Keys("user", code, np.array(at, np.int64), history.log.users.extended(["stranger"]))
    past = history.before(keys)
    for row, (user, cutoff) in enumerate(zip(code, at, strict=True)):
        seen = [event for event in events if event[0] == user and event[1] + event[2] < cutoff]
        assert past.count()[row] == len(seen) == len(past.events(row))
        assert past.count("purchase")[row] == sum(KINDS[event[3]] == "purchase" for event in seen)
        assert past.last_known()[row] == (max(e[1] + e[2] for e in seen) if seen else MISSING)


@given(rows(), st.integers(0, 20 * DAY), st.integers(1, 20))
def test_a_future_holds_what_happened_in_its_half_open_window(events, start, days):
    history = make(events)
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, start, np.int64), history.log.users)
    future = history.within(keys, days)
    for user in range(3):
        inside = sorted((e for e in events if e[0] == user and start <= e[1] < start + days * DAY and e[3] == 1), key=lambda e: e[1])
        assert future.first("purchase")[user] == (inside[0][1] if inside else MISSING)
        assert future.orders()[user] == sum(e[5] for e in inside)
        assert future.total("amount", "purchase")[user] == sum(e[4] for e in inside if e[4] != MISSING) / 100


@given(rows(), st.integers(0, 20 * DAY), st.integers(1, 9), st.integers(1, 9))
def test_windows_that_touch_share_no_event(events, start, first, second):
    history = make(events)
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, start, np.int64), history.log.users)
    later = dataclasses.replace(keys, cutoff=keys.cutoff + first * DAY)
    parts = history.within(keys, first).orders() + history.within(later, second).orders()
    assert (history.within(keys, first + second).orders() == parts).all()


@given(rows(), st.integers(0, 30 * DAY))
def test_the_cut_log_holds_what_was_known(events, instant):
    history = make(events)
    cut = history.cut(instant).log
    assert len(cut) == sum(e[1] + e[2] < instant for e in events)
    assert cut.frame().equals(history.log.frame().filter(pl.col("known_at").cast(pl.Int64) < instant))
    assert cut.end <= max(instant, history.end)


@given(rows(size=12), st.integers(0, 20 * DAY), st.randoms())
def test_rewriting_the_future_changes_nothing_of_the_past(events, cutoff, random):
    known = [e for e in events if e[1] + e[2] < cutoff]
    absurd = [(random.randrange(3), cutoff + random.randrange(9 * DAY), 0, random.randrange(3), 10**9, 1) for _ in range(5)]
    one, other = make([*known]), make([*known, *absurd])
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, cutoff, np.int64), one.log.users)
    before, after = one.before(keys), other.before(keys)
    assert (before.count() == after.count()).all()
    assert all(before.events(row).equals(after.events(row)) for row in range(3))


def test_a_past_built_by_hand_refuses_later_events_and_other_users():
    history = make([(0, DAY, 0, 1, 5, 1), (0, 3 * DAY, 0, 1, 5, 1), (1, DAY, 0, 1, 5, 1)])
    keys = Keys("user", np.array([0], np.int32), np.array([2 * DAY]), history.log.users)
    one = np.array([0])
    Past(keys, history, one, np.array([1]), keys.cutoff)
    with pytest.raises(LeakError, match="at or after its cutoff"):
        Past(keys, history, one, np.array([2]), keys.cutoff)
    with pytest.raises(LeakError, match="another user"):
        Past(keys, history, np.array([2]), np.array([3]), keys.cutoff)
    with pytest.raises(LeakError, match="before its own cutoff"):
        Past(keys, history, one, np.array([1]), keys.cutoff - 1)


def test_open_windows_are_not_ripe():
    history = make([(0, DAY, 0, 1, 5, 1)], late=False)
    keys = history.keys(as_of=DAY + 1)
    history.within(keys, 0.5).require_ripe("purchase")
    with pytest.raises(ImmatureError, match="but the log ends on 1970-01-03"):
        history.within(keys, 28).require_ripe("purchase")
    with pytest.raises(ImmatureError):
        dataclasses.replace(history, lateness_days=1).within(keys, 0.5).require_ripe("purchase")


def test_keys_name_everybody_known_or_the_users_asked_for():
    history = make([(0, DAY, 0, 1, 5, 1), (2, 5 * DAY, 0, 1, 5, 1)])
    assert history.keys(as_of="1970-01-03").ids().to_list() == ["u0"]
    asked = history.keys(["ghost", "u2", "ghost"], as_of="1970-01-03")
    assert asked.ids().to_list() == ["ghost", "u2", "ghost"]
    assert history.before(asked).count().tolist() == [0, 0, 0]
    assert history.panel(np.array([2 * DAY, 6 * DAY])).ids().to_list() == ["u0", "u0", "u2"]


def test_the_log_refuses_broken_order_and_lengths():
    log = make([(0, DAY, 0, 1, 5, 1), (0, 3 * DAY, 0, 1, 5, 1)]).log
    with pytest.raises(WhenbuyError, match="order in which they became known"):
        dataclasses.replace(log, known_at=log.known_at[::-1].copy(), time=log.time)
    with pytest.raises(WhenbuyError, match="has 1 rows, the log has 2"):
        dataclasses.replace(log, kind=log.kind[:1])
    with pytest.raises(WhenbuyError, match="offsets"):
        dataclasses.replace(log, offsets=log.offsets[:-1])


def test_profiles_are_cut_in_time_or_declared_timeless():
    table = pl.DataFrame({"id": ["a", "a"], "valid_from": pl.Series([0, 5 * DAY]).cast(pl.Datetime("us")), "city": ["Rome", "Oslo"]})
    cutoff = np.array([0, 1, 5 * DAY, 5 * DAY + 1])
    assert Profile("user", table).as_of(pl.Series(["a"] * 4), cutoff)["city"].to_list() == [None, "Rome", "Rome", "Oslo"]
    with pytest.raises(WhenbuyError, match="timeless"):
        Profile("user", table.drop("valid_from"))
    assert Profile("user", table.drop("valid_from"), timeless=True).as_of(pl.Series(["a", "b"]), cutoff[:2])["city"].to_list() == [
        "Oslo",
        None,
    ]
