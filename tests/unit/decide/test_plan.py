"""Plans: what they must never do, whatever the instance, and what they say."""

import os
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.unit.decide.instances import MADE_AT, effect, random_case, reachable
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Budget, Channel, Offer
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.decide import plan as planning
from whenbuy.decide.bandit import Bandit, Thompson
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.guards import Guards, Reachable, bounds, require_kept
from whenbuy.decide.plan import make

INSTANCES = int(os.environ.get("WHENBUY_INSTANCES", "120"))
"""All 10,000 are looked at with WHENBUY_INSTANCES=10000."""
EMAIL = Channel("email", 0.02)
TEN, GIFT = Offer("ten", discount=0.1), Offer("gift", "gift", cost=1.0)


def case(n=300, offers=(TEN, GIFT), channels=(EMAIL,), budget=None, guards=None, seed=0, consent=1.0, **rest):
    guards = guards or Guards(0.1, 0.0)
    campaign = Campaign(tuple(offers), tuple(channels), budget or Budget(), guards, MADE_AT, Clock(), rest.pop("days", 7), seed)
    found = effect(n, [one.id for one in offers], 28, seed)
    orders = Orders(found.keys.ids(), np.full(n, 60.0), np.ones((n, len(offers))), rest.pop("margin", 0.4))
    return campaign, orders, found, reachable(n, len(channels), np.random.default_rng(seed), consent=consent, **rest)


def planned(campaign, orders, found, who, **rest):
    return make(campaign, orders, [found], who, **rest)


def test_no_random_instance_breaks_a_guard():
    """``make`` counts everything again from the finished decisions, and raises where a guard is broken."""
    contacted = 0
    for seed in range(INSTANCES):
        campaign, orders, found, who = random_case(seed)
        try:
            made = planned(campaign, orders, found, who)
        except UsageError as refused:
            if "drawn by lot alone" not in str(refused):
                raise
            continue
        one = made.decisions
        contacted += bool(one.sent.any())
        assert made.profit <= made.bound + 1e-9
        assert one.cost.sum() <= campaign.budget.money * (1 + 1e-9)
        assert one.sent.sum() <= campaign.budget.contacts
        assert (one.expected_gain[one.sent & ~one.drawn] > 0).all(), "what is chosen earns something"
        if one.sent.any() and min(made.bounds.gain, made.bounds.low) < 0:
            assert any("worse than doing nothing" in note for note in made.notes)
    assert contacted > INSTANCES / 5, "instances in which nobody is contacted show nothing"


