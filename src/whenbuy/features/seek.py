"""The seek: features of a few keys anywhere, each row on its own. Nothing is sorted and nothing is shared between rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Instants, Ints, Singles
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.features.lanes import HEAVY, PLUS, ZERO, Code, add, fold, read_out
from whenbuy.features.program import Program

_BLOCK: Final = 1 << 17
"""About so many events are gathered at once."""


def seek(past: Past, program: Program) -> Table:
    """Return the features of each key (n rows): each row folds its own events from the first one on, whatever the order of the keys."""
    program.refuse(past)
    out = np.empty((len(past), len(program.names)), np.float32)
    length = past.stop - past.start
    block = np.cumsum(length) // _BLOCK
    for part in np.split(np.arange(len(past)), np.flatnonzero(np.diff(block)) + 1):
        begin = np.cumsum(length[part]) - length[part]
        rows = np.repeat(past.start[part] - begin, length[part]) + np.arange(length[part].sum())
        time, kind, values = program.read(rows)
        seek_rows(program.code, time, kind, values, begin, begin + length[part], past.at[part], part, out)
    program.complete(past.keys.cutoff, past.at, out)
    return Table(program.names, out)


@kernel
def seek_rows(
    code: Code, time: Instants, kind: Ints, values: Ints, start: Ints, stop: Ints, at: Instants, place: Ints, out: Singles
) -> None:
    """Fill the rows ``place`` of ``out``, each on its own."""
    size = (len(code.windows) + 1) * code.width
    totals, state, decays = np.empty((1, size), np.int64), np.empty((1, len(code.empty)), np.int64), np.empty((1, len(code.halflives)))
    for key in range(len(start)):
        totals[:], decays[:] = 0, 0.0
        for slot in range(len(code.empty)):
            state[0, slot] = code.empty[slot]
        _add_nested(code, time, kind, values, start[key], stop[key], at[key], totals)
        fold(code, kind, time, values, start[key], stop, key, key + 1, state, decays, ZERO)
        read_out(code, totals, state, decays, at, place, key, key + 1, out)


@kernel
def _add_nested(code: Code, time: Instants, kind: Ints, values: Ints, first: int, last: int, at: int, totals: Ints) -> None:
    """Add each event to the shortest window that holds it; what a window holds, all longer ones hold."""
    windows, width = code.windows, code.width
    coarse_time, coarse_event = _last_coarse(time, first, last)
    one = np.zeros(1, np.int64)
    for event in range(first, last):
        instant = time[event]
        if instant < coarse_time or (instant == coarse_time and event <= coarse_event):
            instant = instant // DAY * DAY
        window = len(windows)
        while window > 0 and instant >= at - windows[window - 1]:
            window -= 1
        one[0] = event
        add(code, kind, values, one, ZERO, PLUS, PLUS, totals, ZERO, window, window + 1)
    for place in range(width, totals.shape[1]):
        totals[0, place] += totals[0, place - width]


@kernel
def _last_coarse(time: Instants, first: int, last: int) -> tuple[int, int]:
    """Return time and place of the latest event that counts from the start of its day: the one before the newest ``HEAVY``, by time."""
    if last - first <= HEAVY:
        return MISSING, -1
    event = first + np.argsort(time[first:last], kind="mergesort")[last - first - HEAVY - 1]
    return time[event], event
