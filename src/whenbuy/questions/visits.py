"""How often does she come, how long does she stay next time, and does she buy while she is here?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.blocks import Interactions
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.core.log import EventLog
from whenbuy.questions.activity import ACTS
from whenbuy.questions.asked import people

PAUSE_S: Final = 30 * 60
"""Seconds without an act after which the next act begins another visit, where the log names no sessions."""
COMES: Final = tuple(kind for kind in ACTS if kind not in ("opened", "redeemed"))
"""What a visit is made of. Who opens a message stays where she is, and an offer is redeemed at a purchase, often under a date alone."""
WINDOWS: Final = (7.0, 28.0, 84.0)
"""Days over which past visits are counted."""
_TOLD: Final = (
    *(f"visits_{days:g}d" for days in WINDOWS), "visits", "visit_recency_days", "visit_gap_mean_days", "visit_gap_deviation_days",
    "dwell_mean_s", "dwell_last_s", "dwell_visits",
)  # fmt: skip


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
    window's end. A visit that may still go on then is censored at what its acts told up to ``pause_s`` seconds before: a short visit that
    ended in that last while cannot be told from a long one, so neither may say that it ended.
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
        _, stayed, so_far, last = _walked(future, self.pause_s)
        over = (last != MISSING) & (last + round(self.pause_s * 1e6) <= future.ripe) & (stayed != MISSING)
        seconds = np.where(over, stayed, np.where(so_far == MISSING, 0, so_far)) / _scale(future)
        return Labels(seconds, over, np.maximum(future.ripe, past.keys.cutoff))


def _scale(future: Future) -> int:
    dwell = future._history.log.columns.get("dwell_s")
    return 1 if dwell is None else dwell.scale


def _walked(future: Future, pause_s: float) -> tuple[Ints, Ints, Ints, Instants]:
    """Return how many visits begin in each window (n), the first one's dwell in all and so far, and its last instant."""
    log, keys, pause = future._history.log, future.keys, round(pause_s * 1e6)
    by_time = np.empty(0, np.int64) if log.by_time is None else log.by_time
    return walk(
        log.offsets, log.time, by_time, log.kind, counting(log, COMES), *told_columns(log), keys.code, future.start, future.end,
        future.ripe - pause, pause,
    )  # fmt: skip


def counting(log: EventLog, kinds: tuple[str, ...]) -> Bools:
    """Return which kinds of a log are among some (one flag per kind)."""
    acts = np.zeros(max(len(log.kinds), 1), np.bool_)
    acts[[log.code(kind) for kind in kinds if kind in log.kinds]] = True
    return acts


def told_columns(log: EventLog) -> tuple[Codes, Ints]:
    """Return the session of each event and its dwell, each empty where the log does not say."""
    none, nothing = np.empty(0, np.int32), np.empty(0, np.int64)
    session = log.columns["session_id"].values.astype(np.int32, copy=False) if "session_id" in log.columns else none
    return session, log.columns["dwell_s"].values.astype(np.int64, copy=False) if "dwell_s" in log.columns else nothing


@dataclass(frozen=True, slots=True)
class PastVisits:
    """What is known of the visits of each key before its cutoff, as a block with one class.

    ``visits_7d``, ``_28d``, ``_84d`` and ``visits``: how many began in so many days, and in all; ``visit_recency_days``: since the last
    act; ``visit_gap_mean_days`` and ``_deviation_days``: between their beginnings; ``dwell_mean_s``, ``dwell_last_s`` and
    ``dwell_visits``: seconds spent per visit that tells of them, on the last of these, and how many tell.
    """

    pause_s: float = PAUSE_S

    def block(self, past: Past) -> Interactions:
        """Return what is known of past visits (n x 1 x f). Events count in the order in which they became known, late ones at once."""
        log = past._history.log
        session, dwell = told_columns(log)
        told = look_back(
            log.time, log.known_at, log.kind, counting(log, COMES), session, dwell, past.start, past.stop, past.at,
            round(self.pause_s * 1e6), np.array(WINDOWS) * DAY,
        )  # fmt: skip
        told[:, -3:-1] /= 1 if "dwell_s" not in log.columns else log.columns["dwell_s"].scale
        return Interactions("", ("visits",), _TOLD, told[:, None, :].astype(np.float32))


