"""What follows the next event of a kind, and who is lost by her own measure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.questions.test_visits import KINDS, history_of, label
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import SettingsError
from whenbuy.core.keys import Keys
from whenbuy.core.lapse import own_days
from whenbuy.questions import Churn, Follows
from whenbuy.questions.activity import usual_gap

HOUR = DAY // 24
events = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 60).map(lambda step: step * 2 * HOUR), st.integers(0, 2), st.just(-1), st.just(MISSING)),
    max_size=20, unique_by=lambda e: (e[0], e[1]),
)  # fmt: skip


@given(events, st.integers(0, 4 * DAY))
def test_what_follows_equals_a_slow_loop(found, cutoff):
    history = history_of(found, named=False)
    told = label(Follows(2.0, "shown", "purchase", "conversion", soon_days=0.5), history, cutoff)
    for user in range(3):
        mine = sorted(e for e in found if e[0] == user)
        first = next((e[1] for e in mine if KINDS[e[2]] == "shown" and cutoff <= e[1] < cutoff + 2 * DAY), None)
        ripe = min(cutoff + 2 * DAY, history.end)
        assert told.observed[user] == (first is not None and first + DAY // 2 <= ripe)
        came = first is not None and any(KINDS[e[2]] == "purchase" and first <= e[1] < first + DAY // 2 for e in mine)
        assert told.value[user] == came


@given(events, st.integers(1, 4 * DAY))
def test_the_usual_gap_and_churn_equal_slow_loops(found, cutoff):
    history = history_of(found, named=False)
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, cutoff, np.int64), history.log.users)
    past = history.before(keys)
    gap, question = usual_gap(past), Churn(1.0, 2.0)
    told = question.label(past, history.within(keys, 1.0))
    for user in range(3):
        days = []
        for e in sorted(e for e in found if e[0] == user and e[1] < cutoff and KINDS[e[2]] != "shown"):
            if not days or e[1] - days[-1] >= DAY:
                days.append(e[1])
        assert gap[user] == pytest.approx(np.diff(days).mean() / DAY if len(days) > 1 else np.nan, nan_ok=True)
        until = cutoff + round(float(own_days(gap[user : user + 1], 2.0)[0]) * DAY)
        later = [e[1] for e in found if e[0] == user and KINDS[e[2]] != "shown" and cutoff <= e[1] < min(until, cutoff + DAY)]
        assert told.observed[user] == (until <= min(cutoff + DAY, history.end))
        if told.observed[user]:
            assert told.value[user] == (not later)


def test_nothing_follows_within_no_time():
    with pytest.raises(SettingsError):
        Follows(28.0, "shown", "clicked", "response", soon_days=0.0)
