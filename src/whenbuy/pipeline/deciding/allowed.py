"""What a shop's settings allow a plan to do."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from pathlib import Path

from whenbuy.config import ChannelSettings, OfferSettings, Settings, minute
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Budget, Channel, Offer
from whenbuy.core.errors import NotFoundError, SettingsError, UsageError
from whenbuy.decide.campaign import DAYS, Campaign
from whenbuy.decide.guards import Guards


def with_offers(settings: Settings, path: Path | None) -> Settings:
    """Return the settings with the offers and channels of another file, where one is named.

    Raises
    ------
    NotFoundError
        When there is no such file.
    SettingsError
        When it says anything else, or something impossible.
    """
    if path is None:
        return settings
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {path}.", "Offers are described in a file like whenbuy.toml, as [offers.NAME].", "Write one."
        )
    found = Settings.parse(path.read_text("utf-8"), None, str(path))
    if replace(found, offers={}, channels={}) != Settings():
        raise SettingsError(
            f"{path} says more than what is sent and how.", "It may have the sections [offers.NAME] and [channels.NAME].",
            "Put the rest into whenbuy.toml.",
        )  # fmt: skip
    return replace(settings, offers={**settings.offers, **found.offers}, channels={**settings.channels, **found.channels})


def campaign(
    settings: Settings, made_at: int, *, budget: float | None = None, hold_out: float | None = None, explore: float | None = None,
    days: int | None = None, only: tuple[str, ...] = (),
) -> Campaign:  # fmt: skip
    """Return what a plan may do; what is said here comes before the settings.

    Parameters
    ----------
    settings
        The shop's.
    made_at
        The instant of the plan.
    budget, hold_out, explore, days
        As in Budget, Guards and Campaign.
    only
        The offers that are meant; all, where none is named.

    Raises
    ------
    UsageError
        When there is nothing to send, or an offer that is named is not described.
    """
    for name in only:
        if name not in settings.offers:
            raise UsageError(
                f"There is no offer {name!r}.",
                f"Described are: {', '.join(settings.offers) or 'none'}.",
                f"Describe it in [offers.{name}].",
            )
    guards, money = settings.guards, settings.budget
    return Campaign(
        tuple(_offer(name, one) for name, one in settings.offers.items() if not only or name in only),
        tuple(_channel(name, one) for name, one in settings.channels.items()),
        Budget(money.money if budget is None else budget, money.contacts),
        Guards(
            guards.hold_out if hold_out is None else hold_out, guards.explore if explore is None else explore, guards.cap, guards.cap_days
        ),
        made_at, Clock(settings.shop.timezone), DAYS if days is None else days, settings.shop.seed,
    )  # fmt: skip


def _offer(name: str, one: OfferSettings) -> Offer:
    return Offer(
        name, one.kind, one.discount, one.cost, one.threshold, one.valid_days, one.once, one.channels,
        date.fromisoformat(one.starts) if one.starts else None, date.fromisoformat(one.ends) if one.ends else None,
        None if math.isinf(one.stock) else int(one.stock),
    )  # fmt: skip


def _channel(name: str, one: ChannelSettings) -> Channel:
    most = None if math.isinf(one.most) else int(one.most)
    return Channel(name, one.cost, one.reach, most, minute(one.at), minute(one.quiet_from), minute(one.quiet_until))
