"""Visits and how long they last: sessions where the log names them, pauses where it does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make
from tests.unit.features.test_interactions import keys_of
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.log import Column, Dictionary
from whenbuy.questions import NextDwell, Visits

MINUTE = 60_000_000
KINDS = ("view", "purchase", "shown")
HORIZON = 2.0


def history_of(events, *, named, end=6 * DAY):
    """Return a history of (user, time, kind, session, dwell in ms)."""
    events = sorted(events, key=lambda e: (e[0], e[1]))
    history = make([(user, time, 0, kind, 0, 1) for user, time, kind, _, _ in events], late=False, end=end)
    columns = dict(history.log.columns)
    columns["dwell_s"] = Column(np.array([e[4] for e in events], np.int64), scale=1000)
    if named:
        columns["session_id"] = Column(np.array([e[3] for e in events], np.int32), Dictionary.of(["a", "b", "c"]))
    return replace(history, log=replace(history.log, kinds=KINDS, columns=columns))


def label(question, history, cutoff):
    keys = keys_of(history, [cutoff])
    return question.label(history.before(keys), history.within(keys, question.horizon_days))


def slow(events, user, cutoff, named):
    """Return the visits that begin in the window, each as the list of its acts before the window's end."""
    end, visits, before = cutoff + HORIZON * DAY, [], None
    for act in sorted((e for e in events if e[0] == user and KINDS[e[2]] != "shown" and e[1] < end), key=lambda e: e[1]):
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
    return [acts for acts in visits if acts[0][1] >= cutoff]


acts = st.tuples(
    st.integers(0, 2), st.integers(0, 5 * DAY // (10 * MINUTE)).map(lambda step: step * 10 * MINUTE), st.integers(0, 2), st.integers(-1, 2),
    st.one_of(st.just(MISSING), st.integers(0, 90_000)),
)  # fmt: skip


@given(st.lists(acts, max_size=20, unique_by=lambda e: (e[0], e[1])), st.integers(0, 5 * DAY), st.booleans(), st.integers(0, 1))
def test_every_label_equals_a_slow_loop(events, cutoff, named, lateness):
    history = replace(history_of(events, named=named), lateness_days=lateness)
    ripe = min(cutoff + 2 * DAY, history.end - lateness * DAY)
    count, dwell = (label(question, history, cutoff) for question in (Visits(HORIZON), NextDwell(HORIZON)))
    for user in range(3):
        visits = slow(events, user, cutoff, named)
        assert (count.value[user], count.observed[user]) == (len(visits), ripe == cutoff + 2 * DAY)
        told = [e[4] for e in visits[0] if e[4] != MISSING] if visits else []
        over = bool(visits) and visits[0][-1][1] + 30 * MINUTE <= ripe
        sure = [e[4] for e in visits[0] if e[4] != MISSING and e[1] <= ripe - 30 * MINUTE] if visits else []
        assert dwell.observed[user] == (over and bool(told))
        assert dwell.value[user] == pytest.approx(sum(told if over else sure) / 1000)
        assert dwell.end[user] == max(ripe, cutoff)


def test_a_message_shown_is_no_visit_and_a_visit_that_goes_on_is_censored():
    events = [(0, DAY, 2, -1, MISSING), (1, 3 * DAY - 40 * MINUTE, 0, -1, 5_000), (1, 3 * DAY - 20 * MINUTE, 0, -1, 7_000)]
    events.append((2, 3 * DAY - 20 * MINUTE, 0, -1, 9_000))  # it may be over or not: whoever began so late says nothing
    history = history_of(events, named=False)
    assert label(Visits(HORIZON), history, DAY).value.tolist() == [0, 1, 1]
    dwell = label(NextDwell(HORIZON), history, DAY)
    assert dwell.value.tolist() == [0, 5, 0]
    assert not dwell.observed.any()


def test_a_log_that_says_nothing_of_dwell_observes_none():
    history = make([(0, DAY, 0, 0, 0, 1)], end=9 * DAY)
    assert not label(NextDwell(HORIZON), history, DAY).observed.any()
    assert label(Visits(HORIZON), history, DAY).value.tolist() == [1, 0, 0]
