"""A sample of customers with their orders: what each row could know of its customer, and what only the rest of the log tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Floats, Instants, Ints
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog

USERS: Final = 3_000
"""So many customers with two orders or more are looked at: a share of 90 % is then known to ±1 point."""
ROWS: Final = 120_000
"""And at most so many of their rows."""
WINDOWS: Final = (1, 3, 7, 14, 28, 30, 60, 90, 180, 365)
"""Windows in days that people count orders and spend over."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows of some customers who bought at least twice, and their orders.

    Parameters
    ----------
    history
        The history.
    rows
        Places of the rows in the log (n), in the order of customer and time.
    user
        Number of the customer (n), from 0 on.
    time
        When each row happened (n).
    start, stop
        Where each customer's orders begin and end (users each).
    order_time, order_amount
        The orders (o), by customer and time; amounts are those of all lines, 0 where none is known.
    upto
        Place behind the last order of the same customer that happened at or before each row (n).
    before
        The same for orders that happened strictly before it (n).
    """

    history: History
    rows: Ints
    user: Ints
    time: Instants
    start: Ints
    stop: Ints
    order_time: Instants
    order_amount: Floats
    upto: Ints
    before: Ints

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def log(self) -> EventLog:
        """The log."""
        return self.history.log

    def values(self, name: str) -> Floats:
        """Return a column of numbers at the rows (n), NaN where there is none."""
        column = self.log.columns[name]
        picked = column.values[self.rows]
        return np.where(picked == MISSING, np.nan, picked / column.scale)

    def within(self, days: float) -> tuple[Ints, Ints]:
        """Return the places of the first order after each row and behind the last one within so many days of it (n each)."""
        return self.upto, self._place(self.time + round(days * DAY), "right")

    def lately(self, days: float) -> tuple[Ints, Ints]:
        """Return the places of the orders in the days up to each row, its own included (n each)."""
        return self._place(self.time - round(days * DAY), "right"), self.upto

    def _place(self, instants: Instants, side: str) -> Ints:
        key, orders = self._keys(instants)
        return np.clip(
            np.searchsorted(orders, key, side="right" if side == "right" else "left"), self.start[self.user], self.stop[self.user]
        )

    def _keys(self, instants: Instants) -> tuple[Ints, Ints]:
        owner = np.repeat(np.arange(len(self.start)), self.stop - self.start)
        low = min(int(self.time.min()), int(self.order_time.min()))
        span = max(int(self.time.max()), int(self.order_time.max())) - low + 2
        return self.user * span + np.clip(instants - low, -1, span - 2), owner * span + self.order_time - low

    def spend(self, first: Ints, last: Ints) -> Floats:
        """Return the amounts of the orders between two places each (n)."""
        total = np.concatenate([[0.0], np.cumsum(self.order_amount)])
        return np.asarray(np.round(total[last] - total[first], 6))

    def at(self, values: Floats | Instants, place: Ints, inside: np.ndarray) -> Floats:
        """Return values of orders at some places (n), NaN where there is none."""
        picked = np.asarray(values, float)[np.clip(place, 0, max(0, len(values) - 1))]
        return np.where(inside, picked, np.nan)


def sampled(history: History) -> Sample | None:
    """Return a sample of the customers who bought at least twice; None where nobody did."""
    log = history.log
    bought = log.kind[: log.offsets[-1]] == (log.code("purchase") if "purchase" in log.kinds else 255)
    heads = bought & (log.columns[ORDERS].values[: len(bought)] == 1) if ORDERS in log.columns else bought
    owner = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
    orders = np.bincount(owner[heads], minlength=len(log.users))
    able = np.flatnonzero(orders > 1)
    if not len(able):
        return None
    wanted = min(USERS, max(1, int(len(able) * ROWS / max(ROWS, np.diff(log.offsets)[able].sum()))))
    users = able[np.linspace(0, len(able) - 1, min(wanted, len(able))).astype(np.int64)]
    number = np.full(len(log.users), -1, np.int64)
    number[users] = np.arange(len(users))
    rows = np.flatnonzero(number[owner] >= 0)
    user, time = number[owner[rows]], log.time[rows]
    order = np.lexsort((time, user))
    rows, user, time = rows[order], user[order], time[order]
    first = heads[rows]
    counts = np.bincount(user[first], minlength=len(users))
    stop = np.cumsum(counts)
    start = stop - counts
    lines = np.cumsum(first)
    amount = np.zeros(int(stop[-1]))
    if "amount" in log.columns:
        bought_rows = bought[rows]
        paid = log.columns["amount"].values[rows]
        known = bought_rows & (paid != MISSING) & (lines > start[user])
        np.add.at(amount, lines[known] - 1, paid[known] / log.columns["amount"].scale)
    order_time = time[first]
    made = Sample(history, rows, user, time, start, stop, order_time, amount, start[user], start[user])
    upto = made._place(time, "right")
    before = made._place(time, "left")
    return Sample(history, rows, user, time, start, stop, order_time, amount, upto, before)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Something about a row that only the rest of the log tells, beside what it would have been as of the row.

    Parameters
    ----------
    words
        What it is.
    value
        It (n); NaN where it is not known even at the log's end.
    past
        What an honest column of the same kind would hold: the same counted before the row, or up to it (each n).
    tolerance
        By how much a column may differ and still be the same.
    """

    words: str
    value: Floats
    past: tuple[Floats, ...]
    tolerance: float = 1e-6


