"""From a shop and a moment to its plan: forecasts and effects in, decisions out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from whenbuy.config import Settings
from whenbuy.core.arrays import Floats
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.outlook import Outlook
from whenbuy.core.progress import Say
from whenbuy.decide.bandit import Bandit
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.plan import POLICY, Plan, make
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.effects import OfferEffects
from whenbuy.pipeline.deciding.reach import consent_column, reachable
from whenbuy.pipeline.keeping.shop import Shop

CHUNK: Final = 20_000
"""For how many customers effects lie in memory at once."""
PILOT: Final = "pilot"
"""The policy that draws offers by lot."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A plan, with what it was made from.

    Parameters
    ----------
    plan
        The decisions.
    margin
        Share of an order's amount that is earned.
    horizon_days
        Over how many days after a message its orders are counted.
    notes
        What the reader should know, in sentences: of the plan and of the effects.
    question
        What was asked, as ``kept.asked`` names it.
    """

    plan: Plan
    margin: float
    horizon_days: float
    notes: tuple[str, ...]
    question: str = ""


def planned(
    shop: Shop, settings: Settings, history: History, outlook: Outlook, campaign: Campaign, effects: OfferEffects | None, *,
    policy: str = POLICY, bandit: Bandit | None = None, shared: bool = True, say: Say,
) -> Planned:  # fmt: skip
    """Return the plan of a shop.

    Other plans in force for the same instant stand beside it: their contacts count, and so does what they take of the stock, the channels
    and the money. Asked the same again, it keeps its place before those that have counted it, unless it has become another one.

    Parameters
    ----------
    shop, settings, history
        The shop: where it lies, what its settings say, its log.
    outlook
        The forecast of those who are planned for, as of the campaign's instant.
    campaign
        What may be done.
    effects
        What the offers do; None in a pilot, where everybody who takes part is drawn by lot and nothing need be known of what offers do.
    policy
        The name under which the decisions are kept.
    bandit
        What draws for those who are drawn by lot; every option is equally likely without one.
    shared
        Whether the money is for all plans of this instant together; otherwise it is this one's own.

    Raises
    ------
    NotEnoughDataError
        When nobody knows what an order is worth.
    SettingsError
        When it is not said what an order earns.
    """
    beside = kept.Beside.of(shop, campaign, policy)
    found = _beside(shop, settings, history, outlook, campaign, effects, beside, policy, bandit, shared, say)
    if beside.later and kept.named_as(found.plan) != beside.own:
        beside = kept.Beside.of(shop, campaign, policy, anew=False)
        found = _beside(shop, settings, history, outlook, campaign, effects, beside, policy, bandit, shared, say)
    return found


def _beside(
    shop: Shop, settings: Settings, history: History, outlook: Outlook, asked: Campaign, effects: OfferEffects | None, beside: kept.Beside,
    policy: str, bandit: Bandit | None, shared: bool, say: Say,
) -> Planned:  # fmt: skip
    margin, question = margin_of(settings), kept.asked(asked, policy)
    orders = Orders.of(amount_of(outlook), asked.offers, margin)
    campaign = beside.left(asked, money=shared)
    sent_before = pl.concat([kept.sent_before(shop, campaign.made_at), beside.sent()])
    who = reachable(history, outlook.keys, campaign.channels, settings, sent_before)
    said = [*_lacking(history, campaign, settings), *_dear(campaign, orders), *beside.words(money=shared)]
    closed = tuple((day - date(1970, 1, 1)).days for day in settings.calendar.closed)
    if effects is None:
        unknown = (_unknown(part, campaign) for part in _parts(outlook.purchase))
        made = make(campaign, orders, unknown, who, policy=policy, closed=closed, bandit=bandit)
        return Planned(made, margin, float(outlook.purchase.grid_days[-1]), (*made.notes, *said), question)
    sent = _sendable(campaign, effects)
    orders = replace(Orders.of(amount_of(outlook), sent.offers, margin), uptake=uptake(history, outlook.keys, effects, sent, orders))
    say("choosing")
    told = told_of(history, outlook.keys, effects, campaign.made_at)
    made = make(sent, orders, told, who, policy=policy, closed=closed, bandit=bandit)
    untried = sorted({one.id for one in campaign.offers} - {one.id for one in sent.offers})
    notes = [f"Nothing is known of what {', '.join(untried)} would do: not in this plan. A pilot would show it."] if untried else []
    failed = [f"{check.name}: {check.words}" for check in effects.checks if not check.passed]
    every = (*made.notes, *said, *notes, *failed, *effects.notes)
    return Planned(made, margin, float(effects.model.days[-1]), every, question)


def margin_of(settings: Settings) -> float:
    """Return the share of an order's amount that is earned; raises SettingsError where it is not said."""
    if settings.budget.margin <= 0:
        raise SettingsError(
            "It is not said what an order earns.", "A plan weighs what orders earn against what offers cost.",
            "Set `margin` in [budget] of whenbuy.toml: the share of an order's amount that is earned, such as 0.3.",
        )  # fmt: skip
    return settings.budget.margin