BREAKS = {
    "spends": lambda one: replace(one, cost=one.cost * 1e6),
    "contacts of": lambda one: one,
    "without consent": lambda one: one,
    "in quiet hours": lambda one: replace(one, send_at=np.where(one.sent, one.send_at + 13 * DAY // 24, one.send_at)),
    "does not run": lambda one: replace(one, send_at=np.where(one.sent, one.send_at + 40 * DAY, one.send_at)),
    "times of 5": lambda one: one,
    "messages by email of 3": lambda one: one,
    "more often": lambda one: one,
}


@pytest.mark.parametrize("words", BREAKS)
def test_every_guard_bites(words):
    campaign, orders, found, who = case(budget=Budget(500.0), zones=(None,))
    one = planned(campaign, orders, found, who).decisions
    assert one.sent.sum() > 20
    sent = int(np.flatnonzero(one.sent)[0])
    offers = tuple(replace(offer, ends=date(2024, 4, 1)) for offer in campaign.offers) if words == "does not run" else campaign.offers
    offers = tuple(replace(offer, stock=5) for offer in offers) if words == "times of 5" else offers
    channels = (replace(EMAIL, most=3),) if "by email of 3" in words else campaign.channels
    budget = Budget(500.0, 10) if words == "contacts of" else campaign.budget
    who = replace(who, consent=np.zeros_like(who.consent)) if "consent" in words else who
    who = replace(who, owner=np.array([sent]), contacts=one.send_at[[sent]] - DAY) if words == "more often" else who
    with pytest.raises(WhenbuyError, match=words):
        require_kept(BREAKS[words](one), offers, channels, budget, campaign.guards, who, campaign.clock)


def test_a_bug_in_the_choice_does_not_get_out(monkeypatch):
    """Planted: a choice that forgets its limits."""
    honest = planning.choose
    monkeypatch.setattr(planning, "choose", lambda options, limits: honest(options, replace(limits, money=np.inf)))
    with pytest.raises(WhenbuyError, match="spends"):
        planned(*case(budget=Budget(20.0)))


def test_the_same_plan_comes_of_parts_and_of_the_whole():
    campaign, orders, found, who = case(n=90, budget=Budget(60.0, 40), guards=Guards(0.2, 0.1))
    whole = planned(campaign, orders, found, who)
    parts = make(campaign, orders, [found.take(slice(0, 50)), found.take(slice(50, 90))], who)
    assert whole.decisions.frame().equals(parts.decisions.frame())
    assert whole.profit == parts.profit


def test_nobody_is_contacted_twice_too_soon_and_waits_where_needed():
    campaign, orders, found, who = case(guards=Guards(0.0, cap=1, cap_days=4.0), zones=(None,))
    everybody = np.arange(300)
    who = replace(who, owner=everybody, contacts=np.full(300, MADE_AT - DAY))
    one = planned(campaign, orders, found, who).decisions
    assert one.sent.any()
    assert (one.send_at[one.sent] >= MADE_AT + 3 * DAY).all()


def test_messages_go_out_by_each_customers_own_clock():
    campaign, orders, found, who = case(guards=Guards(0.0))
    one = planned(campaign, orders, found, who).decisions
    for zone, hour in (("Asia/Kolkata", 10), ("Pacific/Auckland", 13), ("America/New_York", 20)):  # 05:30, 13:00 and 20:00 by then
        rows = np.flatnonzero(one.sent & (who.zones == zone).fill_null(False).to_numpy())
        assert len(rows)
        assert set(Clock(zone).local(one.send_at[rows]).dt.hour().to_list()) in ({hour}, {10, hour})


def test_hold_out_and_lot_are_logged_with_their_propensities():
    campaign, orders, found, who = case(n=6000, guards=Guards(0.2, 0.3))
    one = planned(campaign, orders, found, who).decisions
    assert abs(one.held_out.mean() - 0.2) < 0.02
    assert abs(one.drawn.mean() - 0.24) < 0.02
    assert not (one.sent & one.held_out).any()
    assert (one.intended[one.held_out] >= 0).any()
    kinds = pl.DataFrame({"p": one.propensity.round(6), "sent": one.sent}).unique()
    least = 0.8 * 0.3 / 3
    assert set(kinds["p"].to_list()) == {round(p, 6) for p in (least, 0.8 * 0.7 + least, 0.2 + least, 0.2 + 0.8 * 0.7 + least)}


def test_weights_by_propensity_count_everybody_once():
    """E[1{decision = d} / P(d)] = 1 for every decision d that could be drawn: the propensities are those of what was done."""
    sums = {-1: [], 0: [], 1: []}
    for seed in range(40):
        campaign, orders, found, who = case(n=200, guards=Guards(0.2, 0.6), seed=0)
        one = planned(replace(campaign, seed=seed), orders, found, who).decisions
        for offer, kept in sums.items():
            kept.append(((one.offer == offer) / one.propensity).mean())
    for kept in sums.values():
        assert abs(np.mean(kept) - 1) < 4 * np.std(kept) / np.sqrt(len(kept)) + 1e-3


def test_a_bandit_draws_with_the_propensities_that_it_logs():
    """E[1{decision = d} / P(d)] = 1 here too; what may not be sent is never drawn, and what is believed best is drawn most."""
    believed = Thompson.begun(3, 2)
    rng = np.random.default_rng(0)
    context = np.hstack([np.ones((200, 1)), rng.normal(size=(200, 1))])
    taught = rng.integers(0, 3, 200)
    believed = believed.update(context, taught, np.where(taught == 1, 0.4, 0.0) + rng.normal(0, 1, 200))
    bandit = Bandit.of(believed, ("none", "ten@email", "gift@email"), context, rng, draws=300)
    sums, agreed = {-1: [], 0: [], 1: []}, None
    for seed in range(40):
        campaign, orders, found, who = case(n=200, guards=Guards(0.2, 0.6), seed=0, consent=0.7)
        one = planned(replace(campaign, seed=seed), orders, found, who, bandit=bandit).decisions
        agreed = who.consent[:, 0]
        assert not one.sent[~agreed].any()
        for offer, kept in sums.items():
            kept.append(((one.offer == offer) / one.propensity)[agreed].mean())
    for kept in sums.values():
        assert abs(np.mean(kept) - 1) < 4 * np.std(kept) / np.sqrt(len(kept)) + 1e-3
    everybody = planned(*case(n=200, guards=Guards(0.0, 1.0)), bandit=bandit).decisions
    share = np.bincount(everybody.offer[agreed] + 1, minlength=3) / agreed.sum()
    assert share[1] > share[0]
    chance = bandit.chances(np.arange(5), ("ten@email",), np.array([[True], [False], [True], [False], [True]]))
    assert (chance[[1, 3], 1] == 0).all()
    assert np.allclose(chance.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": Budget(0.0)}, "the budget is 0"),
        ({"consent": 0.0}, "no customer has agreed"),
        ({"margin": 0.0001}, "no offer earns what it costs"),
        ({"guards": Guards(1.0)}, "everybody is held out"),
        ({"guards": Guards(0.0, cap=0)}, "cap of contacts is 0"),
    ],
)
def test_an_empty_plan_says_why(change, words):
    made = planned(*case(**change))
    assert not made.decisions.sent.any()
    assert made.profit == 0
    assert words in made.notes[0]
    assert made.decisions.reason.null_count() == 0
    assert (made.decisions.reason != "").all()


def test_offers_that_do_harm_are_sent_to_nobody():
    campaign, orders, found, who = case()
    worse = tuple(replace(one, survival=found.without.survival**0.5, mean_count=found.without.mean_count) for one in found.with_offer)
    worse = tuple(replace(one, mean_count=np.maximum(1 - one.survival, 0.5 * one.mean_count)) for one in worse)
    low = np.stack([one.mean_count[:, -1] - found.without.mean_count[:, -1] for one in worse], axis=1)
    made = planned(campaign, orders, replace(found, with_offer=worse, low=low, high=low), who)
    assert not made.decisions.sent.any()
    assert made.quadrants().filter(quadrant="sleeping dog")["customers"][0] == 300
    assert "every offer would lower the orders" in made.notes[0]


def test_ended_offers_are_named_and_left_out():
    made = planned(*case(offers=(TEN, Offer("old", ends=date(2020, 1, 1)))))
    assert made.decisions.sent.any()
    assert not (made.decisions.offer == 1).any()
    assert any("old" in note for note in made.notes)
    with pytest.raises(UsageError, match="No offer runs"):
        case(offers=(Offer("old", ends=date(2020, 1, 1)),))


def test_a_plan_that_may_be_worse_than_nothing_says_so():
    campaign, orders, found, who = case()
    unsure = replace(found, low=found.low - 50.0)
    words = " ".join(planned(campaign, orders, unsure, who).notes)
    assert "may be worse than doing nothing" in words
    assert "worse than doing nothing" not in " ".join(planned(campaign, orders, found, who).notes)


def test_errors_of_effects_that_go_together_are_not_taken_for_independent():
    campaign, orders, found, who = case()
    certain = planned(campaign, orders, replace(found, low=found.incremental(28.0)), who)
    earned = certain.bounds.gain / certain.decisions.sent.sum()
    shared = replace(found, low=found.incremental(28.0) - 1.2 * earned / 24.0)  # a model that is wrong about one is wrong about all
    made = planned(campaign, orders, shared, who)
    assert made.bounds.low < 0 < made.bounds.gain
    assert any("may be worse than doing nothing" in note for note in made.notes)


def test_the_lower_end_is_lower_where_more_was_to_choose_from():
    gain, low = np.array([4.0, 2.0]), np.array([3.0, 1.0])
    assert bounds(gain, low).low == pytest.approx(4.0)
    assert bounds(gain, low, 20).low == pytest.approx(6 - 2 * 2.5758 / 1.2816, rel=1e-3)  # 0.1 / 20 lies below -2.5758 deviations


def test_a_plan_that_only_learns_says_what_that_costs():
    campaign, orders, found, who = case(guards=Guards(0.0, 1.0))
    nothing = replace(found, with_offer=(found.without,) * 2, low=np.zeros((300, 2)), high=np.zeros((300, 2)))
    assert "expected to be worse than doing nothing" in planned(campaign, orders, nothing, who).notes[0]


def test_what_is_drawn_by_lot_alone_must_fit():
    with pytest.raises(UsageError, match="drawn by lot alone"):
        planned(*case(budget=Budget(1.0), guards=Guards(0.0, 1.0)))


def test_no_message_goes_out_to_an_unknown_time_zone():
    campaign, orders, found, who = case()
    zones = pl.Series(["Mars/Olympus"] * 300)
    with pytest.raises(WhenbuyError, match="'Mars/Olympus', which is not known"):
        planned(campaign, orders, found, Reachable(who.consent, zones, who.owner, who.contacts))


def test_the_calendar_adds_up():
    made = planned(*case(channels=(EMAIL, Channel("sms", 0.1)), budget=Budget(200.0)))
    calendar = made.calendar()
    assert calendar["messages"].sum() == made.decisions.sent.sum()
    assert calendar["cost"].sum() == pytest.approx(made.decisions.cost.sum())
    assert made.quadrants()["customers"].sum() == 300
    assert made.gap < 0.05
    assert (np.diff(made.curve["profit"]) > -1e-6).all()
