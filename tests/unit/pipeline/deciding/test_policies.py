"""Policies judged on a pilot in which nothing was truly sent: every policy is worth the same."""

import numpy as np
import polars as pl
import pytest

import whenbuy as wb
from tests.unit.decide.instances import reachable
from whenbuy.config import Settings
from whenbuy.core.arrays import DAY
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import ColumnError, InputError, NotEnoughDataError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.decide.campaign import Orders
from whenbuy.decide.plan import make
from whenbuy.pipeline.deciding import allowed, kept
from whenbuy.pipeline.deciding.experience import bandit, rewards
from whenbuy.pipeline.deciding.policies import NOTHING, judged
from whenbuy.pipeline.keeping.shop import Shop

SETTINGS = Settings.parse("""
[offers.ten]
discount = 0.1
[offers.gift]
kind = "gift"
cost = 1.0
[channels.email]
[budget]
margin = 0.4
""")


@pytest.fixture(scope="module")
def shop():
    return wb.simulate(users=400, days=200, seed=3)


@pytest.fixture(scope="module")
def place(shop, tmp_path_factory):
    """A shop with a pilot 60 days before its log's end: a third each gets ten, a gift, or nothing."""
    place = Shop.create(tmp_path_factory.mktemp("policies") / "shop", Settings())
    made_at = shop.history.end - 60 * DAY
    keys = shop.history.keys(as_of=made_at)
    n = len(keys)
    curve = TimeToEvent.of(keys, np.array([28.0]), np.full((n, 1), 0.5), None, "none")
    effect = CurveEffect(keys, ("ten", "gift"), curve, (curve, curve), np.zeros((n, 2)), np.zeros((n, 2)), "none")
    campaign = allowed.campaign(SETTINGS, made_at, hold_out=0.0, explore=1.0)
    orders = Orders(keys.ids(), np.full(n, 60.0), np.ones((n, 2)), 0.4)
    plan = make(campaign, orders, [effect], reachable(n, 1, np.random.default_rng(0), consent=1.0, zones=(None,)))
    kept.keep(place, plan, 0.4, 28.0)
    return place


def test_each_estimator_says_what_its_formula_says(shop, place):
    plan = kept.read(place)
    seen = rewards(shop.history, plan, 30.0)
    found = judged(shop.history, plan, {}, 30.0)
    assert set(found.table["policy"]) == {NOTHING, "ten@email for everybody", "gift@email for everybody"}
    assert found.logged == pytest.approx(seen.reward.mean())
    match = np.array([arm == "none" for arm in seen.arm])
    value = dict(found.table.filter(policy=NOTHING).select("estimator", "value").iter_rows())
    assert value["ips"] == pytest.approx((3 * match * seen.reward).mean())
    assert value["snips"] == pytest.approx(seen.reward[match].mean())
    wide = {name: high - low for name, low, high in found.table.filter(policy=NOTHING).select("estimator", "low", "high").iter_rows()}
    assert wide["snips"] < wide["ips"]
    anything = seen.reward.mean() + 0.4 * plan.decisions["cost"].mean()
    for low, high in found.table.filter(pl.col("estimator") == "dr").select("low", "high").iter_rows():
        assert low < anything < high, "nothing was truly sent, so nothing made a difference"


def test_a_policy_that_the_log_could_not_carry_out_is_refused_or_told(shop, place):
    plan = kept.read(place)
    users = plan.decisions.select("user_id")
    car = users.with_columns(offer_id=pl.lit("car"), channel=pl.lit("email"))
    with pytest.raises(NotEnoughDataError, match="Nobody was sent what the policy car"):
        judged(shop.history, plan, {"car": car}, 30.0)
    half = car.with_columns(offer_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("offer_id")))
    assert "of what it does could not have been drawn" in judged(shop.history, plan, {"half": half}, 30.0).notes[0]
    with pytest.raises(ColumnError, match="no column channel"):
        judged(shop.history, plan, {"x": users.with_columns(offer_id=pl.lit("ten"))}, 30.0)
    with pytest.raises(InputError, match="decides twice"):
        judged(shop.history, plan, {"x": pl.concat([car, car])}, 30.0)


def test_a_bandit_believes_what_plans_brought(shop, place):
    campaign = allowed.campaign(SETTINGS, shop.history.end, explore=1.0)
    keys = shop.history.keys()
    made, words = bandit(place, shop.history, campaign, keys, seed=0)
    assert "from what came of 4" in words or "decisions of 1 earlier plans" in words
    chance = made.chances(np.arange(len(keys)), ("ten@email", "gift@email"), np.ones((len(keys), 2), bool))
    assert chance.std(axis=0).max() > 0.01, "customers differ"
    early = allowed.campaign(SETTINGS, shop.history.end - 30 * DAY, explore=1.0)
    assert "nothing is known yet" in bandit(place, shop.history, early, keys, seed=0)[1]
