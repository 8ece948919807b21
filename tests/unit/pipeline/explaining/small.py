"""A small shop, and a model that blends trees behind a rhythm with a hazard that is rolled out in silence."""

from functools import cache

from whenbuy.core.history import History
from whenbuy.ingest.simulate import simulate
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.wrapping.blend import Blend
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit

HORIZONS = (7, 14)
KNOWN = "2024-06-19"
"""The model has learned up to here."""


def candidates(answer, grid):
    if answer != "purchase":
        return (PoissonRate(grid.days),) if answer == "orders" else ()
    trees = Prepared(DirectHorizons(grid.days, Boosting(trees=30, learning_rate=0.1, leaves=8, min_leaf=20), horizons=3), (Rhythm(),))
    return (Blend((trees, PooledLogistic(grid.days, grid.step_days, max_rows=5_000), KaplanMeier(grid.days))),)


@cache
def shop() -> History:
    return simulate(200, 200, 5).history


@cache
def model() -> Forecaster:
    return fit(shop(), KNOWN, horizons=HORIZONS, candidates=candidates)
