"""What fades along a path has the bits that it has at each instant; the path itself is compared in test_live."""

import numpy as np

from tests.unit.features.test_live import fed
from whenbuy import features as f
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.features.ahead import decay_ahead
from whenbuy.features.exact import halve


def _slow(total, since, step, halflife, scale, count):
    return np.array([total * halve(float(since + i * step) / halflife) * scale for i in range(count)]).astype(np.float32)


def test_what_fades_is_rounded_as_at_each_instant():
    """So many that some lie just between two float32; and some so old that they fade to nothing."""
    rng, found = np.random.default_rng(0), np.empty(56, np.float32)
    left = {days: np.exp2(-np.arange(56) / days) for days in (2.0, 16.0, 128.0)}
    for turn in range(3000):
        halflife = (2.0, 16.0, 128.0)[turn % 3]
        total, since = float(rng.exponential(50.0)), int(rng.integers(0, (30 if turn % 10 else 900) * DAY))
        decay_ahead(total, since, DAY, halflife * DAY, 0.01, left[halflife], found)
        with np.errstate(under="ignore"):
            np.testing.assert_array_equal(found, _slow(total, since, DAY, halflife * DAY, 0.01, 56))


def test_only_what_changes_is_said_to():
    log, _ = fed()
    spec = (f.Count("view"), f.Count("view", "7d"), f.Orders("84d"), f.Recency(), f.Decayed("purchase", 8), f.Gaps("mean"))
    live = f.Live(f.Features(spec).compile(log, Clock()))
    live.feed(slice(None))
    at = int(log.known_at.max()) + 1
    out, moved = live.ahead(0, at, DAY, 30)
    path = live.path(0, at, DAY, 30)
    still = moved == 0
    assert still[[0, 5]].all()
    assert not still[[3, 4]].any()
    np.testing.assert_array_equal(path[still], np.broadcast_to(out[still, :1], (still.sum(), 30)))
    np.testing.assert_array_equal(out[~still], path[~still])
