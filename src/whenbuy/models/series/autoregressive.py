"""Autoregression of many series at once, compiled: AR(p) by ridge regression, refitted at every origin.

x(t) = c + a1 x(t-1) + … + ap x(t-p), where x is the series over the weekday factors that were known then. The ridge on the weights draws a
short series to its mean. A promotion every other week is seen by no exponential smoothing, and by this one. Weights that a few steps teach
may make a process that grows without end, so no step ahead leaves the range of those behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling
from whenbuy.models.series.smoothing import pooled_profile

_RIDGE: Final = 4.0
"""So many steps' worth of "nothing follows from the past" stand beside the data."""


_MOST: Final = 8.0
"""A value of more than so many times the mean counts as that: nothing regular follows from it."""


@dataclass(frozen=True, slots=True)
class Autoregression:
    """AR(p) on the last steps of each series.

    Parameters
    ----------
    order
        How many earlier steps each depends on, p.
    window_days
        How far back it learns.
    """

    order: int = 4
    window_days: int = 364
    cost_s: float = 0.0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"AR({self.order})"

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the autoregressive forecasts; see Family."""
        profile, window = pooled_profile(panel, panel.season), self.window_days // panel.step_days
        return lambda rows: _rolled(panel.values[rows], panel.first[rows], origins, horizon, profile, self.order, window, _RIDGE, _MOST)


@kernel
def _rolled(
    values: Singles, first: Ints, origins: Ints, horizon: int, profile: Floats, order: int, window: int, ridge: float, most: float
) -> Singles:  # fmt: skip
    """Return the forecasts of each series from each origin (n x o x horizon); the mean where the past is too short."""
    n, season = len(values), profile.shape[1]
    out = np.zeros((n, len(origins), horizon), np.float32)
    for i in range(n):
        for j in range(len(origins)):
            begin, end = max(first[i], origins[j] - window), origins[j]
            if end <= begin:
                continue
            x, mean = _centred(values[i], begin, end, profile, most)
            told = _continued(x, _weights(x, order, ridge), horizon)
            for k in range(horizon):
                out[i, j, k] = max(told[k] + mean, 0.0) * profile[end, (end + k) % season]
    return out


@kernel
def _centred(y: Singles, begin: int, end: int, profile: Floats, most: float) -> tuple[Floats, float]:
    """Return a stretch over its weekday factors without its mean, 0 where unknown, and the mean; what sticks out is cut off."""
    season = profile.shape[1]
    x = np.empty(end - begin)
    for s in range(begin, end):
        factor = profile[s, s % season]
        x[s - begin] = y[s] / factor if factor > 0.1 else np.nan
    mean = _known_mean(x)
    for s in range(len(x)):
        x[s] = min(x[s], most * mean) if not np.isnan(x[s]) else x[s]
    mean = _known_mean(x)
    for s in range(len(x)):
        x[s] = 0.0 if np.isnan(x[s]) else x[s] - mean
    return x, mean


@kernel
def _known_mean(x: Floats) -> float:
    total, count = 0.0, 0
    for s in range(len(x)):
        if not np.isnan(x[s]):
            total += x[s]
            count += 1
    return total / count if count else 0.0


@kernel
def _continued(x: Floats, weights: Floats, horizon: int) -> Floats:
    """Return what follows from the last steps (horizon), within the range of all of them."""
    order, least, most = len(weights), x.min(), x.max()
    latest, out = np.zeros(order), np.zeros(horizon)
    for p in range(min(order, len(x))):
        latest[p] = x[len(x) - 1 - p]
    for k in range(horizon):
        for p in range(order):
            out[k] += weights[p] * latest[p]
        out[k] = min(max(out[k], least), most)
        for p in range(order - 1, 0, -1):
            latest[p] = latest[p - 1]
        latest[0] = out[k]
    return out


@kernel
def _weights(x: Floats, order: int, ridge: float) -> Floats:
    """Return the weights of the earlier steps (p): ridge regression on a centred series."""
    if len(x) < 2 * order + 2:
        return np.zeros(order)
    square, cross = np.zeros((order, order)), np.zeros(order)
    for s in range(order, len(x)):
        for p in range(order):
            cross[p] += x[s] * x[s - 1 - p]
            for q in range(order):
                square[p, q] += x[s - 1 - p] * x[s - 1 - q]
    usual = 1e-9
    for p in range(order):
        usual += square[p, p] / order
    for p in range(order):
        square[p, p] += ridge * usual / (len(x) - order) + 1e-9 * usual
    return _solved(square, cross)


@kernel
def _solved(square: Floats, cross: Floats) -> Floats:
    """Return the solution of a system by Gauss, in place: the ridge keeps every pivot above 0."""
    order = len(cross)
    for p in range(order):
        for q in range(p + 1, order):
            share = square[q, p] / square[p, p]
            for r in range(p, order):
                square[q, r] -= share * square[p, r]
            cross[q] -= share * cross[p]
    for p in range(order - 1, -1, -1):
        for q in range(p + 1, order):
            cross[p] -= square[p, q] * cross[q]
        cross[p] /= square[p, p]
    return cross
