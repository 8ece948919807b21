"""What a plan is made of: what may be sent, what may be spent, whom it may reach, and what an order is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Budget, Channel, Offer
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.core.forecast import Amount
from whenbuy.decide.guards import Guards, Reachable
from whenbuy.decide.timing import days_of, first_days, free_from

DAYS: Final = 14
"""How many days ahead a message may be sent, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What may be done, when, and at what cost.

    Parameters
    ----------
    offers, channels
        What can be sent, and how.
    budget, guards
        What may be spent, and what protects customers and the measurement.
    made_at
        The instant of the plan.
    clock
        The shop's clock.
    days
        On how many days from then on a message may be sent.
    seed
        Where chance starts: who is held out and who is drawn by lot.

    Raises
    ------
    UsageError
        When there is nothing to send or no way to send it, every offer has ended, or a name stands twice.
    """

    offers: tuple[Offer, ...]
    channels: tuple[Channel, ...]
    budget: Budget
    guards: Guards
    made_at: int
    clock: Clock = Clock()
    days: int = DAYS
    seed: int = 0

    def __post_init__(self) -> None:
        for what, names in (("offer", [one.id for one in self.offers]), ("channel", [one.name for one in self.channels])):
            if not names or len(set(names)) < len(names):
                raise UsageError(
                    f"A plan was asked for with {', '.join(names) or f'no {what}'}.", f"It needs at least one {what}, each once.",
                    f"Describe each in whenbuy.toml, as [{what}s.NAME].",
                )  # fmt: skip
        if not 1 <= self.days <= 366:
            raise UsageError(f"A plan over {self.days} days was asked for.", "It looks 1 to 366 days ahead.", "Change the number.")
        runs = self.runs
        if not (runs[:, 0] < runs[:, 1]).any():
            ended = ", ".join(f"{one.id} ({_span(one)})" for one in self.offers)
            raise UsageError(
                f"No offer runs in the {self.days} days from {self.clock.show(self.made_at)} on: {ended}.",
                "An offer can be sent from its start until the day before its end.", "Change its dates, or leave it out.",
            )  # fmt: skip

    @property
    def runs(self) -> Ints:
        """The first day on which each offer may be sent and the first one on which it may not any more (offers x 2)."""
        return days_of(self.offers, self.clock, self.made_at, self.days)

    @property
    def ended(self) -> tuple[str, ...]:
        """The offers that do not run on any day of the plan."""
        runs = self.runs
        return tuple(one.id for one, (first, end) in zip(self.offers, runs.tolist(), strict=True) if first >= end)

    def first_day(self, reachable: Reachable) -> Ints:
        """Return the first day on which each customer may be contacted on each channel (n x channels); ``days``: never.

        Consent, quiet hours and the cap decide.
        """
        n, guards = len(reachable.zones), self.guards
        free = free_from(reachable.owner, reachable.contacts, n, self.made_at, guards.cap, guards.cap_days)
        day = first_days(reachable.zones, self.clock, self.channels, free, self.made_at, self.days)
        return np.where(reachable.consent, day, self.days)


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """What an order of each customer is worth.

    Parameters
    ----------
    user_id
        Who (n).
    amount
        Expected amount of her next order (n), in the shop's currency.
    reaching
        P(an order reaches the threshold of each offer) (n x offers).
    margin
        Share of the amount that is earned, in (0, 1].
    uptake
        P(an order that would have come anyway, while an offer is valid, redeems it), by arm of the effect (n x arms): not everybody
        opens what she is sent. Absent: every order that reaches the threshold redeems it, the dearest case.
    """

    user_id: pl.Series
    amount: Floats
    reaching: Floats
    margin: float
    uptake: Floats | None = None

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 1:
            raise SettingsError(
                f"The margin is {self.margin:g}.", "It is the share of an order's amount that is earned, above 0 and at most 1.",
                "Set `margin` in [budget], such as 0.3.",
            )  # fmt: skip

    @classmethod
    def of(cls, amount: Amount, offers: Sequence[Offer], margin: float) -> Orders:
        """Return what orders are worth by a forecast of their amounts."""
        share = np.ones((len(amount), len(offers)))
        for place, offer in enumerate(offers):
            if offer.threshold > 0:
                share[:, place] = _reaching(amount, offer.threshold)
        return cls(amount.keys.ids(), amount.mean, share, margin)

    def take(self, rows: slice) -> Orders:
        """Return those of some of the customers."""
        uptake = None if self.uptake is None else self.uptake[rows]
        return replace(self, user_id=self.user_id[rows], amount=self.amount[rows], reaching=self.reaching[rows], uptake=uptake)

    def given(self, offers: Sequence[Offer], of_arm: Ints) -> Floats:
        """Return what one redemption costs (n x arms); ``of_arm`` is the offer of each arm."""
        discount, cost = np.array([one.discount for one in offers]), np.array([one.cost for one in offers])
        return np.asarray(self.amount[:, None] * discount[of_arm] + cost[of_arm])

    def taken_up(self, of_arm: Ints) -> Floats:
        """Return P(an order that would have come anyway redeems) (n x arms)."""
        return self.reaching[:, of_arm] if self.uptake is None else self.uptake


def _reaching(amount: Amount, threshold: float) -> Floats:
    """Return P(amount >= threshold) (n) by the levels of a forecast; beyond the outermost ones, the outermost."""
    below = np.array([np.interp(threshold, row, amount.levels, left=amount.levels[0], right=amount.levels[-1]) for row in amount.quantiles])
    return 1.0 - below


def _span(offer: Offer) -> str:
    return f"from {offer.starts}" if offer.ends is None else f"until {offer.ends}"
