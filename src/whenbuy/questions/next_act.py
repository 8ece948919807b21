"""What does she do next, with what, and does it come within the horizon?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.acts import acts_of, is_act
from whenbuy.core.arrays import Bools, Codes, Instants, Ints, Kinds
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class NextAct:
    """Which act is her very next one within the horizon: kind, thing and time together.

    One act at most is true of a key, none where nothing comes within the horizon. Events of kinds that are none of the acts are passed
    over; of the lines of one order the first tells. It is observed where the window has closed.

    Parameters
    ----------
    horizon_days
        Length of the window.
    acts
        The acts (k), as `whenbuy.core.acts` names them.
    """

    horizon_days: float
    acts: tuple[str, ...]
    name: str = "next"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 for the act that comes next in the window, else 0 (n x k)."""
        log, keys = future._history.log, past.keys
        order = np.empty(0, np.int64) if log.by_time is None else log.by_time
        row = first_rows(log.offsets, log.time, order, log.kind, is_act(log.kinds, self.acts), keys.code, future.start, future.end)
        value, came = np.zeros((len(keys), len(self.acts))), np.flatnonzero(row >= 0)
        code = acts_of(log, self.acts, row[came])
        value[came[code >= 0], code[code >= 0]] = 1.0
        return Labels(value, future.ripe == future.end, np.maximum(future.ripe, keys.cutoff))


@kernel
def first_rows(
    offsets: Ints, time: Instants, by_time: Ints, kind: Kinds, counts: Bools, code: Codes, start: Instants, end: Instants
) -> Ints:  # fmt: skip
    """Return the row of each key's first event in [start, end) of a kind that counts, -1 for none.

    Rows go through ``by_time`` where it is not empty.
    """
    found = np.full(len(code), -1, np.int64)
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
            if counts[kind[row]]:
                found[i] = row
                break
    return found