def amount_of(outlook: Outlook) -> Amount:
    """Return what the next order of each customer is worth; raises NotEnoughDataError where the log has no amounts."""
    if outlook.amount is None:
        raise NotEnoughDataError(
            "The log has no amounts, so nobody knows what an order is worth.", "A plan needs the amounts of orders.",
            "Give the log a column `amount`, or `unit_price` and `quantity`, and run `whenbuy fit` again.",
        )  # fmt: skip
    return outlook.amount


def _lacking(history: History, campaign: Campaign, settings: Settings) -> list[str]:
    """Return a sentence for each channel of which nothing says who agreed."""
    known = () if history.users is None else history.users.attributes
    events = "subscribe" in history.log.kinds and bool((history.log.kind == history.log.code("subscribe")).any())
    wanted = [consent_column(settings, channel.name) for channel in campaign.channels]
    absent = [column for column in wanted if column not in known]
    if not absent or events:
        return []
    return [
        f"The customers' profile has no column {', '.join(absent)}, and the log no event 'subscribe': nobody is contacted without consent."
    ]


def _dear(campaign: Campaign, orders: Orders) -> list[str]:
    """Return a sentence for each offer that costs more where it is redeemed than an order earns on average."""
    if not len(orders.amount):
        return []
    earned = orders.margin * float(orders.amount.mean())
    given = orders.given(campaign.offers, np.arange(len(campaign.offers))).mean(axis=0)
    return [
        f"{one.id} costs {cost:,.2f} where it is redeemed, and an order earns {earned:,.2f} on average: it can hardly pay."
        for one, cost in zip(campaign.offers, given.tolist(), strict=True)
        if cost > earned
    ]


def _sendable(campaign: Campaign, learned: OfferEffects) -> Campaign:
    """Return the campaign with the offers alone of which something is known."""
    known = set(learned.model.offers)
    offers = tuple(one for one in campaign.offers if one.id in known)
    if not offers:
        raise UsageError(
            f"Nothing is known of {', '.join(one.id for one in campaign.offers)}; known is: {', '.join(sorted(known))}.",
            "A plan sends what was tried before.", "Name offers as the log does (offer_id), or begin with `whenbuy plan --pilot`.",
        )  # fmt: skip
    return replace(campaign, offers=offers)


def told_of(history: History, keys: Keys, learned: OfferEffects, made_at: int) -> Iterator[CurveEffect]:
    """Yield the effects on consecutive customers."""
    ids = keys.ids()
    for start in range(0, len(ids), CHUNK):
        yield learned.predict(history, made_at, ids[start : start + CHUNK].to_list())


def uptake(history: History, keys: Keys, learned: OfferEffects, campaign: Campaign, orders: Orders) -> Floats | None:
    """Return P(an order that would have come anyway redeems) by arm (n x arms): that she opens the message, and reaches the threshold."""
    if learned.reach is None:
        return None
    ids = keys.ids()
    parts = [learned.opens(history, campaign.made_at, ids[start : start + CHUNK].to_list()) for start in range(0, len(ids), CHUNK)]
    chance, place = np.concatenate(parts), {one.id: o for o, one in enumerate(campaign.offers)}
    reaching = [orders.reaching[:, place[name]] if name in place else np.ones(len(keys)) for name in learned.model.offers]
    return np.hstack([chance * share[:, None] for share in reaching])


def _parts(curves: TimeToEvent) -> Iterator[TimeToEvent]:
    for start in range(0, len(curves), CHUNK):
        yield curves.take(slice(start, start + CHUNK))


def _unknown(without: TimeToEvent, campaign: Campaign) -> CurveEffect:
    """Return effects of nothing: a plan by lot needs the costs alone."""
    nothing = np.zeros((len(without), len(campaign.offers)))
    names = tuple(one.id for one in campaign.offers)
    return CurveEffect(without.keys, names, without, (without,) * len(names), nothing, nothing, "nothing is known")
