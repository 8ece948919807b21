"""One tree model for all series and all steps: boosting on lags and the calendar, each series in units of its own size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling
from whenbuy.models.series.lags import Lags, lags
from whenbuy.models.series.smoothing import pooled_profile
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

_LEAST_BASE: Final = 0.05
"""Trees start from what smoothing tells; a start of 0 could never grow."""
_MOST: Final = 12.0
"""A value of more than so many times the usual counts as that while learning."""
_WEIGHT: Final = 2.0
"""A series that sells so much per step counts half as much as the largest: small counts are mostly chance."""
_AT_ONCE: Final = 400_000
"""Rows answered at once."""


@dataclass(frozen=True, slots=True)
class Boosted:
    """LightGBM on lags and calendar, one model for all series and steps ahead; our kernels answer.

    The trees correct, by factors, what smoothing tells. The trees that answer in a backtest are grown before its first origin, once; those
    of the forecast know everything.

    Parameters
    ----------
    boosting
        The trees.
    rows
        From so many rows they are grown, at most.
    weeks
        Origins of the last so many weeks teach.
    seed
        Chooses the rows.
    """

    boosting: Boosting = field(
        default_factory=lambda: Boosting("tweedie", trees=200, learning_rate=0.03, leaves=12, min_leaf=100, feature_fraction=0.5, l2=5.0)
    )
    rows: int = 120_000
    weeks: int = 52
    seed: int = 0
    name: str = "boosted lags"
    cost_s: float = 0.0

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return what the trees tell; NaN where there was too little to learn from; see Family."""
        profile = pooled_profile(panel, panel.season)
        first, last = int(origins[0]), int(origins[-1])
        early = self._grow(panel, first, horizon, profile)
        late = early if last == first else self._grow(panel, last, horizon, profile)
        steps = np.arange(horizon)

        def rolling(rows: Ints) -> Singles:
            out = np.full((len(rows), len(origins), horizon), np.nan, np.float32)
            size = max(1, _AT_ONCE // (len(origins) * horizon))
            for begin in range(0, len(rows), size):
                some = rows[begin : begin + size]
                for trees, part in ((early, slice(0, len(origins) - 1)), (late, slice(len(origins) - 1, None))):
                    if trees is not None and len(origins[part]):
                        seen = lags(panel, some, origins[part], steps, profile)
                        out[begin : begin + size, part] = _answer(trees, seen).reshape(len(some), -1, horizon)
            return out

        return rolling

    def _grow(self, panel: Panel, until: int, horizon: int, profile: Floats) -> Trees | None:
        """Return the trees that what was known before a step teaches; None where that is too little."""
        known = panel.until(until)
        apart = panel.season
        count = min(self.weeks, (until - 4 * apart - 1) // apart)
        pool = panel.pool[known.first[panel.pool] < until]
        if count < 4 or not len(pool):
            return None
        origins = until - apart * np.arange(count, 0, -1, dtype=np.int64)
        rng = np.random.default_rng(self.seed)
        per = max(1, self.rows // (len(pool) * count))
        steps = np.arange(horizon) if per >= horizon else np.sort(rng.choice(horizon, per, replace=False))
        most = max(1, self.rows // (count * len(steps)))
        rows = pool if len(pool) <= most else np.sort(rng.choice(pool, most, replace=False))
        seen = lags(known, rows, origins, steps, profile)
        taught = np.flatnonzero(np.isfinite(seen.target) & (seen.size > 0))
        if len(taught) < 2 * self.boosting.min_leaf:
            return None
        size = seen.size[taught]
        return self.boosting.grow(
            seen.values[taught], np.minimum(seen.target[taught], _MOST), size / (size + _WEIGHT), _start(seen.base[taught])
        )  # fmt: skip


def _start(base: Singles) -> Floats:
    return np.log(np.maximum(np.nan_to_num(base.astype(np.float64)), _LEAST_BASE))


def _answer(trees: Trees, seen: Lags) -> Floats:
    """Return what the trees tell of each row, in units; 0 where a series had not begun."""
    told = np.exp(np.minimum(trees.raw(seen.values) + _start(seen.base), np.log(2 * _MOST))) * seen.size
    return np.asarray(np.where(seen.size > 0, told, 0.0))
