"""Candidates: the learners that stand for each answer that every fit learns, the floor first."""

from __future__ import annotations

from typing import Any

from whenbuy.core.learner import Learner
from whenbuy.pipeline.learning.grid import Grid

Learners = tuple[Learner[Any], ...]


def _counters(grid: Grid) -> Learners:
    from whenbuy.models.when.buy_till_you_die import BgNbd, ParetoNbd
    from whenbuy.models.when.floors import PoissonRate
    from whenbuy.models.when.renewal_curve import RenewalCurve

    days = grid.days
    return (PoissonRate(days), BgNbd(days), BgNbd(days, modified=True), ParetoNbd(days), RenewalCurve(days))


def curves(grid: Grid) -> Learners:
    """Return the candidates for when she buys."""
    from whenbuy.models.when.boosted_curve import DirectHorizons
    from whenbuy.models.when.floors import KaplanMeier
    from whenbuy.models.when.hazard import PooledLogistic
    from whenbuy.models.when.rhythm import Rhythm
    from whenbuy.models.wrapping.prepared import Prepared

    days, step = grid.days, grid.step_days
    lean, rich = PooledLogistic(days, step, rich=False, max_rows=800_000), PooledLogistic(days, step, max_rows=150_000)
    boosted = Prepared(DirectHorizons(days, key_days=grid.shortest), (Rhythm(),))
    return (*_counters(grid), KaplanMeier(days), lean, rich, boosted)


def orders(grid: Grid) -> Learners:
    """Return the candidates for how many orders come."""
    from whenbuy.models.how_many.boosted_count import BoostedCount
    from whenbuy.models.how_many.rolled_counts import RolledCounts
    from whenbuy.models.when.buy_till_you_die import BgNbd
    from whenbuy.models.wrapping.blend import Blend

    days = grid.days
    near = (BoostedCount(days),) if grid.checked else ()  # its last rate goes on for ever: it is for horizons that it has seen
    return (*_counters(grid), RolledCounts(days), Blend((BgNbd(days), RolledCounts(days))), *near)


def amounts(grid: Grid) -> Learners:
    """Return the candidates for the amount of the next order."""
    from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
    from whenbuy.models.how_much.boosted_amount import BoostedAmount
    from whenbuy.models.how_much.gamma_gamma import GammaGamma

    del grid
    return (GlobalMean(), OwnMean(), GammaGamma(), BoostedAmount(max_rows=60_000))


def spend(grid: Grid) -> Learners:
    """Return the candidates for what is spent within a window."""
    from whenbuy.models.how_much.boosted_amount import BoostedAmount
    from whenbuy.models.how_much.spend import SpendRate

    del grid
    return (SpendRate(), BoostedAmount("spend"))


def quantity(grid: Grid) -> Learners:
    """Return the candidates for the units bought within a window."""
    from whenbuy.models.how_much.boosted_amount import BoostedAmount
    from whenbuy.models.how_much.spend import SpendRate
    from whenbuy.models.trees.boosting import Boosting

    del grid
    mean, median = Boosting("tweedie", trees=60), Boosting("l1", trees=60, leaves=15)
    return (SpendRate(question="quantity"), BoostedAmount("quantity", mean=mean, median=median, max_rows=40_000))


def redemption(grid: Grid) -> Learners:
    """Return the candidates for whether an offer is redeemed."""
    from whenbuy.models.trees.boosting import Boosting
    from whenbuy.models.whether.chance import BaseChance, TreesChance

    del grid
    grow = Boosting(trees=300, learning_rate=0.02, leaves=5, min_leaf=300, feature_fraction=0.2, seed=1)
    return (BaseChance("redemption"), TreesChance("redemption", grow))


def classes(grid: Grid) -> Learners:
    """Return the candidates for the categories that she buys from."""
    from whenbuy.models.which.class_model import ClassTrees
    from whenbuy.models.which.class_rates import ClassRate, OwnClassRate

    return (ClassRate(grid.shortest), OwnClassRate(grid.shortest), ClassTrees(grid.shortest))
