"""From which classes she buys: a label for each class, equal to a slow loop."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.features.test_interactions import NAMES, keys_of, with_classes
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import ColumnError
from whenbuy.questions.category import NextClasses

BUY = 1
QUESTION = NextClasses(7.0, ("beer", "milk", "unheard of"))


def label(history, cutoff, question=QUESTION):
    keys = keys_of(history, [cutoff])
    return question.label(history.before(keys), history.within(keys, question.horizon_days))


@given(rows(size=40), st.integers(0, 22 * DAY), st.integers(0, 3))
def test_every_label_equals_a_slow_loop(events, cutoff, lateness):
    history = replace(with_classes(make(events, end=24 * DAY)), lateness_days=lateness)
    found = label(history, cutoff)
    sure = min(cutoff + 7 * DAY, history.end - lateness * DAY)
    for user in range(3):
        window = [e for e in events if e[0] == user and e[3] == BUY and e[4] != MISSING and cutoff <= e[1] < cutoff + 7 * DAY]
        bought = {NAMES[e[4] % 4 - 1] for e in window if e[4] % 4}
        assert found.value[user].tolist() == [float(name in bought) for name in QUESTION.classes]
        assert found.observed[user] == (sure == cutoff + 7 * DAY)
        assert found.end[user] == max(sure, cutoff)


def test_windows_are_half_open_and_a_stranger_buys_nothing():
    history = with_classes(make([(0, 10 * DAY, 0, BUY, 1, 1), (0, 17 * DAY, 0, BUY, 3, 1)], end=40 * DAY))
    assert label(history, 10 * DAY).value[0].tolist() == [0, 1, 0]
    assert label(history, 17 * DAY).value[0].tolist() == [1, 0, 0]
    keys = history.keys(["ghost"], 10 * DAY)
    assert not QUESTION.population(history.before(keys)).any()
    assert not QUESTION.label(history.before(keys), history.within(keys, 7.0)).value.any()


def test_a_log_without_the_column_bought_nothing_and_numbers_are_refused():
    history = make([(0, 10 * DAY, 0, BUY, 1, 1)], end=40 * DAY)
    assert not label(history, 10 * DAY).value.any()
    with pytest.raises(ColumnError, match="numbers"):
        label(history, 10 * DAY, NextClasses(7.0, ("x",), column="amount"))


def test_it_says_what_it_is():
    assert (QUESTION.name, QUESTION.entity, QUESTION.horizon_days) == ("classes", "user", 7.0)
    assert label(with_classes(make([], end=9 * DAY)), DAY).value.shape == (3, 3)
    assert np.issubdtype(label(with_classes(make([], end=9 * DAY)), DAY).value.dtype, np.floating)
