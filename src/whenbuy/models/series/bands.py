"""Intervals of series that hold: the errors of a rolling backtest, scaled per series, pooled among like series.

Split conformal with normalised errors (Lei et al. 2018, "Distribution-free predictive inference for regression", s. 5.2): an error is
divided by what is usual for its series, so that the errors of many series speak together. What is usual is the series' own mean absolute
error, drawn towards that of series of the same size; it leaves out the origin whose error it scales, as the real one is left out too. All
series share the luck of an origin, and o of them have been seen: as for the mean of o draws, intervals are wider by the root of 1 + 1 / o.
Near a holiday a whole shop may sell more or less than told: that comes on top of what a series errs by chance, and weighs most where this
is little. The few holidays of a year say next to nothing of the others: its size is not learned, and steps near them teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles

_PRIOR: Final = 4.0
"""So many origins' worth of what is usual for the size of a series stands beside its own errors."""
_POOL: Final = 300
"""A pool of like series has at least so many origins."""
_POOLS: Final = 12
_EVEN: Final = 7
_FEAST: Final = 0.3
"""By so much of what is told demand is off near holidays beside its usual error: mean absolute, by the holidays of CDNOW."""
_SPREAD: Final = (0.1, 10.0)
"""How far the expected size of a step within a forecast may move the width of its interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Quantiles of each step (n x h x q), and of the first k steps together (n x h x q)."""

    quantiles: Floats
    sums: Floats


def bands(told: Singles, came: Singles, ahead: Floats, pooled: Ints, levels: Floats, near: Bools | None = None) -> Bands:
    """Return the intervals around a forecast that its own errors on earlier origins ask for.

    Parameters
    ----------
    told, came
        Forecasts from earlier origins and what came (n x o x h), NaN where it is not known.
    ahead
        The forecast (n x h).
    pooled
        Rows whose errors speak for all.
    levels
        Probabilities of the quantiles (q), rising.
    near
        Which steps lie near a holiday, from each earlier origin and, last, of the forecast (o + 1 x h); none by default.
    """
    if not told.shape[1] or not len(pooled):
        return _unseen(ahead, levels)
    error = came.astype(np.float64) - told
    size = np.maximum(np.mean(ahead, axis=1), np.nanmean(told, axis=(1, 2)))
    size = np.maximum(size, 1e-3 * size[pooled].mean() + 1e-9)
    spread, feast = _spread(told), np.zeros((told.shape[1] + 1, told.shape[2]), bool) if near is None else near
    with np.errstate(invalid="ignore"):
        plain = _ordinary(error, feast[:-1])
        known = np.isfinite(plain)
        count = known.sum(axis=2)
        mean = np.where(count > 0, np.where(known, np.abs(plain) / spread, 0.0).sum(axis=2) / np.maximum(count, 1), 0.0)
    seen = count > 0
    usual = _usual(mean, seen, size, pooled)
    total, origins = mean.sum(axis=1), seen.sum(axis=1)
    scale = (total + _PRIOR * usual) / (origins + _PRIOR)
    without = (total[:, None] - mean + _PRIOR * usual[:, None]) / (np.maximum(origins[:, None] - seen, 0) + _PRIOR)
    pool = _pools(size, pooled, int(seen[pooled].sum()))
    scale *= np.sqrt(1 + 1 / told.shape[1])
    own, own_sums = _feasts(ahead, scale[:, None] * _spread(ahead), feast[-1])
    total_error = _ordinary(np.cumsum(error[pooled], axis=2), np.logical_or.accumulate(feast[:-1], axis=1)) / without[pooled][:, :, None]
    ratio = plain[pooled] / (without[pooled][:, :, None] * spread[pooled])
    del error, plain, known, spread
    each = _quantiles(ratio, scale[:, None] * _spread(ahead) * own, pool, pool[pooled], levels)
    summed = _quantiles(total_error, scale[:, None] * own_sums, pool, pool[pooled], levels)
    return Bands(_above_zero(ahead, each), _above_zero(np.cumsum(ahead, axis=1), summed))


def _unseen(ahead: Floats, levels: Floats) -> Bands:
    """Return intervals where no error was ever seen: chance as of Poisson counts, and a half of the mean for what is not known."""
    z = np.array([NormalDist().inv_cdf(float(level)) for level in levels])
    total = np.cumsum(ahead, axis=1)
    each, summed = (np.sqrt(mean + (0.5 * mean) ** 2)[:, :, None] * z for mean in (ahead, total))
    return Bands(_above_zero(ahead, each), _above_zero(total, summed))


