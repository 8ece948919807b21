"""Whether she answers an offer: yes or no, known only when the window has closed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.features.test_interactions import keys_of
from whenbuy.core.arrays import DAY
from whenbuy.questions.happens import Happens

REDEEM = 2
KINDS = ("view", "purchase", "redeemed")
QUESTION = Happens(14.0, "redeemed", "redemption")


def history_of(events, **more):
    history = make(events, **more)
    return replace(history, log=replace(history.log, kinds=KINDS))


def label(history, cutoff, question=QUESTION):
    keys = keys_of(history, [cutoff])
    return question.label(history.before(keys), history.within(keys, question.horizon_days))


@given(rows(size=40), st.integers(0, 22 * DAY), st.integers(0, 3))
def test_every_label_equals_a_slow_loop(events, cutoff, lateness):
    history = replace(history_of(events, end=30 * DAY), lateness_days=lateness)
    found = label(history, cutoff)
    closed = cutoff + 14 * DAY <= history.end - lateness * DAY
    for user in range(3):
        came = any(e[0] == user and e[3] == REDEEM and cutoff <= e[1] < cutoff + 14 * DAY for e in events)
        assert (found.value[user], found.observed[user]) == (float(came), closed)
        assert found.end[user] == max(min(cutoff + 14 * DAY, history.end - lateness * DAY), cutoff)


def test_a_redemption_in_an_open_window_says_nothing_yet():
    history = history_of([(0, 20 * DAY, 0, REDEEM, 0, 0)], end=25 * DAY)
    assert not label(history, 15 * DAY).observed.any()
    assert label(history, 11 * DAY).observed.all()
    assert label(history, 11 * DAY).value.tolist() == [1, 0, 0]


def test_other_answers_are_asked_by_their_kind():
    history = history_of([(0, 20 * DAY, 0, 0, 0, 0)], end=60 * DAY)
    assert label(history, 15 * DAY, Happens(14.0, kind="view", name="viewed")).value.tolist() == [1, 0, 0]
    assert label(history, 15 * DAY, Happens(14.0, kind="opened")).value.tolist() == [0, 0, 0]
    assert (QUESTION.name, QUESTION.entity) == ("redemption", "user")
    assert QUESTION.population(history.before(keys_of(history, [21 * DAY]))).tolist() == [True, False, False]
