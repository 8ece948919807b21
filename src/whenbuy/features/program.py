"""A program: a spec compiled for one log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Floats, Instants, Ints, Singles
from whenbuy.core.clock import Clock
from whenbuy.core.errors import UsageError
from whenbuy.core.history import Past
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.features import lanes
from whenbuy.features.local import DATE, part_of

ByDay = Callable[[Ints], Floats]
"""A feature of the shop-local calendar day (days since 1970-01-01) in which the past is read."""

ByInstant = Callable[[Instants, Instants], Floats]
"""A feature of the cutoff and of the instant at which the past is read (n each): what of the world was known then."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A spec compiled for one log.

    Parameters
    ----------
    names
        Names of the features, in their order.
    log, clock
        The log for which names were resolved, and the zone of its days.
    code
        What the kernels run.
    columns
        The columns that an event must bring (as the log stores them), in the order of the kernels' values.
    parts
        What the kernels' values say behind them of the shop's clock: weekday, hour, date.
    by_day
        Features of the calendar: column, and its value by day.
    by_instant
        Features of the shop: column, and its value by cutoff and instant.
    turned
        First columns of seven that the kernels fill for Monday to Sunday, and that then turn so that the first one tells of today.
    over
        Columns that are one over another: column, top, bottom (o x 3).
    """

    names: tuple[str, ...]
    log: EventLog
    clock: Clock
    code: lanes.Code
    columns: tuple[str, ...]
    parts: tuple[str, ...]
    by_day: tuple[tuple[int, ByDay], ...]
    by_instant: tuple[tuple[int, ByInstant], ...]
    turned: tuple[int, ...]
    over: Ints

    def refuse(self, past: Past) -> None:
        """Raise UsageError when a past is not about users of this program's log."""
        if past._history.log is not self.log:
            raise UsageError(
                "Features were compiled for one log and asked about another.", "Codes differ from log to log.", "Compile them again."
            )
        if past.keys.entity != "user":
            raise UsageError(
                f"Features of each {past.keys.entity} were asked for.", "Only users have a history of their own.", "Ask about users."
            )

    def kind(self, name: str, *, head: bool = True) -> int:
        """Return the code under which the kernels know a kind of event; a further line of an order (not its head) has one of its own.

        Raises
        ------
        UsageError
            When the log knows no such kind.
        """
        code = self.log.code(name)
        if code < 0:
            raise UsageError(
                f"The kind {name!r} is not in this log.", f"It has: {', '.join(self.log.kinds)}.", "Compile for a log that has it."
            )
        return code if head else len(self.log.kinds)

    def read(self, rows: slice | Ints) -> tuple[Instants, Ints, Ints]:
        """Return time, kind and values (columns and parts x n) of some rows, as the kernels want them.

        An event known before it happened counts from the moment at which it was known. A further line of an order is a kind of its own, the
        last one: so a count of orders is the count of a kind.
        """
        log = self.log
        time: Instants = np.require(log.time[rows], np.int64, ["C", "W"])
        if log.late:
            time = np.minimum(time, log.known_at[rows])
        kind: Ints = log.kind[rows].astype(np.int64)
        if ORDERS in log.columns and "purchase" in log.kinds:
            kind[(kind == log.code("purchase")) & (log.columns[ORDERS].values[rows] == 0)] = len(log.kinds)
        values = np.empty((len(self.columns) + len(self.parts), len(time)), np.int64)
        for place, name in enumerate(self.columns):
            values[place] = log.columns[name].values[rows]
        for place, part in enumerate(self.parts, len(self.columns)):
            values[place] = part_of(part, time, self.clock)
        return time, kind, values

    def complete(self, cutoff: Instants, at: Instants, out: Singles) -> None:
        """Finish what the kernels filled: the features that need no event, and those made of others (n rows)."""
        self.fill_calendar(at, out)
        for column, measure in self.by_instant:
            out[:, column] = measure(cutoff, at)
        if self.turned:
            order = (part_of("weekday", at, self.clock)[:, None] + np.arange(7)) % 7
            for first in self.turned:
                out[:, first : first + 7] = np.take_along_axis(out[:, first : first + 7], order, axis=1)
        self.divide(out)

    def turn(self, weekday: int) -> Ints:
        """Return which column each column becomes on a weekday (f)."""
        order = np.arange(len(self.names))
        for first in self.turned:
            order[first : first + 7] = first + (weekday + np.arange(7)) % 7
        return order

    def divide(self, out: Singles) -> None:
        """Fill the features that are one over another, NaN where that is zero."""
        if len(self.over):
            column, top, bottom = self.over.T
            below = out[:, bottom]
            out[:, column] = np.divide(out[:, top], below, out=np.full_like(below, np.nan), where=below != 0)

    def fill_calendar(self, at: Instants, out: Singles) -> None:
        """Fill the features of the calendar as of each instant (n)."""
        if not self.by_day or not len(at):
            return
        days = part_of(DATE, at, self.clock)
        first = int(days.min())
        asked = np.zeros(int(days.max()) - first + 1, bool)
        asked[days - first] = True
        place = (np.cumsum(asked) - 1)[days - first]
        for column, measure in self.by_day:
            out[:, column] = measure(np.flatnonzero(asked) + first).astype(np.float32)[place]
