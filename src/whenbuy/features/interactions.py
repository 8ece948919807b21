"""Interactions: what each key did with each of some classes of things, such as product categories, and when the next is due."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.features.sweep import chunks

MOST: Final = 30
"""The most classes that get columns unless a caller asks for more."""
_MEASURES: Final = (
    "orders", "orders_share", "orders_since", "recency_days", "tenure_days", "gap_mean_days", "gap_deviation_days", "gap_last_days",
    "due_days", "lines_per_order", "amount_per_order",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ByClass:
    """What each key did with each of some classes, as a block of interactions. Only the classes named cost memory.

    Of each class: ``orders`` that hold it, their share of all her orders, orders since the last that holds it, days since the last and the
    first one, mean, deviation and last of the gaps between them, ``due_days`` = mean gap - recency (below 0: overdue), lines and amount per
    order that holds it, and ``rate_<h>d``: its orders per day, where an order counts half after h days. A class that the log does not know
    has been bought by nobody: counts and rates are 0, the rest NaN.

    Parameters
    ----------
    classes
        Their names, each once.
    column
        The column of names that tells the class of a thing.
    halflives_days
        Of the decayed rates.
    kind
        The kind of event that counts; of others than purchases every event is an order of its own.

    Notes
    -----
    Events are folded in the order in which they became known, each at the time at which it happened; one that came late counts at the
    moment of the latest before it, with a gap of 0.

    Raises
    ------
    SettingsError
        When no class is named or one of them twice, or a half-life is not above 0.
    """

    classes: tuple[str, ...]
    column: str = "category"
    halflives_days: tuple[float, ...] = (14.0, 42.0, 126.0)
    kind: str = "purchase"

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise SettingsError(
                f"Interactions with {len(self.classes)} classes were asked for, {len(set(self.classes))} of them different.",
                "At least one class is needed, and each once.",
                "Name them, or take the most bought ones of a log.",
            )
        if not all(0 < days < math.inf for days in self.halflives_days):
            raise SettingsError(f"The half-lives are {self.halflives_days} days.", "They must be above 0.", "Use such as (14, 42, 126).")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features of each class (f)."""
        return (*_MEASURES, *(f"rate_{days:g}d" for days in self.halflives_days))

    def block(self, past: Past) -> Interactions:
        """Return what each key did with each class (n x k x f), from what was known before its cutoff.

        Raises
        ------
        ColumnError
            When the column holds numbers.
        """
        log = past._history.log
        place = self._places(log)
        out = np.empty((len(past), len(self.classes), len(self.names)), np.float32)
        speeds, code = math.log(2.0) / np.array(self.halflives_days, np.float64), log.code(self.kind)
        for keys, rows, start, stop in chunks(past, past.keys.order()):
            time: Instants = np.minimum(log.time[rows], log.known_at[rows])
            counts: Bools = log.kind[rows] == code
            head: Bools = np.ones(len(time), np.bool_)
            if ORDERS in log.columns and self.kind == "purchase":
                head = log.columns[ORDERS].values[rows] != 0
            held = place[log.columns[self.column].values[rows]] if self.column in log.columns else np.full(len(time), -1, np.int64)
            amount, scale = self._amounts(log, rows)
            fill(time, counts, head, held, amount, scale, start, stop, past.at[keys], keys, speeds, out)
        return Interactions(self.column, self.classes, self.names, out)

    def _places(self, log: EventLog) -> Ints:
        """Return which class each code of the column is, -1 for none; the last place stands for the code -1."""
        if self.column not in log.columns:
            return np.full(1, -1, np.int64)
        names = log.columns[self.column].dictionary
        if names is None:
            raise ColumnError(f"Classes were asked for by {self.column!r}, which holds numbers.", "They need names.", "Name another.")
        codes = names.codes(self.classes)
        place = np.full(len(names) + 1, -1, np.int64)
        place[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
        return place

    @staticmethod
    def _amounts(log: EventLog, rows: slice | Ints) -> tuple[Ints, float]:
        """Return what was paid (empty where the log does not say) and how many of its units make one."""
        paid = log.columns.get("amount")
        return (np.empty(0, np.int64), 1.0) if paid is None else (np.asarray(paid.values[rows], np.int64), float(paid.scale))


def most_bought(log: EventLog, column: str = "category", most: int = MOST, kind: str = "purchase") -> tuple[str, ...]:
    """Return the classes with the most buyers in a log (``most`` of them at most), the most bought first, ties by name.

    Who has an event of a ``kind`` with a class counts as its buyer.

    Cut the log first: what is chosen must have been known. A log without the column has none.

    Raises
    ------
    ColumnError
        When the column holds numbers.
    """
    if column not in log.columns:
        return ()
    names = log.columns[column].dictionary
    if names is None:
        raise ColumnError(f"Classes were asked for by {column!r}, which holds numbers.", "They need names.", "Name another.")
    code: Ints = np.where(log.kind == log.code(kind), log.columns[column].values, -1).astype(np.int64)
    buyers = count_buyers(log.offsets, code, len(names))
    least = np.sort(buyers)[-most] if len(buyers) > most else 0
    found = np.flatnonzero(buyers >= max(least, 1))
    named = sorted((-int(buyers[c]), name) for c, name in zip(found, names.ids.gather(found), strict=True))
    return tuple(name for _, name in named[:most])


@kernel
def count_buyers(offsets: Ints, code: Ints, names: int) -> Ints:
    """Return how many users have an event with each code (names); a code of -1 is none."""
    buyers, latest = np.zeros(names, np.int64), np.full(names, -1, np.int64)
    for user in range(len(offsets) - 1):
        for event in range(offsets[user], offsets[user + 1]):
            c = code[event]
            if c >= 0 and latest[c] != user:
                latest[c] = user
                buyers[c] += 1
    return buyers


class Told(NamedTuple):
    """What the events so far told of each class (k each).

    Parameters
    ----------
    orders, lines, spent
        Orders that hold the class, their lines of it, and the sum of the amounts of these.
    number
        Which of all her orders was the latest that held it.
    first, last
        Instants of the first and the latest of them.
    gap, squares
        The latest gap in days, and the sum of the squares of all gaps.
    rates
        Orders, each weighing less as time passes, as of the latest one (k x h).
    """

    orders: Ints
    lines: Ints
    spent: Ints
    number: Ints
    first: Instants
    last: Instants
    gap: Floats
    squares: Floats
    rates: Floats


@kernel
def fill(
    time: Instants, counts: Bools, head: Bools, held: Ints, amount: Ints, scale: float, start: Ints, stop: Ints, at: Instants, keys: Ints,
    speeds: Floats, out: Singles,
) -> None:  # fmt: skip
    """Fill the rows ``keys`` of ``out``: each folds its own events from the first one on, for all classes side by side.

    An order weighs exp(-speed * days) for each of the ``speeds``.
    """
    k = out.shape[1]
    told = Told(
        np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64),
        np.zeros(k, np.int64), np.zeros(k), np.zeros(k), np.zeros((k, len(speeds))),
    )  # fmt: skip
    for i in range(len(start)):
        told.orders[:], told.lines[:], told.spent[:], told.squares[:] = 0, 0, 0, 0.0
        total = _fold(told, time, counts, head, held, amount, start[i], stop[i], speeds)
        _read(told, total, at[i], speeds, scale if len(amount) else np.nan, out[keys[i]])