def _spread(forecast: Singles | Floats) -> Floats:
    """Return how wide a step is beside the others of its forecast: the root of its share."""
    mean = forecast.mean(axis=-1, keepdims=True)
    share = np.divide(forecast, mean, out=np.ones(forecast.shape), where=mean > 0)
    return np.asarray(np.sqrt(np.clip(share, *_SPREAD)))


def _ordinary(error: Floats, near: Bools) -> Floats:
    """Return the errors without those near a holiday (n x o x h), except at steps where no others are known."""
    others = (np.isfinite(error).any(axis=0) & ~near).any(axis=0)
    return np.where(near & others, np.nan, error)


def _feasts(told: Singles | Floats, size: Floats, near: Bools) -> tuple[Floats, Floats]:
    """Return how much wider each step, and the first k steps together, are for holidays near them (each as ``told``): 1 without any.

    An error of the usual size and one of ``_FEAST`` of what is told, independent of it; along the steps either goes on.
    """
    off = np.where(near, _FEAST * told, 0.0)
    return np.sqrt(1 + (off / size) ** 2), np.sqrt(1 + (np.cumsum(off, axis=-1) / np.cumsum(size, axis=-1)) ** 2)


def _usual(mean: Floats, seen: Floats, size: Floats, pooled: Ints) -> Floats:
    """Return the mean absolute error that is usual for the size of each series (n): a straight line between their logarithms."""
    own = np.divide(mean.sum(axis=1), seen.sum(axis=1), out=np.zeros(len(mean)), where=seen.any(axis=1))
    rows = pooled[own[pooled] > 0]
    if not len(rows):
        return size
    x, y = np.log(size[rows]), np.log(own[rows])
    slope = float(np.clip(np.polyfit(x, y, 1)[0], 0.3, 1.2)) if len(rows) >= 20 and np.ptp(x) > 0.1 else 1.0
    return np.asarray(np.exp(np.log(own[rows]).mean() + slope * (np.log(size) - x.mean())))


def _pools(size: Floats, pooled: Ints, errors: int) -> Ints:
    """Return the pool of each series (n): series of like size."""
    count = int(np.clip(errors // _POOL, 1, _POOLS))
    edges = np.quantile(size[pooled], np.arange(1, count) / count)
    return np.searchsorted(edges, size)


def _quantiles(ratio: Floats, own: Floats, pool: Ints, pool_of_ratio: Ints, levels: Floats) -> Floats:
    """Return what is added to each step at each level (n x h x q): quantiles of the pool's scaled errors, times the series' own scale."""
    out = np.zeros((*own.shape, len(levels)))
    for one in np.unique(pool):
        rows = pool_of_ratio == one
        part = ratio[rows] if rows.any() else ratio
        width = _widths(part)
        flat = part / width
        found = _conformal(flat[np.isfinite(flat)], levels)
        mine = pool == one
        out[mine] = (own[mine] * width)[:, :, None] * found
    return out


def _widths(ratio: Floats) -> Floats:
    """Return how the size of errors grows along the steps (h): their mean, made even over seven steps."""
    known = np.isfinite(ratio)
    count = known.sum(axis=(0, 1)).astype(float)
    total = np.where(known, np.abs(ratio), 0.0).sum(axis=(0, 1))
    if len(total) > _EVEN:
        total, count = np.convolve(total, np.ones(_EVEN), "same"), np.convolve(count, np.ones(_EVEN), "same")
    width = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    last = np.flatnonzero(count > 0)
    if not len(last):
        return np.ones(len(width))
    width[last[-1] :] = width[last[-1]] * np.sqrt(np.arange(1, len(width) - last[-1] + 1) ** 0.5)
    return np.asarray(np.maximum(width, 1e-9))


def _conformal(values: Floats, levels: Floats) -> Floats:
    """Return the quantiles of errors, each on the safe side; beyond what so many can tell, the farthest."""
    if not len(values):
        return np.zeros(len(levels))
    n, ordered = len(values), np.sort(values)
    place = np.where(levels > 0.5, np.ceil((n + 1) * levels - 1e-9), np.floor((n + 1) * levels + 1e-9)).astype(int)
    return np.asarray(ordered[np.clip(place, 1, n) - 1])


def _above_zero(middle: Floats, added: Floats) -> Floats:
    """Return the quantiles, which rise from 0 on (n x h x q); they are written where ``added`` stood: of many items they are large."""
    added += middle[:, :, None]
    np.maximum(added, 0.0, out=added)
    return np.maximum.accumulate(added, axis=2, out=added)
