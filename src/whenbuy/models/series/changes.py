"""What a series is made of: its level, its growth, how strong its week is, and the steps at which its level changed for good."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints

_SHORTEST: Final = 4
"""A level that held for fewer steps is no level."""
_PENALTY: Final = 3.0
"""What a further change costs, in variances times log n: the criterion of Yao 1988 has 1 for the place and 1 for the level."""
_Z: Final = 1.2816


def change_points(y: Floats) -> Ints:
    """Return the steps at which a new level begins (c), rising.

    The partition with the least sum of squares plus a penalty for each change (optimal partitioning, Jackson et al. 2005; the exact answer
    that PELT, Killick et al. 2012, finds too). The variance comes from the differences of neighbours, so that a change of level does not
    widen it.

    Parameters
    ----------
    y
        A series (t) without unknown values.
    """
    n = len(y)
    if n < 2 * _SHORTEST:
        return np.empty(0, np.int64)
    deviation = np.median(np.abs(np.diff(y) - np.median(np.diff(y)))) / 0.6745 / np.sqrt(2)
    variance = max(float(deviation**2), 0.05 * float(np.var(y)))
    if variance <= 0:
        return np.empty(0, np.int64)
    one, two = np.concatenate([[0.0], np.cumsum(y)]), np.concatenate([[0.0], np.cumsum(y * y)])
    best, before = np.full(n + 1, np.inf), np.zeros(n + 1, np.int64)
    best[0] = -_PENALTY * variance * np.log(n)
    for end in range(_SHORTEST, n + 1):
        begin = np.arange(end - _SHORTEST + 1)
        cost = two[end] - two[begin] - (one[end] - one[begin]) ** 2 / (end - begin)
        total = best[begin] + cost + _PENALTY * variance * np.log(n)
        before[end] = begin[np.argmin(total)]
        best[end] = total[before[end]]
    found = []
    place = int(before[n])
    while place > 0:
        found.append(place)
        place = int(before[place])
    return np.array(found[::-1], np.int64)


def growth(y: Floats) -> tuple[float, float, float]:
    """Return the growth per step as a share of the level, with its 80 % interval; NaN for fewer than eight steps or an empty series.

    The median of the slopes of all pairs (Theil 1950, Sen 1968), its interval by Kendall's variance (Hollander and Wolfe 1999, s. 9.3),
    over the median of the series. One odd week does not move it.
    """
    n, middle = len(y), float(np.median(y)) if len(y) else 0.0
    if n < 2 * _SHORTEST or middle <= 0:
        return float("nan"), float("nan"), float("nan")
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((y[j] - y[i]) / (j - i))
    reach = _Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    low, high = int((len(slopes) - reach) / 2), int((len(slopes) + reach) / 2) + 1
    ends = slopes[max(low, 0)], slopes[min(high, len(slopes) - 1)]
    return float(np.median(slopes)) / middle, float(ends[0]) / middle, float(ends[1]) / middle


def season_strength(y: Floats, season: int) -> float:
    """Return how much of what is not trend is the week: 0 (nothing) to 1 (all); NaN for fewer than three seasons.

    1 - Var(rest) / Var(week + rest), after a centred mean of a season took the trend out (Wang, Smith and Hyndman 2006).
    """
    if season < 2 or len(y) < 3 * season:
        return float("nan")
    trend = np.convolve(y, np.ones(season) / season, "valid")
    first = season // 2
    rest = y[first : first + len(trend)] - trend
    place = (first + np.arange(len(rest))) % season
    week = np.array([rest[place == d].mean() for d in range(season)])[place]
    whole = float(np.var(rest))
    return float(np.clip(1 - np.var(rest - week) / whole, 0.0, 1.0)) if whole > 0 else float("nan")
