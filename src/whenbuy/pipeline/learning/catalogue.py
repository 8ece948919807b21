"""The catalogue: which learners stand for which answer, and every type that a stored model may be made of."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.learner import Learner
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.grid import Grid

NETS_FROM: Final = 2_000
"""From so many examples on nets are tried: smaller shops would wait for torch longer than for everything else."""
DAYS_TO: Final = 100_000
"""Up to so many examples on the net that goes from day to day is tried too: a larger shop would wait long for the forecast of everybody."""


def learners(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the candidates for an answer, the floor first.

    Nets are among them where torch is installed, the shop is large enough, and the longest horizon can be checked on later weeks; one that
    goes from day to day where customers come back within days and the shop is not too large.
    """
    from whenbuy.models.neural.engine import installed

    listed = without_nets(answer, grid)
    if grid.examples < NETS_FROM or not grid.checked or not installed():
        return listed
    return (*listed, *nets(answer, grid), *(by_day(answer, grid) if grid.examples <= DAYS_TO and grid.step_days <= 1 else ()))


def every(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return all there are for an answer, the floor first: what can be asked for by name."""
    return (*without_nets(answer, grid), *nets(answer, grid), *by_day(answer, grid))


def by_day(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the net that goes from day to day, for when: it passes every day that a customer was known."""
    from whenbuy.models.neural.days import NeuralDays

    return (NeuralDays(grid.days),) if answer == "purchase" else ()


def nets(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the nets for an answer: that for when reads features alone, what events say beyond them was not worth its time."""
    from whenbuy.models.neural.curve import NeuralCurve
    from whenbuy.models.neural.mlp import Mlp
    from whenbuy.models.neural.next_act import NeuralActs
    from whenbuy.models.neural.training import Training
    from whenbuy.models.when.rhythm import Rhythm
    from whenbuy.models.wrapping.prepared import Prepared

    if answer == "next":
        return (NeuralActs(grid.shortest),)
    if answer != "purchase":
        return ()
    net = NeuralCurve(grid.days, Mlp(), hidden=(256,), dropout=0.4, max_rows=100_000, training=Training(epochs=30))
    return (Prepared(net, (Rhythm(),)),)


def without_nets(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the candidates for an answer that need no torch to learn, the floor first."""
    return ANSWERS[answer].candidates(grid)


def floors(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the learner of an answer that every other has to beat."""
    return without_nets(answer, grid)[:1]


def types() -> Mapping[str, type]:
    """Return every type that a stored model may be made of, by name: nothing else is ever made from a file."""
    from whenbuy import clean, features, models
    from whenbuy.pipeline.learning import forecaster
    from whenbuy.pipeline.tables import tabular
    from whenbuy.questions import session, visits

    homes = [import_module(place.name) for place in walk_packages(models.__path__, f"{models.__name__}.")]
    stored: list[Mapping[str, type]] = [
        features.TYPES,
        clean.LEARNED,
        forecaster.TYPES,
        tabular.TYPES,
        session.TYPES,
        visits.TYPES,
        *(getattr(home, "TYPES", {}) for home in homes),
    ]
    found: dict[str, type] = {}
    for name, kind in (pair for home in stored for pair in home.items()):
        if found.setdefault(name, kind) is not kind:
            raise WhenbuyError(f"Two stored types are called {name}: {found[name]} and {kind}.")
    return found
