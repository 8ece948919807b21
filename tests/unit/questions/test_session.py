"""The visit that she is on: what is known of it and whether she buys on it equal slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.questions.test_visits import KINDS, MINUTE, history_of
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.keys import Keys
from whenbuy.questions import BuysNow, PastVisits, ThisVisit
from whenbuy.questions.session import moments, silence_s

acts = st.tuples(
    st.integers(0, 2), st.integers(0, 5 * DAY // (10 * MINUTE)).map(lambda step: step * 10 * MINUTE), st.integers(0, 2), st.integers(-1, 2),
    st.one_of(st.just(MISSING), st.integers(0, 90_000)),
)  # fmt: skip


def visits_of(events, user, named):
    """Return all visits of a user as lists of acts."""
    visits, before = [], None
    for act in sorted((e for e in events if e[0] == user and KINDS[e[2]] != "shown"), key=lambda e: e[1]):
        session = act[3] if named else -1
        if before is None:
            same = False
        elif session >= 0 or before[1] >= 0:
            same = session == before[1]
        else:
            same = act[1] - before[0] < 30 * MINUTE
        if same:
            visits[-1].append(act)
        else:
            visits.append([act])
        before = (act[1], session)
    return visits


@given(st.lists(acts, max_size=20, unique_by=lambda e: (e[0], e[1])), st.integers(1, 5 * DAY), st.booleans())
def test_what_is_told_of_visits_equals_a_slow_loop(events, cutoff, named):
    history = history_of(events, named=named)
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, cutoff, np.int64), history.log.users)
    past = history.before(keys)
    told, now = PastVisits().block(past), ThisVisit().block(past)
    for user in range(3):
        known = [e for e in events if e[1] < cutoff]
        visits = visits_of(known, user, named)
        row = dict(zip(told.names, told.values[user, 0].tolist(), strict=True))
        assert row["visits"] == len(visits)
        for days in (7, 28, 84):
            assert row[f"visits_{days}d"] == sum(visit[0][1] >= cutoff - days * DAY for visit in visits)
        stays = [sum(e[4] for e in visit if e[4] != MISSING) / 1000 for visit in visits if any(e[4] != MISSING for e in visit)]
        assert row["dwell_visits"] == len(stays)
        assert row["dwell_mean_s"] == pytest.approx(np.mean(stays) if stays else np.nan, nan_ok=True)
        assert row["dwell_last_s"] == pytest.approx(stays[-1] if stays else np.nan, nan_ok=True)
        gaps = np.diff([visit[0][1] for visit in visits]) / DAY
        assert row["visit_gap_mean_days"] == pytest.approx(gaps.mean() if len(gaps) else np.nan, nan_ok=True)
        assert row["visit_gap_deviation_days"] == pytest.approx(gaps.std() if len(gaps) else np.nan, nan_ok=True, abs=1e-3)
        here = dict(zip(now.names, now.values[user, 0].tolist(), strict=True))
        last = visits[-1] if visits else []
        if not last:
            assert all(np.isnan(value) for value in here.values())
            continue
        assert here["visit_acts"] == len(last)
        assert here["visit_s"] == pytest.approx((cutoff - last[0][1]) / 1e6)
        assert here["visit_silence_s"] == pytest.approx((cutoff - last[-1][1]) / 1e6)
        assert here["visit_view"] == sum(KINDS[e[2]] == "view" for e in last)


@given(st.lists(acts, max_size=20, unique_by=lambda e: (e[0], e[1])), st.integers(1, 5 * DAY), st.booleans())
def test_whether_she_buys_on_this_visit_equals_a_slow_loop(events, cutoff, named):
    history = history_of(events, named=named)
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, cutoff, np.int64), history.log.users)
    question, past = BuysNow(), history.before(keys)
    label = question.label(past, history.within(keys, 1.0))
    for user in range(3):
        whole = [v for v in visits_of(events, user, named) if v[0][1] < cutoff]
        known = [e for v in whole for e in v if e[1] < cutoff]
        on = bool(known) and cutoff - known[-1][1] < 30 * MINUTE
        later = [e for e in (whole[-1] if whole else []) if cutoff <= e[1] < cutoff + DAY]
        last = later[-1][1] if later else (known[-1][1] if known else cutoff)
        assert label.observed[user] == (on and last + 30 * MINUTE <= min(cutoff + DAY, history.end))
        if label.observed[user]:
            assert label.value[user] == any(KINDS[e[2]] == "purchase" for e in later)
        assert question.population(past)[user] == on


def test_everybody_is_asked_just_after_each_act_and_never_at_a_purchase():
    events = [(0, DAY, 0, -1, 0), (0, DAY + MINUTE, 1, -1, 0), (1, 2 * DAY, 2, -1, 0), (2, 3 * DAY, 0, -1, 0)]
    history = history_of(events, named=False)
    keys = moments(history, 0, history.end, 10, 0)
    assert list(zip(keys.code.tolist(), keys.cutoff.tolist(), strict=True)) == [(0, DAY + 1), (2, 3 * DAY + 1)]
    assert len(moments(history, 0, history.end, 1, 0)) == 1
    assert silence_s(history.before(keys)) == pytest.approx([1e-6, 1e-6])
