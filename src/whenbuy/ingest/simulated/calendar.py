"""The shop's calendar as a clock of its own: shop time runs fast when people buy more, and stands nearly still at night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Codes, Floats, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import UsageError
from whenbuy.core.profile import Profile
from whenbuy.ingest.simulated.parameters import Calendar, Parameters, Promotion

HOUR: Final = DAY // 24
BEYOND_DAYS: Final = 800
"""How far beyond its end the shop's calendar is known: as far as the true curves can reach."""


@dataclass(frozen=True, slots=True, eq=False)
class ShopTime:
    """Calendar time and shop time, in which every law of the shop is stationary.

    Shop time is the integral of season(t) × notice of campaigns(t) × price(t) ** -elasticity over days: a known function of
    the calendar, one for each price class. It counts in shop days; a plain day is about one of them.

    Parameters
    ----------
    start
        The instant at which both begin.
    passed
        Shop days since the start at each full hour (clocks x hours + 1): one clock per price class, and behind them, where the shop tries a
        personal promotion, one per price class for those who get it.
    price
        Price level times what a campaign leaves of it, per day since the start (days).
    campaign
        Which campaign runs on each day since the start (days), -1 where none does.
    """

    start: int
    passed: Floats
    price: Floats
    campaign: Codes

    @classmethod
    def of(cls, parameters: Parameters, days: int) -> ShopTime:
        """Return the shop time of so many days and BEYOND_DAYS more."""
        calendar = parameters.calendar
        start = Clock().instant(calendar.start)
        instants = start + np.arange(days + BEYOND_DAYS, dtype=np.int64) * DAY
        weekday = (instants // DAY + 3) % 7  # 1970-01-01 was a Thursday
        of_year = _day_of_year(instants)
        campaign, discount = _campaigns(calendar, of_year)
        level = np.asarray(calendar.price_levels)[np.searchsorted(calendar.price_days, of_year, side="right") - 1]
        price, pace = level * (1 - discount), np.ones(len(instants))
        if parameters.drift is not None:
            after = np.arange(len(instants)) >= parameters.drift.day
            price, pace = price * np.where(after, parameters.drift.price, 1.0), np.where(after, parameters.drift.pace, 1.0)
        wave = 1 + calendar.year_amplitude * np.cos(2 * np.pi * (of_year - calendar.year_peak_day) / 365.25)
        everybody = np.asarray(calendar.weekdays)[weekday] * wave * np.where(campaign >= 0, calendar.campaign_notice, 1.0) * pace
        daily = everybody[None, :] * price[None, :] ** -np.asarray(parameters.people.price_elasticities)[:, None]
        if (trial := parameters.promotion) is not None:
            runs = np.zeros(len(instants), bool)
            runs[trial.day : trial.day + trial.length_days] = True
            daily = np.vstack([daily, daily * np.where(runs[None, :], boosts(parameters, trial)[:, None], 1.0)])
        hourly = np.repeat(daily, 24, axis=1) * np.tile(np.asarray(calendar.hours) / 24, len(instants))[None, :]
        return cls(start, np.hstack([np.zeros((len(hourly), 1)), np.cumsum(hourly, axis=1)]), price, campaign)

    def of_instants(self, instants: Instants, price_class: Ints) -> Floats:
        """Return the shop days passed at each instant, by the clock of each price class (shapes as numpy joins them).

        Raises
        ------
        UsageError
            When an instant lies outside the calendar.
        """
        place = (instants - self.start) / HOUR
        if place.size and (place.min() < 0 or place.max() > self.passed.shape[1] - 1):
            raise UsageError(
                "The shop's calendar was asked for an instant outside it.",
                f"It reaches from the first day to {BEYOND_DAYS} days after the end of the log.",
                "Ask for a cutoff and grid days within it.",
            )
        hour = np.minimum(place.astype(np.int64), self.passed.shape[1] - 2)
        low, high = self.passed[price_class, hour], self.passed[price_class, hour + 1]
        return np.asarray(low + (place - hour) * (high - low))

    def instants(self, shop_days: Floats, price_class: Ints) -> Instants:
        """Return the instants at which so many shop days have passed (n); the end of the calendar where it comes first."""
        found = np.empty(len(shop_days))
        hours = np.arange(self.passed.shape[1], dtype=float)
        for code in range(len(self.passed)):
            mine = price_class == code
            found[mine] = np.interp(shop_days[mine], self.passed[code], hours)
        return self.start + np.floor(found * HOUR).astype(np.int64)

    def day(self, instants: Instants) -> Ints:
        """Return the day since the start in which each instant lies (n)."""
        return (instants - self.start) // DAY


def boosts(parameters: Parameters, promotion: Promotion) -> Floats:
    """Return by how much a promotion quickens the purchases of each price class (classes): notice × (1 - discount) ** -elasticity."""
    return promotion.notice * (1 - promotion.discount) ** -np.asarray(parameters.people.price_elasticities)


def offers(parameters: Parameters, days: int) -> Profile | None:
    """Return the public campaigns of so many days and the months after: what every customer could read, from when it was announced."""
    calendar = parameters.calendar
    start = Clock().instant(calendar.start)
    instants = start + np.arange(days + BEYOND_DAYS, dtype=np.int64) * DAY
    campaign, _ = _campaigns(calendar, _day_of_year(instants))
    first = np.flatnonzero((campaign >= 0) & (np.concatenate([[-1], campaign[:-1]]) != campaign))
    begins = instants[first]
    announced = begins - calendar.campaign_announced_days * DAY
    shown = announced < start + days * DAY
    if not shown.any():
        return None
    begins, announced, which = begins[shown], announced[shown], campaign[first][shown]
    utc = pl.Datetime("us", "UTC")
    table = pl.DataFrame(
        {
            "id": [f"campaign-{i + 1:02d}" for i in range(len(begins))],
            "valid_from": pl.Series(announced, dtype=pl.Int64).cast(utc),
            "begins": pl.Series(begins, dtype=pl.Int64).cast(utc),
            "ends": pl.Series(begins + calendar.campaign_length_days * DAY, dtype=pl.Int64).cast(utc),
            "discount": np.asarray(calendar.campaign_discounts)[which],
        }
    )
    return Profile("offer", table)


def _day_of_year(instants: Instants) -> Ints:
    """Return the day of the year, 0 for the first of January (n)."""
    return pl.Series(instants, dtype=pl.Int64).cast(pl.Datetime("us")).dt.ordinal_day().to_numpy().astype(np.int64) - 1


def _campaigns(calendar: Calendar, of_year: Ints) -> tuple[Codes, Floats]:
    """Return which campaign runs on each day (n; -1: none) and its discount (n)."""
    running, discount = np.full(len(of_year), -1, np.int32), np.zeros(len(of_year))
    for code, (day, off) in enumerate(zip(calendar.campaign_days, calendar.campaign_discounts, strict=True)):
        inside = (of_year >= day) & (of_year < day + calendar.campaign_length_days)
        running[inside], discount[inside] = code, off
    return running, discount
