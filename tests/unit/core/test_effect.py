from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.effect import CurveEffect, Effect, Exposure
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary

GRID = np.array([7.0, 14.0, 28.0])
rates = st.lists(st.lists(st.floats(0.01, 2), min_size=3, max_size=3), min_size=2, max_size=2)


def keys(n):
    return Keys("user", np.arange(n, dtype=np.int32), np.full(n, 10 * DAY, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))


def curve(steps):
    count = np.cumsum(np.array(steps, float), axis=1)
    return TimeToEvent.of(keys(len(count)), GRID, np.exp(-count), count, "test")


def effect(without, offered, names=("gift",)):
    curves = tuple(curve(each) for each in offered)
    end = np.stack([each.mean_count[:, -1] for each in curves], axis=1) - curve(without).mean_count[:, -1:]
    return CurveEffect(keys(len(without)), names, curve(without), curves, end - 0.1, end + 0.1, "test")


def test_orders_that_come_back_later_were_pulled_forward():
    found = effect([[0.2, 0.2, 0.4]], [[[0.5, 0.0, 0.2]], [[0.3, 0.3, 0.5]]], ("early", "more"))
    assert found.incremental(7.0)[0] == pytest.approx([0.3, 0.1])
    assert found.incremental(28.0)[0] == pytest.approx([-0.1, 0.3])
    assert found.pulled_forward(7.0)[0] == pytest.approx([0.3, 0.0])
    assert found.pulled_forward(28.0)[0] == pytest.approx([0.0, 0.0])
    assert found.frame().columns == ["user_id", "as_of", "offer", "orders_without", "incremental", "low", "high", "pulled_forward"]


@given(rates, rates)
def test_what_is_extra_is_incremental_or_pulled_forward(without, offered):
    found = effect(without, [offered])
    for day in (3.0, 7.0, 20.0, 28.0):
        extra, lasting = found.incremental(day), np.maximum(found.incremental(28.0), 0)
        assert (found.pulled_forward(day) >= 0).all()
        assert (found.pulled_forward(day) + np.minimum(np.maximum(extra, 0), lasting) >= extra - 1e-9).all()


def test_the_best_offer_is_none_where_all_do_harm():
    uplift = np.array([[0.1, 0.3], [-0.2, -0.1]])
    found = Effect(keys(2), ("a", "b"), uplift, uplift - 1, uplift + 1, "orders", 28.0, "test")
    best, gain = found.best()
    assert best.tolist() == [1, -1]
    assert gain.tolist() == [0.3, 0.0]
    assert found.of("b").tolist() == [0.3, -0.1]
    assert found.take(np.array([1])).frame()["uplift"].to_list() == [-0.2, -0.1]
    with pytest.raises(NotFoundError, match="not known"):
        found.of("c")


def test_an_effect_on_an_earlier_day_is_narrower():
    found = effect([[0.2, 0.2, 0.4]], [[[0.4, 0.2, 0.4]]])
    early, late = found.effect(7.0), found.effect()
    assert (early.high - early.low < late.high - late.low).all()
    assert late.uplift == pytest.approx(found.incremental(28.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uplift": np.zeros((1, 2))}, "shape"), ({"uplift": np.full((2, 1), np.nan)}, "finite"), ({"offers": ("none",)}, "none"),
        ({"low": np.ones((2, 1))}, "outside its own interval"), ({"offers": ()}, "At least one"),
    ],
)  # fmt: skip
def test_an_effect_that_breaks_its_promise_is_never_made(change, words):
    plain = Effect(keys(2), ("a",), np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)), "orders", 7.0, "test")
    with pytest.raises(WhenbuyError, match=words):
        replace(plain, **change)


def test_curves_of_an_effect_share_keys_and_grid():
    one = curve([[0.1, 0.1, 0.1]])
    other = TimeToEvent.of(keys(1), GRID + 1, one.survival, one.mean_count, "test")
    with pytest.raises(WhenbuyError, match="differ"):
        CurveEffect(keys(1), ("a",), one, (other,), np.zeros((1, 1)), np.zeros((1, 1)), "test")


@pytest.mark.parametrize("chance", [[[0.5, 0.6]], [[1.5, -0.5]], [[1.0]]])
def test_propensities_are_chances_that_sum_to_one(chance):
    with pytest.raises(WhenbuyError):
        Exposure(("a",), np.array([1]), np.array(chance))


def test_a_notebook_shows_effects():
    found = effect([[0.2, 0.2, 0.4]] * 3, [[[0.4, 0.2, 0.4]] * 3])
    assert "CurveEffect" in found._repr_html_()
    assert "<img" in found._repr_html_()
    assert "Effect" in found.effect()._repr_html_()
    assert "gift" in repr(found)
    assert "gift" in repr(found.effect())
