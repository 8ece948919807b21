"""When a message may go out: each customer's local day, outside of the quiet hours, and not too soon after the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.decision import DAY_MINUTES, Channel, Offer
from whenbuy.core.errors import ColumnError, SettingsError

NEVER: Final = 2**62
"""An instant that no plan reaches."""
_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clock_of(zone: str, zones: pl.Series) -> Clock:
    """Return the clock of a time zone that customers have.

    Raises
    ------
    ColumnError
        When the zone has no entry in the time zone database.
    """
    try:
        return Clock(zone)
    except SettingsError as error:
        raise ColumnError(
            f"{int((zones == zone).sum()):,} customers have the time zone {zone!r}, which is not known.",
            "Without it nobody can tell their quiet hours; a name of the IANA database is needed, such as 'Europe/Berlin'.",
            "Correct the customers' profile, or leave the cell empty: the shop's own zone then counts.",
        ) from error


def send_instants(zones: pl.Series, shop: Clock, channel: Channel, day: Ints, made_at: int) -> Instants:
    """Return when a channel sends to each customer on a local day (n), counted from the day of the plan on.

    On the first day it sends at once where the minute has passed. A wall time that a zone skips comes an hour later, or at the end
    of the quiet hours where that would be quiet.
    """
    found = np.empty(len(zones), np.int64)
    for clock, rows in _by_clock(zones, shop):
        today = int(clock.days(np.array([made_at], np.int64))[0])
        days, where = np.unique(day[rows], return_inverse=True)
        at = _wall(clock, today + days, channel.at)
        at = np.where(_quiet(channel, local_minutes(clock, at)), _wall(clock, today + days, channel.quiet_until), at)
        found[rows] = np.maximum(at, made_at)[where.ravel()]
    return found


def quiet_at(zones: pl.Series, shop: Clock, channel: Channel, at: Instants) -> Bools:
    """Return whether a message at some instant would reach each customer in the quiet hours of a channel (n)."""
    found = np.zeros(len(zones), bool)
    for clock, rows in _by_clock(zones, shop):
        found[rows] = _quiet(channel, local_minutes(clock, at[rows]))
    return found


def first_days(zones: pl.Series, shop: Clock, channels: Sequence[Channel], free_from: Instants, made_at: int, days: int) -> Ints:
    """Return the first day on which each channel can send to each customer (n x channels), ``days`` where none of those days will do.

    It sends neither in the quiet hours, nor before ``free_from`` (n).
    """
    found = np.empty((len(zones), len(channels)), np.int64)
    wait = np.clip((free_from - made_at) // DAY - 1, 0, days)
    for place, channel in enumerate(channels):
        day, open_rows = wait.copy(), np.flatnonzero(wait < days)
        while len(open_rows):
            some = zones.gather(open_rows)
            at = send_instants(some, shop, channel, day[open_rows], made_at)
            open_rows = open_rows[(at < free_from[open_rows]) | quiet_at(some, shop, channel, at)]
            day[open_rows] += 1
            open_rows = open_rows[day[open_rows] < days]
        found[:, place] = day
    return found


def local_minutes(clock: Clock, instants: Instants) -> Ints:
    """Return the minute of the local day of each instant (n)."""
    zone = ZoneInfo(clock.zone)
    each, where = np.unique(instants, return_inverse=True)
    local = [datetime.fromtimestamp(at // _SECOND, zone) for at in each.tolist()]
    return np.array([60 * one.hour + one.minute for one in local], np.int64)[where.ravel()]


def days_of(offers: Sequence[Offer], shop: Clock, made_at: int, days: int) -> Ints:
    """Return the first day on which each offer may be sent and the first one on which it may not any more (offers x 2), 0 being today."""
    today = int(shop.days(np.array([made_at], np.int64))[0])

    def after(day: date | None, otherwise: int) -> int:
        return otherwise if day is None else (day - date(1970, 1, 1)).days - today

    return np.array([(max(0, after(one.starts, 0)), min(days, after(one.ends, days))) for one in offers], np.int64).reshape(-1, 2)


def free_from(owner: Ints, contacts: Instants, n: int, made_at: int, cap: int, period_days: float) -> Instants:
    """Return from when on a further contact keeps each customer's cap (n): at most ``cap`` within ``period_days``.

    Parameters
    ----------
    owner, contacts
        Whom each earlier contact reached, by position, and when (m each).
    n
        How many customers there are.
    made_at
        The instant of the plan.
    cap
        How many contacts a customer may get within the period; 0 means: none at all.
    period_days
        The length of the period.
    """
    if cap <= 0:
        return np.full(n, NEVER, np.int64)
    period = round(period_days * DAY)
    recent = contacts > made_at - period
    owner, contacts = owner[recent], contacts[recent]
    order = np.lexsort((-contacts, owner))
    owner, contacts = owner[order], contacts[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    at_cap = place == cap - 1  # the cap-th last contact: a further one must wait until it has left the period
    free = np.full(n, made_at, np.int64)
    free[owner[at_cap]] = contacts[at_cap] + period
    return free


def _by_clock(zones: pl.Series, shop: Clock) -> Iterator[tuple[Clock, Ints]]:
    """Yield every clock with the rows of those who live by it."""
    rows: dict[str, list[int]] = {}
    for place, zone in enumerate(zones.to_list()):
        rows.setdefault(zone or shop.zone, []).append(place)
    for zone, found in rows.items():
        yield clock_of(zone, zones), np.array(found, np.int64)


def _quiet(channel: Channel, minute: Ints) -> Bools:
    """Return ``Channel.quiet`` of many minutes (n)."""
    return np.asarray(_quiet_minutes(channel)[minute])


@lru_cache(maxsize=64)
def _quiet_minutes(channel: Channel) -> Bools:
    return np.array([channel.quiet(each) for each in range(DAY_MINUTES)])


def _wall(clock: Clock, days: Ints, minute: int) -> Instants:
    """Return the instant of a wall time on each local day (n); one that the zone skips counts by the clock before."""
    zone = ZoneInfo(clock.zone)
    walls = [datetime(1970, 1, 1) + timedelta(days=day, minutes=minute) for day in days.tolist()]
    return np.array([(wall.replace(tzinfo=zone).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) for wall in walls], np.int64)
