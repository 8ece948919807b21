"""Audiences for advertising: who should see an offer on a channel, what that is worth, and how a budget lasts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from whenbuy.config import Settings
from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.decision import Channel, Decisions, Offer
from whenbuy.core.effect import CurveEffect
from whenbuy.core.errors import ColumnError, UsageError
from whenbuy.core.history import History
from whenbuy.core.holdout import hold_out
from whenbuy.core.keys import Keys
from whenbuy.core.outlook import Outlook
from whenbuy.decide.audience import Pacing, bids
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.gains import arm, respond
from whenbuy.pipeline.deciding.effects import OfferEffects
from whenbuy.pipeline.deciding.kept import AUDIENCE
from whenbuy.pipeline.deciding.planning import amount_of, told_of, uptake
from whenbuy.pipeline.deciding.reach import reachable

EMAIL: Final = "email_sha256"


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """Who should see an offer on a channel.

    Parameters
    ----------
    offer, channel
        What, and where.
    table
        One row per customer whom an impression moves, the most valuable first: user_id, value and bid of an impression, bid_click (null
        where clicks are not known), hold_out (they get no bid), and where a column of addresses was named ``email_sha256``.
    pacing
        One row per day: day, budget.
    pressure
        By how much more than 1 bids are divided, so that the budget lasts.
    left
        What may still be spent.
    notes
        What the reader should know, in sentences.
    """

    offer: str
    channel: str
    table: pl.DataFrame
    pacing: pl.DataFrame
    pressure: float
    left: float
    notes: tuple[str, ...]


def audience(
    history: History, settings: Settings, outlook: Outlook, campaign: Campaign, effects: OfferEffects, *, channel: str,
    spent: Sequence[float] = (), keep: float = 0.0, email: str | None = None,
) -> Audience:  # fmt: skip
    """Return who should see which offer on a channel, and what may be bid.

    The value of an impression is the margin of the orders that it adds within the effects' horizon, less what the offer costs where it is
    redeemed. Who agreed to the channel can be in it; some are held out by lot, the same as in plans. Bids begin so low that one won
    impression of everybody fits into the budget, and move by what was spent (``Pacing``).

    Parameters
    ----------
    history, settings, outlook
        The shop's log and settings, and the forecast of everybody as of the campaign's instant (n).
    campaign
        What may be shown; of its offers the one that is worth most on the channel is taken.
    effects
        What the offers do.
    channel
        Where.
    spent
        What was spent on each day so far; the campaign's days are those from the first one on.
    keep
        Share of the value that must remain as profit.
    email
        The attribute of customers that holds their e-mail address, to be hashed; none is looked at where none is named.

    Raises
    ------
    UsageError
        When the channel is not described, the budget has no limit, or of no offer anything is known there.
    ColumnError
        When there is no such attribute.
    """
    budget, place = campaign.budget.money, _place(campaign, channel)
    if not np.isfinite(budget):
        raise UsageError("An audience was asked for without a budget.", "Bids and days are made to fit one.", "Say --budget 500.")
    if len(spent) >= campaign.days:
        raise UsageError(
            f"What was spent is told of {len(spent)} days of {campaign.days}.", "A day must be left.", "Say more --days, or begin anew."
        )
    orders, keys = Orders.of(amount_of(outlook), campaign.offers, settings.budget.margin), outlook.keys
    best, extra, given = _worth(history, campaign, orders, effects, keys, place)
    click = _clicks(history, effects, keys, campaign.made_at, channel)
    nobody = pl.DataFrame(schema={"user_id": pl.String, "send_at": pl.Datetime("us", "UTC")})
    agreed = reachable(history, keys, campaign.channels, settings, nobody).consent[:, place]
    some = np.flatnonzero(agreed)
    ids, margin = keys.ids(), orders.amount * orders.margin
    table = bids(ids.gather(some), extra[some], margin[some], click[some], given=given[some], keep=keep)
    held = hold_out(table["user_id"], campaign.guards.hold_out, f"{campaign.seed} hold-out")
    pacing = _pacing(campaign, table.filter(pl.Series(~held))["bid"].to_numpy(), spent)
    table = _paced(table, held, pacing)
    if email is not None:
        table = table.join(_hashed(history, keys, email), on="user_id", how="left", maintain_order="left")
    notes = _notes(agreed, table, pacing, campaign.offers[best].id, channel)
    return Audience(campaign.offers[best].id, channel, table, _days(campaign, pacing), pacing.pressure, pacing.left, notes)


def decided(found: Audience, campaign: Campaign) -> Decisions:
    """Return an audience as decisions, so that it can be measured: all who are not held out are taken to be shown the offer once.

    What one of them is expected to bring is the value of an impression less the bid that may be paid for it.
    """
    table, n = found.table, len(found.table)
    held, bid = table["hold_out"].to_numpy(), table["bid"].fill_null(0.0).to_numpy()
    code = np.where(held, -1, 0).astype(np.int32)
    gain = np.where(held, 0.0, table["value"].to_numpy() - bid)
    share = campaign.guards.hold_out
    why = [f"held out; an impression would be worth {value:.4g}" if out else f"an impression is worth {value:.4g}"
           for value, out in zip(table["value"].to_list(), held.tolist(), strict=True)]  # fmt: skip
    return Decisions(
        table["user_id"], (found.offer,), (found.channel,), code, code, np.full(n, campaign.made_at, np.int64), gain,
        np.minimum(gain, 0.0), np.where(held, 0.0, bid), np.where(held, share, 1 - share), pl.Series(why, dtype=pl.String), held,
        np.zeros(n, bool), np.zeros(n, np.int32), AUDIENCE, campaign.made_at,
    )  # fmt: skip


def _place(campaign: Campaign, channel: str) -> int:
    names = [one.name for one in campaign.channels]
    if channel not in names:
        raise UsageError(
            f"There is no channel {channel!r}.", f"Described are: {', '.join(names)}.", f"Describe it in [channels.{channel}]."
        )
    return names.index(channel)


def _worth(
    history: History, campaign: Campaign, orders: Orders, effects: OfferEffects, keys: Keys, place: int
) -> tuple[int, Floats, Floats]:  # fmt: skip
    """Return the offer that is worth most on a channel, the orders that an impression of it adds, and what it gives away (n each)."""
    channel = campaign.channels[place]
    offers = [(o, one) for o, one in enumerate(campaign.offers) if not one.channels or channel.name in one.channels]
    share = uptake(history, keys, effects, campaign, orders)
    found: dict[int, list[tuple[Floats, Floats]]] = {}
    start = 0
    for effect in told_of(history, keys, effects, campaign.made_at):
        rows = slice(start, start + len(effect))
        mine, taken = orders.take(rows), None if share is None else share[rows]
        for o, one in offers:
            if (told := _impression(effect, mine, o, one, channel, taken)) is not None:
                found.setdefault(o, []).append(told)
        start += len(effect)
    if not found:
        raise UsageError(
            f"Nothing is known of what an offer on {channel.name} does.", f"Effects are known of: {', '.join(effects.model.offers)}.",
            "Show one to some customers by lot first (`whenbuy plan --pilot`).",
        )  # fmt: skip
    whole = {o: (np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])) for o, parts in found.items()}
    earned = {o: float(np.maximum(extra * orders.amount * orders.margin - given, 0.0).sum()) for o, (extra, given) in whole.items()}
    best = max(earned, key=lambda o: earned[o])
    return best, whole[best][0], whole[best][1]


def _impression(
    effect: CurveEffect, orders: Orders, place: int, offer: Offer, channel: Channel, taken: Floats | None
) -> tuple[Floats, Floats] | None:  # fmt: skip
    """Return the orders that one impression adds, and what it gives away (n each); None where nothing is known of it."""
    own = arm(offer.id, channel.name)
    name = own if own in effect.offers else offer.id
    if name not in effect.offers:
        return None
    k, carried = effect.offers.index(name), 1.0 if name == own else channel.reach
    arms = np.full(len(effect.offers), place)
    answers = respond(
        effect, np.full(len(arms), offer.valid_days), np.full(len(arms), offer.once),
        orders.taken_up(arms) if taken is None else taken, np.ones(int(effect.horizon_days) + 1),
    )  # fmt: skip
    each = orders.amount * offer.discount + offer.cost
    return carried * answers.extra[:, k, 0], carried * answers.redeemed[:, k, 0] * each


def _clicks(history: History, effects: OfferEffects, keys: Keys, at: int, channel: str) -> Floats:
    """Return P(she clicks on an impression) on a channel (n): her chance to open, times how often opening led to a click; 0: not known."""
    log, reach = history.log, effects.reach
    if reach is None or channel not in reach.channels or "clicked" not in log.kinds:
        return np.zeros(len(keys))
    seen = log.known_at < at
    clicked, opened = (int((seen & (log.kind == log.code(kind))).sum()) for kind in ("clicked", "opened"))
    ids, place = keys.ids(), reach.channels.index(channel)
    parts = [effects.opens(history, at, ids[start : start + 20_000].to_list())[:, place] for start in range(0, len(ids), 20_000)]
    return np.concatenate(parts) * min(clicked / max(opened, 1), 1.0)


def _pacing(campaign: Campaign, bid: Floats, spent: Sequence[float]) -> Pacing:
    """Return how the budget lasts: at first so that one impression of everybody fits, then as money goes."""
    budget = campaign.budget.money
    pacing = Pacing(budget, campaign.days, pressure=max(0.0, float(bid.sum()) / budget - 1) if budget > 0 else 0.0)
    for each in spent:
        pacing = pacing.after(each)
    return pacing


def _paced(table: pl.DataFrame, held: Bools, pacing: Pacing) -> pl.DataFrame:
    """Return the table with the bids of today, none for those who are held out."""
    bid = pacing.bid(table["bid"].to_numpy())
    told = table.with_columns(bid_click=pl.col("bid_click") * pl.Series(bid) / pl.col("bid"), bid=pl.Series(bid), hold_out=pl.Series(held))
    return told.with_columns(pl.when(~pl.col("hold_out")).then(pl.col(name)).alias(name) for name in ("bid", "bid_click"))


def _days(campaign: Campaign, pacing: Pacing) -> pl.DataFrame:
    """Return what may be spent on each day that is left."""
    first = date(1970, 1, 1) + timedelta(days=int(campaign.clock.days(np.array([campaign.made_at], np.int64))[0]))
    days = [first + timedelta(days=k) for k in range(pacing.periods - pacing.past)]
    return pl.DataFrame({"day": pl.Series(days, dtype=pl.Date), "budget": np.full(len(days), pacing.left / max(len(days), 1))})


def _hashed(history: History, keys: Keys, column: str) -> pl.DataFrame:
    """Return the sha256 of each address, trimmed and in small letters as platforms want it; null where there is none."""
    attributes = history.before(keys).attributes()
    if column not in attributes.columns:
        raise ColumnError(
            f"The customers' profile has no column {column!r}.", f"It has: {', '.join(attributes.columns) or 'none'}.",
            "Name the column of e-mail addresses, or leave --email out.",
        )  # fmt: skip
    told = attributes[column].cast(pl.String).str.strip_chars().str.to_lowercase()
    made = [hashlib.sha256(one.encode()).hexdigest() if one and "@" in one else None for one in told.to_list()]
    return pl.DataFrame({"user_id": keys.ids(), EMAIL: pl.Series(made, dtype=pl.String)})


def _notes(agreed: Bools, table: pl.DataFrame, pacing: Pacing, offer: str, channel: str) -> tuple[str, ...]:
    if not agreed.any():
        return (f"Nobody has agreed to {channel}: the audience is empty.",)
    if not len(table):
        return (f"No impression of {offer} on {channel} earns what it costs at anybody: the audience is empty.",)
    notes = []
    if pacing.left <= 0:
        notes.append("The budget is spent, or 0: nothing is bid.")
    elif pacing.pressure > 0:
        notes.append(f"Everybody is worth more than the budget: bids are divided by {1 + pacing.pressure:.3g}.")
    if not table["hold_out"].any():
        notes.append("Nobody is held out: what this audience earns cannot be measured.")
    return tuple(notes)
