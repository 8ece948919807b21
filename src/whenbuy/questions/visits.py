"""How often does she come, and how long does she stay next time?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import MISSING, Bools, Codes, Instants, Ints, Kinds
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.questions.activity import ACTS
from whenbuy.questions.asked import people

PAUSE_S: Final = 30 * 60
"""Seconds without an act after which the next act begins another visit, where the log names no sessions."""


@dataclass(frozen=True, slots=True)
class Visits:
    """Number of visits that begin within the horizon; observed only where the whole window has closed.

    A visit is a session of the log; where the log names none, acts less than ``pause_s`` seconds apart.
    """

    horizon_days: float
    pause_s: float = PAUSE_S
    name: str = "visits"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the number of visits that begin in the window (n)."""
        count = _walked(future, self.pause_s)[0]
        return Labels(count.astype(float), future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))


@dataclass(frozen=True, slots=True)
class NextDwell:
    """Seconds that she stays on her next visit: the sum of ``dwell_s`` over its acts.

    Observed where a visit began within the horizon, told something about dwell and was over, ``pause_s`` seconds after its last act, by the
    window's end. A visit that may still go on is censored at what it told so far.
    """

    horizon_days: float
    pause_s: float = PAUSE_S
    name: str = "dwell"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the seconds of the next visit (n), 0 where nothing of it is known."""
        _, stayed, last = _walked(future, self.pause_s)
        over = (last != MISSING) & (last + round(self.pause_s * 1e6) <= future.ripe)
        seconds = np.where(stayed == MISSING, 0, stayed) / _scale(future)
        return Labels(seconds, over & (stayed != MISSING), np.maximum(future.ripe, past.keys.cutoff))


def _scale(future: Future) -> int:
    dwell = future._history.log.columns.get("dwell_s")
    return 1 if dwell is None else dwell.scale


def _walked(future: Future, pause_s: float) -> tuple[Ints, Ints, Instants]:
    """Return how many visits begin in each window (n), the dwell of the first of them and the instant of its last act."""
    log, keys = future._history.log, future.keys
    acts = np.zeros(max(len(log.kinds), 1), np.bool_)
    acts[[log.code(kind) for kind in ACTS if kind in log.kinds]] = True
    none, nothing = np.empty(0, np.int32), np.empty(0, np.int64)
    session = log.columns["session_id"].values.astype(np.int32, copy=False) if "session_id" in log.columns else none
    dwell = log.columns["dwell_s"].values.astype(np.int64, copy=False) if "dwell_s" in log.columns else nothing
    by_time = nothing if log.by_time is None else log.by_time
    return walk(
        log.offsets, log.time, by_time, log.kind, acts, session, dwell, keys.code, future.start, future.end, round(pause_s * 1e6)
    )  # fmt: skip


@kernel
def walk(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, acts: Bools, session: Codes, dwell: Ints,
    code: Codes, start: Instants, end: Instants, pause: int,
) -> tuple[Ints, Ints, Instants]:  # fmt: skip
    """Return per window [start, end): visits that begin in it, and of the first one its dwell and its last instant (MISSING where none)."""
    n = len(code)
    count, stayed, last = np.zeros(n, np.int64), np.full(n, MISSING, np.int64), np.full(n, MISSING, np.int64)
    for i in range(n):
        if code[i] >= len(offsets) - 1:
            continue
        before, named = MISSING, -1
        for place in range(offsets[code[i]], offsets[code[i] + 1]):
            row = by_time[place] if len(by_time) else place
            if time[row] >= end[i]:
                break
            if not acts[kinds[row]]:
                continue
            own = session[row] if len(session) else -1
            same = own == named if own >= 0 or named >= 0 else before != MISSING and time[row] - before < pause
            if not same and time[row] >= start[i]:
                count[i] += 1
            if count[i] == 1:
                last[i] = time[row]
                if len(dwell) and dwell[row] != MISSING:
                    stayed[i] = dwell[row] + (stayed[i] if stayed[i] != MISSING else 0)
            before, named = time[row], own
    return count, stayed, last
