"""The laws of a shop that treats its customers well or badly: what befalls them, what they do then, and what drives them away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import SettingsError
from whenbuy.ingest.simulated.bounds import above_zero, lengths, shares

CAUSES: Final = ("price", "delivery", "stock", "service", "contact pressure")
"""Why somebody leaves, as far as the shop can change it."""
MOVED: Final = "life event"
"""Why the others leave: nothing that the shop does."""
TROUBLES: Final = ("price_raised", "delivered_late", "out_of_stock", "badly_served")
"""The kinds of event that tell of the first four causes; the fifth is told by the messages ``shown``."""
TOPICS: Final = ("price", "delivery", "stock", "other")
"""What enquiries are about: the column ``topic``."""
PRICE, DELIVERY, STOCK, SERVICE, PRESSURE = range(5)


@dataclass(frozen=True, slots=True)
class Care:
    """What befalls customers, and what they do then.

    An order is delivered late or a line of it is out of stock; now and then the price of something that she buys is raised, and she is
    told; messages come by her plan every so many days, until she unsubscribes. After a trouble she may ask about it, she also asks
    unprompted, and whoever asks may be served badly. Each trouble makes her leave with its chance, at once and for good, and so does each
    message of her plan. Besides, people leave for reasons of their own, by the law of ``Population``. What belongs together happens within
    minutes.

    Parameters
    ----------
    plans, plan_shares, plan_every_days
        The message plans (the shop knows whose is which), and how many days lie between messages.
    unsubscribes, pressure
        Chance that a message of each plan makes her unsubscribe, and that it makes her leave.
    open_shape
        Beta law of the chance to open a message over people.
    clicks
        Share of the opened messages whose link is followed.
    late, missing
        Chance that an order is delivered late, that something in it is out of stock.
    rises_per_day
        Price rises that somebody is told of, per day.
    asks_shape, asks_per_day
        Unprompted enquiries per day: gamma over people.
    topic_shares
        What these are about, by TOPICS.
    asks_after
        Chance to ask after a price rise, a late delivery, something out of stock.
    badly_served
        Chance that an enquiry is served badly.
    leaves
        Chance to leave after a price rise, a late delivery, something out of stock, bad service.
    habits, habit_shares
        What orders of different people come to.
    refunds, redeems
        Chance that an order of each habit is refunded, and that it is made with a coupon.
    refund_mean_days
        Mean of the exponential time until a refund.
    discount
        What a coupon takes off.
    dwell_median_s, dwell_spread_people, dwell_spread_visits
        The time spent on a visit: log-normal around each person's own level.
    """

    plans: tuple[str, ...]
    plan_shares: tuple[float, ...]
    plan_every_days: tuple[int, ...]
    unsubscribes: tuple[float, ...]
    pressure: tuple[float, ...]
    open_shape: tuple[float, ...]
    clicks: float
    late: float
    missing: float
    rises_per_day: float
    asks_shape: float
    asks_per_day: float
    topic_shares: tuple[float, ...]
    asks_after: tuple[float, ...]
    badly_served: float
    leaves: tuple[float, ...]
    habits: tuple[str, ...]
    habit_shares: tuple[float, ...]
    refunds: tuple[float, ...]
    redeems: tuple[float, ...]
    refund_mean_days: float
    discount: float
    dwell_median_s: float
    dwell_spread_people: float
    dwell_spread_visits: float

    def __post_init__(self) -> None:
        for name in ("plan_shares", "plan_every_days", "unsubscribes", "pressure"):
            lengths(f"care.{name}", getattr(self, name), len(self.plans))
        for name in ("habit_shares", "refunds", "redeems"):
            lengths(f"care.{name}", getattr(self, name), len(self.habits))
        for name, wanted in (("open_shape", 2), ("topic_shares", len(TOPICS)), ("asks_after", 3), ("leaves", 4)):
            lengths(f"care.{name}", getattr(self, name), wanted)
        shares("care", self, (
            "plan_shares", "unsubscribes", "pressure", "clicks", "late", "missing", "topic_shares", "asks_after", "badly_served", "leaves",
            "habit_shares", "refunds", "redeems", "discount",
        ))  # fmt: skip
        above_zero("care", self, (
            "plan_every_days", "open_shape", "rises_per_day", "asks_shape", "asks_per_day", "refund_mean_days", "dwell_median_s",
            "dwell_spread_people", "dwell_spread_visits",
        ))  # fmt: skip
        for name in ("plan_shares", "topic_shares", "habit_shares"):
            if abs(sum(getattr(self, name)) - 1) > 1e-9:
                raise SettingsError(f"care.{name} sums to {sum(getattr(self, name)):g}.", "Shares sum to 1.", "Mend them.")

    def order(self) -> tuple[float, float, float]:
        """Return what an order comes to: P(no enquiry, she stays), P(no enquiry, she leaves), P(she stays)."""
        quiet_stays, quiet, stays = 0.0, 0.0, 0.0
        for late in (False, True):
            for missing in (False, True):
                chance = (self.late if late else 1 - self.late) * (self.missing if missing else 1 - self.missing)
                silent = (1 - self.asks_after[1] * late) * (1 - self.asks_after[2] * missing)
                keeps = (1 - self.leaves[DELIVERY] * late) * (1 - self.leaves[STOCK] * missing)
                quiet, quiet_stays = quiet + chance * silent, quiet_stays + chance * silent * keeps
                stays += chance * keeps * (silent + (1 - silent) * self.asked())
        return quiet_stays, quiet - quiet_stays, stays

    def rise(self) -> tuple[float, float, float]:
        """Return the same of a price rise."""
        silent, keeps = 1 - self.asks_after[0], 1 - self.leaves[PRICE]
        return silent * keeps, silent * (1 - keeps), keeps * (silent + (1 - silent) * self.asked())

    def asked(self) -> float:
        """Return P(she stays after an enquiry)."""
        return 1 - self.badly_served * self.leaves[SERVICE]

    def fatal(self) -> Floats:
        """Return the chance to leave after each trouble (4)."""
        return np.array(self.leaves)
