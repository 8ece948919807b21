"""Win-back, audiences, the service queue, and learning while sending."""

import numpy as np
import polars as pl
import pytest

from tests.unit.decide.instances import effect
from whenbuy.core.errors import UsageError
from whenbuy.decide.audience import Pacing, bids
from whenbuy.decide.bandit import Thompson
from whenbuy.decide.queue import queue
from whenbuy.decide.win_back import WinBack


def test_those_who_fall_behind_their_habit_come_first_by_what_is_lost():
    curves = effect(50, ["x"], 28, 1).without
    expected = curves.count_at(28.0)
    orders = np.where(np.arange(50) < 10, 40.0, 1.0)  # ten customers with a habit of 40 orders in 280 days
    found = WinBack().find(curves, orders, np.full(50, 280.0), np.full(50, 5.0))
    usual = 42 / (280 + 2 / (orders.sum() / (50 * 280))) * 28
    wanted = [f"u{i}" for i in range(10) if expected[i] <= 0.5 * usual]
    assert sorted(found["user_id"].to_list()) == sorted(wanted)
    assert found["usual_orders"][0] == pytest.approx(usual)
    assert (np.diff(found["at_stake"]) <= 0).all()
    assert (found["at_stake"] == 5.0 * found["lost_orders"]).all()
    assert WinBack().find(curves.take(slice(0, 0)), np.empty(0), np.empty(0), np.empty(0)).is_empty()
    with pytest.raises(UsageError):
        WinBack(fallen_to=1.5)


def test_a_bid_is_what_an_impression_adds():
    found = bids(
        pl.Series(["a", "b", "c"]), np.array([0.01, -0.1, 0.05]), np.array([20.0, 20.0, 10.0]), np.array([0.1, 0.1, 0.0]), keep=0.5
    )
    assert found["user_id"].to_list() == ["c", "a"]
    assert found["bid"].to_list() == pytest.approx([0.25, 0.1])
    assert found["bid_click"].to_list() == [None, pytest.approx(1.0)]


def test_pacing_spends_a_budget_evenly_and_never_more():
    rng, pacing, spent = np.random.default_rng(0), Pacing(100.0, 50), []
    for _ in range(50):
        mine, day = 0.0, pacing
        for value, other in zip(rng.gamma(2, 1, 40), rng.gamma(2, 0.5, 40), strict=True):
            bid = float(day.bid(np.array([value]))[0])
            price = other if bid > other else 0.0
            price = price if pacing.spent + mine + price <= pacing.budget else 0.0
            mine += price
        pacing = pacing.after(mine)
        spent.append(mine)
    assert pacing.spent <= 100
    assert pacing.spent > 85
    assert pacing.past == 50
    assert np.std(spent[15:45]) < 1.6
    assert abs(np.mean(spent[10:25]) - np.mean(spent[35:])) < 1, "as much late as early"
    assert (Pacing(10.0, 2, spent=10.0).bid(np.array([5.0])) == 0).all()


def test_the_queue_saves_most_per_minute():
    ids = pl.Series(["a", "b", "c", "d"])
    value, leaves = np.array([100.0, 100.0, 10.0, 100.0]), np.array([0.1, 0.1, 0.5, 0.0])
    waited, minutes = np.array([0.0, 5.0, 0.0, 0.0]), np.array([10.0, 10.0, 2.0, 1.0])
    found = queue(ids, value, leaves, waited, minutes, capacity_minutes=12.0)
    assert found["enquiry"].to_list() == ["c", "a", "b", "d"]
    assert found["answered"].to_list() == [True, True, False, False]
    assert found["saved_per_hour"].to_list() == pytest.approx([5.0, 10.0, 10.0 * 0.9**5, 0.0])
    assert queue(ids.head(0), *[np.empty(0)] * 4).is_empty()
    with pytest.raises(UsageError):
        queue(ids, value, leaves + 1, waited, minutes)


def test_thompson_sampling_finds_the_best_arm_of_each_context():
    rng = np.random.default_rng(1)
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.2]])
    bandit, regret = Thompson.begun(3, 2, noise=0.5), []
    for _ in range(40):
        x = rng.random((20, 2))
        arm, chance = bandit.draw(x, rng, draws=100)
        mean = x @ truth.T
        assert np.allclose(chance.sum(axis=1), 1)
        assert chance.min() > 0
        regret.append((mean.max(axis=1) - mean[np.arange(20), arm]).mean())
        bandit = bandit.update(x, arm, mean[np.arange(20), arm] + rng.normal(0, 0.5, 20))
    assert np.mean(regret[-10:]) < 0.25 * regret[0]
    assert np.abs(bandit.mean[:2] - truth[:2]).max() < 0.25


def test_the_linear_posterior_does_not_depend_on_the_order_of_the_rewards():
    rng = np.random.default_rng(2)
    x, y, arm = rng.normal(size=(60, 3)), rng.normal(size=60), rng.integers(0, 2, 60)
    at_once = Thompson.begun(2, 3).update(x, arm, y)
    one_by_one = Thompson.begun(2, 3)
    for i in rng.permutation(60):
        one_by_one = one_by_one.update(x[[i]], arm[[i]], y[[i]])
    np.testing.assert_allclose(at_once.mean, one_by_one.mean, atol=1e-10)
    np.testing.assert_allclose(at_once.precision, one_by_one.precision, atol=1e-10)
    ridge = np.linalg.solve(x[arm == 0].T @ x[arm == 0] + np.eye(3), x[arm == 0].T @ y[arm == 0])
    np.testing.assert_allclose(at_once.mean[0], ridge)


def test_the_logistic_posterior_is_the_mode():
    from scipy.optimize import minimize

    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 2))
    y = (rng.random(400) < 1 / (1 + np.exp(-x @ [1.0, -2.0]))).astype(float)
    found = Thompson.begun(1, 2, reward="chance").update(x, np.zeros(400, np.int64), y)
    best = minimize(lambda w: 0.5 * w @ w + np.logaddexp(0, x @ w).sum() - y @ (x @ w), np.zeros(2)).x
    np.testing.assert_allclose(found.mean[0], best, atol=1e-4)
    with pytest.raises(UsageError):
        Thompson.begun(0, 2)


def test_the_same_seed_draws_the_same():
    bandit, x = Thompson.begun(3, 2), np.random.default_rng(0).normal(size=(30, 2))
    one, two = (bandit.draw(x, np.random.default_rng(5), draws=50) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