def whole(sample: Sample) -> tuple[Known, ...]:
    """Return what the whole history tells of each row's customer."""
    first, last, upto, before = sample.start[sample.user], sample.stop[sample.user], sample.upto, sample.before
    orders, so_far = (last - first).astype(float), ((upto - first).astype(float), (before - first).astype(float))
    spend, spent = sample.spend(first, last), (sample.spend(first, upto), sample.spend(first, before))
    events = np.bincount(sample.user)[sample.user].astype(float)
    place = (np.arange(len(sample)) - np.searchsorted(sample.user, sample.user)).astype(float)
    first_time, last_time = sample.order_time[first], sample.order_time[last - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = tuple(np.where(n > 0, s / n, np.nan) for s, n in zip((spend, *spent), (orders, *so_far), strict=True))
    now = (sample.time - first_time) / DAY
    quiet = (sample.log.end - last_time) / DAY
    since = (sample.time - sample.at(sample.order_time, before - 1, before > first)) / DAY
    return (
        Known("the number of orders in the customer's whole history", orders, so_far),
        Known("the spend of the customer's whole history", spend, spent, 0.0051),
        Known("the mean order of the customer's whole history", means[0], means[1:], 0.0051),
        Known("the number of events in the customer's whole history", events, (place, place + 1)),
        Known("the days from the customer's first to her last order", (last_time - first_time) / DAY, (now, since), 1.0),
        Known("the days from the customer's last order to the end of the log", quiet, (since, now), 1.0),
        Known("the number of orders still to come", (last - upto).astype(float), so_far),
        Known("the spend still to come", sample.spend(upto, last), spent, 0.0051),
    )


def coming(sample: Sample) -> tuple[Known, ...]:
    """Return what comes after each row."""
    first, last, upto, before = sample.start[sample.user], sample.stop[sample.user], sample.upto, sample.before
    more, earlier = upto < last, before > first
    own = sample.at(sample.order_amount, upto - 1, upto > first)
    previous = sample.at(sample.order_amount, before - 1, earlier)
    wait = (sample.at(sample.order_time, upto, more) - sample.time) / DAY
    since = (sample.time - sample.at(sample.order_time, before - 1, earlier)) / DAY
    found = [
        Known("the amount of the customer's next order", sample.at(sample.order_amount, upto, more), (own, previous), 0.0051),
        Known("the days until the customer's next order", wait, (since,), 1.0),
    ]
    for days in WINDOWS:
        closed = sample.time + days * DAY <= sample.log.end
        ahead, behind = sample.within(days), sample.lately(days)
        for what, of, tolerance in (("number of orders", _count, 1e-6), ("spend", sample.spend, 0.0051)):
            value = np.where(closed, of(*ahead), np.nan)
            found.append(
                Known(f"the {what} within the next {days} days", value, (of(*behind), of(*ahead) * 0 + _own(sample, what)), tolerance)
            )
    return tuple(found)


def _count(first: Ints, last: Ints) -> Floats:
    return (last - first).astype(float)


def _own(sample: Sample, what: str) -> Floats:
    """Return the row's own order, or its amount."""
    own = sample.upto > sample.before
    return own.astype(float) if what != "spend" else np.where(own, sample.spend(sample.before, sample.upto), 0.0)


def yes_or_no(sample: Sample) -> tuple[Known, ...]:
    """Return truths (1 or 0) that only later events tell."""
    last, upto = sample.stop[sample.user], sample.upto
    none = np.zeros(len(sample))
    found = [Known("whether the customer ever orders again", (last > upto).astype(float), (none,))]
    for days in WINDOWS:
        closed = sample.time + days * DAY <= sample.log.end
        ahead, behind = sample.within(days), sample.lately(days)
        value = np.where(closed, (ahead[1] > ahead[0]).astype(float), np.nan)
        found.append(Known(f"whether the customer orders within the next {days} days", value, ((behind[1] - behind[0] > 1).astype(float),)))
        quiet = (sample.log.end - sample.order_time[last - 1] > days * DAY).astype(float)
        found.append(Known(f"whether the customer's last order lies more than {days} days before the end of the log", quiet, (none,)))
    return (*found, *refunded(sample))


def refunded(sample: Sample) -> tuple[Known, ...]:
    """Return whether each purchase is given back later, as far as orders, items or both say which one a refund is about."""
    log = sample.log
    if "refund" not in log.kinds:
        return ()
    kind = log.kind[sample.rows]
    back = kind == log.code("refund")
    bought = kind == log.code("purchase")
    codes = {name: log.columns[name].values[sample.rows].astype(np.int64) for name in ("order_id", "item_id") if name in log.columns}
    found = []
    for names in (("order_id", "item_id"), ("order_id",), ("item_id",)):
        if not back.any() or not codes.keys() >= set(names):
            continue
        named = np.logical_and.reduce([codes[name] >= 0 for name in names])
        key = np.unique(np.column_stack([sample.user, *(codes[name] for name in names)]), axis=0, return_inverse=True)[1].ravel()
        latest = np.full(int(key.max()) + 1, MISSING, np.int64)
        np.maximum.at(latest, key[back & named], sample.time[back & named])
        value = np.where(bought, (named & (latest[key] > sample.time)).astype(float), np.nan)
        found.append(Known("whether the purchase is given back later", value, (np.zeros(len(sample)),)))
    return tuple(found)


Facts = tuple[tuple[Known, ...], tuple[Known, ...], tuple[Known, ...]]
"""What the whole history tells, what comes, and truths that only later events tell."""


def facts(sample: Sample) -> Facts:
    """Return everything about the rows of a sample that only the rest of the log tells."""
    return whole(sample), coming(sample), yes_or_no(sample)


def features(sample: Sample, told: Facts, rows: Ints) -> tuple[Floats, Floats]:
    """Return what a row could know of its customer, and what only the rest of the log tells (rows, k each).

    Parameters
    ----------
    told
        The facts of the sample.
    rows
        Places in the sample.
    """
    names = [name for name in ("amount", "unit_price", "quantity", "rating", "dwell_s") if name in sample.log.columns]
    first, upto, before = (place[rows] for place in (sample.start[sample.user], sample.upto, sample.before))
    time, born = sample.time[rows], sample.order_time[first]
    since = (time - sample.at(sample.order_time, before - 1, before > first)) / DAY
    past = [time.astype(float), born.astype(float), (time - born) / DAY, since, sample.log.kind[sample.rows[rows]].astype(float)]
    past += [sample.at(sample.order_amount, upto - 1, upto > first), sample.at(sample.order_amount, first, upto > first)]
    past += [sample.values(name)[rows] for name in names]
    past += [part[rows] for known in told[0] for part in known.past]
    later = [known.value[rows] for known in (*told[0], *told[1])]
    later.append(sample.order_time[sample.stop[sample.user[rows]] - 1].astype(float))
    return np.column_stack(past), np.column_stack(later)
