"""Guards: what no plan may ever do, checked once more on the finished one; and whether it is better than doing nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.special import ndtri

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Budget, Channel, Decisions, Offer
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.decide.timing import days_of, quiet_at


@dataclass(frozen=True, slots=True)
class Guards:
    """What protects customers and the measurement.

    Parameters
    ----------
    hold_out
        Share of the customers who are left alone, by lot, so that the plan can be measured against them.
    explore
        Share of the others who get one of the allowed options by lot, so that there is something to learn from.
    cap, cap_days
        At most so many contacts of one customer within so many days, earlier ones included.

    Raises
    ------
    UsageError
        When a share is none, or a cap is below 0.
    """

    hold_out: float = 0.1
    explore: float = 0.0
    cap: int = 1
    cap_days: float = 7.0

    def __post_init__(self) -> None:
        for name in ("hold_out", "explore"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}.", "It is a share from 0 to 1.", "Write 0.1 for a tenth.")
        if self.cap < 0 or not self.cap_days > 0:
            raise UsageError(
                f"A cap of {self.cap} contacts in {self.cap_days:g} days was given.",
                "It is a count from 0 on, in days above 0.",
                "Correct it.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Reachable:
    """Whom a plan may contact.

    Parameters
    ----------
    consent
        Who agreed to be contacted on each channel (n x channels).
    zones
        The time zone of each customer (n), null where none is known: the shop's own zone then counts.
    owner, contacts
        Earlier contacts: whom, by position, and when (m each).
    opens
        P(she sees what is sent) on each channel (n x channels), where an effect is that of an offer which is seen. Absent: as
        ``Channel.reach``.
    """

    consent: Bools
    zones: pl.Series
    owner: Ints
    contacts: Instants
    opens: Floats | None = None

    def reach(self, channels: Sequence[Channel]) -> Floats:
        """Return which share of an offer's effect each channel carries at each customer (n x channels)."""
        usual = np.array([channel.reach for channel in channels])
        return np.broadcast_to(usual, self.consent.shape) if self.opens is None else self.opens


def require_kept(
    decisions: Decisions, offers: Sequence[Offer], channels: Sequence[Channel], budget: Budget, guards: Guards, reachable: Reachable,
    clock: Clock,
) -> None:  # fmt: skip
    """Raise unless the finished plan keeps every guard.

    Money, contacts, stock, the channels' capacity, consent, quiet hours, the days on which an offer may be sent, the cap of each customer,
    and the hold-out. Nothing that made the plan is asked: it is counted again from the decisions.

    Raises
    ------
    WhenbuyError
        When one is broken: the plan must not be carried out.
    """
    sent = np.flatnonzero(decisions.sent)
    offer, channel, at = decisions.offer[sent], decisions.channel[sent], decisions.send_at[sent]
    spent = math.fsum(decisions.cost[sent].tolist())
    _require(spent <= budget.money * (1 + 1e-9), f"spends {spent:,.2f} of {budget.money:,.2f}")
    _require(len(sent) <= budget.contacts, f"makes {len(sent):,} contacts of {budget.contacts:,.0f}")
    runs = days_of(offers, clock, decisions.made_at, 2**31)
    for place, one in enumerate(offers):
        mine = offer == place
        _require(one.stock is None or mine.sum() <= one.stock, f"sends {one.id!r} {mine.sum():,} times of {one.stock}")
        day = _local_day(reachable.zones.gather(sent[mine]), clock, at[mine], decisions.made_at)
        _require(bool(((day >= runs[place, 0]) & (day < runs[place, 1])).all()), f"sends {one.id!r} when it does not run")
    for place, way in enumerate(channels):
        mine = channel == place
        _require(way.most is None or mine.sum() <= way.most, f"sends {mine.sum():,} messages by {way.name} of {way.most}")
        _require(bool(reachable.consent[sent[mine], place].all()), f"contacts somebody by {way.name} without consent")
        _require(not quiet_at(reachable.zones.gather(sent[mine]), clock, way, at[mine]).any(), f"sends by {way.name} in quiet hours")
    _require(not (decisions.held_out & decisions.sent).any(), "contacts somebody who is held out")
    _require(not _above_cap(sent, at, reachable, guards), "contacts somebody more often than the cap allows")


def _local_day(zones: pl.Series, shop: Clock, at: Instants, made_at: int) -> Ints:
    """Return the customers' local day of each instant (n), counted from the day of the plan."""
    found, named = np.zeros(len(zones), np.int64), zones.fill_null(shop.zone)
    for zone in named.unique().to_list():
        rows, local = np.flatnonzero((named == zone).to_numpy()), Clock(zone)
        found[rows] = local.days(at[rows]) - local.days(np.array([made_at], np.int64))[0]
    return found


def _above_cap(sent: Ints, at: Instants, reachable: Reachable, guards: Guards) -> bool:
    """Return whether somebody is contacted more often than the cap allows within a period that ends with the new contact."""
    if not len(sent):
        return False
    new = np.full(int(max(sent.max(), reachable.owner.max(initial=0))) + 1, -1, np.int64)
    new[sent] = at
    mine = new[reachable.owner]
    within = (mine >= 0) & (reachable.contacts > mine - round(guards.cap_days * DAY)) & (reachable.contacts <= mine)
    return bool((np.bincount(reachable.owner[within], minlength=1).max(initial=0) + 1) > guards.cap)


def _require(holds: bool | np.bool_, broken: str) -> None:
    if not holds:
        raise WhenbuyError(
            f"The plan {broken}.", "No plan may do that, whatever it earns.", "Do not carry it out; please report this as a bug."
        )


_TAIL: Final = 0.1
"""What lies below an 80 % interval."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How little a plan may earn.

    Parameters
    ----------
    gain
        What it is expected to earn.
    low
        The lower end of its 80 % interval, whatever the errors of the customers' effects have to do with each other (one model tells all of
        them, so that they mostly go together; the deviation of a sum is at most the sum of the deviations), and although what looks best
        of several options looks better than it is (Bonferroni).
    """

    gain: float
    low: float

    @property
    def words(self) -> str:
        """Say whether doing nothing could be better; empty where it could not."""
        if self.gain < 0:
            return (
                f"This plan is expected to be worse than doing nothing: it loses {-self.gain:,.0f}, the price of drawing by lot to learn. "
                "Draw fewer, or measure what comes of it."
            )
        if self.low < 0:
            return (
                f"This plan may be worse than doing nothing: it is expected to earn {self.gain:,.0f}, but the lower end of its 80 % "
                f"interval is {self.low:,.0f}. Try it on fewer customers first, or learn more about the offers."
            )
        return ""


def bounds(gain: Floats, low: Floats, options: int = 1) -> Bounds:
    """Return how little a plan may earn.

    Parameters
    ----------
    gain, low
        The gain and the lower end of its own 80 % interval, of everybody who is contacted (n each).
    options
        From how many offers on channels each was chosen.
    """
    total = float(gain.sum())
    wider = float(ndtri(1 - _TAIL / max(options, 1)) / ndtri(1 - _TAIL))
    return Bounds(total, total - wider * (total - float(low.sum())))
