"""Exponential smoothing of many series at once: simple, double, Holt-Winters and Theta, compiled.

One pass along a series keeps the states of all rates of a grid; at each origin the one answers whose forecasts, some steps ahead, have been
closest so far. So a rolling backtest costs no more than one forecast. The states are those of Hyndman et al. 2008 (ch. 2): level, damped
trend, and multiplicative factors of the weekdays, which are drawn towards those of all series together, since a small series cannot tell
its own. Theta (Assimakopoulos and Nikolopoulos 2000) is the mean of simple smoothing and of the straight line through the whole past
(Hyndman and Billah 2003: simple smoothing with half its drift).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling

Trend = Literal["none", "damped", "half drift"]

_ALPHAS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6)
_BETAS: Final = (0.02, 0.1)
_TRENDS: Final = {"none": 0, "damped": 1, "half drift": 2}
_DAMPING: Final = 0.9
"""What a week leaves of a trend."""
_DRAWN: Final = 6.0
"""So many weeks' worth of the pooled weekday factors stand beside a series' own."""
_MEMORY: Final = 0.97
"""What a season leaves of the weight of an older error or weekday."""


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Exponential smoothing whose rates are chosen per series from its own past errors.

    Parameters
    ----------
    name
        How reports call it.
    trend
        "none", "damped", or "half drift" (Theta).
    seasonal
        Whether weekdays have factors; of no effect in weekly series.
    """

    name: str
    trend: Trend = "none"
    seasonal: bool = False
    cost_s: float = 0.0

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the smoothed forecasts; see Family."""
        season = panel.season if self.seasonal else 1
        profile = pooled_profile(panel, season)
        betas = _BETAS if self.trend == "damped" else (0.0,)
        grid = np.array([(alpha, beta) for alpha in _ALPHAS for beta in betas])
        lag = max(1, min(horizon, 28 // panel.step_days) // 2)
        damping = _DAMPING ** (panel.step_days / 7)
        memory, trend = _MEMORY ** (1 / panel.season), _TRENDS[self.trend]
        return lambda rows: _smooth(
            panel.values[rows], panel.first[rows], origins, horizon, season, profile, grid, lag, damping, memory, trend
        )  # fmt: skip


def pooled_profile(panel: Panel, season: int) -> Floats:
    """Return the weekday factors of the pool's series together as known before each step (t + 1 x season), 1 on average.

    Each counts by the root of its size, so that one large one does not speak for all.
    """
    if season == 1 or not len(panel.pool):
        return np.ones((panel.steps + 1, season))
    values = panel.values[panel.pool].astype(np.float64)
    size = np.nan_to_num(values).cumsum(axis=1)
    before = np.concatenate([np.zeros((len(values), 1)), size[:, :-1]], axis=1) / np.maximum(np.arange(panel.steps), 1)
    weight = 1 / np.sqrt(np.maximum(before, 1e-3))
    known = np.isfinite(values) & (before > 0)
    usual = np.where(known, weight * np.nan_to_num(values), 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return _profile(np.where(known.any(axis=0), usual, -1.0), season, _MEMORY)


@kernel
def _profile(usual: Floats, season: int, memory: float) -> Floats:
    """Return the factors before each step from the mean of all series (t; negative: unknown)."""
    out = np.ones((len(usual) + 1, season))
    total, count = np.zeros(season), np.zeros(season)
    for s in range(len(usual)):
        if usual[s] >= 0:
            place = s % season
            total[place] = total[place] * memory + usual[s]
            count[place] = count[place] * memory + 1.0
        mean, known = 0.0, 0.0
        for d in range(season):
            if count[d] > 0:
                mean += total[d] / count[d]
                known += 1.0
        for d in range(season):
            out[s + 1, d] = total[d] / count[d] / (mean / known) if count[d] > 0 and mean > 0 else 1.0
    return out


@kernel
def _smooth(
    values: Singles, first: Ints, origins: Ints, horizon: int, season: int, profile: Floats, grid: Floats, lag: int, damping: float,
    memory: float, trend: int,
) -> Singles:  # fmt: skip
    """Return the forecasts of each series from each origin (n x o x horizon)."""
    n, t, combos = values.shape[0], values.shape[1], len(grid)
    out = np.zeros((n, len(origins), horizon), np.float32)
    factor = np.ones((t + 1, season))
    level, slope, error = np.zeros((combos, t + 1)), np.zeros((combos, t + 1)), np.zeros(combos)
    ahead = _damped(lag, damping) if trend == 1 else 0.0
    for i in range(n):
        _factors(values[i], first[i], season, profile, memory, factor)
        for c in range(combos):
            _states(values[i], first[i], season, factor, grid[c, 0], grid[c, 1], damping, level[c], slope[c])
        error[:] = 0.0
        line = np.zeros(5)
        done = first[i]
        for j in range(len(origins)):
            _judged(values[i], first[i], done, origins[j], season, factor, level, slope, lag, ahead, memory, error)
            _lined(values[i], first[i], done, origins[j], season, factor, line)
            done = max(done, origins[j])
            if origins[j] <= first[i]:
                continue
            best = np.argmin(error)
            drift = _half_drift(line) if trend == 2 else 0.0
            for k in range(horizon):
                grown = drift * (k + 1.0) if trend == 2 else slope[best, origins[j]] * _damped(k + 1, damping)
                told = max(level[best, origins[j]] + grown, 0.0)
                out[i, j, k] = told * factor[origins[j], (origins[j] + k) % season]
    return out


@kernel
def _judged(
    y: Singles, first: int, begin: int, end: int, season: int, factor: Floats, level: Floats, slope: Floats, lag: int, ahead: float,
    memory: float, error: Floats,
) -> None:  # fmt: skip
    """Add the errors of the steps [begin, end) to those of every rate, in place: of what was told some steps before."""
    for s in range(max(begin, first + season + lag), end):
        if np.isnan(y[s]):
            continue
        for c in range(len(error)):
            told = max(level[c, s - lag + 1] + slope[c, s - lag + 1] * ahead, 0.0) * factor[s, s % season]
            error[c] = error[c] * memory + abs(y[s] - told)


@kernel
def _lined(y: Singles, first: int, begin: int, end: int, season: int, factor: Floats, line: Floats) -> None:
    """Add the steps [begin, end) to the sums of a straight line: count, x, y, xy, xx."""
    for s in range(begin, end):
        if np.isnan(y[s]):
            continue
        weight, x = factor[s, s % season], s - first
        value = y[s] / weight if weight > 0.1 else y[s]
        line[0] += 1
        line[1] += x
        line[2] += value
        line[3] += x * value
        line[4] += x * x


@kernel
def _half_drift(line: Floats) -> float:
    """Return half the slope of the straight line; 0 where two points or fewer are known."""
    spread = line[0] * line[4] - line[1] * line[1]
    return 0.5 * (line[0] * line[3] - line[1] * line[2]) / spread if line[0] > 2 and spread > 0 else 0.0


@kernel
def _damped(steps: int, damping: float) -> float:
    """Return how far a damped trend of 1 carries in so many steps."""
    return damping * (1.0 - damping**steps) / (1.0 - damping)


@kernel
def _factors(y: Singles, first: int, season: int, profile: Floats, memory: float, factor: Floats) -> None:
    """Write the weekday factors known before each step (t + 1 x season), drawn towards those of all series."""
    total, count = np.zeros(season), np.zeros(season)
    for s in range(first, len(y) + 1):
        mean, known = 0.0, 0.0
        for d in range(season):
            mean += total[d]
            known += count[d]
        mean = mean / known if known > 0 else 0.0
        for d in range(season):
            own = total[d] / mean if mean > 0 else 0.0
            factor[s, d] = (own + _DRAWN * profile[s, d]) / (count[d] + _DRAWN) if mean > 0 else profile[s, d]
        if season == 1:
            factor[s, 0] = 1.0
        if s < len(y) and not np.isnan(y[s]):
            for d in range(season):
                total[d] *= memory
                count[d] *= memory
            total[s % season] += y[s]
            count[s % season] += 1.0


@kernel
def _states(
    y: Singles, first: int, season: int, factor: Floats, alpha: float, beta: float, damping: float, level: Floats, slope: Floats,
) -> None:  # fmt: skip
    """Write level and trend before each step (t + 1). The level begins as a mean and slows down to its rate."""
    now, trend, count = 0.0, 0.0, 0
    for s in range(first, len(y)):
        level[s], slope[s] = now, trend
        weight = factor[s, s % season]
        if np.isnan(y[s]) or weight < 0.1:
            continue
        count += 1
        rate = max(alpha, 1.0 / count)
        before = now
        now = (1.0 - rate) * (now + damping * trend) + rate * y[s] / weight if beta > 0 else (1.0 - rate) * now + rate * y[s] / weight
        if beta > 0 and count > 2 * season:
            trend = (1.0 - beta) * damping * trend + beta * (now - before)
    level[len(y)], slope[len(y)] = now, trend
