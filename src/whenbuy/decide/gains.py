"""What each option would earn: an offer on a channel on a day, from the difference of two purchase curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.decision import Channel, Offer
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import UsageError
from whenbuy.core.kernel import kernel

Shorts = npt.NDArray[np.int16]
LEAST_USED = 0.05
"""However much an offer slows the orders of a day, this share of those that would redeem it anyway still does: none is free."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An offer on a channel: their positions, and what is known of its effect.

    Parameters
    ----------
    offer, channel
        Positions in the offers and the channels.
    arm
        Position of the effect that answers for it.
    own
        Whether that effect was learned on this very channel. Otherwise it is that of an offer which reaches her in full, and the channel
        carries a share of it.
    """

    offer: int
    channel: int
    arm: int
    own: bool


def pairs(offers: Sequence[Offer], channels: Sequence[Channel], arms: Sequence[str]) -> tuple[Pair, ...]:
    """Return every offer on every channel on which it may be sent and whose effect is known.

    An effect is that of an offer on one channel ("ten@email", as ``arm`` names it), or that of an offer whatever the channel ("ten").

    Raises
    ------
    UsageError
        When an offer names a channel that there is not, or of an offer nothing is known.
    """
    known = [channel.name for channel in channels]
    found = []
    for o, offer in enumerate(offers):
        for name in offer.channels:
            if name not in known:
                raise UsageError(
                    f"The offer {offer.id!r} is to be sent by {name!r}.", f"There are the channels: {', '.join(known) or 'none'}.",
                    f"Describe it in [channels.{name}], or name another.",
                )  # fmt: skip
        mine = [c for c, channel in enumerate(channels) if not offer.channels or channel.name in offer.channels]
        made = [pair for c in mine if (pair := _pair(o, offer.id, c, channels[c].name, arms)) is not None]
        if mine and not made:
            raise UsageError(
                f"Nothing is known of what the offer {offer.id!r} does.", f"Effects are known of: {', '.join(arms) or 'nothing'}.",
                "Try it on some customers by lot first (`whenbuy plan --pilot`), or leave it out.",
            )  # fmt: skip
        found += made
    return tuple(found)


def arm(offer: str, channel: str) -> str:
    """Return the name of the effect of an offer on one channel."""
    return f"{offer}@{channel}"


def _pair(o: int, offer: str, c: int, channel: str, arms: Sequence[str]) -> Pair | None:
    if (own := arm(offer, channel)) in arms:
        return Pair(o, c, list(arms).index(own), True)
    return Pair(o, c, list(arms).index(offer), False) if offer in arms else None


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What each arm does when it is sent on each day.

    Parameters
    ----------
    extra
        Orders that would not have come otherwise, until the grid's end (n x arms x days).
    low
        The same at the low end of the 80 % interval (n x arms x days).
    redeemed
        How many orders redeem the offer (n x arms x days).
    buys_anyway
        P(buys before the grid's end without any offer) (n).
    """

    extra: Floats
    low: Floats
    redeemed: Floats
    buys_anyway: Floats


def respond(effect: CurveEffect, valid_days: Floats, once: Bools, uptake: Floats, shared: Floats) -> Response:
    """Return what each arm does when it is sent on each day after the cutoff.

    Sent d days later, an offer adds on the s-th day after that what it would have added on the s-th day after the cutoff, as much more as
    people then buy more: extra(d) = sum over s of added(s) pace(d + s) / pace(s), until the grid's end. Orders that it only pulls
    forward are missing later, before the grid's end, and so cancel out. Whether she buys before d does not matter here: the message goes
    out in any case. What the offer adds while it is valid redeems it, and of the orders that would have come anyway, by her own rate on
    those days, the share ``uptake``.

    Parameters
    ----------
    effect
        The curves without and with each arm (n).
    valid_days
        How long the offer of each arm can be redeemed.
    once
        Whether one order alone redeems it: then P(an order) counts, as large a share of the expected orders as at the cutoff.
    uptake
        P(an order that would have come anyway redeems it) (n x arms).
    shared
        How fast everybody buys on each day ahead, as far as the calendar says so: 0 on a closed day, 1 on any other (the grid's days, and
        as many more as are looked at). What a curve says of a day is no calendar: it mixes in who has bought by then.

    Raises
    ------
    UsageError
        When the curves end within one day.
    """
    end = int(np.floor(effect.horizon_days))
    if end < 1:
        raise UsageError(
            f"The curves of the effect end after {effect.horizon_days:g} days.", "A plan needs a day at least.", "Learn longer ones."
        )
    grid = np.arange(end + 1, dtype=float)
    valid = np.minimum(end, np.ceil(valid_days)).astype(np.int64)
    counts = np.stack([curves.count_at(grid) for curves in effect.with_offer])
    spread = effect.incremental(effect.horizon_days) - effect.low
    share = np.ones((len(effect), len(valid)))
    for a in np.flatnonzero(once):
        share[:, a] = effect.with_offer[a].probability(float(valid[a])) / np.maximum(counts[a][:, valid[a]], 1e-12)
    extra, low, redeemed = _respond(effect.without.count_at(grid), counts, spread, valid, np.minimum(share, 1.0), uptake, shared)
    return Response(extra, low, redeemed, effect.without.probability(float(end)))


