"""Columns that are filled in later: near the end of the log they look as they never did before."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.log import Column
from whenbuy.pipeline.checking.parts import Leak

DAYS: Final = (2, 7, 14)
"""The last so many days are compared with all earlier stretches of the same length."""
STRETCHES: Final = 12
"""At least so many: one of 13 equal stretches is the strangest by chance once in 13, so it must also stand far apart from all others."""
ROWS: Final = 30
"""Rows in each stretch that is compared: shares of 30 rows are known to ±18 points."""
FAR: Final = 0.3
"""By so much the shares of the last stretch must differ from those of the whole."""
TIMES: Final = 3.0
"""And by so many times what the strangest earlier stretch differs."""
NAMES: Final = 50
"""Columns with more names than this are not looked at, only whether they are empty."""


def filled_leak(name: str, column: Column, history: History) -> Leak | None:
    """Return the leak that a column is when its last days look as none before them; None where they do not.

    The distance between shares is the total variation (half the sum of differences), a missing value counting as one more name.
    """
    log = history.log
    rows = log.kind == (log.code("purchase") if "purchase" in log.kinds else 255)
    codes = _classes(column, rows)
    if not rows.any() or codes is None:
        return None
    age = (log.end - log.time[rows]) / DAY
    for days in DAYS:
        found = _edge(codes[rows], age, days)
        if found is not None:
            share, usual, distance, strangest, place = found
            value = _name(column, place)
            evidence = (
                f"in the last {days} days {share:.0%} of the purchases have {value}, {usual:.0%} before; the shares moved by "
                f"{distance:.0%}, and by at most {strangest:.0%} in any earlier {days} days"
            )
            return Leak(
                name, "event", "suspected", "it is filled in some days after the event", evidence,
                "If so, leave it out, or send it as an event of its own with the time at which it became known",
            )  # fmt: skip
    return None


def _classes(column: Column, rows: Bools) -> Ints | None:
    """Return a small code per row (n), 0 where there is no value; None where the column is full and has many values."""
    if column.dictionary is not None:
        there = np.unique(column.values[rows]).astype(np.int64)
        codes = column.values.astype(np.int64) + 1
        if (there >= 0).sum() <= NAMES:
            return codes
        return np.minimum(codes, 1) if there[0] < 0 else None
    missing = column.values == MISSING
    values = np.unique(column.values[rows & ~missing])
    if len(values) <= NAMES:
        return np.where(missing, 0, np.searchsorted(values, column.values) + 1)
    return (~missing).astype(np.int64) if missing[rows].any() else None


def _name(column: Column, place: int) -> str:
    if place == 0:
        return "no value"
    if column.dictionary is not None and (column.dictionary.ids.len() <= NAMES or place > 1):
        return repr(column.dictionary.ids[place - 1])
    return "another value"


def _edge(codes: Ints, age: Floats, days: int) -> tuple[float, float, float, float, int] | None:
    """Return the share of the value that stands out in the last days, its share before, both distances, and its code."""
    stretch = (age // days).astype(np.int64)
    counts = np.zeros((int(stretch.max()) + 1, int(codes.max()) + 1))
    np.add.at(counts, (stretch, codes), 1)
    rows = counts.sum(axis=1)
    enough = rows >= ROWS
    if not enough[0] or enough[3:].sum() < STRETCHES:
        return None
    earlier = counts[3:][enough[3:]]
    usual = earlier.sum(axis=0) / earlier.sum()
    last = counts[0] / rows[0]
    distance = float(np.abs(last - usual).sum() / 2)
    strangest = float((np.abs(earlier / earlier.sum(axis=1, keepdims=True) - usual).sum(axis=1) / 2).max())
    if distance < FAR or distance < TIMES * strangest:
        return None
    place = int((last - usual).argmax())
    return float(last[place]), float(usual[place]), distance, strangest, place
