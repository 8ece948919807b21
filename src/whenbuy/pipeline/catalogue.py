"""The catalogue: which learners stand for which answer, and every type that a stored model may be made of."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.learner import Learner
from whenbuy.pipeline.grid import Grid


def learners(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the candidates for an answer, the floor first."""
    from whenbuy.models.amount_floors import GlobalMean, OwnMean
    from whenbuy.models.buy_till_you_die import BgNbd, ParetoNbd
    from whenbuy.models.floors import KaplanMeier, PoissonRate
    from whenbuy.models.gamma_gamma import GammaGamma
    from whenbuy.models.hazard import PooledLogistic
    from whenbuy.models.rolled_counts import RolledCounts

    days = grid.days
    if answer == "amount":
        return (GlobalMean(), OwnMean(), GammaGamma())
    counters: tuple[Learner[Any], ...] = (PoissonRate(days), BgNbd(days), BgNbd(days, modified=True), ParetoNbd(days))
    if answer == "orders":
        return (*counters, RolledCounts(days))
    hazards = tuple(PooledLogistic(days, grid.step_days, rich=rich, max_rows=most) for rich, most in ((False, 800_000), (True, 300_000)))
    return (*counters, KaplanMeier(days), *hazards)


def floors(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the learner of an answer that every other has to beat."""
    return learners(answer, grid)[:1]


def types() -> Mapping[str, type]:
    """Return every type that a stored model may be made of, by name: nothing else is ever made from a file."""
    from whenbuy import clean, features, models
    from whenbuy.pipeline import forecaster

    homes = [import_module(place.name) for place in walk_packages(models.__path__, f"{models.__name__}.")]
    stored: list[Mapping[str, type]] = [features.TYPES, clean.LEARNED, forecaster.TYPES, *(getattr(home, "TYPES", {}) for home in homes)]
    found: dict[str, type] = {}
    for name, kind in (pair for home in stored for pair in home.items()):
        if found.setdefault(name, kind) is not kind:
            raise WhenbuyError(f"Two stored types are called {name}: {found[name]} and {kind}.")
    return found
