"""Series from the log: what is counted, by day or week, side by side, with the gaps that nobody could know and the shop's calendar."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import polars as pl

from whenbuy.config import CalendarSettings
from whenbuy.core.arrays import DAY, Bools, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Series
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity, Keys
from whenbuy.core.panel import Panel
from whenbuy.features import Daily, Offers, everything
from whenbuy.pipeline.demand.stocked import without_stock

Measure = Literal["demand", "orders", "visits", "views", "clicks", "shown", "opened", "clicked", "redeemed"]
Step = Literal["day", "week"]

_OWN: Final = ("view", "click", "search", "favourite", "cart", "purchase")
MEASURES: Final[Mapping[str, Daily]] = {
    "demand": Daily("purchase", ("units",)),
    "orders": Daily("purchase", ("baskets",)),
    "visits": Daily(_OWN, ("sessions",)),
    "views": Daily("view"),
    "clicks": Daily("click"),
    "shown": Daily("shown"),
    "opened": Daily("opened"),
    "clicked": Daily("clicked"),
    "redeemed": Daily("redeemed"),
}
"""What can be counted: units bought, orders, visits (sessions), views and clicks of things, and how people answer to advertising."""
STEPS: Final[Mapping[str, int]] = {"day": 1, "week": 7}
MOST_DAYS: Final = 3 * 366
"""Older days than these are not looked at."""
MOST_POOLED: Final = 2000
_ENDS: Final = ("ends", "end_date", "end")
"""The attributes of an offer that may say until when it runs."""
_LIVELY: Final = 5
"""A day without any event is a gap in the log where an ordinary day has at least so many; else it may just be quiet."""
_LEAST_WEEK: Final = 4
"""A week with so many known days counts, scaled up to seven; with fewer it is unknown."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Days of the shop that differ from others, given by the shop.

    Parameters
    ----------
    closed
        Days on which nobody can buy.
    holidays
        Holidays on which the shop is open.
    """

    closed: tuple[date, ...] = ()
    holidays: tuple[date, ...] = ()

    @classmethod
    def of(cls, said: CalendarSettings) -> Closed:
        """Return the days that a shop's settings name."""
        return cls(said.closed, said.holidays)


ORDINARY: Final = Closed()
"""A calendar without a day that differs."""
_NEAR: Final = 3
"""So many days before and after a holiday people buy unlike on others."""


