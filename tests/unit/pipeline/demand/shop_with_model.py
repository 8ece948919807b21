"""A simulated shop and what a quick fit learns of it ten weeks before its end, shared by the tests of demand."""

from functools import cache

from tests.scenarios.small import candidates
from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.demand.reconcile import Demand, demand
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit


@cache
def shop() -> tuple[History, Forecaster]:
    history = simulate(250, 230, 8).history
    return history, fit(history, int(history.end - 70 * DAY), horizons=(7, 14, 28), candidates=candidates)


@cache
def told(entity: str = "category", step: str = "week") -> Demand:
    history, model = shop()
    return demand(history, model, entity, 14, step, int(history.end - 28 * DAY), origins=4)  # type: ignore[arg-type]
