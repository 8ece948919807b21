"""The simulated shop that sends offers: its truths come true, its best plan is the best, and what is learned finds them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, NotFoundError, SettingsError, UsageError
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.promotions import RESPONSES
from whenbuy.pipeline.deciding.effects import fit_effects, running

GRID = np.array([7.0, 14.0, 28.0])


@pytest.fixture(scope="module")
def shop():
    return simulate(3000, seed=5, parameters=Parameters.frozen("promotions"))


@pytest.fixture(scope="module")
def asked(shop):
    keys = shop.history.keys()
    return keys.take(np.arange(0, len(keys), 25))


def test_the_truth_without_action_comes_true_for_those_left_alone(shop):
    at = shop._time.start + 252 * DAY
    idle = shop.decisions.filter((pl.col("send_at").cast(pl.Int64) == at) & (pl.col("offer_id") == "none"))["user_id"]
    keys = shop.history.keys(idle.to_list(), at)
    truth, came = shop.truth(keys, GRID, promoted=False), shop.history.within(keys, 28.0).orders()
    expected = truth.mean_count[:, -1]
    for part in np.array_split(np.argsort(expected), 3):
        assert came[part].mean() == pytest.approx(expected[part].mean(), abs=3 * came[part].std() / np.sqrt(len(part)))


def test_the_truth_of_an_offer_comes_true_for_those_who_got_it(shop):
    sent = shop.decisions.filter(pl.col("offer_id") == "gift")
    orders, expected = [], []
    for (offer, channel, at), part in sent.group_by("offer_id", "channel", pl.col("send_at").cast(pl.Int64)):
        keys = shop.history.keys(part["user_id"].to_list(), at)
        orders.append(shop.history.within(keys, 7.0).orders())
        expected.append(shop.offered(keys, GRID, offer, channel).mean_count[:, 0])
    came, told = np.concatenate(orders), np.concatenate(expected)
    assert came.mean() == pytest.approx(told.mean(), abs=3.5 * came.std() / np.sqrt(len(came)))


def test_the_two_ways_to_the_truth_agree(shop, asked):
    truth = shop.offer_truth(asked, (0.0, 3.0), 28.0)
    without = shop.truth(asked, GRID, promoted=False)
    offered = shop.offered(asked, GRID, "coupon", "push")
    mine = truth.uplift()[:, truth.offers.index("coupon"), truth.channels.index("push"), 0]
    assert truth.without == pytest.approx(without.mean_count[:, -1], rel=0.01)
    assert mine == pytest.approx(offered.mean_count[:, -1] - without.mean_count[:, -1], abs=0.01)


def test_people_answer_in_four_ways(shop, asked):
    extra = shop.offer_truth(asked, (0.0,), 28.0).extra[:, :, 0].mean(axis=1)
    segment = shop.people.join(pl.DataFrame({"user_id": asked.ids()}), on="user_id", maintain_order="right")["segment"].to_numpy()
    mean = {name: extra[segment == name].mean() for name in ("student", "family", "single", "senior")}
    assert mean["student"] > 0.08 > mean["family"] > mean["senior"]
    assert mean["senior"] < 0
    assert set(shop.people["response"].unique()) == set(RESPONSES)


def test_the_log_tells_what_was_sent_and_answered(shop):
    log = shop.history.log
    sent = shop.decisions.filter(pl.col("offer_id") != "none")
    assert log.count("shown") == sent.height
    assert log.count("shown") > log.count("opened") > log.count("clicked") > 0
    assert log.count("redeemed") > 0
    per_round = shop.decisions.group_by("send_at").agg(pl.col("propensity").mean())
    assert (per_round["propensity"] < 0.5).all()
    open_ = running(shop.history, shop._time.start + 312 * DAY, 28.0)
    assert open_.height
    assert (open_["days_ago"] <= 28).all()
    assert not running(shop.history, shop._time.start + 100 * DAY).height


@pytest.mark.parametrize("budget", [None, 0.0, 5.0, 40.0])
def test_the_best_plan_is_that_of_an_integer_program(shop, asked, budget):
    truth = shop.offer_truth(asked.take(slice(0, 25)), (0.0, 7.0), 28.0)
    plan = truth.best_plan(budget)
    profit, cost = truth.profit().reshape(25, -1), truth.cost().reshape(25, -1)
    assert plan.cost <= (np.inf if budget is None else budget) + 1e-9
    assert truth.earned(plan.offer, plan.channel, plan.day) == pytest.approx((plan.profit, plan.cost))
    k = profit.shape[1]
    one = LinearConstraint(np.kron(np.eye(25), np.ones(k)), ub=1)
    money = LinearConstraint(cost.ravel()[None, :], ub=1e9 if budget is None else budget)
    best = milp(-profit.ravel(), constraints=[one, money], integrality=1, bounds=Bounds(0, 1))
    assert plan.profit <= -best.fun + 1e-6
    assert plan.profit >= -best.fun - profit.max()


def test_deterministic_logging_is_refused_with_the_reason():
    shop = simulate(1500, seed=1, parameters=Parameters.frozen("promotions-deterministic"))
    assert (shop.decisions["propensity"] == 1).all()
    with pytest.raises(NotEnoughDataError, match=r"nobody to be compared with.*recency_days"):
        fit_effects(shop.history, shop.decisions)


def test_biased_logging_leans_and_overlaps():
    shop = simulate(1500, seed=1, parameters=Parameters.frozen("promotions-biased"))
    drawn = shop.decisions.filter(pl.col("offer_id") == "none")["propensity"]
    assert drawn.min() > 0.02
    assert drawn.max() < 0.98
    assert drawn.std() > 0.05


def test_a_shop_without_rounds_says_so(asked):
    plain = simulate(50, 100, seed=0)
    assert plain.decisions is None
    with pytest.raises(UsageError, match="sends none in rounds"):
        plain.offer_truth(plain.history.keys())


def test_wrong_questions_are_refused(shop, asked):
    with pytest.raises(NotFoundError, match="no offer 'car'"):
        shop.offered(asked, GRID, "car", "push")
    with pytest.raises(UsageError, match="Send days"):
        shop.offer_truth(asked, (30.0,), 28.0)
    tried, rounds = Parameters.frozen("promotion"), Parameters.frozen("promotions").promotions
    with pytest.raises(SettingsError, match="could not be told apart"):
        replace(tried, promotions=rounds)


@pytest.mark.parametrize("name", ["promotions", "promotions-biased", "promotions-deterministic", "promotions-second"])
def test_the_frozen_laws_are_what_their_hashes_say(name):
    assert Parameters.frozen(name).promotions is not None
