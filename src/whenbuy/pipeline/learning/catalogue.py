"""The catalogue: which learners stand for which answer, and every type that a stored model may be made of."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.learner import Learner
from whenbuy.pipeline.learning.grid import Grid

NETS_FROM: Final = 2_000
"""From so many examples on nets are tried: smaller shops would wait for torch longer than for everything else."""


def learners(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the candidates for an answer, the floor first.

    Nets are among them where torch is installed, the shop is large enough, and the longest horizon can be checked on later weeks.
    """
    from whenbuy.models.neural.engine import installed

    listed = _without_nets(answer, grid)
    return (*listed, *nets(answer, grid)) if grid.examples >= NETS_FROM and grid.checked and installed() else listed


def every(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return all there are for an answer, the floor first: what can be asked for by name."""
    return (*_without_nets(answer, grid), *nets(answer, grid))


def nets(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the nets for an answer. They read the features alone: what events say beyond these was not worth its time."""
    from whenbuy.models.neural.curve import NeuralCurve
    from whenbuy.models.neural.mlp import Mlp
    from whenbuy.models.neural.training import Training
    from whenbuy.models.prepared import Prepared
    from whenbuy.models.rhythm import Rhythm

    if answer != "purchase":
        return ()
    net = NeuralCurve(grid.days, Mlp(), hidden=(256,), dropout=0.4, max_rows=100_000, training=Training(epochs=30))
    return (Prepared(net, (Rhythm(),)),)


def _without_nets(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    return {
        "purchase": _curves,
        "orders": _counts,
        "amount": _amounts,
        "spend": _spend,
        "quantity": _quantity,
        "redemption": _redemption,
        "classes": _classes,
    }[answer](grid)


def _counters(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.buy_till_you_die import BgNbd, ParetoNbd
    from whenbuy.models.floors import PoissonRate

    days = grid.days
    return (PoissonRate(days), BgNbd(days), BgNbd(days, modified=True), ParetoNbd(days))


def _curves(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.boosted_curve import DirectHorizons
    from whenbuy.models.floors import KaplanMeier
    from whenbuy.models.hazard import PooledLogistic
    from whenbuy.models.prepared import Prepared
    from whenbuy.models.rhythm import Rhythm

    days, step = grid.days, grid.step_days
    lean, rich = PooledLogistic(days, step, rich=False, max_rows=800_000), PooledLogistic(days, step, max_rows=150_000)
    boosted = Prepared(DirectHorizons(days, key_days=grid.shortest), (Rhythm(),))
    return (*_counters(grid), KaplanMeier(days), lean, rich, boosted)


def _counts(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.blend import Blend
    from whenbuy.models.boosted_count import BoostedCount
    from whenbuy.models.buy_till_you_die import BgNbd
    from whenbuy.models.rolled_counts import RolledCounts

    days = grid.days
    near = (BoostedCount(days),) if grid.checked else ()  # its last rate goes on for ever: it is for horizons that it has seen
    return (*_counters(grid), RolledCounts(days), Blend((BgNbd(days), RolledCounts(days))), *near)


def _amounts(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.amount_floors import GlobalMean, OwnMean
    from whenbuy.models.boosted_amount import BoostedAmount
    from whenbuy.models.gamma_gamma import GammaGamma

    del grid
    return (GlobalMean(), OwnMean(), GammaGamma(), BoostedAmount(max_rows=60_000))


def _spend(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.boosted_amount import BoostedAmount
    from whenbuy.models.spend import SpendRate

    del grid
    return (SpendRate(), BoostedAmount("spend"))


def _quantity(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.boosted_amount import BoostedAmount
    from whenbuy.models.spend import SpendRate
    from whenbuy.models.trees.boosting import Boosting

    del grid
    mean, median = Boosting("tweedie", trees=60), Boosting("l1", trees=60, leaves=15)
    return (SpendRate(question="quantity"), BoostedAmount("quantity", mean=mean, median=median, max_rows=40_000))


def _redemption(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.chance import BaseChance, TreesChance
    from whenbuy.models.trees.boosting import Boosting

    del grid
    grow = Boosting(trees=300, learning_rate=0.02, leaves=5, min_leaf=300, feature_fraction=0.2, seed=1)
    return (BaseChance("redemption"), TreesChance("redemption", grow))


def _classes(grid: Grid) -> tuple[Learner[Any], ...]:
    from whenbuy.models.class_model import ClassTrees
    from whenbuy.models.class_rates import ClassRate, OwnClassRate

    return (ClassRate(grid.shortest), OwnClassRate(grid.shortest), ClassTrees(grid.shortest))


def floors(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
    """Return the learner of an answer that every other has to beat."""
    return _without_nets(answer, grid)[:1]


def types() -> Mapping[str, type]:
    """Return every type that a stored model may be made of, by name: nothing else is ever made from a file."""
    from whenbuy import clean, features, models
    from whenbuy.pipeline.learning import forecaster
    from whenbuy.pipeline.tables import tabular

    homes = [import_module(place.name) for place in walk_packages(models.__path__, f"{models.__name__}.")]
    stored: list[Mapping[str, type]] = [
        features.TYPES,
        clean.LEARNED,
        forecaster.TYPES,
        tabular.TYPES,
        *(getattr(home, "TYPES", {}) for home in homes),
    ]
    found: dict[str, type] = {}
    for name, kind in (pair for home in stored for pair in home.items()):
        if found.setdefault(name, kind) is not kind:
            raise WhenbuyError(f"Two stored types are called {name}: {found[name]} and {kind}.")
    return found
