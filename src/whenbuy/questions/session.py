"""Does she buy during the visit that she is on?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import MISSING, Bools, Codes, Floats, Instants, Ints, Kinds
from whenbuy.core.blocks import Interactions
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, History, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity, Keys
from whenbuy.questions.asked import people
from whenbuy.questions.visits import COMES, PAUSE_S, counting, same, told_columns

_SECOND: Final = 1_000_000
_COUNTED: Final = ("view", "search", "favourite", "cart", "purchase")
_TOLD: Final = ("visit_s", "visit_silence_s", "visit_acts", "visit_dwell_s", *(f"visit_{kind}" for kind in _COUNTED))


@dataclass(frozen=True, slots=True)
class BuysNow:
    """Whether a purchase comes later in the visit that she is on at the cutoff: 1 or 0.

    Observed where she is on a visit (her last act was less than ``pause_s`` seconds before the cutoff) that was over by the window's end.

    Parameters
    ----------
    horizon_days
        Length of the window; no visit is followed longer.
    pause_s
        Seconds without an act that end a visit where the log names no sessions.
    """

    horizon_days: float = 1.0
    pause_s: float = PAUSE_S
    name: str = "in_session"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n): people on a visit."""
        return np.asarray(people(past) & (silence_s(past, self.pause_s) < self.pause_s))

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 where she buys later in this visit, else 0 (n)."""
        log, pause = past._history.log, round(self.pause_s * _SECOND)
        on = silence_s(past, self.pause_s) < self.pause_s
        by_time = np.empty(0, np.int64) if log.by_time is None else log.by_time
        bought, last = goes_on(
            log.offsets, log.time, by_time, log.kind, counting(log, COMES), log.code("purchase"), told_columns(log)[0], past.keys.code,
            past.keys.cutoff, future.end, pause,
        )  # fmt: skip
        over = last + pause <= future.ripe
        return Labels(bought.astype(float), on & over, np.maximum(np.minimum(future.ripe, last + pause), past.keys.cutoff))


@dataclass(frozen=True, slots=True)
class ThisVisit:
    """What she did so far on the visit that she is on, as a block with one class; nothing known where she is on none.

    Seconds since it began and since its last act, its acts and dwell so far, and how many of each kind.
    """

    pause_s: float = PAUSE_S

    def block(self, past: Past) -> Interactions:
        """Return what is known of each key's visit (n x 1 x f)."""
        return Interactions("", ("visit",), _TOLD, _told(past, self.pause_s)[:, None, :].astype(np.float32))


def silence_s(past: Past, pause_s: float = PAUSE_S) -> Floats:
    """Return the seconds since the last act of each key (n), without end where there was none."""
    return np.nan_to_num(_told(past, pause_s)[:, 1], nan=np.inf)


def moments(history: History, start: int, end: int, most: int, seed: int) -> Keys:
    """Return a key at the instant after each act of a visit that became known in [start, end), in the order of the log.

    Where there are more than ``most``, that many are drawn by ``seed``. Purchases are acts, but nobody is asked at one.
    """
    log = history.log
    acts = counting(log, tuple(kind for kind in COMES if kind != "purchase"))
    whole = slice(0, int(log.offsets[-1]))
    rows = np.flatnonzero(acts[log.kind[whole]] & (log.known_at[whole] >= start) & (log.known_at[whole] < end - 1))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    code = (np.searchsorted(log.offsets, rows, side="right") - 1).astype(np.int32)
    keys = Keys("user", code, log.known_at[rows] + 1, log.users)
    return keys.take(np.flatnonzero(people(history.before(keys))))


def _told(past: Past, pause_s: float) -> Floats:
    log = past._history.log
    session, dwell = told_columns(log)
    place = np.full(max(len(log.kinds), 1), -1, np.int64)
    for i, kind in enumerate(_COUNTED):
        if kind in log.kinds:
            place[log.code(kind)] = i
    told = so_far(
        np.minimum(log.time, log.known_at), log.kind, counting(log, COMES), session, dwell, place, past.start, past.stop, past.at,
        round(pause_s * _SECOND), len(_COUNTED),
    )  # fmt: skip
    told[:, 3] /= 1 if "dwell_s" not in log.columns else log.columns["dwell_s"].scale
    return told


@kernel
def so_far(
    instant: Instants, kinds: Kinds, acts: Bools, session: Codes, dwell: Ints, place: Ints, start: Ints, stop: Ints, at: Instants,
    pause: int, counted: int,
) -> Floats:  # fmt: skip
    """Return what is told of the visit that each past ends in (n x f): read backwards from its last act on; see ``ThisVisit``."""
    found = np.full((len(start), 4 + counted), np.nan)
    for i in range(len(start)):
        told, later, named = found[i], MISSING, -1
        for row in range(stop[i] - 1, start[i] - 1, -1):
            if not acts[kinds[row]]:
                continue
            own = session[row] if len(session) else -1
            if later == MISSING:
                told[1], told[2:] = (at[i] - instant[row]) / 1_000_000, 0.0
            elif not same(named, own, later, instant[row], pause):
                break
            told[0] = (at[i] - instant[row]) / 1_000_000
            told[2] += 1
            if len(dwell) and dwell[row] != MISSING:
                told[3] += dwell[row]
            if place[kinds[row]] >= 0:
                told[4 + place[kinds[row]]] += 1
            later, named = instant[row], own
    return found


@kernel
def goes_on(
    offsets: Ints, time: Instants, by_time: Ints, kinds: Kinds, acts: Bools, purchase: int, session: Codes, code: Codes, start: Instants,
    end: Instants, pause: int,
) -> tuple[Bools, Instants]:  # fmt: skip
    """Return whether each visit that goes on at an instant brings a purchase from then on (n), and the instant of its last act (n)."""
    bought, last = np.zeros(len(code), np.bool_), start.copy()
    for i in range(len(code)):
        if code[i] >= len(offsets) - 1:
            continue
        before, named = MISSING, -1
        for step in range(offsets[code[i]], offsets[code[i] + 1]):
            row = by_time[step] if len(by_time) else step
            if time[row] >= end[i]:
                break
            if not acts[kinds[row]]:
                continue
            own = session[row] if len(session) else -1
            if time[row] >= start[i]:
                if not same(own, named, time[row], before, pause):
                    break
                last[i] = time[row]
                bought[i] |= kinds[row] == purchase
            before, named = time[row], own
        if before != MISSING and last[i] == start[i]:
            last[i] = min(before, start[i])
    return bought, last


TYPES: Final[dict[str, type]] = {ThisVisit.__name__: ThisVisit}
"""The settings of this block by name, for the codec."""
