"""Decisions: who gets which offer, on which channel and when, and what that is expected to earn and to cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Floats, Instants, Ints
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import SettingsError, WhenbuyError
from whenbuy.core.forecast import instants

OFFER_KINDS: Final = ("discount", "threshold", "gift", "coupon", "points", "reminder")
"""What an offer can be: a share off, a share off above an amount, a gift, a code worth a sum, points, or words alone."""
DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that can be promised to a customer.

    Parameters
    ----------
    id
        Its name, as the log writes it (``offer_id``).
    kind
        One of ``OFFER_KINDS``.
    discount
        Share of the order's amount that is given away where the offer is redeemed, in [0, 1].
    cost
        What one redemption costs beside the discount, in the shop's currency: the gift, the coupon's sum, the points.
    threshold
        The amount that an order must reach to redeem it; 0 where any order does.
    valid_days
        How long it can be redeemed after it is sent.
    once
        Whether one order alone can redeem it; otherwise every order within ``valid_days`` does.
    channels
        The channels on which it may be sent; every channel, where none is named.
    starts, ends
        The first local day on which it may be sent, and the first one on which it may not any more; none, where it always may.
    stock
        How many times it can be sent at most; none, where there is no limit.

    Raises
    ------
    SettingsError
        When a value is not what it must be.
    """

    id: str
    kind: str = "discount"
    discount: float = 0.0
    cost: float = 0.0
    threshold: float = 0.0
    valid_days: float = 14.0
    once: bool = True
    channels: tuple[str, ...] = ()
    starts: date | None = None
    ends: date | None = None
    stock: int | None = None

    def __post_init__(self) -> None:
        who = f"the offer {self.id!r}"
        if not self.id or self.id == "none":
            raise SettingsError(f"An offer is called {self.id!r}.", "It needs a name; 'none' means that nothing is sent.", "Rename it.")
        _require(self.kind in OFFER_KINDS, f"{who} is of the kind {self.kind!r}", f"one of {', '.join(OFFER_KINDS)}")
        _require(0 <= self.discount <= 1, f"{who} has the discount {self.discount:g}", "a share from 0 to 1, such as 0.1 for 10 %")
        for name in ("cost", "threshold"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, f"{who} has {name} = {value:g}", "an amount of at least 0")
        _require(0 < self.valid_days <= 3650, f"{who} has valid_days = {self.valid_days:g}", "days above 0")
        _require(self.stock is None or self.stock >= 0, f"{who} has the stock {self.stock}", "a count of at least 0")
        if self.starts is not None and self.ends is not None:
            _require(self.starts < self.ends, f"{who} starts on {self.starts} and ends on {self.ends}", "a start before its end")


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to reach a customer.

    Parameters
    ----------
    name
        As the log writes it (``channel``).
    cost
        What one contact costs, in the shop's currency.
    reach
        Which share of an offer's effect this channel carries, in [0, 1]: 1 on the channel on which the effect was learned.
    most
        How many contacts it can carry in one plan; none, where there is no limit.
    at
        Minute of the customer's local day at which it sends, such as 600 for 10:00.
    quiet_from, quiet_until
        The minutes of the local day between which nobody is contacted; over midnight where the first is the later one. Equal: never quiet.

    Raises
    ------
    SettingsError
        When a value is not what it must be, or ``at`` lies in the quiet hours.
    """

    name: str
    cost: float = 0.0
    reach: float = 1.0
    most: int | None = None
    at: int = 600
    quiet_from: int = 1260
    quiet_until: int = 480

    def __post_init__(self) -> None:
        who = f"the channel {self.name!r}"
        _require(bool(self.name), "a channel has no name", "a name")
        _require(math.isfinite(self.cost) and self.cost >= 0, f"{who} has the cost {self.cost:g}", "an amount of at least 0")
        _require(0 <= self.reach <= 1, f"{who} has reach = {self.reach:g}", "a share from 0 to 1")
        _require(self.most is None or self.most >= 0, f"{who} carries {self.most} contacts", "a count of at least 0")
        for name in ("at", "quiet_from", "quiet_until"):
            _require(0 <= getattr(self, name) < DAY_MINUTES, f"{who} has {name} = {getattr(self, name)}", "a minute of the day")
        _require(not self.quiet(self.at), f"{who} sends at {clock_time(self.at)}, within its quiet hours", "a time outside of them")

    def quiet(self, minute: int) -> bool:
        """Return whether nobody is contacted at this minute of the local day."""
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= minute < self.quiet_until
        return minute >= self.quiet_from or minute < self.quiet_until


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    Parameters
    ----------
    money
        Expected cost of all decisions together, in the shop's currency: contacts, and offers where they are redeemed.
    contacts
        How many messages may be sent.
    """

    money: float = math.inf
    contacts: float = math.inf

    def __post_init__(self) -> None:
        for name in ("money", "contacts"):
            _require(getattr(self, name) >= 0, f"the budget of {name} is {getattr(self, name):g}", "at least 0")


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What is done with each customer: one row each, also for those who get nothing.

    Parameters
    ----------
    user_id
        Whom (n).
    offers, channels
        The names behind the codes.
    offer, channel
        Positions of what is sent and how (n each), -1 where nothing is.
    send_at
        When (n), an instant; ``made_at`` where nothing is sent.
    expected_gain
        Expected incremental profit (n): margin of the orders that would not have come otherwise, less ``cost``; 0 where nothing is sent.
    low
        The gain where the effect lies at the low end of its 80 % interval (n).
    cost
        Expected cost (n): the contact, and the offer where it is redeemed.
    propensity
        The probability with which this very decision was drawn (n), in (0, 1].
    reason
        Why, in words (n).
    held_out
        Who was left alone by lot, so that the plan can be measured (n).
    drawn
        Who got what she got by lot, so that there is something to learn from (n).
    intended
        The offer that somebody held out would have got (n), -1 where none; ``offer`` for everybody else.
    policy
        The name of what decided.
    made_at
        When it was decided, an instant.
    """

    user_id: pl.Series
    offers: tuple[str, ...]
    channels: tuple[str, ...]
    offer: Codes
    channel: Codes
    send_at: Instants
    expected_gain: Floats
    low: Floats
    cost: Floats
    propensity: Floats
    reason: pl.Series
    held_out: Bools
    drawn: Bools
    intended: Codes
    policy: str
    made_at: int

    def __post_init__(self) -> None:
        n, sent = len(self.user_id), self.offer >= 0
        numbers = (self.send_at, self.expected_gain, self.low, self.cost, self.propensity)
        columns = (self.offer, self.channel, *numbers, self.reason, self.held_out, self.drawn, self.intended)
        if any(len(column) != n for column in columns):
            raise WhenbuyError("The columns of a plan differ in length.")
        if not n:
            return
        if self.user_id.n_unique() < n:
            raise WhenbuyError("A plan decides twice about one customer.")
        if self.offer.max() >= len(self.offers) or self.channel.max() >= len(self.channels) or ((self.channel >= 0) != sent).any():
            raise WhenbuyError("A decision names an offer or a channel that there is not, or one without the other.")
        if not all(np.isfinite(column).all() for column in numbers):
            raise WhenbuyError("A decision holds a number that is not finite.")
        if self.cost.min() < 0 or self.propensity.min() <= 0 or self.propensity.max() > 1 + 1e-9:
            raise WhenbuyError("A decision has a cost below 0 or a propensity outside of (0, 1].")
        if (sent & self.held_out).any() or self.expected_gain[~sent].any() or self.cost[~sent].any():
            raise WhenbuyError("Somebody is held out and contacted, or what is not sent has a cost.")
        if (self.send_at < self.made_at).any():
            raise WhenbuyError("A decision sends before it was made.")

    def __len__(self) -> int:
        return len(self.user_id)

    @property
    def sent(self) -> Bools:
        """Who is contacted (n)."""
        return np.asarray(self.offer >= 0)

    def take(self, rows: slice | Ints) -> Decisions:
        """Return the decisions about some of the customers."""
        part = {name: getattr(self, name)[rows] for name in _ARRAYS}
        picked = np.arange(len(self))[rows]
        return replace(self, user_id=self.user_id.gather(picked), reason=self.reason.gather(picked), **part)

    def frame(self) -> pl.DataFrame:
        """Return one row per customer.

        user_id, offer_id (null: nothing is sent), channel, send_at, expected_gain, gain_low, cost, propensity, held_out, drawn,
        intended_offer, reason, policy, made_at.
        """
        n = len(self)
        return pl.DataFrame(
            {
                "user_id": self.user_id,
                "offer_id": _named(self.offers, self.offer),
                "channel": _named(self.channels, self.channel),
                "send_at": instants(self.send_at).set(pl.Series(~self.sent), None) if n else instants(self.send_at),
                "expected_gain": self.expected_gain,
                "gain_low": self.low,
                "cost": self.cost,
                "propensity": self.propensity,
                "held_out": self.held_out,
                "drawn": self.drawn,
                "intended_offer": _named(self.offers, self.intended),
                "reason": self.reason,
                "policy": pl.Series([self.policy], dtype=pl.String).new_from_index(0, n),
                "made_at": instants(np.full(n, self.made_at, np.int64)),
            }
        )

    def _repr_html_(self) -> str:
        sent = int(self.sent.sum())
        words = (
            f"{sent:,} of {len(self):,} customers are contacted ({int(self.held_out.sum()):,} are held out): "
            f"expected to earn {self.expected_gain.sum():,.2f} for {self.cost.sum():,.2f}."
        )
        first = np.argsort(-self.expected_gain, kind="stable")[:ROWS].astype(np.int64)
        columns = ("user_id", "offer_id", "channel", "send_at", "expected_gain", "cost", "reason")
        return card("Decisions", words, self.take(first).frame().select(columns), rows=len(self))

    def __repr__(self) -> str:
        return f"Decisions({len(self)} customers, {int(self.sent.sum())} contacted, policy={self.policy!r})"


_ARRAYS: Final = ("offer", "channel", "send_at", "expected_gain", "low", "cost", "propensity", "held_out", "drawn", "intended")


def clock_time(minute: int) -> str:
    """Return a minute of the day as people write it, such as 08:30."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _named(names: tuple[str, ...], codes: Codes) -> pl.Series:
    """Return the name of each code (n), null where it is negative."""
    picked = pl.Series(codes, dtype=pl.Int32).to_frame("code").select(pl.when(pl.col("code") >= 0).then(pl.col("code")))["code"]
    return pl.Series(list(names), dtype=pl.String).gather(picked)


def _require(holds: bool, got: str, need: str) -> None:
    if not holds:
        raise SettingsError(f"{got[0].upper()}{got[1:]}.", f"It must be {need}.", "Correct it.")