@kernel
def _respond(
    base: Floats, counts: Floats, spread: Floats, valid: Ints, share: Floats, uptake: Floats, shared: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return extra, low and redeemed (n x arms x days) from expected counts on whole days (n x g + 1, and arms x n x g + 1)."""
    n, end, arms = base.shape[0], base.shape[1] - 1, counts.shape[0]
    days = len(shared) - end
    extra, low, redeemed = np.empty((n, arms, days)), np.empty((n, arms, days)), np.empty((n, arms, days))
    times = _times(shared, end, days)
    rate, added = np.empty(end + days), np.empty(end)
    for u in range(n):
        for t in range(end + days):  # beyond the grid its last day goes on
            last = min(t, end - 1)
            rate[t] = base[u, last + 1] - base[u, last]
        for a in range(arms):
            for s in range(end):
                added[s] = counts[a, u, s + 1] - counts[a, u, s] - rate[s]
            for d in range(days):
                more, used = 0.0, 0.0
                for s in range(end):
                    now = added[s] * times[d, s]
                    more += now
                    anyway = uptake[u, a] * rate[d + s]
                    used += max(anyway + now, LEAST_USED * anyway) * (s < valid[a])
                extra[u, a, d] = more
                low[u, a, d] = more - spread[u, a]
                redeemed[u, a, d] = max(used, 0.0) * share[u, a]
    return extra, low, redeemed


@kernel
def _times(shared: Floats, end: int, days: int) -> Floats:
    """Return how much faster people buy on the s-th day after day d than on the s-th day (days x end)."""
    times = np.ones((days, end))
    for d in range(days):
        for s in range(end):
            if shared[s] > 0:
                times[d, s] = shared[d + s] / shared[s]
    return times


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """What can be done with each customer beside nothing: only what earns something, and is not dearer than what earns more.

    Parameters
    ----------
    start
        Where each customer's options begin (n + 1), rising.
    pair, day
        Which offer on which channel, and on which day (m each).
    gain
        Expected incremental profit (m), above 0.
    cost
        Expected cost (m).
    low
        The gain at the low end of the effect's 80 % interval (m).
    extra
        Orders that would not have come otherwise (m).
    """

    start: Ints
    pair: Shorts
    day: Shorts
    gain: Floats
    cost: Floats
    low: Singles
    extra: Singles

    def __len__(self) -> int:
        return len(self.start) - 1

    def take(self, rows: Ints) -> Options:
        """Return the options of some of the customers."""
        size = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        place = np.repeat(self.start[:-1][rows] - start[:-1], size) + np.arange(start[-1])
        return Options(start, *(getattr(self, name)[place] for name in ("pair", "day", "gain", "cost", "low", "extra")))

    def only(self, kept: Bools) -> Options:
        """Return some of the options (m), of the same customers."""
        if kept.all():
            return self
        start = np.concatenate([[0], np.cumsum(kept)])[self.start].astype(np.int64)
        return Options(start, *(getattr(self, name)[kept] for name in ("pair", "day", "gain", "cost", "low", "extra")))

    @classmethod
    def joined(cls, parts: Sequence[Options]) -> Options:
        """Return the options of consecutive customers as one."""
        names = ("pair", "day", "gain", "cost", "low", "extra")
        ends = np.concatenate([[0], np.cumsum([part.start[-1] for part in parts])])
        start = np.concatenate([[0], *(part.start[1:] + before for part, before in zip(parts, ends, strict=False))]).astype(np.int64)
        return cls(start, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """What orders are worth, and which sendings are allowed.

    Parameters
    ----------
    margin
        What one order of each customer earns before any offer (n), in the shop's currency.
    given
        What one redemption of the offer of each arm costs (n x arms).
    first_day
        The first day on which each customer may be contacted on each channel (n x channels); from ``days`` on: never.
    reach
        Which share of an offer's effect each channel carries at each customer (n x channels), where it was learned on another one.
    """

    margin: Floats
    given: Floats
    first_day: Ints
    reach: Floats


def options(response: Response, worth: Worth, every: Sequence[Pair], contact_cost: Floats, runs: Ints, *, whole: bool = False) -> Options:
    """Return what can be done with each customer.

    Parameters
    ----------
    response
        What sending does (n).
    worth
        What that is worth, and what is allowed.
    every
        The offers on their channels.
    contact_cost
        What one message costs on each channel.
    runs
        The first day on which each offer may be sent and the first on which it may not any more (offers x 2), as ``days_of`` counts.
    whole
        Whether all undominated options are kept. Otherwise, within an offer on a channel, only those that can be best at some price of
        money: the bound stays the same, and a million customers fit into memory.
    """
    table = np.array([(pair.offer, pair.channel, pair.arm, pair.own) for pair in every], np.int64).reshape(-1, 4)
    start, pair, day, gain, cost, low, extra = _options(
        response.extra, response.low, response.redeemed, worth.margin, worth.given, worth.first_day, runs, table, worth.reach,
        contact_cost, whole,
    )  # fmt: skip
    short, single = np.int16, np.float32
    return Options(start, pair.astype(short), day.astype(short), gain, cost, low.astype(single), extra.astype(single))


@kernel
def _options(
    extra: Floats, low: Floats, redeemed: Floats, margin: Floats, given: Floats, first_day: Ints, runs: Ints, table: Ints,
    reach: Floats, contact: Floats, whole: bool,
) -> tuple[Ints, Ints, Ints, Floats, Floats, Floats, Floats]:  # fmt: skip
    """Return start, pair, day, gain, cost, low and extra of the options that are kept."""
    n, _, days = extra.shape
    start = np.zeros(n + 1, np.int64)
    most = len(table) * days
    room = max(16, 4 * n)
    pair, day = np.empty(room, np.int64), np.empty(room, np.int64)
    gain, cost, least, orders = np.empty(room), np.empty(room), np.empty(room), np.empty(room)
    worth, dear, order = np.empty(days), np.empty(days), np.empty(days, np.int64)
    m = 0
    for u in range(n):
        if m + most > room:
            room = 2 * room + most
            pair, day = np.append(pair, np.empty(room - len(pair), np.int64)), np.append(day, np.empty(room - len(day), np.int64))
            gain, cost = np.append(gain, np.empty(room - len(gain))), np.append(cost, np.empty(room - len(cost)))
            least, orders = np.append(least, np.empty(room - len(least))), np.append(orders, np.empty(room - len(orders)))
        for p in range(len(table)):
            o, c, a = table[p, 0], table[p, 1], table[p, 2]
            share = 1.0 if table[p, 3] else reach[u, c]
            for d in range(days):
                dear[d] = share * redeemed[u, a, d] * given[u, a] + contact[c]
                worth[d] = share * extra[u, a, d] * margin[u] - dear[d]
            k = _by_cost(worth, dear, max(first_day[u, c], runs[o, 0]), min(days, runs[o, 1]), order)
            first = m
            for i in range(k):
                d = order[i]
                if m > first and worth[d] <= gain[m - 1]:
                    continue
                while not whole and m > first:  # the last one goes where it lies on or below the line from its forerunner to this one
                    before_gain, before_cost = (gain[m - 2], cost[m - 2]) if m - 1 > first else (0.0, 0.0)
                    if (gain[m - 1] - before_gain) * (dear[d] - before_cost) > (worth[d] - before_gain) * (cost[m - 1] - before_cost):
                        break
                    m -= 1
                pair[m], day[m], gain[m], cost[m] = p, d, worth[d], dear[d]
                least[m] = share * low[u, a, d] * margin[u] - dear[d]
                orders[m] = share * extra[u, a, d]
                m += 1
        start[u + 1] = m
    return start, pair[:m].copy(), day[:m].copy(), gain[:m].copy(), cost[:m].copy(), least[:m].copy(), orders[:m].copy()


@kernel
def _by_cost(worth: Floats, dear: Floats, first: int, last: int, order: Ints) -> int:
    """Put the days in [first, last) that earn something into ``order``, the cheapest first; return how many they are."""
    k = 0
    for d in range(first, last):
        if worth[d] <= 0:
            continue
        place = k
        while place > 0 and (dear[order[place - 1]], -worth[order[place - 1]]) > (dear[d], -worth[d]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = d
        k += 1
    return k
