import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import stored
from tests.unit.models.trees.planted import NUMBERS, forest, rows, slow_curves, slow_raw, tree
from whenbuy.core.errors import DamagedError, UsageError
from whenbuy.models.trees import TYPES, Trees
from whenbuy.models.trees.arrays import MOST_COLUMNS, MOST_STEPS
from whenbuy.models.trees.walk import FEW, at_most, preorder

SEEDS = st.integers(0, 10_000)
ARRAYS = [field.name for field in dataclasses.fields(Trees) if field.name not in ("features", "link", "base", "divisor")]


@given(SEEDS, st.integers(1, 6), st.integers(0, 7), st.integers(1, 40), st.sampled_from([0, 1, FEW, FEW + 1, 63, 64, 65]))
def test_rows_score_as_in_the_slow_walk(seed, columns, trees, leaves, count):
    made = forest(seed, columns, trees, leaves, base=0.25, divisor=3.0)
    values = rows(seed, count, columns)
    assert np.array_equal(made.raw(values), slow_raw(made, values))


@given(SEEDS, st.integers(1, 4), st.integers(0, 6), st.lists(st.sampled_from(list(NUMBERS)), unique=True), st.integers(0, 3))
def test_a_curve_is_each_bin_apart(seed, columns, trees, bins, count):
    made = forest(seed, columns, trees, 12, base=-1.0)
    bins = np.unique(np.array(bins, np.float32))
    values = rows(seed, count, columns - 1)
    np.testing.assert_allclose(made.curves(values, bins), slow_curves(made, values, bins), rtol=0, atol=1e-12)


def test_a_curve_of_trees_that_ask_nothing_about_the_bin():
    made, bins = forest(331, 2, 1, 12, base=-1.0), np.array([0.0, 1.0], np.float32)
    values = rows(331, 1, 1)
    assert 0 not in made.feature
    np.testing.assert_allclose(made.curves(values, bins), slow_curves(made, values, bins), rtol=0, atol=1e-12)


def test_a_curve_changes_with_its_bins():
    made, values = forest(3, 2, 9), rows(3, 2, 1)
    for bins in (np.arange(4.0), np.arange(2.0), np.array([]), np.arange(4.0)):
        assert made.curves(values, bins).shape == (2, len(bins))
        np.testing.assert_allclose(made.curves(values, bins), slow_curves(made, values, bins), atol=1e-12)


@pytest.mark.parametrize("bins", [[1.0, 1.0], [2.0, 1.0], [np.nan], [0.0, np.nan], [[0.0]]])
def test_bins_must_rise(bins):
    with pytest.raises(UsageError, match="do not rise"):
        forest(0).curves(rows(0, 2, 3), np.array(bins))


@given(st.floats(allow_nan=False), st.floats(width=32, allow_nan=False))
def test_a_float32_is_at_most_a_threshold_exactly_when_it_is_at_most_the_rounded_one(threshold, number):
    cut = at_most(np.array([threshold]))[0]
    assert (number <= threshold) == (np.float32(number) <= cut)


def test_rows_may_be_of_any_layout():
    made, values = forest(1), rows(1, 20, 4)
    wanted = made.raw(values)
    frozen = values.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(values), frozen, values.astype(np.float64), np.repeat(values, 2, axis=0)[::2]):
        assert np.array_equal(made.raw(same), wanted)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (4,), (2, 2, 2)])
def test_rows_must_have_the_columns(shape):
    for ask in (Trees.raw, Trees.predict, Trees.contributions):
        with pytest.raises(UsageError, match="same features"):
            ask(forest(0), np.zeros(shape, np.float32))


def test_links_reach_the_scale_of_the_target():
    values = rows(5, 30, 4)
    raw = forest(5).raw(values)
    assert np.array_equal(forest(5).predict(values), raw)
    np.testing.assert_allclose(forest(5, link="exp").predict(values), np.exp(raw))
    np.testing.assert_allclose(forest(5, link="logistic").predict(values), 1 / (1 + np.exp(-raw)))
    far = Trees.constant(-1e4, 2, "logistic").predict(np.zeros((1, 2), np.float32))
    assert far[0] == 0.0


def test_no_tree_is_a_constant():
    made = Trees.constant(1.5, 3)
    assert len(made) == 0
    assert np.array_equal(made.raw(np.zeros((2, 3), np.float32)), [1.5, 1.5])
    assert np.array_equal(made.raw(np.zeros((20, 3), np.float32)), np.full(20, 1.5))
    assert np.array_equal(made.curves(np.zeros((1, 2), np.float32), np.arange(3.0)), np.full((1, 3), 1.5))
    assert np.array_equal(made.contributions(np.zeros((2, 3), np.float32)), [[0, 0, 0, 1.5]] * 2)
    assert np.array_equal(made.importance(), np.zeros(3))


def test_trees_behind_trees_add_up():
    one, two, values = forest(1, base=1.0), forest(2, base=0.5), rows(9, 40, 4)
    both = one.then(two)
    assert len(both) == len(one) + len(two)
    np.testing.assert_allclose(both.raw(values), one.raw(values) + two.raw(values), atol=1e-12)
    assert np.array_equal(Trees.constant(0.0, 4).then(one).raw(values), one.raw(values))


def test_importance_is_the_gain_by_column():
    made = forest(4, 3, 9)
    wanted = [sum(made.gain[i] for i in range(len(made.feature)) if made.feature[i] == column) for column in range(3)]
    np.testing.assert_allclose(made.importance(), wanted)