@kernel
def walk(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, acts: Bools, session: Codes, dwell: Ints,
    code: Codes, start: Instants, end: Instants, sure: Instants, pause: int,
) -> tuple[Ints, Ints, Ints, Instants]:  # fmt: skip
    """Return per window [start, end) how many visits begin; of the first (else MISSING) dwell, dwell up to ``sure``, last instant."""
    n = len(code)
    count, stayed = np.zeros(n, np.int64), np.full(n, MISSING, np.int64)
    so_far, last = np.full(n, MISSING, np.int64), np.full(n, MISSING, np.int64)
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
            if not same(own, named, time[row], before, pause) and time[row] >= start[i]:
                count[i] += 1
            if count[i] == 1:
                last[i] = time[row]
                if len(dwell) and dwell[row] != MISSING:
                    stayed[i] = dwell[row] + (stayed[i] if stayed[i] != MISSING else 0)
                    if time[row] <= sure[i]:
                        so_far[i] = stayed[i]
            before, named = time[row], own
    return count, stayed, so_far, last


@kernel
def look_back(
    time: Instants, known_at: Instants, kinds: Kinds, acts: Bools, session: Codes, dwell: Ints, start: Ints, stop: Ints, at: Instants,
    pause: int, windows: Floats,
) -> Floats:  # fmt: skip
    """Return what is told of the visits in each past: see ``PastVisits`` (n x f)."""
    w = len(windows)
    found = np.full((len(start), w + 7), np.nan)
    for i in range(len(start)):
        told = found[i]
        told[: w + 1], told[w + 6] = 0.0, 0.0
        before, named, first, begun, squares, seconds, stayed = MISSING, -1, MISSING, MISSING, 0.0, 0.0, MISSING
        for row in range(start[i], stop[i]):
            if not acts[kinds[row]]:
                continue
            now, own = min(time[row], known_at[row]), session[row] if len(session) else -1
            if not same(own, named, now, before, pause):
                seconds, stayed = _leave(told[w + 4 :], seconds, stayed), MISSING
                told[w] += 1
                for window in range(w):
                    told[window] += now >= at[i] - windows[window]
                if first == MISSING:
                    first = now
                else:
                    squares += (max(now - begun, 0) / DAY) ** 2
                begun = now
            if len(dwell) and dwell[row] != MISSING:
                stayed = dwell[row] + (stayed if stayed != MISSING else 0)
            before, named = now, own
        _leave(told[w + 4 :], seconds, stayed)
        if before != MISSING:
            told[w + 1] = (at[i] - before) / DAY
        if told[w] > 1:
            mean = (begun - first) / DAY / (told[w] - 1)
            told[w + 2], told[w + 3] = mean, np.sqrt(max(squares / (told[w] - 1) - mean * mean, 0.0))
    return found


@kernel
def same(own: int, named: int, now: int, before: int, pause: int) -> bool:
    """Return whether an act belongs to the visit of the act before it."""
    if own >= 0 or named >= 0:
        return own == named
    return before != MISSING and now - before < pause


@kernel
def _leave(told: Floats, seconds: float, stayed: int) -> float:
    """Write mean, last and number of the dwells so far, with that of the visit that is over; return their sum."""
    if stayed == MISSING:
        return seconds
    seconds += stayed
    told[2] += 1
    told[0], told[1] = seconds / told[2], stayed
    return seconds


TYPES: Final[dict[str, type]] = {PastVisits.__name__: PastVisits}
"""The settings of this block by name, for the codec."""
