"""People of whom only attributes are known are answered from people like them."""

import numpy as np
import polars as pl
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.forecast import TimeToEvent
from whenbuy.models.when.attribute_prior import MOST_VALUES, TYPES, AttributePrior

GRID = np.array([7.0, 14.0, 28.0])


def world(n=3_000, seed=1):
    """Whoever lives in the town orders three times as often as who does not; the age says nothing."""
    rng = np.random.default_rng(seed)
    town = rng.random(n) < 0.3
    rate = rng.gamma(1.0, 0.05, n) * np.where(town, 3.0, 1.0)
    age = pl.Series([(None, "young", "old")[place] for place in rng.integers(0, 3, n)], dtype=pl.String)
    return pl.DataFrame({"place": np.where(town, "town", "land"), "age": age}), rate


def test_what_people_like_her_do_is_found():
    attributes, rate = world()
    found = AttributePrior.learn(attributes, rate)
    asked = pl.DataFrame({"age": [None, None, "old"], "place": ["town", "land", "elsewhere"]})
    factors = found.factor(asked)
    assert factors[0] / factors[1] == pytest.approx(3, rel=0.15)
    assert factors[2] == pytest.approx(1, abs=0.06)
    assert 0.3 * factors[0] + 0.7 * factors[1] == pytest.approx(1, abs=0.05)


def test_few_people_of_a_kind_are_drawn_towards_everybody():
    attributes, rate = world(200)
    rare = attributes.with_columns(place=pl.when(pl.int_range(200) < 2).then(pl.lit("island")).otherwise("place"))
    rate[:2] = 4 * rate.mean()
    found = AttributePrior.learn(rare, rate).factors["place"]
    assert 1 < found["island"] < 0.85 * rate[:2].mean() / rate.mean()


@pytest.mark.parametrize("seed", range(5))
def test_where_attributes_say_nothing_factors_stay_near_1(seed):
    attributes, _ = world(2_000, seed)
    found = AttributePrior.learn(attributes, np.random.default_rng(seed + 50).gamma(1.0, 0.05, 2_000))
    assert np.abs(found.factor(attributes) - 1).max() < 0.1


def test_what_cannot_teach_teaches_nothing():
    attributes, rate = world(100)
    names = attributes.with_columns(name=pl.Series([f"n{i}" for i in range(100)]))
    assert len(names["name"].unique()) > MOST_VALUES
    assert "name" not in AttributePrior.learn(names, rate).factors
    for nothing in (AttributePrior.learn(attributes, np.zeros(100)), AttributePrior.learn(attributes.head(0), np.empty(0))):
        assert nothing.factors == {}
    assert AttributePrior.learn(pl.DataFrame(), np.empty(0)).factors == {}
    assert AttributePrior.learn(attributes.head(10), rate[:10]).factors == {}


def test_only_strangers_are_answered_so_and_curves_stay_curves():
    made = examples({"recency_days": [1.0, 2.0, 3.0]})
    survival, count = np.tile([0.9, 0.8, 0.6], (3, 1)), np.tile([0.2, 0.4, 0.9], (3, 1))
    before = TimeToEvent(made.keys, GRID, survival, count, "m", prior=np.array([True, True, False]))
    prior = AttributePrior({"place": {"town": 3.0, "land": 0.5}})
    after = prior.apply(before, pl.DataFrame({"place": ["town", "land", "town"]}))
    assert after.survival[0] == pytest.approx(survival[0] ** 3)
    assert after.mean_count[1] == pytest.approx(np.maximum(count[1] / 2, 1 - survival[1] ** 0.5))
    assert after.survival[2].tobytes() == survival[2].tobytes()
    assert stored(prior, TYPES).factors == prior.factors
