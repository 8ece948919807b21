"""How views are joined: no worse than the better one, and never by what an origin itself told."""

import numpy as np
import pytest

from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.agreement import View, _weights, agree
from whenbuy.models.series.reconciliation import Tree

TREE = Tree(np.array([-1, 0, 0, 0]))


def case(seed, *errors, origins=10, horizon=4, tree=TREE):
    """Views with stated errors of a demand around 100, 300 and 600."""
    rng = np.random.default_rng(seed)
    truth = tree.add_up(rng.poisson(np.array([100, 300, 600])[:, None, None], (3, origins + 1, horizon)).astype(float))
    views = []
    for name, error in enumerate(errors):
        told = np.maximum(truth + rng.normal(0, error, truth.shape) * np.sqrt(truth), 0)
        views.append(View(str(name), told[:, :-1], told[:, -1]))
    return views, truth[:, :-1], truth[:, -1]


@pytest.mark.parametrize("seed", range(6))
def test_the_joined_forecast_adds_up_and_is_no_worse_than_the_worse_view(seed):
    views, came, _ = case(seed, 1.0, 2.0)
    found = agree(views, came, TREE, 4)
    for told in (found.ahead, found.told.reshape(4, -1)):
        assert np.abs(TREE.add_up(told[TREE.leaves]) - told).max() < 1e-6
    alone = [np.abs(came - view.told).mean() for view in views]
    assert np.abs(came - found.told).mean() < max(alone)


def test_the_weights_are_the_best_ones():
    """By trying all in steps of a hundredth."""
    rng = np.random.default_rng(0)
    error = rng.normal(0, 0.6, (3, 4, 40)) * np.array([1.0, 1.3, 2.0])[:, None, None] + 0.3 * rng.normal(0, 1, (4, 40))
    grid = np.array([(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]) / 100
    best = grid[((grid @ error.reshape(3, -1)) ** 2).mean(axis=1).argmin()]
    assert np.allclose(_weights(error), best, atol=0.011)


def test_a_view_that_adds_nothing_has_no_say():
    """The second view is the first with further errors."""
    rng = np.random.default_rng(4)
    error = rng.normal(0, 1, (4, 40))
    assert _weights(np.stack([error, error + rng.normal(0, 0.5, error.shape)]))[1] < 0.05


def test_chance_does_not_hide_a_level_that_is_off_for_all():
    """Two hundred small series, each all chance, of which one view tells half too much."""
    rng = np.random.default_rng(5)
    tree = Tree(np.append(-1, np.zeros(200, np.int64)))
    truth = tree.add_up(rng.poisson(3.0, (200, 11, 4)).astype(float))
    right, wrong = (tree.add_up(np.full((200, 11, 4), each)) for each in (3.0, 4.5))
    views = [View(name, each[:, :-1], each[:, -1]) for name, each in (("right", right), ("wrong", wrong))]
    found = agree(views, truth[:, :-1], tree)
    assert found.level[1] < 0.01
    assert abs(found.ahead[0] / truth[0, -1] - 1).max() < 0.1


def test_an_origin_at_which_a_view_lost_its_mind_moves_little():
    views, came, truth = case(6, 1.0, 1.0, origins=12)
    mad = views[0].told.copy()
    mad[1, 3] = 1e10
    mad[0, 3] = mad[1:, 3].sum(axis=0)
    found = agree([View("mad", mad, views[0].ahead), views[1]], came, TREE, 1)
    assert np.abs(truth - found.ahead).max() < 5 * np.sqrt(truth.max())


def test_who_knows_the_level_and_who_knows_the_shares_are_both_heard():
    rng = np.random.default_rng(2)
    shape = (3, 13, 4)
    truth = np.array([100.0, 300.0, 600.0])[:, None, None] * np.exp(rng.normal(0, 0.15, shape[1:])) * np.exp(rng.normal(0, 0.15, shape))
    level = truth.sum(axis=0) / 3 * np.ones((3, 1, 1)) * np.array([0.3, 0.9, 1.8])[:, None, None]  # knows how much in all
    mix = truth * np.exp(rng.normal(0, 0.15, shape[1:]))  # knows what it is
    views = [View(name, each[:, :-1], each[:, -1]) for name, each in zip("ab", (TREE.add_up(level), TREE.add_up(mix)), strict=True)]
    came = TREE.add_up(truth)[:, :-1]
    found = agree(views, came, TREE)
    assert found.level[0] > 0.6
    assert found.mix[0] < 0.4
    wrong = [np.abs(came[1:] - told[1:]).mean() for told in (found.told, views[0].told, views[1].told)]
    assert wrong[0] < 0.9 * min(wrong[1:])


def test_the_total_is_that_of_all_views_where_none_is_clearly_better():
    rng = np.random.default_rng(0)
    views, came, _ = case(1, 0.5, 0.5, origins=12)
    shift = 40 * rng.standard_normal((12, 1))
    moved = [
        View(view.name, np.maximum(view.told + sign * shift * came[:, :1] / came[0, 0].mean(), 0), view.ahead)
        for view, sign in zip(views, (1, -1), strict=True)
    ]
    found = agree(moved, came, TREE)
    alone = [np.abs(came[0] - view.told[0]).mean() for view in moved]
    assert np.abs(came[0] - found.told[0]).mean() < 0.7 * min(alone)


def test_two_good_views_are_better_than_each():
    wins = 0
    for seed in range(8):
        views, came, truth = case(seed, 1.5, 1.5, origins=12)
        found = agree(views, came, TREE)
        alone = min(np.abs(truth - view.ahead)[1:].sum() for view in views)
        wins += np.abs(truth - found.ahead)[1:].sum() < alone
    assert wins >= 5


def test_a_useless_view_is_hardly_heard():
    views, came, truth = case(3, 0.5, 30.0)
    found = agree(views, came, TREE)
    assert np.abs(truth - found.ahead).sum() < 1.6 * np.abs(truth - views[0].ahead).sum() + 1e-9


def test_what_came_at_an_origin_does_not_move_what_was_agreed_there():
    views, came, _ = case(1, 1.0, 1.0)
    changed = came.copy()
    changed[:, 4] *= 3
    assert np.array_equal(agree(views, came, TREE).told[:, 4], agree(views, changed, TREE).told[:, 4])
    assert not np.array_equal(agree(views, came, TREE).told[:, 5], agree(views, changed, TREE).told[:, 5])


def test_unknown_steps_and_short_backtests_are_carried():
    views, came, _ = case(6, 1.0, 2.0)
    came[:, -1, 2:] = np.nan
    assert np.isfinite(agree(views, came, TREE, 4).ahead).all()
    short = [View(view.name, view.told[:, :1], view.ahead) for view in views]
    assert np.isfinite(agree(short, came[:, :1], TREE, 4).told).all()
    assert np.isfinite(agree(short, np.full_like(came[:, :1], np.nan), TREE).ahead).all()


def test_views_of_different_shapes_are_refused():
    views, came, _ = case(7, 1.0)
    with pytest.raises(WhenbuyError):
        agree(views, came[:, :2], TREE)
    with pytest.raises(WhenbuyError):
        agree([], came, TREE)
