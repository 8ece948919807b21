"""The catalogue: which learners stand for which answer, and every type that a stored model may be made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from whenbuy.core.learner import Learner
from whenbuy.pipeline.grid import Grid

FLOORS: Final = {"purchase": "poisson-84d", "orders": "poisson-84d", "amount": "global-mean"}
"""The learner by answer that every other has to beat."""


def learners(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the candidates for an answer, the floor first."""
    from whenbuy.models.buy_till_you_die import BgNbd, ParetoNbd
    from whenbuy.models.floors import GlobalMean, KaplanMeier, PoissonRate, ShrunkMean
    from whenbuy.models.gamma_gamma import GammaGamma
    from whenbuy.models.hazard import PooledLogistic

    days = grid.days
    if answer == "amount":
        return (GlobalMean(), ShrunkMean(), GammaGamma())
    counters: tuple[Learner[Any], ...] = (PoissonRate(days), BgNbd(days), BgNbd(days, modified=True), ParetoNbd(days))
    if answer == "orders":
        return counters
    hazards = tuple(PooledLogistic(days, grid.step_days, rich=rich) for rich in (False, True))
    return (*counters, KaplanMeier(days), *hazards)


def types() -> Mapping[str, type]:
    """Return every type that a stored model may be made of, by name: nothing else is ever made from a file."""
    from whenbuy import clean, features
    from whenbuy.models import buy_till_you_die, floors, gamma_gamma, hazard
    from whenbuy.pipeline import forecaster

    homes: tuple[Any, ...] = (features, clean, buy_till_you_die, floors, gamma_gamma, hazard, forecaster)
    return {name: kind for home in homes for name, kind in home.TYPES.items()}
