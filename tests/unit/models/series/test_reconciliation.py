"""What adds up, before and after rounding, and never falls below nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.reconciliation import Tree, above_zero, largest_remainder, rounded, shrunk_covariance, weighted


@st.composite
def trees(draw):
    m = draw(st.integers(1, 12))
    return Tree(np.array([-1, *(draw(st.integers(0, node - 1)) for node in range(1, m))]))


@given(trees(), st.integers(0, 2**32 - 1))
def test_units_add_up_at_every_node(tree, seed):
    rng = np.random.default_rng(seed)
    whole = tree.add_up(rng.uniform(0, 20, (len(tree.leaves), 5)) * rng.integers(0, 2, (len(tree.leaves), 1)))
    units = rounded(whole, tree)
    assert (tree.add_up(units[tree.leaves]) == units).all()
    assert (units >= 0).all()
    assert (np.abs(units[0] - whole[0]) <= 0.5 + 1e-9).all()
    assert (np.abs(units - whole) <= 1 + tree.depth()[:, None]).all()


@given(trees(), st.integers(0, 2**32 - 1))
def test_what_falls_below_nothing_is_taken_from_its_siblings(tree, seed):
    whole = tree.add_up(np.random.default_rng(seed).normal(2, 3, (len(tree.leaves), 4)))
    found = above_zero(whole, tree)
    assert (found >= 0).all()
    assert np.allclose(tree.add_up(found[tree.leaves]), found, atol=1e-6)
    positive = whole[0] > 1e-6
    if (whole[1:] >= 0).all():
        assert np.allclose(found[0][positive], whole[0][positive])


@given(st.integers(0, 2**32 - 1))
def test_what_adds_up_already_stays(seed):
    rng, tree = np.random.default_rng(seed), Tree(np.array([-1, 0, 0, 1, 1]))
    whole = tree.add_up(rng.uniform(0, 9, (3, 2)))
    assert np.allclose(weighted(whole, tree, rng.uniform(0.1, 5, 5)), whole, atol=1e-9)


def test_ties_go_to_the_first_and_nothing_is_shared_evenly():
    assert largest_remainder(np.array([[1.0], [1.0], [1.0]]), np.array([4])).ravel().tolist() == [2, 1, 1]
    assert largest_remainder(np.zeros((2, 1)), np.array([3])).ravel().tolist() == [2, 1]
    assert largest_remainder(np.array([[0.0], [5.0]]), np.array([7])).ravel().tolist() == [0, 7]


def test_the_numbers_before_rounding_add_up_to_a_millionth():
    rng, tree = np.random.default_rng(0), Tree(np.concatenate([[-1], np.zeros(5, int), np.repeat(np.arange(1, 6), 8)]))
    found = weighted(rng.uniform(0, 1e5, (46, 8)), tree, rng.uniform(0.1, 1e6, 46))
    assert np.abs(tree.add_up(found[tree.leaves]) - found).max() < 1e-6


def test_children_that_err_alike_say_less_of_their_sum():
    """The sum is the mean of both estimates, each by the inverse of its own variance; what is missing is shared by the children's."""
    tree, base = Tree(np.array([-1, 0, 0])), np.array([[10.0], [2.0], [4.0]])
    found = weighted(base, tree, np.array([3.0, 1.0, 2.0]), np.array([9.0, 0.0, 0.0]))
    assert np.allclose(found.ravel(), [9.0, 3.0, 6.0])
    assert np.allclose(
        weighted(base, tree, np.array([3.0, 1.0, 2.0])), weighted(base, tree, np.array([3.0, 1.0, 2.0]), np.array([3.0, 0, 0]))
    )


def test_one_error_tells_no_correlation():
    covariance, shrunk = shrunk_covariance(np.array([[1.0, 2.0]]))
    assert shrunk == 1
    assert np.allclose(covariance, np.diag([1.0, 4.0]))


@pytest.mark.parametrize("parent", [[], [0], [-1, -1], [-1, 2, 0], [-1, 1]])
def test_a_tree_has_one_root_and_no_ring(parent):
    with pytest.raises(WhenbuyError):
        Tree(np.array(parent, np.int64))
