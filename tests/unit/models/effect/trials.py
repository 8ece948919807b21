"""Small trials with a known effect."""

import numpy as np

from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary

OFFERS = ("gift", "coupon")


def trial(n=3000, seed=0, kind="count", biased=False, offers=OFFERS):
    """Return examples of a trial and the true effect of each offer on each key (n x m).

    Offers move those with a = 1, the second offer half as much as the first. Biased: those with a high b are sent something more often, and
    would come more often anyway.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, n).astype(float), rng.normal(0, 1, n)
    share = 1 / (1 + np.exp(-1.2 * b)) if biased else np.full(n, 0.5)
    share = np.clip(share, 0.1, 0.9)
    m = len(offers)
    arm = np.where(rng.uniform(0, 1, n) < share, rng.integers(1, m + 1, n), 0)
    chance = np.column_stack([1 - share, *(share / m for _ in range(m))])
    base = np.exp(-0.5 + 0.5 * b) if kind != "chance" else 1 / (1 + np.exp(1.0 - 0.6 * b))
    size = 0.8 if kind != "chance" else 0.6 * (1 - base)
    effect = (base * size * a)[:, None] * np.array([1.0, 0.5])[None, :m]
    mean = base + np.where(arm > 0, effect[np.arange(n), np.maximum(arm - 1, 0)], 0.0)
    value = rng.poisson(mean) if kind == "count" else rng.uniform(0, 1, n) < mean if kind == "chance" else 20 * rng.poisson(mean) + 0.5
    if kind == "amount":
        effect = 20 * effect
    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))
    table = Table(("a", "b", "noise"), np.column_stack([a, b, rng.normal(0, 1, n)]).astype(np.float32))
    label = Labels(value.astype(float), np.ones(n, bool), np.zeros(n, np.int64))
    blocks = {EXPOSURE: Exposure(offers, arm, chance)}
    return Examples(keys, table, {"orders": label}, lambda days, rows: table.take(rows), None, blocks), effect