@given(SEEDS)
def test_stored_trees_are_the_same(seed):
    made = forest(seed, link="exp", base=0.1)
    again = stored(made, TYPES)
    for name in ARRAYS:
        assert np.array_equal(getattr(again, name), getattr(made, name))
    assert (again.features, again.link, again.base, again.divisor) == (made.features, made.link, made.base, made.divisor)
    assert np.array_equal(again.raw(rows(seed, 9, 4)), made.raw(rows(seed, 9, 4)))


@given(SEEDS, st.sampled_from(ARRAYS), st.data())
def test_damaged_trees_are_refused_or_harmless(seed, name, data):
    made = forest(seed, 3, 3, 6)
    array = getattr(made, name).copy()
    place = data.draw(st.integers(0, len(array) - 1))
    if array.dtype == np.bool_:
        array[place] = not array[place]
    elif array.dtype.kind == "i":
        array[place] = data.draw(st.one_of(st.integers(-3, 40), st.integers(-(2**31), 2**31 - 1)))
    else:
        array[place] = data.draw(st.floats())
    try:
        hurt = dataclasses.replace(made, **{name: array})
    except DamagedError:
        return
    with np.errstate(all="ignore"):
        values = rows(seed, 70, 3)
        assert np.array_equal(hurt.raw(values), slow_raw(hurt, values), equal_nan=True)
        assert hurt.contributions(values[:3]).shape == (3, 4)
        assert hurt.curves(values[:2, 1:], np.arange(5.0)).shape == (2, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"features": 1},
        {"features": -1},
        {"features": True},
        {"features": 2.0},
        {"features": MOST_COLUMNS + 1},
        {"link": "probit"},
        {"base": np.nan},
        {"base": "0"},
        {"divisor": 0.0},
        {"divisor": np.inf},
        {"starts": np.array([0], np.int64)},
        {"starts": np.array([], np.int64)},
        {"starts": np.array([0, 0, 5], np.int64)},
        {"starts": np.array([1, 5], np.int64)},
        {"starts": np.array([0, 5], np.int32)},
        {"feature": np.zeros(5, np.int64)},
        {"feature": np.full(5, -1, np.int32)},
        {"feature": None},
        {"threshold": np.zeros(4)},
        {"threshold": np.full(5, np.nan)},
        {"value": np.full(5, np.inf)},
        {"cover": np.zeros(5)},
        {"cover": np.full(5, -1.0)},
        {"gain": np.full(5, np.nan)},
        {"right": np.array([2, 4, -1, -1, -1], np.int32)},
        {"right": np.array([0, 3, -1, -1, -1], np.int32)},
        {"right": np.array([4, 4, -1, -1, -1], np.int32)},
        {"right": np.array([4, 9, -1, -1, -1], np.int32)},
        {"right": np.array([4, 3, 1, -1, -1], np.int32)},
        {"missing_left": np.zeros(5, np.int8)},
        {"missing_left": np.zeros((5, 1), np.bool_)},
    ],
)
def test_what_is_not_a_forest_is_refused(change):
    good = Trees.planted(
        [
            {
                "feature": [0, 1, -1, -1, -1],
                "threshold": [0.0] * 5,
                "right": [4, 3, -1, -1, -1],
                "missing_left": [False] * 5,
                "value": [0.0, 0.0, 1.0, 2.0, 3.0],
                "cover": [9.0, 5.0, 2.0, 3.0, 4.0],
                "gain": [1.0, 1.0, 0.0, 0.0, 0.0],
            }
        ],
        2,
    )
    with pytest.raises(DamagedError, match="Fit again"):
        dataclasses.replace(good, **change)


def chain(steps):
    nodes = 2 * steps + 1
    inner = np.arange(nodes) < steps
    return {
        "feature": np.where(inner, 0, -1),
        "threshold": np.arange(nodes, dtype=float),
        "right": np.where(inner, nodes - 1 - np.arange(nodes), -1),
        "missing_left": np.zeros(nodes, bool),
        "value": np.where(inner, 0.0, 1.0 / nodes),
        "cover": np.ones(nodes),
        "gain": np.zeros(nodes),
    }


def test_a_path_has_an_end():
    made = Trees.planted([chain(MOST_STEPS)], 1)
    values = np.array([[-1.0], [2.0], [np.nan], [1e9]], np.float32)
    assert np.array_equal(made.raw(values), slow_raw(made, values))
    with pytest.raises(DamagedError, match="longer than"):
        Trees.planted([chain(MOST_STEPS + 1)], 1)


def test_a_tree_has_no_more_nodes_than_can_be_counted():
    rng = np.random.default_rng(0)
    small = tree(rng, 2, 4)
    with pytest.raises(DamagedError, match="more than"):
        Trees.planted([{name: np.tile(part, 10_000) for name, part in small.items()}], 2)


@given(SEEDS, st.integers(1, 40))
def test_preorder_is_the_recursive_one(seed, leaves):
    rng = np.random.default_rng(seed)
    left, right = np.full((2, 2 * leaves - 1), -1, np.int32)
    free, named = [0], iter(rng.permutation(np.arange(1, 2 * leaves - 1)).tolist())
    for _ in range(leaves - 1):
        node = free.pop(int(rng.integers(len(free))))
        left[node], right[node] = next(named), next(named)
        free += [int(left[node]), int(right[node])]

    def below(node):
        return [node] if left[node] < 0 else [node, *below(int(left[node])), *below(int(right[node]))]

    order, then = preorder(left, right)
    wanted = below(0)
    assert order.tolist() == wanted
    assert then.tolist() == [wanted.index(right[node]) if right[node] >= 0 else -1 for node in wanted]
