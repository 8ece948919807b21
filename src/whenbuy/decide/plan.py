"""The plan: one offer or none for every customer, on a channel and on a day, that together earn most within the limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Floats, Instants, Ints
from whenbuy.core.decision import Decisions
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import UsageError
from whenbuy.core.holdout import hold_out
from whenbuy.decide import lot, words
from whenbuy.decide.bandit import Bandit
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.gains import Options, Pair, Response, Worth, arm, options, pairs, respond
from whenbuy.decide.guards import Bounds, Reachable, bounds, require_kept
from whenbuy.decide.knapsack import Choice, at_prices, choose, trace
from whenbuy.decide.limits import Limits
from whenbuy.decide.lot import Lottery
from whenbuy.decide.timing import send_instants

WHOLE: Final = 2000
"""Up to so many customers every undominated option is kept; beyond, those that can be best at some price of money."""
POLICY: Final = "plan"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is done with everybody, and what that is expected to earn.

    Parameters
    ----------
    decisions
        One row per customer.
    campaign
        What was allowed.
    profit
        The sum of the expected gains.
    bound
        No other plan for those who are not held out earns more, by the same effects.
    bounds
        How little it may earn.
    quadrant
        Where each customer stands (n): a position in ``words.QUADRANTS``.
    curve
        What other budgets would earn: budget, profit, contacts.
    notes
        What the reader should know, in sentences.
    """

    decisions: Decisions
    campaign: Campaign
    profit: float
    bound: float
    bounds: Bounds
    quadrant: Ints
    curve: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def gap(self) -> float:
        """How far the profit lies below the bound, as a share of the bound."""
        return 0.0 if self.bound <= 0 else max(0.0, (self.bound - self.profit) / self.bound)

    def quadrants(self) -> pl.DataFrame:
        """Return how many customers stand in each quadrant, and how many of them are contacted: quadrant, customers, contacted."""
        count = np.bincount(self.quadrant, minlength=len(words.QUADRANTS))
        sent = np.bincount(self.quadrant[self.decisions.sent], minlength=len(words.QUADRANTS))
        return pl.DataFrame({"quadrant": list(words.QUADRANTS), "customers": count, "contacted": sent})

    def calendar(self) -> pl.DataFrame:
        """Return how many messages go out on each local day by channel: day, channel, messages, cost."""
        one = self.decisions
        rows = np.flatnonzero(one.sent)
        day = pl.Series(self.campaign.clock.days(one.send_at[rows]), dtype=pl.Int64).cast(pl.Int32).cast(pl.Date)
        channel = pl.Series(list(one.channels), dtype=pl.String).gather(one.channel[rows])
        table = pl.DataFrame({"day": day, "channel": channel, "cost": one.cost[rows]})
        return table.group_by("day", "channel").agg(pl.len().alias("messages"), pl.col("cost").sum()).sort("day", "channel")