def panel(
    history: History,
    entity: Entity,
    step: Step = "day",
    as_of: int | str | None = None,
    *,
    measure: Measure = "demand",
    ahead: int = 0,
    days: Closed = ORDINARY,
) -> Panel:
    """Return the series of all items, categories or campaigns, or of the shop, from what was known before a cutoff.

    Days are those of the shop: one of 23 or 25 hours is one day. A week ends where the cutoff's day begins; what is older than whole weeks
    is left out. Days on which the whole log is silent although it is lively otherwise are gaps: unknown, not 0, unless the shop says that
    it was closed. Days on which an item's profile says that it was out of stock are unknown as well.

    Parameters
    ----------
    history
        The shop's log.
    entity
        "item", "category", "campaign" or "shop".
    step
        "day" or "week".
    as_of
        The cutoff; the log's end by default.
    measure
        What is counted: see ``MEASURES``.
    ahead
        For how many steps to come the calendar is made.
    days
        The shop's closed days and holidays.

    Raises
    ------
    UsageError
        When the measure or the step does not exist, or users are asked for.
    NotEnoughDataError
        When not one whole step was over before the cutoff.
    """
    _require(measure, step)
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    keys = everything(history, entity, cutoff)
    block = MEASURES[measure].block(history, keys)
    shop = Daily(None).block(history, everything(history, "shop", cutoff))
    length = STEPS[step]
    end = int(history.clock.days(np.array([cutoff]))[0])
    begin = max(int(shop.begin.min(initial=end)), end - MOST_DAYS)
    steps = (end - begin) // length
    if not steps:
        raise NotEnoughDataError(
            f"Before {history.clock.show(cutoff)} not one {step} of the log is over.", "A series needs a past.", "Name a later date."
        )
    start = end - steps * length
    closed = _days_of(days.closed)
    daily = _daily(block, start, end)
    first = _first(daily, block)
    daily[:, np.isin(np.arange(start, end), _gaps(shop, start, end, closed))] = np.nan
    if entity == "item" and measure == "demand":
        without_stock(history, keys, cutoff, start, daily)
    values, begins = (daily, first) if length == 1 else (_weekly(daily), np.minimum(first // 7, steps))
    calendar, groups = _calendar(history, start, end, length, ahead, days), _groups(history, keys)
    return Panel(keys, measure, length, start, values, begins, calendar, groups, pool_of(values))


def near_holidays(panel: Panel, origins: Ints, horizon: int, days: Closed) -> Bools:
    """Return which steps from each origin on hold a day near a holiday (o x horizon)."""
    moved = _days_of(days.holidays)[:, None] + np.arange(-_NEAR, _NEAR + 1)
    step = (np.unique(moved) - panel.start) // panel.step_days
    return np.isin(origins[:, None] + np.arange(horizon), step)


def pool_of(values: Singles) -> Ints:
    """Return the rows that speak for all series: those that sold anything, evenly by size where there are too many."""
    size = np.nansum(values, axis=1)
    rows = np.flatnonzero(size > 0)
    if len(rows) <= MOST_POOLED:
        return rows
    order = rows[np.argsort(-size[rows], kind="stable")]
    return np.sort(order[np.linspace(0, len(order) - 1, MOST_POOLED).astype(np.int64)])


def _require(measure: str, step: str) -> None:
    for what, got, there in (("measure", measure, MEASURES), ("step", step, STEPS)):
        if got not in there:
            raise UsageError(f"The {what} {got!r} was asked for.", f"There are: {', '.join(there)}.", "Name one of these.")


def _daily(block: Series, start: int, end: int) -> Singles:
    """Return what came on each day [start, end) (n x days), 0 where nothing did."""
    out = np.zeros((len(block), end - start), np.float32)
    row = np.repeat(np.arange(len(block)), np.diff(block.offsets))
    held = np.flatnonzero((block.day >= start) & (block.day < end))
    out[row[held], block.day[held] - start] = block.values[held, 0]
    return out


def _first(daily: Singles, block: Series) -> Ints:
    """Return the day of the first sale (n), counted from the first column; the number of days where there was none."""
    any_sale = daily > 0
    first = np.where(any_sale.any(axis=1), any_sale.argmax(axis=1), daily.shape[1]).astype(np.int64)
    row = np.repeat(np.arange(len(block)), np.diff(block.offsets))
    earlier = np.zeros(len(block), bool)
    start = block.end.min(initial=0) - daily.shape[1]
    earlier[row[(block.day < start) & (block.values[:, 0] > 0)]] = True
    return np.where(earlier, 0, first)


def _gaps(shop: Series, start: int, end: int, closed: Ints) -> Ints:
    """Return the days on which the log knows of nothing at all, although it is lively, and the shop was not closed."""
    count = np.zeros(end - start, np.int64)
    inside = (shop.day >= start) & (shop.day < end)
    count[shop.day[inside] - start] = shop.values[inside, 0].astype(np.int64)
    if np.median(count) < _LIVELY:
        return np.empty(0, np.int64)
    silent = start + np.flatnonzero(count == 0)
    return silent[~np.isin(silent, closed)]


def _weekly(daily: Singles) -> Singles:
    """Return sums of seven days (n x weeks): of the known ones, scaled up to seven; unknown where too few are."""
    parts = daily.reshape(len(daily), -1, 7)
    known = np.isfinite(parts).sum(axis=2)
    total = np.nansum(parts, axis=2)
    return np.where(known >= _LEAST_WEEK, total * (7 / np.maximum(known, 1)), np.nan).astype(np.float32)


def _calendar(history: History, start: int, end: int, length: int, ahead: int, days: Closed) -> dict[str, Floats]:
    """Return the share of each step's days that are closed or holidays, and how many offers run, as known before each step."""
    steps = (end - start) // length
    given = {"closed": _days_of(days.closed), "holiday": _days_of(days.holidays)}
    each = start + np.arange((steps + ahead) * length)
    found = {
        name: _windows(np.isin(each, special).reshape(-1, length).mean(axis=1), steps, ahead)
        for name, special in given.items() if len(special)
    }  # fmt: skip
    offers = history.offers
    ends = None if offers is None else next((name for name in _ENDS if name in offers.attributes), None)
    if ahead and offers is not None and ends is not None:
        running = Offers(ends, "begins" if "begins" in offers.attributes else None).running(offers)
        found["offers"] = _running(history, running, start, steps, length, ahead)
    return found


def _windows(values: Floats, steps: int, ahead: int) -> Floats:
    """Return the next ``ahead`` values from each step on (steps + 1 x ahead)."""
    return np.asarray(values[np.arange(steps + 1)[:, None] + np.arange(ahead)], np.float64)


def _running(
    history: History, running: Callable[[Instants, Instants], Floats], start: int, steps: int, length: int, ahead: int,
) -> Floats:  # fmt: skip
    """Return how many offers run at noon of each step's days, on average, by what was known before each origin (steps + 1 x ahead)."""
    midnight = history.clock.midnights(start + np.arange((steps + ahead) * length, dtype=np.int64))
    origin = np.append(midnight, midnight[-1:] + DAY)[: (steps + 1) * length : length]
    total = np.zeros((steps + 1, ahead))
    places = (np.arange(steps + 1)[:, None] + np.arange(ahead)) * length
    for day in range(length):
        noon = midnight[places + day] + DAY // 2
        total += running(np.repeat(origin, ahead), noon.ravel()).reshape(total.shape)
    return total / length


def _groups(history: History, keys: Keys) -> Codes:
    """Return the category of each item (n), -1 where it is not known; 0 for all others than items."""
    column = history.log.columns.get("category")
    if keys.entity != "item" or column is None or "item_id" not in history.log.columns:
        return np.zeros(len(keys), np.int32)
    found = np.full(len(keys.names), -1, np.int32)
    item = history.log.columns["item_id"].values
    known = np.flatnonzero((item >= 0) & (column.values >= 0) & (history.log.known_at < keys.cutoff.max(initial=0)))
    found[item[known]] = column.values[known]
    return found[keys.code]


def _days_of(dates: Collection[date]) -> Ints:
    """Return dates as days since 1970-01-01, rising."""
    return np.unique(pl.Series(list(dates), dtype=pl.Date).cast(pl.Int32).to_numpy().astype(np.int64))
