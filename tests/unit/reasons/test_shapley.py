import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy.reasons.shapley import shapley


class World:
    """Random forecasts of mixtures: what members of a customer and what of a typical one give, by a table of random numbers."""

    def __init__(self, seed, customers, typical, groups, *, additive=False):
        rng = np.random.default_rng(seed)
        self.worth = rng.random((max(customers, 1), typical, 2**groups))
        self.parts = rng.normal(size=(customers, groups)), rng.normal(size=(typical, groups))
        self.additive, self.groups, self.asked = additive, groups, 0
        self.differs = np.ones((customers, typical, groups), bool)
        self.worth[:, :, 0] = self.worth[0, :, 0]
        self.worth[:, :, -1] = self.worth[:, :1, -1]

    def ask(self, customer, typical, members):
        self.asked += len(customer)
        if self.additive:
            return np.where(members, self.parts[0][customer], self.parts[1][typical]).sum(axis=1)
        return self.worth[customer, typical, (members << np.arange(self.groups)).sum(axis=1)]


def brute_force(world, customer):
    """Every order of the groups beside every typical customer, one after the other."""
    typical, groups = world.differs.shape[1:]
    size = np.zeros(groups)
    for z in range(typical):
        for order in itertools.permutations(range(groups)):
            told = np.zeros((1, groups), bool)
            before = world.ask(np.array([customer]), np.array([z]), told)[0]
            for group in order:
                told[0, group] = True
                after = world.ask(np.array([customer]), np.array([z]), told)[0]
                size[group] += after - before
                before = after
    return size / typical / math.factorial(groups)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_exact_values_are_those_of_every_order(seed, customers, typical, groups):
    world = World(seed, customers, typical, groups)
    found = shapley(world.ask, world.differs, walks=2, seed=0, exact=True)
    for customer in range(customers):
        np.testing.assert_allclose(found.size[customer], brute_force(world, customer), rtol=0, atol=1e-12)
    assert found.exact
    assert not found.error.any()


@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(1, 4), st.integers(1, 8), st.booleans())
def test_values_add_up_to_the_forecast(seed, customers, typical, groups, exact):
    world = World(seed, customers, typical, groups)
    found = shapley(world.ask, world.differs, walks=2, seed=1, exact=exact)
    np.testing.assert_allclose(found.base + found.size.sum(axis=1), found.chance, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.chance, world.worth[:customers, 0, -1])
    assert found.base == pytest.approx(world.worth[0, :, 0].mean())


def test_orders_that_are_walked_come_near_the_exact_values_and_say_how_near():
    world = World(3, 6, 8, 6)
    exact = shapley(world.ask, world.differs, walks=2, seed=0, exact=True)
    few, many = (shapley(world.ask, world.differs, walks=walks, seed=0, exact=False) for walks in (4, 64))
    away = np.abs(few.size - exact.size) / few.error
    assert np.median(away) < 1.2
    assert away.max() < 5
    assert np.abs(many.size - exact.size).max() < np.abs(few.size - exact.size).max()
    assert many.error.mean() < few.error.mean() / 2.5


def test_an_additive_model_is_told_without_error():
    world = World(4, 3, 5, 7, additive=True)
    found = shapley(world.ask, world.differs, walks=2, seed=0, exact=False)
    np.testing.assert_allclose(found.size, world.parts[0] - world.parts[1].mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.error, 0, atol=1e-12)


@pytest.mark.parametrize("exact", [True, False])
def test_where_nothing_differs_nothing_is_asked_and_nothing_added(exact):
    world = World(5, 2, 4, 5, additive=True)
    same = np.zeros(5, bool)
    same[[1, 3]] = True
    world.parts[0][:, same] = world.parts[1][:, same] = 0.25
    whole = shapley(world.ask, world.differs, walks=2, seed=0, exact=exact)
    asked, world.asked = world.asked, 0
    world.differs[:, :, same] = False
    fewer = shapley(world.ask, world.differs, walks=2, seed=0, exact=exact)
    np.testing.assert_allclose(fewer.size, whole.size, rtol=0, atol=1e-12)
    assert not fewer.size[:, same].any()
    assert world.asked < asked / 1.5


def test_nothing_depends_on_who_else_is_asked():
    world = World(6, 5, 4, 7)
    whole = shapley(world.ask, world.differs, walks=2, seed=0)

    def only_the_fourth(customer, typical, members):
        return world.ask(np.full(len(customer), 3), typical, members)

    alone = shapley(only_the_fourth, world.differs[3:4], walks=2, seed=0)
    np.testing.assert_array_equal(alone.size[0], whole.size[3])
    np.testing.assert_array_equal(alone.error[0], whole.error[3])
