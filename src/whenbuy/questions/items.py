"""Which things does she take next?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Instants, Ints, Kinds
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.core.log import ORDERS
from whenbuy.core.ranking import Taken
from whenbuy.questions.asked import people

_ORDERS: Final = {"all": 2**62, "basket": 1, "event": 1}


@dataclass(frozen=True, slots=True)
class NextItems:
    """The things that she takes within the horizon: all of them, those of her next basket, or the very next one.

    It is observed where the whole window has closed, or the basket came.

    Parameters
    ----------
    horizon_days
        Length of the window.
    only
        ``all`` things of the window, those of the first ``basket`` in it (the lines of one order), or the first ``event``.
    kind
        The kind of event that takes a thing; any, for None.
    column
        The column of names that tells the thing.

    Raises
    ------
    SettingsError
        When the horizon is not above 0, or ``only`` is another word.
    """

    horizon_days: float
    only: Literal["all", "basket", "event"] = "all"
    kind: str | None = "purchase"
    column: str = "item_id"
    name: str = "items"
    entity: Entity = "user"

    def __post_init__(self) -> None:
        if not self.horizon_days > 0 or self.only not in _ORDERS:
            raise SettingsError(
                f"{self.only!r} things within {self.horizon_days} days were asked for.", f"Known are: {', '.join(_ORDERS)}.", "Choose one."
            )

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Taken:
        """Return the things taken in the window (n).

        Raises
        ------
        ColumnError
            When the log has no such column of names.
        """
        log, keys = future._history.log, past.keys
        held = log.columns.get(self.column)
        if held is None or held.dictionary is None:
            raise ColumnError(
                f"The log has no column {self.column!r} of names.", "What is taken next must have a name.", "Read the log with that column."
            )
        order = np.empty(0, np.int64) if log.by_time is None else log.by_time
        heads = log.columns[ORDERS].values != 0 if ORDERS in log.columns and self.kind == "purchase" else np.empty(0, np.bool_)
        code = -1 if self.kind is None else log.code(self.kind)
        counts = np.ones(max(len(log.kinds), 1), np.bool_) if self.kind is None else np.arange(max(len(log.kinds), 1)) == code
        most = _ORDERS[self.only]
        each = self.only == "event" or not len(heads)
        offsets, item = taken(
            log.offsets, log.time, order, log.kind, counts, np.empty(0, np.bool_) if each else heads, np.asarray(held.values, np.int32),
            keys.code, future.start, future.ripe, most, len(held.dictionary),
        )  # fmt: skip
        value = np.diff(offsets).astype(np.float64)
        observed = (future.ripe == future.end) | ((value > 0) & (most == 1))
        return Taken(value, observed, np.maximum(future.ripe, keys.cutoff), offsets, item, held.dictionary)


@kernel
def taken(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, counts: Bools, heads: Bools, names: Codes, code: Codes, start: Instants,
    end: Instants, most: int, things: int,
) -> tuple[Ints, Codes]:  # fmt: skip
    """Return the different things of the first ``most`` orders of each window, each once; without heads every event is an order."""
    found = [np.int32(0) for _ in range(0)]
    out, seen = np.zeros(len(code) + 1, np.int64), np.full(max(things, 1), -1, np.int64)
    for i in range(len(code)):
        out[i + 1] = out[i]
        if code[i] >= len(offsets) - 1:
            continue
        last, orders = offsets[code[i] + 1], 0
        lo = _begin(time, by_time, offsets[code[i]], last, start[i])
        for step in range(lo, last):
            row = by_time[step] if len(by_time) else step
            if time[row] >= end[i]:
                break
            if not counts[kinds[row]] or names[row] < 0:
                continue
            if not len(heads) or heads[row] or orders == 0:
                orders += 1
            if orders > most:
                break
            if seen[names[row]] != i:
                seen[names[row]] = i
                found.append(names[row])
                out[i + 1] += 1
    return out, np.array(found, np.int32)


@kernel
def _begin(time: Instants, by_time: Ints, lo: int, hi: int, start: int) -> int:
    """Return the first place of [lo, hi) whose event happened at or after a start; places go through ``by_time`` where it is not empty."""
    while lo < hi:
        middle = (lo + hi) // 2
        if time[by_time[middle] if len(by_time) else middle] < start:
            lo = middle + 1
        else:
            hi = middle
    return lo
