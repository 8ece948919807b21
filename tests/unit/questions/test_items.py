"""Which things she takes next: equal to a slow loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.features.test_interactions import keys_of
from tests.unit.features.things import things
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.log import ORDERS
from whenbuy.questions.items import NextItems


def slow(history, user, start, end, only, kind):
    log = history.log
    events = [e for e in range(int(log.offsets[user]), int(log.offsets[user + 1])) if start <= log.time[e] < end]
    events.sort(key=lambda e: (log.time[e], e))
    found, orders = [], 0
    for e in events:
        item = int(log.columns["item_id"].values[e])
        if (kind and log.kinds[log.kind[e]] != kind) or item < 0:
            continue
        head = only == "event" or kind is None or bool(log.columns[ORDERS].values[e])
        orders += head or orders == 0
        if only != "all" and orders > 1:
            break
        if item not in found:
            found.append(item)
    return found


@given(rows(size=40), st.integers(0, 22 * DAY), st.sampled_from(["all", "basket", "event"]), st.sampled_from([None, "purchase", "view"]))
def test_what_was_taken_equals_a_slow_loop(events, cutoff, only, kind):
    history = things(events, end=24 * DAY)
    if kind == "view" and only == "basket":
        only = "event"
    keys = keys_of(history, [cutoff])
    found = NextItems(7.0, only, kind).label(history.before(keys), history.within(keys, 7.0))
    for user in range(3):
        expected = slow(history, user, cutoff, min(cutoff + 7 * DAY, history.end), only, kind)
        part = found.item[found.offsets[user] : found.offsets[user + 1]]
        assert part.tolist() == expected
        assert found.value[user] == len(expected)
        closed = cutoff + 7 * DAY <= history.end
        assert found.observed[user] == (closed or (only != "all" and bool(expected)))


@pytest.mark.parametrize("settings", [{"horizon_days": 0.0}, {"horizon_days": 7.0, "only": "some"}])
def test_a_question_that_makes_no_sense_is_refused(settings):
    with pytest.raises(SettingsError):
        NextItems(**settings)


def test_a_log_without_things_says_so():
    history = make([(0, DAY, 0, 1, 1, 1)])
    keys = keys_of(history, [0])
    question = NextItems(7.0)
    with pytest.raises(ColumnError, match="item_id"):
        question.label(history.before(keys), history.within(keys, 7.0))
    assert question.population(history.before(keys_of(history, [2 * DAY]))).tolist() == [True, False, False]
    empty = things([])
    keys = keys_of(empty, [0])
    assert question.label(empty.before(keys), empty.within(keys, 7.0)).value.tolist() == [0, 0, 0]
