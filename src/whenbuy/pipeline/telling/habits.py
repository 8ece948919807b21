"""The habits of a shop: pictures of its data, by hour, weekday and month, how numbers are spread, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.activity import Activity
from whenbuy.core.arrays import MISSING, Bools, Floats, Ints
from whenbuy.core.chart import records
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, SCALES, Column, EventLog
from whenbuy.pipeline.telling.pictures import MINI, drawn
from whenbuy.pipeline.telling.words import Name, money, percent

KINDS: Final = 6
"""How many kinds of event have a picture of their own."""
MONTHS: Final = 24
"""How many of the latest months are drawn."""
_BUCKETS: Final = 24
_EDGE: Final = 0.98
_VISITS: Final = ("view", "click", "search", "favourite", "cart")
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def activity(history: History) -> dict[str, Any]:
    """Return the events by kind, and how the commonest kinds run over the days (in a long log: the full weeks, from Monday on)."""
    found = Activity.of(history.log, history.clock)
    kinds = [(Name.of(kind), total) for kind, total in found.totals.items()]
    pictures = []
    for kind, (name, total) in zip(list(found.totals)[:KINDS], kinds, strict=False):
        frame = found.of_kind(kind)
        picture = drawn(records.activity(frame, found.unit, f"{total:,} events of the kind {name.short}, per {found.unit}", MINI))
        pictures.append({"name": name, "total": total, "svg": picture})
    return {"kinds": kinds, "pictures": pictures, "unit": found.unit}


# ------------------------------------------------------------------------------------------ by hour, weekday and month


def rhythm(history: History) -> list[dict[str, Any]]:
    """Return when orders come: by hour of the day (where the log knows it), by weekday, and by month; nothing of an empty log."""
    log = history.log
    head = _heads(log)
    if not len(log):
        return []
    local = history.clock.local(log.time)
    other = np.isin(log.kind, [log.code(kind) for kind in _VISITS if kind in log.kinds])
    if not head.any():
        head, other = np.ones(len(log), bool), np.zeros(len(log), bool)
    what = "orders" if log.count("purchase") else "events"
    hour, weekday = (part.to_numpy() for part in (local.dt.hour(), local.dt.weekday() - 1))
    found = (
        []
        if not (hour.any() or _clock(local))
        else [_habit("By hour", hour, [f"{h}" for h in range(24)], ["0", "6", "12", "18", "23"], head, other, what)]
    )
    found.append(_habit("By weekday", weekday, list(_WEEKDAYS), list(_WEEKDAYS), head, other, what))
    month = local.dt.year().to_numpy().astype(np.int64) * 12 + local.dt.month().to_numpy() - 1
    return [*found, _months(history, month[head], what)]


def _clock(local: pl.Series) -> bool:
    """Return whether some event has a time of day other than midnight."""
    return bool(((local.dt.minute() > 0) | (local.dt.second() > 0)).any())


def _habit(title: str, place: Ints, names: list[str], shown: list[str], head: Bools, other: Bools, what: str) -> dict[str, Any]:
    counts = [np.bincount(place[rows], minlength=len(names)).astype(float) for rows in (head, other)]
    columns = {"name": names} | {key: count / count.sum() for key, count in zip(("orders", "visits"), counts, strict=True) if count.sum()}
    best = int(np.argmax(counts[0]))
    busiest = names[best] if title != "By hour" else f"{best}:00 to {best + 1}:00"
    said = f"Share of the {what} {title.lower()}; the most, {percent(float(columns['orders'][best]))}, fall on {busiest}"
    picture = drawn(records.habit(pl.DataFrame(columns), f"share of {what}", shown, said, MINI))
    note = f"Most {what}: {busiest}, {percent(float(columns['orders'][best]))}" + ("; dashed: visits" if "visits" in columns else "")
    return {"title": title, "note": note, "svg": picture}


def _months(history: History, month: Ints, what: str) -> dict[str, Any]:
    """Return the orders per day in each month that the log covers, months of which it has a part by that part's days."""
    edges = history.clock.days(np.array([history.log.start, max(history.log.start, history.end - 1)], np.int64))
    first, last = (date(1970, 1, 1) + timedelta(days=int(edge)) for edge in edges)
    begin, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    counts = np.bincount(month[(month >= begin) & (month <= end)] - begin, minlength=end - begin + 1)
    days = np.array([_covered(at, first, last) for at in range(begin, end + 1)])
    rate = (counts / np.maximum(days, 1))[-MONTHS:]
    starts = [date(at // 12, at % 12 + 1, 1) for at in range(begin, end + 1)][-MONTHS:]
    top = int(np.argmax(rate))
    said = f"{what.capitalize()} per day in each of {len(rate)} months; the most, {rate[top]:,.4g} a day, in {starts[top]:%B %Y}"
    picture = drawn(records.monthly(pl.DataFrame({"day": starts, "rate": rate}), f"{what} per day", said, MINI))
    return {"title": "By month", "note": f"Busiest: {starts[top]:%b %Y}, {rate[top]:,.3g} {what} a day", "svg": picture}


def _covered(month: int, first: date, last: date) -> int:
    """Return how many days of a month lie between two days, both counted."""
    start = date(month // 12, month % 12 + 1, 1)
    after = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return (min(after, last + timedelta(days=1)) - max(start, first)).days


# -------------------------------------------------------------------------------------------------- how numbers are spread


def spreads(history: History, currency: str) -> list[dict[str, Any]]:
    """Return how days between orders, amounts of orders and orders per customer are spread; what the log cannot say is left out."""
    log = history.log
    head = _heads(log)
    rows = np.flatnonzero(head)
    owner = np.searchsorted(log.offsets, rows, side="right") - 1
    mine = owner < len(log.users)
    found = []
    day = history.clock.days(log.time[rows[mine]])
    gaps = _gaps(owner[mine], day)
    unit = f" ({currency})" if currency else ""
    if len(gaps):
        found.append(
            _spread("Days between orders", "days between two days with an order", "gaps", gaps, lambda v: f"{v:,.3g} d", whole=True)
        )
    amounts = _amounts(log)
    if len(amounts):
        found.append(_spread("Amount of an order", f"amount{unit}", "orders", amounts, lambda v: money(v, currency)))
    orders = np.bincount(owner[mine], minlength=len(log.users)) if len(log.users) else np.empty(0, np.int64)
    if orders.any():
        found.append(_spread("Orders per customer", "orders", "customers", orders.astype(float), lambda v: f"{v:,.4g}", whole=True))
    return found


def _gaps(owner: Ints, day: Ints) -> Floats:
    """Return the days between consecutive days with an order of the same customer."""
    order = np.lexsort((day, owner))
    same, gap = np.diff(owner[order]) == 0, np.diff(day[order])
    return np.asarray(gap[same & (gap > 0)], float)


def _amounts(log: EventLog) -> Floats:
    """Return the amount of each order of which all lines are known to have one."""
    if "amount" not in log.columns:
        return np.empty(0)
    rows = np.flatnonzero(log.kind == log.code("purchase"))
    if not len(rows):
        return np.empty(0)
    order = np.cumsum(_heads(log)[rows]) - 1
    value = log.columns["amount"].values[rows]
    order, value = order[order >= 0], value[order >= 0]
    total = np.bincount(order, weights=np.where(value == MISSING, 0, value))
    unknown = np.bincount(order, weights=value == MISSING, minlength=len(total)) > 0
    return np.asarray(total[~unknown] / SCALES["amount"])


def _spread(title: str, axis: str, what: str, values: Floats, show: Any, *, whole: bool = False) -> dict[str, Any]:
    middle, most = float(np.median(values)), float(np.quantile(values, 0.9))
    low, top = float(values.min()), float(np.quantile(values, _EDGE))
    edges = _edges(min(low, top), top, whole)
    inside = values[values <= edges[-1]]
    counts = np.histogram(inside, edges)[0]
    beyond = len(values) - len(inside)
    frame = pl.DataFrame({"low": edges[:-1], "high": edges[1:], what: counts})
    note = f"Half are at most {show(middle)}, nine of ten at most {show(most)}"
    rest = f"; {percent(beyond / len(values))} lie beyond the picture" if beyond else ""
    return {"title": title, "note": f"{note}{rest}.", "svg": drawn(records.spread(frame, axis, what, f"{title}: {note.lower()}", MINI))}


def _edges(low: float, high: float, whole: bool) -> Floats:
    """Return round bounds of at most about ``_BUCKETS`` buckets from low to high."""
    if whole:
        low, high = np.floor(low), np.floor(high) + 1
    if high <= low:
        high = low + max(abs(low) / 2, 1.0)
    rough = (high - low) / _BUCKETS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    start = np.floor(low / step) * step
    return np.asarray(start + step * np.arange(int(np.ceil((high - start) / step - 1e-9)) + 1))


# --------------------------------------------------------------------------------------------------------- what is missing


@dataclass(frozen=True, slots=True)
class Filled:
    """How much of one column is known.

    Parameters
    ----------
    where
        Of what the rows are: events or a profile.
    name
        The column.
    known
        How many of these rows have a value.
    rows
        How many there are: events of the kinds that ever have one.
    kinds
        These kinds, in words.
    """

    where: str
    name: Name
    known: int
    rows: int
    kinds: str = ""

    @property
    def missing(self) -> float:
        """The share of the rows without a value."""
        return 1 - self.known / self.rows if self.rows else 0.0


def filled(history: History) -> list[Filled]:
    """Return how much of each column is known, the emptiest first: among events of the kinds that ever have it, and in each profile."""
    found = [*_of_events(history.log)]
    for profile in (history.users, history.items, history.offers):
        if profile is not None and profile.table.height:
            n = profile.table.height
            found += [Filled(f"{profile.entity} profile", Name.of(a), n - profile.table[a].null_count(), n) for a in profile.attributes]
    return sorted(found, key=lambda one: -one.missing)


def _of_events(log: EventLog) -> Iterator[Filled]:
    if not len(log):
        return
    totals = np.bincount(log.kind, minlength=len(log.kinds))
    owned = int(log.offsets[-1])
    if owned < len(log):
        yield Filled("events", Name.of("user_id"), owned, len(log))
    for name, column in log.columns.items():
        if name == ORDERS:
            continue
        by_kind = np.bincount(log.kind[_present(column)], minlength=len(log.kinds))
        having = np.flatnonzero(by_kind)
        if len(having):
            names = "all kinds" if len(having) == np.count_nonzero(totals) else _listed([log.kinds[k] for k in having])
            yield Filled("events", Name.of(name), int(by_kind.sum()), int(totals[having].sum()), names)


def _listed(names: Sequence[str]) -> str:
    short = [Name.of(name).short for name in names]
    return ", ".join(short[:4]) + (f" and {len(short) - 4} more" if len(short) > 4 else "")


def _present(column: Column) -> Bools:
    return np.asarray(column.values != MISSING if column.dictionary is None else column.values >= 0)


def _heads(log: EventLog) -> Bools:
    """Return True on the first line of every order (n)."""
    bought = log.kind == log.code("purchase")
    return np.asarray(bought & (log.columns[ORDERS].values == 1) if ORDERS in log.columns else bought)
