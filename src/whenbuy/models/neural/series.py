"""One LSTM for all series: it reads the last steps of a series and corrects, by factors, what smoothing tells of the steps to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.panel import Panel
from whenbuy.models.neural.engine import Tensor, threads, torch
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.series.family import Rolling
from whenbuy.models.series.smoothing import Smoothing, pooled_profile

_LEAST: Final = 4
"""Origins that must have been seen before there is anything to learn."""
_MOST: Final = 12.0
"""A value of more than so many times the usual counts as that."""
_WEIGHT: Final = 2.0
"""A series that sells so much per step counts half as much as the largest: small counts are mostly chance."""
_LEAST_BASE: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is read (m x w x 3), sizes and their logarithms (m), what smoothing tells and what came (m x h), who began (m)."""

    steps: Singles
    size_log: Singles
    size: Floats
    base: Singles
    came: Singles
    begun: Bools

    def goal(self) -> tuple[Singles, Singles, Singles]:
        """Return what smoothing tells and what came, in units of size, and how much each step counts (m x h each)."""
        known = np.isfinite(self.came)
        size = self.size[:, None]
        base = np.maximum(self.base / size, _LEAST_BASE)
        came = np.where(known, np.minimum(np.nan_to_num(self.came) / size, _MOST), 0.0)
        weight = known * size / (size + _WEIGHT)
        return base.astype(np.float32), came.astype(np.float32), weight.astype(np.float32)


