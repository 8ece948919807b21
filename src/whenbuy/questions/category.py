"""From which classes of things does she buy, or look at, next?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.errors import ColumnError
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.core.log import EventLog
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class NextClasses:
    """Whether she takes at least one thing of each class within the horizon; observed only where the whole window has closed.

    A class that the log does not know is taken by nobody.

    Parameters
    ----------
    horizon_days
        Length of the window.
    classes
        Names of the classes (k).
    column
        The column of names that tells the class of a thing.
    kind
        The kind of event that takes a thing: ``purchase``, ``view``, ``enquiry`` …
    """

    horizon_days: float
    classes: tuple[str, ...]
    column: str = "category"
    name: str = "classes"
    kind: str = "purchase"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 for each class taken in the window, else 0 (n x k)."""
        log, keys = future._history.log, past.keys
        value = np.zeros((len(keys), len(self.classes)))
        if self.column in log.columns and self.kind in log.kinds:
            order = np.empty(0, np.int64) if log.by_time is None else log.by_time
            names = np.asarray(log.columns[self.column].values, np.int32)
            mark(
                log.offsets, log.time, order, log.kind, log.code(self.kind), names, self._place(log), keys.code, future.start, future.end,
                value,
            )  # fmt: skip
        return Labels(value, future.ripe == future.end, np.maximum(future.ripe, keys.cutoff))

    def _place(self, log: EventLog) -> Ints:
        """Return which class each code of the column is, -1 for none; the last place stands for the code -1."""
        names = log.columns[self.column].dictionary
        if names is None:
            raise ColumnError(f"Classes were asked for by {self.column!r}, which holds numbers.", "They need names.", "Name another.")
        codes = names.codes(self.classes)
        place = np.full(len(names) + 1, -1, np.int64)
        place[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
        return place


@kernel
def mark(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, kind: int, names: Codes, place: Ints, code: Codes, start: Instants,
    end: Instants, value: Floats,
) -> None:  # fmt: skip
    """Set ``value`` to 1 for each class bought in [start, end); a user's rows go through ``by_time`` where it is not empty."""
    for i in range(len(code)):
        if code[i] >= len(offsets) - 1:
            continue
        lo, last = offsets[code[i]], offsets[code[i] + 1]
        hi = last
        while lo < hi:
            middle = (lo + hi) // 2
            if time[by_time[middle] if len(by_time) else middle] < start[i]:
                lo = middle + 1
            else:
                hi = middle
        for step in range(lo, last):
            row = by_time[step] if len(by_time) else step
            if time[row] >= end[i]:
                break
            if kinds[row] == kind and place[names[row]] >= 0:
                value[i, place[names[row]]] = 1.0
