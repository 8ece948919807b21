"""A small shop and few candidates, so that what stands around learning can be tested in seconds."""

from functools import cache, partial

from whenbuy.core.history import History
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline.learning.learn import fit

HORIZONS = (7, 14)


def candidates(answer, grid):
    curves = (PoissonRate(grid.days), KaplanMeier(grid.days))
    return {"purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean())}.get(answer, ())


learn = partial(fit, horizons=HORIZONS, candidates=candidates)


@cache
def shop() -> History:
    return simulate(150, 150, 8).history
