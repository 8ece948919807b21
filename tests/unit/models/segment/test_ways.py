"""What every way to divide customers promises."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import whenbuy.models.segment
from whenbuy.core.codec import decode, encode
from whenbuy.core.examples import Table
from whenbuy.models.segment.density import Density
from whenbuy.models.segment.k_means import KMeans
from whenbuy.models.segment.mixture import Mixture
from whenbuy.models.segment.rfm import NAMES, Rfm
from whenbuy.models.segment.stability import adjusted_rand
from whenbuy.models.segment.way import Way
from whenbuy.pipeline.learning.catalogue import types

FEATURES = ("recency_days", "orders_365d", "spend_365d", "frequency")
KNOWN = {way.name: way for way in (Rfm(), KMeans(FEATURES), Mixture(FEATURES), Density(FEATURES))}
every = pytest.mark.parametrize("name", KNOWN)


def crowds(n=240, seed=1):
    """Three crowds of customers, and the crowd of each."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    orders = np.array([1.0, 8.0, 60.0])[truth] * rng.lognormal(0, 0.1, n)
    recency = np.array([300.0, 40.0, 3.0])[truth] * rng.lognormal(0, 0.1, n)
    return Table(FEATURES, np.column_stack([recency, orders, 20 * orders, orders - 1]).astype(np.float32)), truth


def size(way):
    return 3 if 3 in way.sizes else way.sizes[0]


def learned(name, table, seed=0):
    return KNOWN[name].learn(table, size(KNOWN[name]), seed)


def test_no_way_escapes():
    found = set()
    for place in pkgutil.iter_modules(whenbuy.models.segment.__path__):
        module = importlib.import_module(f"whenbuy.models.segment.{place.name}")
        found |= {
            kind
            for kind in vars(module).values()
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and hasattr(kind, "sizes") and kind is not Way
        }
    assert found == {type(way) for way in KNOWN.values()}


@every
def test_crowds_are_found(name):
    table, truth = crowds()
    code = learned(name, table).place(table)
    assert adjusted_rand(code, truth.astype(np.int32)) > (0.95 if name != "rfm" else 0.4)


@every
def test_a_customer_s_group_depends_on_nobody_else(name):
    table, _ = crowds()
    grouping = learned(name, table)
    whole = grouping.place(table)
    assert [int(grouping.place(table.take(np.array([row])))[0]) for row in range(0, 240, 17)] == whole[::17].tolist()
    assert grouping.place(table.take(slice(0, 0))).shape == (0,)
    assert 0 <= whole.min() <= whole.max() < grouping.groups


@every
def test_the_same_seed_gives_the_same_bytes_and_it_is_kept_as_data(name):
    table, _ = crowds()
    one, other, arrays = {}, {}, {}
    assert encode(learned(name, table), one) == encode(learned(name, table), other)
    assert {path: array.tobytes() for path, array in one.items()} == {path: array.tobytes() for path, array in other.items()}
    grouping = learned(name, table)
    again = decode(encode(grouping, arrays), arrays, types())
    assert np.array_equal(again.place(table), grouping.place(table))


@every
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_few_customers_and_customers_all_alike_divide_into_what_there_is(name, rows):
    alike = Table(FEATURES, np.tile(np.array([[10, 3, 60, 2]], np.float32), (rows, 1)))
    grouping = learned(name, alike)
    assert len(set(grouping.place(alike).tolist())) == 1
    few, _ = crowds(rows)
    assert len(learned(name, few).place(few)) == rows


@every
def test_strangers_and_wild_numbers_have_a_place(name):
    table, _ = crowds()
    odd = Table(FEATURES, np.array([[np.nan, 0, 0, 0], [1e9, 1e9, 1e9, 1e9], [0, 0, -5, 0]], np.float32))
    assert len(learned(name, table).place(odd)) == 3
    nothing = Table(FEATURES, np.full((5, 4), np.nan, np.float32))
    assert len(set(learned(name, nothing).place(nothing).tolist())) == 1


def test_the_grid_names_what_merchants_know():
    rng = np.random.default_rng(2)
    recency, orders = rng.uniform(1, 300, 500), rng.poisson(6, 500) + 1.0
    table = Table(FEATURES, np.column_stack([recency, orders, 10 * orders, orders - 1]).astype(np.float32))
    grid = Rfm().learn(table, 7, 0)
    asked = Table(
        FEATURES,
        np.array(
            [[2, 12, 120, 11], [150, 9, 90, 8], [150, 3, 30, 2], [5, 1, 10, 0], [290, 12, 120, 11], [290, 2, 20, 1], [np.nan, 0, 0, 0]],
            np.float32,
        ),
    )
    assert [NAMES[code] for code in grid.place(asked)] == ["champions", "loyal", "promising", "new", "at risk", "lapsed", "no order yet"]
    assert grid.scores(asked)[[0, 4, 6]].tolist() == [[5, 5, 5], [1, 5, 5], [0, 0, 0]]
    without_amounts = Table((*FEATURES[:2], FEATURES[3]), table.values[:, [0, 1, 3]])
    assert NAMES[int(Rfm().learn(without_amounts, 7, 0).place(asked)[0])] == "champions"
