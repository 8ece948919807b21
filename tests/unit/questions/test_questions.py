"""What is asked and what came true: half-open windows, censoring, and who is no customer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.keys import Keys
from whenbuy.questions import NextAmount, NextPurchase, OrderCount

VIEW, BUY, BACK = 0, 1, 2
QUESTIONS = (NextPurchase(7.0), OrderCount(7.0), NextAmount(7.0))


def asked(history, cutoff, users=3):
    return Keys("user", np.arange(users, dtype=np.int32), np.full(users, cutoff, np.int64), history.log.users)


def label(question, history, cutoff):
    keys = asked(history, cutoff)
    return question.label(history.before(keys), history.within(keys, question.horizon_days))


def buys(*days, user=0, amount=500):
    return [(user, round(day * DAY), 0, BUY, amount, 1) for day in days]


@given(rows(), st.integers(0, 22 * DAY), st.integers(0, 3))
def test_every_label_equals_a_slow_loop(events, cutoff, lateness):
    history = replace(make(events, end=24 * DAY), lateness_days=lateness)
    sure = min(cutoff + 7 * DAY, history.end - lateness * DAY)
    reach = max(sure, cutoff)
    when, count, amount = (label(question, history, cutoff) for question in QUESTIONS)
    for user in range(3):
        window = [e for e in events if e[0] == user and e[3] == BUY and cutoff <= e[1] < cutoff + 7 * DAY]
        first = min((e[1] for e in window), default=None)
        came = first is not None and first < reach
        assert when.observed[user] == came
        assert when.value[user] == ((first if came else reach) - cutoff) / DAY
        assert (count.observed[user], count.value[user]) == (sure == cutoff + 7 * DAY, sum(e[5] for e in window))
        assert not amount.observed[user] or came
    for each in (when, count, amount):
        assert (each.end == reach).all()


def test_windows_are_half_open():
    history = make(buys(10, 17), end=40 * DAY)
    assert label(NextPurchase(7.0), history, 10 * DAY).value[0] == 0.0  # an event on the cutoff lies in the window, not in the past
    assert label(OrderCount(7.0), history, 10 * DAY).value[0] == 1.0  # an event at its end lies in the next one
    assert label(OrderCount(7.0), history, 17 * DAY).value[0] == 1.0
    assert not label(NextPurchase(7.0), history, 3 * DAY).observed[0]
    assert label(NextPurchase(7.0), history, 3 * DAY).value[0] == 7.0


def test_a_window_that_the_log_cuts_is_censored_there_and_kept():
    history = make(buys(1, 12), end=13 * DAY)
    when = label(NextPurchase(7.0), history, 10 * DAY)
    assert (when.observed.tolist(), when.value.tolist()) == ([True, False, False], [2.0, 3.0, 3.0])
    assert not label(OrderCount(7.0), history, 10 * DAY).observed.any()
    assert label(NextAmount(7.0), history, 10 * DAY).observed.tolist() == [True, False, False]


def test_what_may_still_come_late_is_not_labelled():
    """The last days are complete only when the lateness has passed: an order seen there would be one of the fast ones."""
    history = replace(make(buys(1, 12), end=13 * DAY), lateness_days=2)
    for question in (NextPurchase(7.0), NextAmount(7.0)):
        found = label(question, history, 10 * DAY)
        assert not found.observed.any()
        assert found.end.tolist() == [11 * DAY] * 3
    assert label(NextPurchase(7.0), history, 10 * DAY).value.tolist() == [1.0] * 3


def test_no_label_reaches_back_before_its_cutoff():
    history = replace(make(buys(1), end=13 * DAY), lateness_days=5)
    for question in QUESTIONS:
        found = label(question, history, 12 * DAY)
        assert not found.observed.any()
        assert found.end.tolist() == [12 * DAY] * 3
    assert label(NextPurchase(7.0), history, 12 * DAY).value.tolist() == [0.0] * 3


def test_refunds_and_views_change_no_label():
    plain = make(buys(1, 12), end=40 * DAY)
    more = make([*buys(1, 12), (0, 11 * DAY, 5 * DAY, BACK, 500, 0), (0, 11 * DAY, 0, VIEW, MISSING, 0)], end=40 * DAY)
    for question in QUESTIONS:
        one, two = label(question, plain, 10 * DAY), label(question, more, 10 * DAY)
        assert (one.value == two.value).all()
        assert (one.observed == two.observed).all()


def test_an_order_that_became_known_late_counts_when_it_happened():
    history = make([(0, 12 * DAY, 15 * DAY, BUY, 700, 1)], end=40 * DAY)
    assert label(NextPurchase(7.0), history, 10 * DAY).value[0] == 2.0
    assert not label(NextPurchase(7.0), history, 25 * DAY).observed[0]
    assert label(NextAmount(7.0), history, 10 * DAY).value[0] == 7.0


def test_the_amount_is_that_of_the_first_order_with_all_its_lines():
    lines = [(0, 11 * DAY, 0, BUY, 500, 1), (0, 11 * DAY, 0, BUY, 250, 0), (0, 12 * DAY, 0, BUY, 9_900, 1)]
    history = make(lines, end=40 * DAY)
    assert label(NextAmount(7.0), history, 10 * DAY).value[0] == 7.5
    assert label(OrderCount(7.0), history, 10 * DAY).value[0] == 2.0


@pytest.mark.parametrize(("amounts", "value", "observed"), [((MISSING,), 0.0, False), ((MISSING, 300), 3.0, True), ((0,), 0.0, True)])
def test_an_unknown_amount_is_not_a_free_order(amounts, value, observed):
    lines = [(0, 11 * DAY, 0, BUY, amount, int(i == 0)) for i, amount in enumerate(amounts)]
    found = label(NextAmount(7.0), make(lines, end=40 * DAY), 10 * DAY)
    assert (found.value[0], found.observed[0]) == (value, observed)
    assert label(NextPurchase(7.0), make(lines, end=40 * DAY), 10 * DAY).observed[0]


def test_everybody_seen_is_asked_and_machines_are_from_their_verdict_on_not():
    history = make([(0, DAY, 0, VIEW, MISSING, 0), (0, 5 * DAY, 0, BACK, MISSING, 0), (1, 3 * DAY, 0, BUY, 5, 1)], end=40 * DAY)
    history = replace(history, log=replace(history.log, kinds=("view", "purchase", "bot")))
    for question in QUESTIONS:
        for cutoff, who in ((DAY, [0, 0, 0]), (DAY + 1, [1, 0, 0]), (5 * DAY, [1, 1, 0]), (5 * DAY + 1, [0, 1, 0])):
            assert question.population(history.before(asked(history, cutoff))).tolist() == who
        assert question.population(history.before(history.keys(["ghost"], 9 * DAY))).tolist() == [False]


def test_a_verdict_counts_from_when_it_was_known():
    history = make([(0, DAY, 0, VIEW, MISSING, 0), (0, 2 * DAY, 6 * DAY, BACK, MISSING, 0)], end=40 * DAY)
    history = replace(history, log=replace(history.log, kinds=("view", "purchase", "bot")))
    assert [bool(NextPurchase(7.0).population(history.before(asked(history, day * DAY)))[0]) for day in (3, 8, 9)] == [True, True, False]


def test_questions_say_what_they_are():
    assert [question.name for question in QUESTIONS] == ["purchase", "orders", "amount"]
    assert {question.entity for question in QUESTIONS} == {"user"}