def make(
    campaign: Campaign, orders: Orders, effects: Iterable[CurveEffect], reachable: Reachable, *, policy: str = POLICY,
    closed: tuple[int, ...] = (), bandit: Bandit | None = None,
) -> Plan:  # fmt: skip
    """Return the plan that is expected to earn most.

    Parameters
    ----------
    campaign
        What may be done.
    orders
        What an order of each customer is worth (n).
    effects
        What the offers do to each customer, in consecutive parts in the order of ``orders``: only one part lies in memory at a time.
    reachable
        Whom it may contact (n).
    policy
        The name under which the decisions are kept.
    closed
        Local days (since 1970-01-01) on which nobody can buy.
    bandit
        What draws for those who are drawn by lot; every allowed option and nothing are equally likely without one.

    Raises
    ------
    UsageError
        When nothing is known of an offer, or what is drawn by lot alone exceeds a limit.
    """
    guards = campaign.guards
    held = hold_out(orders.user_id, guards.hold_out, f"{campaign.seed} hold-out")
    drawn = hold_out(orders.user_id, guards.explore, f"{campaign.seed} explore") & ~held
    first_day = campaign.first_day(reachable)
    parts = _parts(campaign, orders, effects, first_day, reachable.reach(campaign.channels), drawn, closed, bandit)
    choice, ghost, limits = _chosen(campaign, parts, held, drawn)
    placed = _placed(parts, choice.option, ghost, held, drawn)
    decisions = _decided(campaign, orders, parts, placed, reachable, first_day, held, drawn, policy)
    require_kept(decisions, campaign.offers, campaign.channels, campaign.budget, guards, reachable, campaign.clock)
    lotted = float(parts.lot.gain.sum())
    free = parts.options.take(np.flatnonzero(~held & ~drawn))
    curve = trace(free, limits, choice)
    sent = decisions.sent
    low = bounds(decisions.expected_gain[sent], decisions.low[sent], len(parts.pairs))
    notes = words.notes(campaign, decisions, reachable, choice, low, parts.quadrant, float(parts.lot.cost.sum()))
    return Plan(decisions, campaign, choice.profit + lotted, choice.bound + lotted, low, parts.quadrant, curve, notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What is known of everybody once the effects have been read.

    Parameters
    ----------
    pairs
        The offers on their channels.
    options
        What can be done with each customer (n).
    quadrant
        Where each stands (n).
    lot
        What the draw gave to those who are drawn by lot.
    lottery
        By which chances it drew.
    """

    pairs: tuple[Pair, ...]
    options: Options
    quadrant: Ints
    lot: lot.Drawn
    lottery: Lottery


def _parts(
    campaign: Campaign, orders: Orders, effects: Iterable[CurveEffect], first_day: Ints, reach: Floats, drawn: Bools,
    closed: tuple[int, ...], bandit: Bandit | None,
) -> _Parts:  # fmt: skip
    offers, contact = campaign.offers, np.array([channel.cost for channel in campaign.channels])
    every: tuple[Pair, ...] = ()
    lottery: Lottery | None = None
    found: list[Options] = []
    quadrant: list[Ints] = []
    lots: list[lot.Drawn] = []
    rng, start, n = np.random.default_rng([campaign.seed, 1]), 0, len(drawn)
    today = int(campaign.clock.days(np.array([campaign.made_at], np.int64))[0])
    for effect in effects:
        ahead = today + np.arange(int(effect.horizon_days) + campaign.days)
        shared = np.where(np.isin(ahead, closed), 0.0, 1.0)
        rows = slice(start, start + len(effect))
        every = every or pairs(offers, campaign.channels, effect.offers)
        lottery = lottery or _lottery(campaign, every, bandit)
        of_arm = _offer_of_arm(every, len(effect.offers))
        valid, once = np.array([one.valid_days for one in offers])[of_arm], np.array([one.once for one in offers])[of_arm]
        mine = orders.take(rows)
        response = respond(effect, valid, once, mine.taken_up(of_arm), shared)
        worth = Worth(mine.margin * mine.amount, mine.given(offers, of_arm), first_day[rows], reach[rows])
        made = options(response, worth, every, contact, campaign.runs, whole=n <= WHOLE)
        found.append(made)
        quadrant.append(_quadrant(made, response, every))
        lots.append(lot.draw(response, worth, every, contact, campaign.runs, np.flatnonzero(drawn[rows]), start, rng, lottery))
        start += len(effect)
    if start != n:
        raise UsageError(f"The effects speak of {start:,} customers and the orders of {n:,}.", "They must be the same.", "Ask again.")
    return _Parts(every, Options.joined(found), np.concatenate(quadrant), lot.Drawn.joined(lots), lottery or Lottery(()))


def _lottery(campaign: Campaign, every: Sequence[Pair], bandit: Bandit | None) -> Lottery:
    names = (arm(campaign.offers[pair.offer].id, campaign.channels[pair.channel].name) for pair in every)
    return Lottery(tuple(names), bandit)


def _offer_of_arm(every: Sequence[Pair], arms: int) -> Ints:
    """Return the offer of each arm (arms); an arm that nobody sends counts as the first offer's."""
    found = np.zeros(arms, np.int64)
    for pair in every:
        found[pair.arm] = pair.offer
    return found


def _quadrant(made: Options, response: Response, every: Sequence[Pair]) -> Ints:
    """Return where each customer stands (n): see ``words.QUADRANTS``."""
    arms = sorted({pair.arm for pair in every})
    best = response.extra[:, arms].max(axis=(1, 2))
    otherwise = np.where(response.buys_anyway >= 0.5, words.SURE, words.LOST)
    return np.where(np.diff(made.start) > 0, words.PERSUADABLE, np.where(best < 0, words.SLEEPING, otherwise))


def _chosen(campaign: Campaign, parts: _Parts, held: Bools, drawn: Bools) -> tuple[Choice, Ints, Limits]:
    """Return the choice of those who are free to get what is best, what the others would have got at the same prices, and the limits."""
    limits = _limits(campaign, parts)
    free, others = np.flatnonzero(~held & ~drawn), np.flatnonzero(held | drawn)
    choice = choose(parts.options.take(free), limits)
    ghost = at_prices(parts.options.take(others), limits, choice.price_of_money, choice.prices)
    return choice, ghost, limits


def _limits(campaign: Campaign, parts: _Parts) -> Limits:
    """Return what is left of every limit after what was drawn by lot.

    Raises
    ------
    UsageError
        When the lot alone exceeds one.
    """
    every, used = parts.pairs, np.bincount(parts.lot.pair[parts.lot.pair >= 0], minlength=len(parts.pairs))
    rows: list[tuple[str, list[bool], float]] = []
    if np.isfinite(campaign.budget.contacts):
        rows.append(("contacts", [True] * len(every), campaign.budget.contacts))
    rows += [
        (f"stock of {one.id}", [pair.offer == o for pair in every], one.stock)
        for o, one in enumerate(campaign.offers) if one.stock is not None
    ]  # fmt: skip
    rows += [
        (f"messages by {one.name}", [pair.channel == c for pair in every], one.most)
        for c, one in enumerate(campaign.channels) if one.most is not None
    ]  # fmt: skip
    counted = np.array([row[1] for row in rows], bool).reshape(len(rows), len(every))
    left = np.floor(np.array([row[2] for row in rows], float)) - counted @ used
    money = campaign.budget.money - float(parts.lot.cost.sum())
    short = ["the budget"] * int(money < 0) + [row[0] for row, rest in zip(rows, left, strict=True) if rest < 0]
    if short:
        raise UsageError(
            f"What is drawn by lot alone ({campaign.guards.explore:.0%} of the customers) exceeds: {', '.join(short)}.",
            "Exploring costs money and contacts too.", "Explore with fewer customers, or raise the limit.",
        )  # fmt: skip
    return Limits(money, tuple(row[0] for row in rows), counted, left)


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """What everybody gets or would have got (n each): a pair (-1: nothing), its day, and the figures of what is really sent."""

    pair: Ints
    day: Ints
    best: Ints
    gain: Floats
    low: Floats
    cost: Floats
    extra: Floats


def _placed(parts: _Parts, option: Ints, ghost: Ints, held: Bools, drawn: Bools) -> _Placed:
    """Put what was chosen, what was drawn and what would have been chosen into the order of the customers."""
    n = len(held)
    free, others = np.flatnonzero(~held & ~drawn), np.flatnonzero(held | drawn)
    place = np.full(n, -1, np.int64)
    for rows, chosen in ((free, option), (others, ghost)):
        before = np.concatenate([[0], np.cumsum(np.diff(parts.options.start)[rows])])[:-1]
        place[rows] = np.where(chosen >= 0, chosen - before + parts.options.start[rows], -1)
    best = np.where(place >= 0, parts.options.pair[np.maximum(place, 0)], -1) if len(parts.options.gain) else np.full(n, -1)
    sent = free[place[free] >= 0]
    pair, day = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    figures = {name: np.zeros(n) for name in ("gain", "low", "cost", "extra")}
    pair[sent], day[sent] = parts.options.pair[place[sent]], parts.options.day[place[sent]]
    for name, values in figures.items():
        values[sent] = getattr(parts.options, name)[place[sent]]
    got = parts.lot.pair >= 0
    rows = parts.lot.row[got]
    pair[rows], day[rows] = parts.lot.pair[got], parts.lot.day[got]
    for name, values in figures.items():
        values[rows] = getattr(parts.lot, name)[got]
    return _Placed(pair, day, best.astype(np.int64), **figures)


def _decided(
    campaign: Campaign, orders: Orders, parts: _Parts, placed: _Placed, reachable: Reachable, first_day: Ints, held: Bools, drawn: Bools,
    policy: str,
) -> Decisions:  # fmt: skip
    table = np.array([(pair.offer, pair.channel) for pair in parts.pairs] + [(-1, -1)], np.int32)
    offer, channel = table[placed.pair, 0], table[placed.pair, 1]
    intended = np.where(held, table[placed.best, 0], offer).astype(np.int32)
    allowed = lot.allowed(first_day, campaign.runs, parts.pairs, campaign.days)
    propensity = lot.propensity(placed.pair, placed.best, allowed, campaign.guards, parts.lottery)
    why = _why(parts, placed, allowed, reachable, held, drawn)
    return Decisions(
        orders.user_id, tuple(one.id for one in campaign.offers), tuple(one.name for one in campaign.channels), offer, channel,
        _instants(campaign, reachable, channel, placed.day), placed.gain, placed.low, placed.cost, propensity,
        words.reasons(placed.pair, placed.gain + placed.cost, placed.cost, placed.extra, why),
        held, drawn, intended, policy, campaign.made_at,
    )  # fmt: skip


def _why(parts: _Parts, placed: _Placed, allowed: Bools, reachable: Reachable, held: Bools, drawn: Bools) -> Ints:
    """Return why each customer gets what she gets (n): a position in ``words.WHY``."""
    sent, options_left = placed.pair >= 0, np.diff(parts.options.start) > 0
    why = np.select(
        [drawn & sent, sent, held, drawn, ~reachable.consent.any(axis=1), ~allowed.any(axis=1), options_left],
        [words.LOT, words.BEST, words.HELD, words.LOT_NOTHING, words.NO_CONSENT, words.RESTS, words.DEARER],
        words.FIRST_QUADRANT + parts.quadrant,
    )
    return why.astype(np.int64)


def _instants(campaign: Campaign, reachable: Reachable, channel: Codes, day: Ints) -> Instants:
    at = np.full(len(day), campaign.made_at, np.int64)
    for place, one in enumerate(campaign.channels):
        rows = np.flatnonzero(channel == place)
        if len(rows):
            at[rows] = send_instants(reachable.zones.gather(rows), campaign.clock, one, day[rows], campaign.made_at)
    return at