@dataclass(frozen=True, slots=True)
class GlobalLstm:
    """A long short-term memory (Hochreiter and Schmidhuber 1997) over all series at once, after Salinas et al. 2020 and Smyl 2020.

    Each series is read in units of its own size. As with boosted trees, one net grown before the first origin answers in the backtest, and
    another, which knows everything, in the forecast. Needs torch (the extra ``deep``); it costs minutes where trees cost seconds.

    Parameters
    ----------
    width
        Of its state.
    window_days
        How far back it reads.
    rows
        From so many stretches it learns, at most.
    epochs, batch
        How often it sees them, and how many at once.
    seed
        Where chance starts.
    """

    width: int = 32
    window_days: int = 91
    rows: int = 6000
    epochs: int = 12
    batch: int = 64
    optimiser: Optimiser = Optimiser(learning_rate=5e-3, weight_decay=0.01)
    seed: int = 0
    name: str = "global LSTM"
    cost_s: float = 0.0

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return what the net tells; NaN where there was too little to learn from; see whenbuy.models.series.family.Family."""
        profile = pooled_profile(panel, panel.season)
        first, last = int(origins[0]), int(origins[-1])
        early = self._fit(panel, first, horizon, profile)
        late = early if first == last else self._fit(panel, last, horizon, profile)

        def rolling(rows: Ints) -> Singles:
            out = np.full((len(rows), len(origins), horizon), np.nan, np.float32)
            for net, part in ((early, slice(0, len(origins) - 1)), (late, slice(len(origins) - 1, None))):
                if net is not None and len(rows) and len(origins[part]):
                    seen = self._seen(panel, rows, origins[part], horizon, profile)
                    out[:, part] = _told(net, seen).reshape(len(rows), -1, horizon)
            return out

        return rolling

    def _seen(self, panel: Panel, rows: Ints, origins: Ints, horizon: int, profile: Floats) -> _Seen:
        """Return what the net reads of some series from some origins (m = r o), and what smoothing tells."""
        window = max(self.window_days // panel.step_days, 8)
        base = Smoothing("", seasonal=True).learn(panel, origins, horizon)(rows).reshape(-1, horizon)
        padded = np.concatenate([np.full((len(rows), window), np.nan, np.float32), panel.values[rows]], axis=1)
        y = padded[:, origins[:, None] + np.arange(window)].reshape(-1, window)
        place = np.tile(origins[:, None] - window + np.arange(window), (len(rows), 1))
        begun = place >= np.repeat(panel.first[rows], len(origins))[:, None]
        known = np.isfinite(y) & begun
        size = (np.where(known, y, 0.0).sum(axis=1) + 0.1) / (known.sum(axis=1) + 1.0)
        week = profile[np.repeat(origins[None, :], len(rows), 0).ravel()[:, None], place % panel.season]
        ratio = np.where(known, np.minimum(np.nan_to_num(y) / size[:, None], _MOST), 0.0)
        steps = np.stack([np.log1p(ratio), known, week], axis=2).astype(np.float32)
        wide = np.concatenate([panel.values, np.full((len(panel), horizon), np.nan, np.float32)], axis=1)
        came = wide[rows][:, origins[:, None] + np.arange(horizon)].reshape(-1, horizon)
        return _Seen(steps, np.log1p(size).astype(np.float32), size, base, came, np.asarray(begun.any(axis=1)))

    def _fit(self, panel: Panel, until: int, horizon: int, profile: Floats) -> Any:
        """Return the net that what was known before a step teaches; None where that is too little."""
        known, apart = panel.until(until), panel.season
        count = min(52, (until - _LEAST * apart - 1) // apart)
        pool = panel.pool[known.first[panel.pool] < until]
        if count < _LEAST or not len(pool):
            return None
        rng = np.random.default_rng(self.seed)
        origins = until - apart * np.arange(count, 0, -1, dtype=np.int64)
        if len(pool) * count > self.rows:
            pool = np.sort(rng.choice(pool, max(1, self.rows // count), replace=False))
        seen = self._seen(known, pool, origins, horizon, profile)
        taught = np.flatnonzero(seen.begun & np.isfinite(seen.came).any(axis=1))
        return self._net(seen, taught, rng) if len(taught) > self.batch else None

    def _net(self, seen: _Seen, taught: Ints, rng: np.random.Generator) -> Any:
        with threads(1) as library, library.random.fork_rng():
            library.manual_seed(self.seed)
            horizon = seen.base.shape[1]
            net = library.nn.ModuleDict(
                {
                    "cell": library.nn.LSTM(seen.steps.shape[2], self.width, batch_first=True),
                    "head": library.nn.Linear(self.width + 1, horizon),
                }
            )
            library.nn.init.zeros_(net["head"].weight)
            library.nn.init.zeros_(net["head"].bias)
            movers = self.optimiser.movers(dict(net.named_parameters()), ())
            parts = [library.from_numpy(part) for part in (seen.steps, seen.size_log, *seen.goal())]
            batches = -(-len(taught) // self.batch)
            for epoch in range(self.epochs):
                order = rng.permutation(taught)
                for place in range(batches):
                    some = library.from_numpy(order[place * self.batch : (place + 1) * self.batch])
                    steps, size, base, came, weight = (part[some] for part in parts)
                    for mover in movers:
                        mover.zero_grad()
                    told = base * library.exp(_forward(net, steps, size))
                    loss = (weight * (told - came).abs()).sum() / weight.sum().clamp(min=1e-6)
                    loss.backward()
                    self.optimiser.move(movers, self.optimiser.pace(epoch + place / batches, self.epochs))
        return net


def _forward(net: Any, steps: Tensor, size: Tensor) -> Tensor:
    """Return the logarithm of the factors (m x h), none beyond e² or below its inverse."""
    library = torch()
    state = net["cell"](steps)[0][:, -1]
    return 2.0 * library.tanh(net["head"](library.cat([state, size[:, None]], dim=1)) / 2.0)


def _told(net: Any, seen: _Seen) -> Floats:
    """Return what the net tells (m x h); 0 where a series had not begun."""
    with threads(1) as library, library.no_grad():
        factor = np.exp(_forward(net, library.from_numpy(seen.steps), library.from_numpy(seen.size_log)).numpy())
    told = np.maximum(seen.base, _LEAST_BASE * seen.size[:, None]) * factor
    return np.asarray(np.where(seen.begun[:, None], told, 0.0))
