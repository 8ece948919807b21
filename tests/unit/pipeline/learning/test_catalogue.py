"""The catalogue: the floor first, and every type that a stored model may be made of."""

import dataclasses

import pytest

from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.when import hazard
from whenbuy.pipeline.learning.catalogue import floors, learners, types
from whenbuy.pipeline.learning.grid import Grid

GRID = Grid((1.0, 7.0, 14.0), 1.0)
ANSWERS = ("purchase", "orders", "amount")


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_floor_comes_first_and_names_are_told_apart(answer):
    found = learners(answer, GRID)
    assert floors(answer, GRID) == found[:1]
    assert len({learner.name for learner in found}) == len(found) > 1


@pytest.mark.parametrize("answer", ANSWERS)
def test_settings_are_data_of_known_types(answer):
    for learner in learners(answer, GRID):
        arrays = {}
        assert decode(encode(learner, arrays), arrays, types()) == learner
        assert getattr(learner, "grid_days", GRID.days) == GRID.days


def test_every_stored_type_is_a_frozen_dataclass_under_its_own_name():
    for name, kind in types().items():
        assert kind.__name__ == name
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen


def test_two_types_of_one_name_are_refused(monkeypatch):
    monkeypatch.setitem(hazard.TYPES, "Forecaster", hazard.HazardModel)
    with pytest.raises(WhenbuyError, match="Two stored types are called Forecaster"):
        types()


def test_counts_that_carry_a_last_rate_on_are_tried_only_where_the_horizon_was_checked():
    days = (7.0, 91.0, 182.0)
    for horizons, listed in (((7.0, 91.0), True), ((7.0, 70.0), True), ((7.0, 52.0), False)):
        names = [learner.name for learner in learners("orders", Grid(days, 7.0, horizons))]
        assert ("boosted-orders" in names) == listed
