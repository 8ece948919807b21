"""Demand from below, against slow loops."""

import numpy as np
import pytest

from tests.unit.pipeline.demand.shop_with_model import shop
from whenbuy.core.arrays import DAY
from whenbuy.pipeline.demand import bottom_up as below

WEEK = 7 * DAY
NAME, DAYS = next(iter(below.MEMORIES.items()))
PLAIN = np.ones(7 * (below.LEVEL_WEEKS + 2))


def heard(entity="category", weeks=2):
    history, model = shop()
    lines, cutoff = below.Lines.of(history, entity), int(history.end - 28 * DAY)
    return lines, below.listen(model, history, lines, [*below.level_cutoffs(cutoff), cutoff], weeks), cutoff


def test_known_customers_take_their_own_mix():
    lines, spoken, cutoff = heard()
    said, known = spoken[cutoff], lines.before(cutoff)
    found = below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME].units[: below.NEWCOMER]
    level = below.order_levels(spoken, known, cutoff, np.ones(below.LEVEL_WEEKS + 2))
    users = len(lines.seen)
    orders, units, usual = np.zeros(users), np.zeros((users, lines.leaves)), np.zeros(lines.leaves)
    for i in range(len(known)):
        fade = 0.5 ** ((cutoff - known.time[i]) / (DAYS * DAY))
        orders[known.user[i]] += fade * known.order[i]
        units[known.user[i], known.leaf[i]] += fade * known.units[i]
        usual[known.leaf[i]] += fade * known.units[i]
    usual /= orders.sum()
    wanted = np.zeros_like(found)
    for user, group, expected in zip(said.user, said.group, said.orders, strict=True):
        each = (units[user] + below.MIX_ORDERS * usual) / (orders[user] + below.MIX_ORDERS)
        wanted[group] += np.outer(each, expected * level)
    assert np.allclose(found, wanted)


def test_the_level_of_orders_is_what_came_for_each_expected():
    lines, spoken, cutoff = heard()
    wanted, weekly = [], np.linspace(0.8, 1.3, below.LEVEL_WEEKS + 2)
    for ahead in range(2):
        came, expected = 100.0, 100.0
        for back, earlier in enumerate(below.level_cutoffs(cutoff)):
            since = (cutoff - earlier) // WEEK - 1 - ahead
            if since < 0:
                continue
            weight = 0.5 ** (since / below.LEVEL_HALF)
            expected += weight * spoken[earlier].orders[:, ahead].sum() * weekly[back + ahead]
            for i in range(len(lines)):
                inside = earlier + ahead * WEEK <= lines.time[i] < earlier + (ahead + 1) * WEEK
                came += weight * (inside and lines.order[i] and lines.seen[lines.user[i]] < earlier and lines.known_at[i] < cutoff)
        wanted.append(came / expected)
    assert np.allclose(below.order_levels(spoken, lines, cutoff, weekly), wanted)


def test_groups_are_those_of_the_gaps():
    lines, spoken, cutoff = heard()
    said, known = spoken[cutoff], lines.before(cutoff)
    for user, group in zip(said.user.tolist(), said.group.tolist(), strict=True):
        times = sorted(known.time[(known.user == user) & known.order].tolist())
        wanted = below.OTHER
        if len(times) >= below.GAP_ORDERS and times[-1] > times[0]:
            passed = (cutoff - times[-1]) / ((times[-1] - times[0]) / (len(times) - 1))
            wanted = below.REGULAR if passed < below.DUE_FROM else below.DUE if passed <= below.DUE_TO else below.OTHER
        assert group == wanted
    assert len(set(said.group.tolist())) == 3


def test_nothing_that_happens_later_moves_it():
    history, model = shop()
    cutoff = int(history.end - 28 * DAY)
    wanted = [*below.level_cutoffs(cutoff), cutoff]
    found = []
    for part in (history, history.cut(cutoff)):
        lines = below.Lines.of(part, "category")
        spoken = below.listen(model, part, lines, wanted, 2)
        found.append(below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME].units)
    assert np.array_equal(*found)


def test_days_share_the_weeks_and_closed_days_get_nothing():
    lines, spoken, cutoff = heard()
    whole = below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME]
    assert np.allclose(whole.steps(1, 14).reshape(4, lines.leaves, 2, 7).sum(axis=3), whole.steps(7, 2))
    shut = below.bottom_up(spoken, lines, cutoff, PLAIN, closed=(cutoff // DAY + 2,))[NAME]
    assert not shut.steps(1, 14)[:, :, 2].any()
    assert shut.steps(1, 14)[:, :, 3].any()


def test_an_offer_raises_newcomers_and_the_days_on_which_it_runs():
    lines, spoken, cutoff = heard()
    plain = below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME]
    raised = below.bottom_up(spoken, lines, cutoff, np.where(np.arange(len(PLAIN)) == 7 * below.LEVEL_WEEKS + 3, 2.0, 1.0))[NAME]
    assert raised.shares[0, 3] > plain.shares[0, 3]
    assert raised.units[below.NEWCOMER, :, 0].sum() > plain.units[below.NEWCOMER, :, 0].sum()
    assert (raised.units[:, :, 0] >= plain.units[:, :, 0]).all()
    assert np.allclose(raised.units[:, :, 1], plain.units[:, :, 1])


def test_what_came_is_held_against_the_offers_that_ran():
    lines, spoken, cutoff = heard()
    plain = below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME]
    busy = below.bottom_up(spoken, lines, cutoff, np.where(np.arange(len(PLAIN)) < 7 * below.LEVEL_WEEKS, 1.5, 1.0))[NAME]
    assert busy.units[: below.NEWCOMER].sum() < 0.8 * plain.units[: below.NEWCOMER].sum()


@pytest.mark.parametrize("entity", ["shop", "item"])
def test_every_level_sells_the_same(entity):
    lines, spoken, cutoff = heard(entity)
    category, other, _ = heard("category")
    one = below.bottom_up(spoken, lines, cutoff, PLAIN)[NAME].total.sum()
    two = below.bottom_up(other, category, cutoff, PLAIN)[NAME].total.sum()
    assert one == pytest.approx(two)


def test_before_anybody_came_nothing_is_said():
    history, model = shop()
    lines = below.Lines.of(history, "category")
    assert not below.listen(model, history, lines, [int(history.log.start - DAY)], 2)
