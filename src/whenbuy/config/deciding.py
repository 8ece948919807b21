"""The sections of whenbuy.toml that say what may be sent, on which channels, for how much, and what protects customers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, time
from typing import Any, Final

from whenbuy.config.values import check, read_days, read_flag, read_list, read_number, read_text, setting
from whenbuy.core.decision import OFFER_KINDS, clock_time

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_MOST: Final = 1e15


def read_share(value: object) -> float:
    """Return a share from 0 to 1."""
    return read_number(value, 0.0, 1.0, "a share from 0 to 1, such as 0.1 for 10 %")


def read_money(value: object) -> float:
    """Return an amount of money from 0 on."""
    return read_number(value, 0.0, _MOST, "an amount of at least 0")


def read_limit(value: object) -> float:
    """Return a limit from 0 on; "" means that there is none."""
    return math.inf if value in ("", math.inf) else read_number(value, 0.0, _MOST, "a number of at least 0, or '' for no limit")


def read_kind(value: object) -> str:
    """Return what an offer is."""
    if value not in OFFER_KINDS:
        raise ValueError(f"one of {', '.join(OFFER_KINDS)}")
    return str(value)


def read_day(value: object) -> str:
    """Return a date as text, or nothing said."""
    if value == "":
        return ""
    if isinstance(value, date) and type(value) is date:
        return value.isoformat()
    try:
        return date.fromisoformat(value if isinstance(value, str) else "").isoformat()
    except ValueError:
        raise ValueError("a date, such as 2017-12-24, or ''") from None


def read_clock_time(value: object) -> str:
    """Return a time of the day as HH:MM."""
    if isinstance(value, time):
        return clock_time(60 * value.hour + value.minute)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a time of the day, such as '08:30'")
    return clock_time(60 * int(found[1]) + int(found[2]))


def minute(text: str) -> int:
    """Return the minute of the day that a time such as 08:30 is."""
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)


def read_cap(value: object) -> int:
    """Return a count from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1000:
        raise ValueError("a whole number from 0 to 1000")
    return value


@dataclass(frozen=True, slots=True)
class OfferSettings:
    """One offer."""

    kind: str = setting("discount", read_kind, f"One of {', '.join(OFFER_KINDS)}.")
    discount: float = setting(0.0, read_share, "Share of an order's amount that is given away where it is redeemed.")
    cost: float = setting(0.0, read_money, "What a redemption costs beside that: the gift, the coupon's sum, the points.")
    threshold: float = setting(0.0, read_money, "The amount that an order must reach.")
    valid_days: float = setting(14.0, read_days, "How long it can be redeemed.")
    once: bool = setting(True, read_flag, "Whether one order alone can redeem it.")
    channels: tuple[str, ...] = setting((), read_list, "The channels on which it may be sent; [] means all.")
    starts: str = setting("", read_day, "The first day on which it may be sent.")
    ends: str = setting("", read_day, "The first day on which it may not be sent any more.")
    stock: float = setting(math.inf, read_limit, "How many times it can be sent at most.")

    def __post_init__(self) -> None:
        check(self, "offers")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel."""

    cost: float = setting(0.0, read_money, "What one contact costs.")
    reach: float = setting(1.0, read_share, "Which share of an offer's effect it carries, where the effect was learned on another channel.")
    most: float = setting(math.inf, read_limit, "How many contacts one plan may make on it.")
    at: str = setting("10:00", read_clock_time, "When it sends, by each customer's local time.")
    quiet_from: str = setting("21:00", read_clock_time, "When nobody is contacted any more, by each customer's local time.")
    quiet_until: str = setting("08:00", read_clock_time, "From when on they may be contacted again.")
    consent: str = setting("", read_text, 'The attribute of customers that says who agreed; "" is consent_ and the channel\'s name.')

    def __post_init__(self) -> None:
        check(self, "channels")


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """What may be spent, and what an order earns."""

    margin: float = setting(0.0, read_share, "Share of an order's amount that is earned, before any offer; a plan needs it.")
    money: float = setting(math.inf, read_limit, "What a plan may spend; --budget says otherwise.")
    contacts: float = setting(math.inf, read_limit, "How many messages a plan may send.")

    def __post_init__(self) -> None:
        check(self, "budget")


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What protects customers and the measurement."""

    hold_out: float = setting(0.1, read_share, "Share of the customers who are left alone by lot, to measure against.")
    explore: float = setting(0.0, read_share, "Share of the others who get an offer by lot, to learn from.")
    cap: int = setting(1, read_cap, "At most so many contacts of one customer")
    cap_days: float = setting(7.0, read_days, "within so many days.")
    timezone: str = setting("timezone", read_text, "The attribute of customers with their time zone; without it the shop's own counts.")

    def __post_init__(self) -> None:
        check(self, "guards")


NAMED: Final[Mapping[str, type]] = {"offers": OfferSettings, "channels": ChannelSettings}
"""Sections of which there is one for each name: [offers.NAME]."""


def read_named(made: type, what: str) -> Any:
    """Return a reader of sections by name."""

    def read(value: object) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"sections [{what}.NAME]")
        known = {each.name for each in fields(made)}
        for name, one in value.items():
            if not isinstance(one, made) and not (isinstance(one, Mapping) and set(one) <= known):
                raise ValueError(f"sections [{what}.NAME] with {', '.join(sorted(known))}; {name!r} is another thing")
        return {name: one if isinstance(one, made) else made(**one) for name, one in value.items()}

    return read
