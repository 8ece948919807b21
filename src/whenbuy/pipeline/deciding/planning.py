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
from whenbuy.core.effect import NONE, CurveEffect
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError, WhenbuyError
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.outlook import Outlook
from whenbuy.core.progress import Say
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.plan import Plan, make
from whenbuy.pipeline.deciding import kept
from whenbuy.pipeline.deciding.effects import OfferEffects, fit_effects
from whenbuy.pipeline.deciding.exposure import pilot
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
    """

    plan: Plan
    margin: float
    horizon_days: float
    notes: tuple[str, ...]


def planned(shop: Shop, settings: Settings, history: History, outlook: Outlook, campaign: Campaign, *, by_lot: bool, say: Say) -> Planned:
    """Return the plan of a shop.

    Parameters
    ----------
    shop, settings, history
        The shop: where it lies, what its settings say, its log.
    outlook
        The forecast for everybody as of the campaign's instant.
    campaign
        What may be done.
    by_lot
        A pilot: everybody who takes part gets an offer or nothing by lot, and nothing need be known of what offers do.

    Raises
    ------
    NotEnoughDataError
        When nothing can be learned of what offers do; it says what to log, and how large a pilot must be.
    SettingsError
        When it is not said what an order earns.
    """
    margin = _margin(settings)
    orders = Orders.of(_amount(outlook), campaign.offers, margin)
    who = reachable(history, outlook.keys, campaign.channels, settings, kept.sent_before(shop, campaign.made_at))
    lacking, closed = _lacking(history, campaign, settings), tuple((day - date(1970, 1, 1)).days for day in settings.calendar.closed)
    if by_lot:
        effects = (_unknown(part, campaign) for part in _parts(outlook.purchase))
        made = make(campaign, orders, effects, who, policy=PILOT, closed=closed)
        return Planned(made, margin, float(outlook.purchase.grid_days[-1]), (*made.notes, *lacking))
    say("learning what the offers do")
    learned = _learned(shop, history, campaign)
    sent = _sendable(campaign, learned)
    orders = replace(Orders.of(_amount(outlook), sent.offers, margin), uptake=_uptake(history, outlook.keys, learned, sent, orders))
    say("choosing")
    made = make(sent, orders, _effects(history, outlook.keys, learned, campaign.made_at), who, closed=closed)
    untried = sorted({one.id for one in campaign.offers} - {one.id for one in sent.offers})
    notes = [f"Nothing is known of what {', '.join(untried)} would do: not in this plan. A pilot would show it."] if untried else []
    failed = [f"{check.name}: {check.words}" for check in learned.checks if not check.passed]
    return Planned(made, margin, float(learned.model.days[-1]), (*made.notes, *lacking, *notes, *failed, *learned.notes))


def _margin(settings: Settings) -> float:
    if settings.budget.margin <= 0:
        raise SettingsError(
            "It is not said what an order earns.", "A plan weighs what orders earn against what offers cost.",
            "Set `margin` in [budget] of whenbuy.toml: the share of an order's amount that is earned, such as 0.3.",
        )  # fmt: skip
    return settings.budget.margin


def _amount(outlook: Outlook) -> Amount:
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


def _learned(shop: Shop, history: History, campaign: Campaign) -> OfferEffects:
    """Return what the offers do, from what earlier plans decided, or else from what the log says was shown."""
    try:
        decisions = _decisions(shop, campaign.made_at)
        return fit_effects(history, decisions, campaign.made_at, seed=campaign.seed)
    except NotEnoughDataError as error:
        raise type(error)(error.got, error.need, f"{error.do} {_proposal(history, campaign)}".strip()) from error


def _proposal(history: History, campaign: Campaign) -> str:
    """Return how large a pilot must be; empty where the log cannot say."""
    try:
        size = pilot(history, len(campaign.offers), as_of=campaign.made_at)
    except WhenbuyError:
        return "`whenbuy plan --pilot` draws who is sent what by lot."
    return f"{size.words()} `whenbuy plan --pilot` draws it."


def _decisions(shop: Shop, instant: int) -> pl.DataFrame | None:
    """Return what earlier plans decided, each as of the instant at which it was made; None where there is no plan."""
    made = [one for id in kept.ids(shop) if int((one := kept.read(shop, id)).about["made_at"]) < instant]
    if not made:
        return None
    columns = (
        pl.col("user_id"),
        pl.col("offer_id").fill_null(NONE),
        pl.col("channel"),
        pl.col("made_at").alias("send_at"),
        pl.col("propensity"),
    )
    return pl.concat([one.decisions.select(columns) for one in made])


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


def _effects(history: History, keys: Keys, learned: OfferEffects, made_at: int) -> Iterator[CurveEffect]:
    """Yield the effects on consecutive customers."""
    ids = keys.ids()
    for start in range(0, len(ids), CHUNK):
        yield learned.predict(history, made_at, ids[start : start + CHUNK].to_list())


def _uptake(history: History, keys: Keys, learned: OfferEffects, campaign: Campaign, orders: Orders) -> Floats | None:
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
