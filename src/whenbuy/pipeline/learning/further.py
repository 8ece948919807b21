"""Candidates of the answers that are learned where they are asked for by name, the floor first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from whenbuy.pipeline.learning.candidates import Learners
from whenbuy.pipeline.learning.grid import Grid

VISITS: Final = "visits"
"""The block that tells of past visits."""
VISIT: Final = "visit"
"""The block that tells of the visit that she is on."""
ACTS: Final = "acts"
"""The block that tells of the latest acts."""


def nothing(grid: Grid) -> Learners:
    """Return no candidates: the answer is read from another one."""
    del grid
    return ()


def activity(grid: Grid) -> Learners:
    """Return the candidates for when she is next active."""
    from whenbuy.models.when.boosted_curve import DirectHorizons
    from whenbuy.models.when.floors import KaplanMeier
    from whenbuy.models.whether.last_act import LastAct
    from whenbuy.models.wrapping.latest import Latest
    from whenbuy.models.wrapping.prepared import Prepared
    from whenbuy.models.wrapping.recast import Reads, Recast

    floor = KaplanMeier(grid.days, column="event_recency_days")
    boosted = Prepared(DirectHorizons(grid.days, key_days=grid.shortest, max_rows=200_000), (Latest(), LastAct()))
    labels = (("purchase", "activity"),)
    return (Recast(floor, "activity", Reads(labels)), Recast(boosted, "activity", Reads(labels, beside=VISITS)))


def visits(grid: Grid) -> Learners:
    """Return the candidates for how many visits begin within a window."""
    from whenbuy.models.how_many.numbers import BoostedNumber, VisitRate

    del grid
    return (VisitRate(), BoostedNumber())


def dwell(grid: Grid) -> Learners:
    """Return the candidates for the seconds that she stays on her next visit."""
    from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
    from whenbuy.models.how_much.boosted_amount import BoostedAmount
    from whenbuy.models.wrapping.cut_short import CutShort
    from whenbuy.models.wrapping.recast import Reads, Recast

    del grid
    own = (("frequency", "dwell_visits"), ("mean_amount", "dwell_mean_s"))
    return (
        Recast(CutShort(GlobalMean(), "amount"), "dwell", Reads((("amount", "dwell"),))),
        Recast(CutShort(OwnMean(), "amount"), "dwell", Reads((("amount", "dwell"),), own, beside=VISITS)),
        Recast(CutShort(BoostedAmount("dwell", max_rows=60_000), "dwell"), "dwell", Reads((("dwell", "dwell"),), beside=VISITS)),
    )


def rating(grid: Grid) -> Learners:
    """Return the candidates for the stars of her next review."""
    from whenbuy.models.how_much.amount_floors import GlobalMean
    from whenbuy.models.how_much.boosted_amount import BoostedAmount
    from whenbuy.models.wrapping.recast import Reads, Recast

    del grid
    return (Recast(GlobalMean(), "rating", Reads((("amount", "rating"),))), BoostedAmount("rating", max_rows=40_000))


def happens(question: str) -> Callable[[Grid], Learners]:
    """Return what returns the candidates for whether something happens."""

    def candidates(grid: Grid) -> Learners:
        from whenbuy.models.trees.boosting import Boosting
        from whenbuy.models.whether.chance import BaseChance, LogisticChance, TreesChance
        from whenbuy.models.whether.last_act import LastAct
        from whenbuy.models.wrapping.prepared import Prepared

        del grid
        grow = Boosting(trees=200, learning_rate=0.03, leaves=8, min_leaf=100, feature_fraction=0.3, seed=1)
        trees = Prepared(TreesChance(question, grow), (LastAct(),))
        return (BaseChance(question), LogisticChance(question, crossed=0), trees)

    return candidates


def in_session(grid: Grid) -> Learners:
    """Return the candidates for whether she buys during the visit that she is on."""
    from whenbuy.models.trees.boosting import Boosting
    from whenbuy.models.whether.chance import BaseChance, LogisticChance, TreesChance
    from whenbuy.models.wrapping.recast import Reads, Recast

    del grid
    grow = Boosting(trees=200, learning_rate=0.04, leaves=15, min_leaf=100, feature_fraction=0.4, seed=1)
    question, names = "in_session", Reads((("in_session", "in_session"),), beside=VISIT)
    learners: Learners = (LogisticChance(question, crossed=0), TreesChance(question, grow))
    return (BaseChance(question), *(Recast(learner, question, names) for learner in learners))


def next_acts(grid: Grid) -> Learners:
    """Return the candidates for the next act."""
    from whenbuy.models.which.next_act import ActChain, ActTrees

    return (ActChain(grid.shortest), ActTrees(grid.shortest))


def taken(question: str, kind: str, *, trees: bool) -> Callable[[Grid], Learners]:
    """Return what returns the candidates for the classes that events of a kind are about."""

    def candidates(grid: Grid) -> Learners:
        from whenbuy.models.which.class_model import ClassTrees
        from whenbuy.models.which.class_rates import ClassRate, OwnClassRate
        from whenbuy.models.wrapping.recast import Reads, Recast

        days = grid.shortest if trees else grid.horizons[-1]
        labels = (("classes", question), ("purchase", when(question)))
        names = Reads(labels, (("tenure_days", "event_tenure_days"), ("frequency", f"{kind}_count")), interactions=question)
        learners: Learners = (ClassRate(days), OwnClassRate(days), *((ClassTrees(days, most=400_000),) if trees else ()))
        return tuple(Recast(learner, question, names) for learner in learners)

    return candidates


def when(question: str) -> str:
    """Return the name of the label that tells when the first event of a question about classes comes."""
    return f"{question}_when"
