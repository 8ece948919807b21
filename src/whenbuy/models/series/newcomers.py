"""What a thing sells that nobody has seen yet: what others sold in their first steps."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.panel import Panel

_LEAST: Final = 10
"""So many beginnings must have been seen; else the last steps of all series answer."""


def newcomers(panel: Panel, horizon: int, levels: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean (h), the quantiles (h x q) and those of sums (h x q) of what series of the pool sold in their first steps.

    A series that was there when the log began is no newcomer. Steps beyond those that were seen repeat the last one that was.
    """
    first = panel.first[panel.pool]
    began = panel.pool[(first > 2 * panel.season) & (first < panel.steps)]
    if len(began) < _LEAST:
        began = panel.pool
        starts = np.full(len(began), max(panel.steps - horizon, 0))
    else:
        starts = panel.first[began]
    if not len(began):
        nothing = np.zeros((horizon, len(levels)))
        return np.zeros(horizon), nothing, nothing
    seen = _steps(panel, began, starts, horizon)
    known = np.isfinite(seen)
    last = int(np.flatnonzero(known.any(axis=0))[-1])
    mean = np.array([np.nanmean(seen[:, min(k, last)]) for k in range(horizon)])
    each = np.array([np.quantile(seen[known[:, min(k, last)], min(k, last)], levels) for k in range(horizon)])
    filled = np.where(known, seen, mean)
    return mean, each, np.quantile(np.cumsum(filled, axis=1), levels, axis=0).T


def _steps(panel: Panel, rows: Ints, starts: Ints, horizon: int) -> Floats:
    """Return what came from each start on (r x h), NaN beyond the end."""
    wide = np.concatenate([panel.values[rows], np.full((len(rows), horizon), np.nan, np.float32)], axis=1)
    return np.asarray(np.take_along_axis(wide, starts[:, None] + np.arange(horizon), axis=1), np.float64)
