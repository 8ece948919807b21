"""Panels for tests: random series with gaps, zeros, and beginnings of their own."""

import numpy as np

from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.panel import Panel


def made(values, first=None, *, step_days=1, calendar=None, pool=None, entity="item") -> Panel:
    values = np.asarray(values, np.float32)
    n, t = values.shape
    if first is None:
        sold = np.nan_to_num(values) > 0
        first = np.where(sold.any(axis=1), sold.argmax(axis=1), t)
    keys = Keys(
        entity, np.arange(n, dtype=np.int32), np.full(n, (17_000 + t * step_days) * 86_400_000_000), Dictionary.of(map(str, range(n)))
    )
    return Panel(
        keys, "demand", step_days, 17_000, values, np.asarray(first, np.int64), calendar or {}, np.zeros(n, np.int32),
        np.arange(n) if pool is None else np.asarray(pool, np.int64),
    )  # fmt: skip


def random_panel(seed: int, n: int = 8, t: int = 60, *, gaps: float = 0.05, step_days: int = 1) -> Panel:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.7, 4.0, n)[:, None] * np.array([1, 0.7, 0.9, 1, 1.2, 1.8, 0.5])[np.arange(t) % 7]
    values = rng.poisson(rate).astype(np.float32)
    values[np.arange(t) < rng.integers(0, t, n)[:, None] - t // 2] = 0
    panel = made(values, step_days=step_days)
    values = panel.values.copy()
    values[(rng.random(values.shape) < gaps) & (np.arange(t) > panel.first[:, None])] = np.nan
    return made(values, panel.first, step_days=step_days)
