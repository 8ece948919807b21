"""What options are worth: against slow loops, and against the effects themselves."""

import numpy as np
import pytest

from tests.unit.decide.instances import effect
from whenbuy.core.decision import Channel, Offer
from whenbuy.core.errors import UsageError
from whenbuy.decide.gains import LEAST_USED, Options, Pair, Response, Worth, options, pairs, respond


def test_an_offer_sent_now_adds_what_its_effect_says():
    found = effect(40, ["a", "b"], 28, 1)
    said = respond(found, np.array([7.0, 14.0]), np.array([True, False]), np.ones((40, 2)), np.ones(28 + 5))
    np.testing.assert_allclose(said.extra[:, :, 0], found.incremental(28.0), atol=1e-12)
    np.testing.assert_allclose(said.low[:, :, 0], found.low, atol=1e-12)
    np.testing.assert_allclose(said.redeemed[:, 0, 0], found.with_offer[0].probability(7.0), atol=1e-12)
    np.testing.assert_allclose(said.redeemed[:, 1, 0], found.with_offer[1].count_at(14.0), atol=1e-12)
    np.testing.assert_allclose(said.buys_anyway, found.without.probability(28.0))
    np.testing.assert_allclose(said.extra, said.extra[:, :, :1] * np.ones(5), err_msg="without a calendar every day is as good")


def test_responses_are_those_of_a_slow_loop():
    found, shared = effect(15, ["a", "b"], 10, 3), np.array([1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1.0])
    uptake = np.random.default_rng(0).random((15, 2))
    said = respond(found, np.array([3.0, 6.0]), np.array([False, False]), uptake, shared)
    base = np.diff(found.without.count_at(np.arange(11.0)), axis=1)
    base = np.hstack([base, np.repeat(base[:, -1:], 4, axis=1)])
    for a, valid in enumerate((3, 6)):
        added = np.diff(found.with_offer[a].count_at(np.arange(11.0)), axis=1) - base[:, :10]
        for d in range(4):
            extra, used = np.zeros(15), np.zeros(15)
            for s in range(10):
                now = added[:, s] * (shared[d + s] / shared[s] if shared[s] else 1.0)
                extra += now
                anyway = uptake[:, a] * base[:, d + s]
                used += np.maximum(anyway + now, LEAST_USED * anyway) if s < valid else 0.0
            np.testing.assert_allclose(said.extra[:, a, d], extra, atol=1e-12)
            np.testing.assert_allclose(said.redeemed[:, a, d], np.maximum(used, 0), atol=1e-12)


def case(seed, n=30, days=6):
    rng = np.random.default_rng(seed)
    extra = rng.normal(0.05, 0.1, (n, 2, days))
    response = Response(extra, extra - 0.1, rng.random((n, 2, days)), rng.random(n))
    worth = Worth(rng.gamma(2, 10, n), rng.gamma(1, 1, (n, 2)), rng.integers(0, days + 2, (n, 2)), rng.random((n, 2)))
    every = (Pair(0, 0, 0, True), Pair(0, 1, 0, False), Pair(1, 1, 1, False))
    return response, worth, every, np.array([0.02, 0.3]), np.array([[0, days], [2, days - 1]])


def slow(response, worth, every, contact, runs):
    """Every undominated option of every customer: (customer, pair, day, gain, cost)."""
    found = []
    for u in range(len(worth.margin)):
        for p, pair in enumerate(every):
            mine = []
            for d in range(max(worth.first_day[u, pair.channel], runs[pair.offer, 0]), min(response.extra.shape[2], runs[pair.offer, 1])):
                share = 1.0 if pair.own else worth.reach[u, pair.channel]
                cost = share * response.redeemed[u, pair.arm, d] * worth.given[u, pair.arm] + contact[pair.channel]
                mine.append((u, p, d, share * response.extra[u, pair.arm, d] * worth.margin[u] - cost, cost))
            good = [o for o in mine if o[3] > 0 and not any((q[3] >= o[3] and q[4] < o[4]) or (q[3] > o[3] and q[4] <= o[4]) for q in mine)]
            found += sorted(good, key=lambda option: option[4])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_options_are_those_of_a_slow_loop(seed):
    response, worth, every, contact, runs = case(seed)
    made, wanted = options(response, worth, every, contact, runs, whole=True), slow(response, worth, every, contact, runs)
    owner = np.repeat(np.arange(len(made)), np.diff(made.start))
    got = list(zip(owner, made.pair, made.day, made.gain, made.cost, strict=True))
    assert [one[:3] for one in got] == [one[:3] for one in wanted]
    np.testing.assert_allclose([one[3:] for one in got], [one[3:] for one in wanted], rtol=1e-12)


def test_the_hull_holds_what_is_best_at_any_price_of_money():
    response, worth, every, contact, runs = case(9)
    hull, whole = (options(response, worth, every, contact, runs, whole=w) for w in (False, True))
    assert len(hull.gain) < len(whole.gain)
    for price in (0.0, 0.1, 0.5, 1.0, 3.0, 10.0):
        best = [
            [np.max(one.gain[a:b] - price * one.cost[a:b], initial=0.0) for a, b in zip(one.start[:-1], one.start[1:], strict=True)]
            for one in (hull, whole)
        ]
        np.testing.assert_allclose(*best)


def test_options_are_taken_and_joined_without_a_change():
    made = options(*case(2))
    parts = [made.take(np.arange(0, 10)), made.take(np.arange(10, 30))]
    again = Options.joined(parts)
    for name in ("start", "pair", "day", "gain", "cost", "low", "extra"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    kept = made.only(made.gain > 1)
    assert kept.start[-1] == (made.gain > 1).sum()
    assert len(kept) == len(made)


def test_an_offer_needs_a_channel_and_a_known_effect():
    channels = (Channel("email"), Channel("sms"))
    own = pairs((Offer("ten"),), channels, ("ten@sms",))
    assert own == (Pair(0, 1, 0, True),)
    assert pairs((Offer("ten", channels=("email",)),), channels, ("x", "ten")) == (Pair(0, 0, 1, False),)
    with pytest.raises(UsageError, match="to be sent by 'fax'"):
        pairs((Offer("ten", channels=("fax",)),), channels, ("ten",))
    with pytest.raises(UsageError, match="Nothing is known of what the offer 'ten'"):
        pairs((Offer("ten"),), channels, ("twenty",))