@kernel
def _fold(told: Told, time: Instants, counts: Bools, head: Bools, held: Ints, amount: Ints, start: int, stop: int, speeds: Floats) -> int:
    """Take in the events of one key; return how many orders they are."""
    total = 0
    for event in range(start, stop):
        if not counts[event]:
            continue
        total += head[event]
        c = held[event]
        if c < 0:
            continue
        told.lines[c] += 1
        if len(amount) and amount[event] != MISSING:
            told.spent[c] += amount[event]
        if told.orders[c] == 0:
            told.first[c], told.last[c], told.rates[c, :] = time[event], time[event], 1.0
            told.orders[c], told.number[c] = 1, total
        elif told.number[c] != total:
            gap = max(time[event] - told.last[c], 0) / DAY
            told.gap[c], told.squares[c], told.last[c] = gap, told.squares[c] + gap * gap, max(time[event], told.last[c])
            for j in range(len(speeds)):
                told.rates[c, j] = told.rates[c, j] * np.exp(-gap * speeds[j]) + 1.0
            told.orders[c] += 1
            told.number[c] = total
    return total


@kernel
def _read(told: Told, total: int, at: int, speeds: Floats, scale: float, rows: Singles) -> None:
    """Write the features of all classes (k x f) as of an instant, in the order of their names."""
    rates = rows.shape[1] - len(speeds)
    for c in range(len(rows)):
        n = told.orders[c]
        for j in range(rows.shape[1]):
            rows[c, j] = np.nan if j < rates else 0.0
        rows[c, 0], rows[c, 1] = n, (n / total if total else np.nan)
        if n == 0:
            continue
        recency = (at - told.last[c]) / DAY
        rows[c, 2], rows[c, 3], rows[c, 4] = total - told.number[c], recency, (at - told.first[c]) / DAY
        rows[c, 9], rows[c, 10] = told.lines[c] / n, told.spent[c] / scale / n
        for j in range(len(speeds)):
            rows[c, rates + j] = told.rates[c, j] * np.exp(-recency * speeds[j]) * speeds[j]
        if n > 1:
            mean = (told.last[c] - told.first[c]) / DAY / (n - 1)
            rows[c, 5], rows[c, 7], rows[c, 8] = mean, told.gap[c], mean - recency
        if n > 2:
            rows[c, 6] = np.sqrt(max(told.squares[c] - (n - 1) * mean * mean, 0.0) / (n - 2))


TYPES: Final[dict[str, type]] = {ByClass.__name__: ByClass}
"""The settings of this block by name, for the codec."""
