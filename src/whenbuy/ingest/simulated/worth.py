"""What every offer would truly be worth, for each customer, on each channel, sent on each day; and the best plan under a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Instants, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.ingest.simulated.contacts import Audience, Contacts
from whenbuy.ingest.simulated.personal import PersonalTime
from whenbuy.ingest.simulated.promotions import RESPONSES
from whenbuy.ingest.simulated.truth import CHUNK, AsItWas, Posterior, fine_days

_NONE: Final = RESPONSES.index("none")
_STEP_DAYS: Final = 7.0
"""Leaving is taken as even over so many days."""


@dataclass(frozen=True, slots=True, eq=False)
class BestPlan:
    """Whom to send what, how and when: positions in the offers, channels and send days, -1 for nothing (n each); what it truly earns.

    Parameters
    ----------
    profit, cost
        Expected sums over all customers: earned after all costs, and spent.
    """

    offer: Ints
    channel: Ints
    day: Ints
    profit: float
    cost: float


@dataclass(frozen=True, slots=True, eq=False)
class OfferTruth:
    """The true effect of every offer on every customer, as the best forecaster could know it.

    It is the average over all that cannot be seen, the way to answer included, by the shares of the customer's segment; the evidence that
    her earlier answers give about that way is left out.

    Parameters
    ----------
    keys
        Who, and as of when (n).
    offers, channels
        Their names (m and c).
    send_days
        Days after the cutoff on which is sent (s).
    horizon_days
        Orders are counted from the cutoff for so long.
    without
        Expected orders when nothing is sent any more (n).
    extra
        Orders that each offer adds when it is opened, by send day (n x m x s).
    used
        Orders made under the offer when it is opened (n x m x s).
    opens
        Chance that she opens a message on each channel (n x c).
    order_value
        What an order is worth at list prices, on average.
    margin, order_cost_shares, order_costs, contact_costs
        As in the laws.
    """

    keys: Keys
    offers: tuple[str, ...]
    channels: tuple[str, ...]
    send_days: tuple[float, ...]
    horizon_days: float
    without: Floats
    extra: Floats
    used: Floats
    opens: Floats
    order_value: float
    margin: float
    order_cost_shares: Floats
    order_costs: Floats
    contact_costs: Floats

    def __len__(self) -> int:
        return len(self.keys)

    def uplift(self) -> Floats:
        """Return the expected orders that sending adds (n x m x c x s)."""
        return self.opens[:, None, :, None] * self.extra[:, :, None, :]

    def cost(self) -> Floats:
        """Return the expected cost of sending (n x m x c x s): the message, and what orders under the offer cost."""
        each = self.order_costs + self.order_cost_shares * self.order_value
        used = each[None, :, None] * self.used
        return np.asarray(self.contact_costs[None, None, :, None] + self.opens[:, None, :, None] * used[:, :, None, :])

    def profit(self) -> Floats:
        """Return the expected profit of sending beyond that of sending nothing (n x m x c x s)."""
        return np.asarray(self.margin * self.order_value * self.uplift() - self.cost())

    def earned(self, offer: Ints, channel: Ints, day: Ints) -> tuple[float, float]:
        """Return the true profit and cost of a plan: positions in the offers, channels and send days, offer -1 for nothing (n each).

        Raises
        ------
        UsageError
            When the plan is not one choice per customer among those there are.
        """
        sent = np.flatnonzero(offer >= 0)
        sizes = np.array([len(self.offers), len(self.channels), len(self.send_days)])
        chosen = np.stack([np.asarray(part)[sent] for part in (offer, channel, day)]).astype(np.int64)
        if len(offer) != len(self) or (chosen < 0).any() or (chosen >= sizes[:, None]).any():
            raise UsageError(
                "A plan names offers, channels or days that there are not, or other customers.", "One choice per key is needed."
            )
        places = (sent, *chosen)
        return float(self.profit()[places].sum()), float(self.cost()[places].sum())

    def best_plan(self, budget: float | None = None) -> BestPlan:
        """Return the plan with the highest true profit whose expected cost stays within a budget.

        Lagrangian of the multiple-choice knapsack: at the lowest price of money at which the best choices of all are affordable; what is
        left of the budget is then spent on the best exchanges that fit. The profit lies within one customer's choice of the bound.
        """
        profit, cost = self.profit().reshape(len(self), -1), self.cost().reshape(len(self), -1)
        choice = _affordable(profit, cost, np.inf if budget is None else budget)
        sent, place = choice >= 0, np.maximum(choice, 0)
        rows, shape = np.arange(len(self)), (len(self.offers), len(self.channels), len(self.send_days))
        offer, channel, day = (np.where(sent, part, -1) for part in np.unravel_index(place, shape))
        return BestPlan(offer, channel, day, float(profit[rows, place][sent].sum()), float(cost[rows, place][sent].sum()))


def _affordable(profit: Floats, cost: Floats, budget: float) -> Ints:
    """Return the option of each row, -1 for none (n), with the most profit within the budget."""
    rows = np.arange(len(profit))

    def at(price: float) -> tuple[Ints, Floats]:
        worth = profit - price * cost
        best = worth.argmax(axis=1)
        choice = np.where(worth[rows, best] > 0, best, -1)
        return choice, np.where(choice >= 0, cost[rows, best], 0.0)

    choice, spent = at(0.0)
    if spent.sum() <= budget:
        return choice
    low, high = 0.0, float((profit / np.maximum(cost, 1e-12)).max()) + 1
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle)[1].sum() <= budget else (middle, high)
    choice, spent = at(high)
    richer, dearer = at(low)
    left = budget - float(spent.sum())
    gain = np.where(richer >= 0, profit[rows, richer], 0.0) - np.where(choice >= 0, profit[rows, choice], 0.0)
    for row in np.argsort(-gain / np.maximum(dearer - spent, 1e-12), kind="stable"):
        if gain[row] > 0 and dearer[row] - spent[row] <= left:
            left -= float(dearer[row] - spent[row])
            choice[row] = richer[row]
    return choice


@dataclass(frozen=True, slots=True, eq=False)
class NothingSent:
    """As if nobody were sent anything from the cutoff on; an offer that was sent before goes on working.

    Parameters
    ----------
    own
        The time by which the past ran.
    as_of
        Everybody's time by what was sent before each cutoff alone: by cutoff.
    """

    own: PersonalTime
    as_of: dict[int, PersonalTime]

    @classmethod
    def of(cls, own: PersonalTime, audience: Audience, contacts: Contacts, cutoffs: Instants) -> NothingSent:
        """Return what lies ahead of these cutoffs."""
        plain = PersonalTime.plain(own.time, own.clock)
        return cls(own, {int(at): audience.own_time(plain, contacts.take(contacts.sent_at < at)) for at in np.unique(cutoffs)})

    def shop_days(self, cutoff: Instants, days: Floats, who: Ints) -> tuple[Floats, Floats]:
        """Return the shop time at each cutoff and how much passes until each day after it."""
        now, ahead = self.own.of_instants(cutoff, who), np.empty((len(who), len(days)))
        for at, own in self.as_of.items():
            rows = np.flatnonzero(cutoff == at)
            ahead[rows] = AsItWas(own).shop_days(cutoff[rows], days, who[rows])[1]
        return now, ahead


def offer_truth(
    keys: Keys, user: Ints, send_days: tuple[float, ...], horizon_days: float, posterior: Posterior, audience: Audience,
    contacts: Contacts, order_value: float,
) -> OfferTruth:  # fmt: skip
    """Return what every offer is worth on every send day; ``user`` says which person each key is (n)."""
    law, n = audience.law, len(keys)
    m = len(law.offers)
    nothing = NothingSent.of(posterior.own, audience, contacts, keys.cutoff)
    without, extra, used = np.empty(n), np.empty((n, m, len(send_days))), np.empty((n, m, len(send_days)))
    for s, day in enumerate(send_days):
        knots = np.unique([*np.arange(_STEP_DAYS, horizon_days, _STEP_DAYS), horizon_days, *_turns(law.length_days, law.payback_days, day)])
        knots = knots[(knots > 0) & (knots <= horizon_days)]
        sends, closes = np.searchsorted(knots, day), np.searchsorted(knots, min(day + law.length_days, horizon_days))
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            counts = _counts(keys.cutoff[part], user[part], knots, day, nothing, posterior, audience)
            plain, offered = counts[:, 0, -1], counts[:, 1:].reshape(len(counts), m, len(RESPONSES) - 1, len(knots))
            before = np.zeros(len(counts)) if day == 0 else counts[:, 0, sends]
            share = np.array(law.response_shares)[audience.segment[user[part]]][:, None, :]
            cared, none = np.delete(share, _NONE, axis=2), share[:, :, _NONE]
            without[part] = plain
            extra[part, :, s] = (cared * (offered[..., -1] - plain[:, None, None])).sum(axis=2)
            idle = (counts[:, 0, closes] - before)[:, None] * none
            used[part, :, s] = (cared * (offered[..., closes] - before[:, None, None])).sum(axis=2) + idle
    chance = audience.open_chance(
        user[:, None], np.arange(len(law.channels))[None, :], contacts.before(user, keys.cutoff, law.fatigue_days)[:, None]
    )
    return OfferTruth(
        keys, law.offers, law.channels, send_days, horizon_days, without, extra, used, chance, order_value, law.margin,
        np.array(law.order_cost_shares), np.array(law.order_costs), np.array(law.contact_costs),
    )  # fmt: skip


def offered_curves(
    keys: Keys, grid_days: Floats, user: Ints, offer: int, channel: int, posterior: Posterior, audience: Audience, contacts: Contacts,
) -> TimeToEvent:  # fmt: skip
    """Return the true curves when one offer is sent at every cutoff on one channel, whether or not it is opened."""
    law = audience.law
    nothing = NothingSent.of(posterior.own, audience, contacts, keys.cutoff)
    chance = audience.open_chance(user, np.full(len(user), channel), contacts.before(user, keys.cutoff, law.fatigue_days))
    fine, _ = fine_days(np.unique([*grid_days, *_turns(law.length_days, law.payback_days, 0.0)]))
    at = np.searchsorted(fine, grid_days)
    survival, mean = np.empty((len(keys), len(grid_days))), np.empty((len(keys), len(grid_days)))
    for start in range(0, len(keys), CHUNK):
        part = slice(start, start + CHUNK)
        now, ahead = _ways(keys.cutoff[part], user[part], fine, 0.0, nothing, audience)
        rows = np.r_[0, 1 + offer * (len(RESPONSES) - 1) + np.arange(len(RESPONSES) - 1)]
        buys, counts = posterior.look(user[part], keys.cutoff[part], now, np.ascontiguousarray(ahead[:, rows]))
        share = np.delete(np.array(law.response_shares), _NONE, axis=1)[audience.segment[user[part]]] * chance[part, None]
        share = np.hstack([1 - share.sum(axis=1, keepdims=True), share])[:, :, None]
        survival[part], mean[part] = 1 - (share * buys).sum(axis=1)[:, at], (share * counts).sum(axis=1)[:, at]
    return TimeToEvent.of(keys, grid_days, survival, mean, "truth")


def _turns(length: float, payback: float, day: float) -> tuple[float, ...]:
    return day, day + length, day + length + payback


def _counts(
    cutoff: Instants, who: Ints, days: Floats, day: float, nothing: NothingSent, posterior: Posterior, audience: Audience
) -> Floats:
    """Return the expected orders by each day when nothing is sent, and for each offer and way to answer but "none" (n x 1 + 3 m x d)."""
    now, ahead = _ways(cutoff, who, days, day, nothing, audience)
    return posterior.look(who, cutoff, now, ahead)[1]


def _ways(cutoff: Instants, who: Ints, days: Floats, day: float, nothing: NothingSent, audience: Audience) -> tuple[Floats, Floats]:
    """Return the shop time at each cutoff (n) and how much of it passes until each day, way by way (n x 1 + 3 m x d)."""
    law = audience.law
    now, plain = nothing.shop_days(cutoff, days, who)
    a, b, c = (nothing.shop_days(cutoff, np.minimum(days, end), who)[1] for end in _turns(law.length_days, law.payback_days, day))
    paces = np.delete(audience.paces, _NONE, axis=3)[audience.price_class[who], audience.segment[who]].reshape(len(who), -1, 2)
    first, then = (b - a)[:, None, :], (c - b)[:, None, :]
    offered = plain[:, None, :] + (paces[:, :, :1] - 1) * first + (paces[:, :, 1:] - 1) * then
    return now, np.concatenate([plain[:, None, :], offered], axis=1)
