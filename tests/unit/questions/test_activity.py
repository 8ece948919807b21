"""The next act of any kind, and the next rating."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.features.test_interactions import keys_of
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.log import Column
from whenbuy.questions import NextActivity, NextRating

KINDS = ("view", "shown", "review")


def history_of(events, **more):
    history = make(events, **more)
    return replace(history, log=replace(history.log, kinds=KINDS))


def label(question, history, cutoff):
    keys = keys_of(history, [cutoff])
    return question.label(history.before(keys), history.within(keys, question.horizon_days))


@given(rows(size=40), st.integers(0, 22 * DAY), st.integers(0, 3))
def test_every_label_equals_a_slow_loop(events, cutoff, lateness):
    history = replace(history_of(events, end=30 * DAY), lateness_days=lateness)
    found = label(NextActivity(14.0), history, cutoff)
    reach = max(min(cutoff + 14 * DAY, history.end - lateness * DAY), cutoff)
    for user in range(3):
        came = [e[1] for e in events if e[0] == user and e[3] != 1 and cutoff <= e[1] < reach]
        assert found.observed[user] == bool(came)
        assert found.value[user] == (min(came, default=reach) - cutoff) / DAY
        assert found.end[user] == reach


def test_kinds_can_be_named():
    history = history_of([(0, 2 * DAY, 0, 0, 0, 0), (0, 4 * DAY, 0, 2, 0, 0)], end=30 * DAY)
    assert label(NextActivity(14.0), history, DAY).value[0] == 1
    assert label(NextActivity(14.0, kinds=("review",), name="review"), history, DAY).value[0] == 3
    assert not label(NextActivity(14.0, kinds=("unsubscribe",)), history, DAY).observed.any()


def test_the_next_rating_is_that_of_the_next_review():
    history = history_of([(0, 2 * DAY, 0, 2, 0, 0), (0, 4 * DAY, 0, 2, 0, 0), (1, 3 * DAY, 0, 2, 0, 0)], late=False, end=30 * DAY)
    stars = Column(np.array([4000, 1000, MISSING], np.int64), scale=1000)
    history = replace(history, log=replace(history.log, columns={**history.log.columns, "rating": stars}))
    found = label(NextRating(14.0), history, DAY)
    assert found.value.tolist() == [4, 0, 0]
    assert found.observed.tolist() == [True, False, False]
