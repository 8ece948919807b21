"""Stepping day by day through what may lie ahead of somebody who is still there, in the shop that treats its customers well or badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.ingest.simulated.care import Care


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """What may lie ahead of some keys (n), on each of some days (d).

    Parameters
    ----------
    rate
        Equally likely purchase rates per shop day (n x k).
    passes
        The shop days in each day (n x d).
    stays, purchases, visits, asks
        P(not leaving for reasons of her own), P(no purchase), P(no visit), P(no unprompted enquiry) on each day, given none before (n x d).
    ask_rate
        Expected unprompted enquiries per day (n).
    sent
        Messages on each day while she is subscribed (n x d).
    unopened, unclicked
        Equally likely chances not to open a message, not to follow it (n x j).
    unsubscribes, leave_sent
        Chance that a message makes her unsubscribe, that it makes her leave (n).
    """

    rate: Floats
    passes: Floats
    stays: Floats
    purchases: Floats
    visits: Floats
    asks: Floats
    ask_rate: Floats
    sent: Floats
    unopened: Floats
    unclicked: Floats
    unsubscribes: Floats
    leave_sent: Floats

    @property
    def one(self) -> Floats:
        """Certainty, on each day."""
        return np.ones_like(self.passes)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is waited for, told by what does not bring it.

    Parameters
    ----------
    order_stays, order_leaves
        P(an order does not bring it and she stays), P(it does not and she leaves) (or one per day: d).
    never
        P(nothing happens on a day that would bring it for certain), given nothing before (n x d).
    rise_stays, rise_leaves
        The same as for orders, of a price rise.
    message
        P(a message does not bring it), unsubscribing aside (a number, or n x j).
    drops
        Whether unsubscribing is what is waited for.
    calm
        Rate per day at which unprompted enquiries make her leave without bringing it (n).
    """

    order_stays: float | Floats
    order_leaves: float | Floats
    never: Floats
    rise_stays: float
    rise_leaves: float
    message: float | Floats
    drops: bool = False
    calm: Floats | float = 0.0


def missed(road: Road, target: Target, law: Care) -> Floats:
    """Return P(it does not come within these days) of keys who are there now (n).

    Within a day what competes at constant rates is shared out by the rates; messages come at its end.
    """
    n, days = road.passes.shape
    certain = isinstance(target.order_stays, float) and target.order_stays == target.order_leaves == 0  # orders are in ``never`` then
    rate = np.zeros((n, 1, 1)) if certain else road.rate[:, :, None]
    message = np.broadcast_to(np.asarray(target.message, np.float64), (n, 1) if np.ndim(target.message) == 0 else np.shape(target.message))
    subscribed = np.ones((n, rate.shape[1], message.shape[1]))
    free, left = np.zeros_like(subscribed), np.zeros_like(subscribed)
    drop, keeps = road.unsubscribes[:, None, None], 1 - road.leave_sent[:, None, None]
    quiet = message[:, None, :]
    calm = np.broadcast_to(np.asarray(target.calm, np.float64), (n,))[:, None, None]
    for day in range(days):
        stays, leaves = (np.broadcast_to(part, (days,))[day] for part in (target.order_stays, target.order_leaves))
        orders = rate * road.passes[:, day, None, None]
        own = -np.log(road.stays[:, day])[:, None, None]
        away = own + calm + orders * leaves + law.rises_per_day * target.rise_leaves
        whole = away + orders * (1 - stays - leaves) + law.rises_per_day * (1 - target.rise_stays - target.rise_leaves)
        whole = whole - np.log(target.never[:, day])[:, None, None]
        held = np.exp(-whole)
        left = left + (subscribed + free) * (1 - held) * away / whole
        subscribed, free = subscribed * held, free * held
        for turn in range(int(road.sent[:, day].max(initial=0))):
            here = (road.sent[:, day] > turn)[:, None, None]
            reached = subscribed * quiet * (1 - drop if target.drops else 1.0)
            left = left + np.where(here, reached * (1 - keeps), 0.0)
            if not target.drops:
                free = free + np.where(here, reached * keeps * drop, 0.0)
            subscribed = np.where(here, reached * keeps * (1.0 if target.drops else 1 - drop), subscribed)
    return np.asarray((subscribed + free + left).mean(axis=(1, 2)))
