"""Learn: try the candidates of every answer, keep what wins on validation, and learn it again on everything that is ripe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.learner import Learner, Model
from whenbuy.features import Feature, Features
from whenbuy.models.calibrate import CalibratedModel
from whenbuy.pipeline.catalogue import learners
from whenbuy.pipeline.choose import Budget, Chosen, Judge, choose, curve_judge, number_judge
from whenbuy.pipeline.forecaster import Forecaster
from whenbuy.pipeline.grid import Grid
from whenbuy.pipeline.plan import Plan, plan

HORIZONS = (7.0, 14.0, 28.0)
"""The horizons asked about unless the shop says otherwise, in days."""
BUDGET_S = 1800.0
"""CPU seconds after which no further candidate is tried, unless the shop says otherwise."""
Say = Callable[[str], None]


def silent(text: str) -> None:
    """Say nothing."""
    del text


def fit(
    history: History,
    as_of: int | str | None = None,
    *,
    horizons: Sequence[float] = HORIZONS,
    features: Features | None = None,
    further: Sequence[Feature] = (),
    seed: int = 0,
    closed: Sequence[date] = (),
    candidates: Callable[[str, Grid], tuple[Learner[Any], ...]] = learners,
    budget_s: float = BUDGET_S,
    say: Say = silent,
) -> Forecaster:
    """Return what the history teaches up to a moment (its end, by default).

    Only what was known before the moment's local day is learned from. The candidates of the catalogue learn from the earlier cutoffs and
    are compared on the later ones; what wins (see ``choose``) learns again from all of them. ``features`` are by default those of the
    kinds and columns known by then, with the ``further`` ones of the shop; ``closed`` are the days on which it says that nobody can buy.
    Where no amount can be learned the answer goes without amounts, and a note says so. Once ``budget_s`` CPU seconds are spent, candidates
    whose turn has not come are left out, and their choices say so; a fit that stays within it gives the same bytes for the same seed.

    Raises
    ------
    NotEnoughDataError
        When nobody bought, or the log is too short for a single step.
    """
    made = plan(history, as_of, tuple(float(days) for days in sorted(horizons)), features, further, seed)
    train, valid = made.parts()
    say(f"learning from {len(train):,} examples, choosing on {len(valid):,}")
    budget = Budget.of(budget_s)
    found = {
        answer: choose(
            answer, candidates(answer, made.grid), train, valid, _judge(answer, valid, made), budget=budget,
            in_sample=made.split.shares is not None, seed=seed, say=say,
        )  # other users at the same cutoffs, where the split is by users
        for answer in made.answers
    }  # fmt: skip
    if found["purchase"].learner is None:
        reasons = "; ".join(f"{choice.model}: {choice.note}" for choice in found["purchase"].choices)
        raise NotEnoughDataError(
            f"No model of purchase could learn. {reasons}", "", "Give a longer log, or check which events are purchases."
        )
    calibrated_until = int(valid.label("purchase").end.max())
    del train, valid
    everything = made.everything()
    say(f"learning what won again, from {len(everything):,} examples")
    models = {answer: _learned(one, everything, calibrated_until) for answer, one in found.items() if one.learner is not None}
    notes = (*made.notes, *(note for one in found.values() for note in one.notes))
    choices = tuple(choice for one in found.values() for choice in one.choices)
    shut = tuple(sorted((day - date(1970, 1, 1)).days for day in closed))
    return Forecaster(made.features, made.horizons, models, choices, notes, made.end, shut)


def _learned(found: Chosen, everything: Examples, calibrated_until: int) -> Model[Any]:
    assert found.learner is not None
    model: Model[Any] = found.learner.fit(everything)
    return model if found.calibration is None else CalibratedModel(model, found.calibration, calibrated_until)


def _judge(answer: str, valid: Examples, made: Plan) -> Judge:
    """Return how candidates of an answer are compared."""
    if answer == "purchase":
        return curve_judge(valid, (*(days for days in made.horizons if days < made.valid_days), made.valid_days))
    if answer == "orders":
        return number_judge("the count", valid, answer, lambda curves: curves.count_at(made.valid_days))
    return number_judge("the next order's amount", valid, answer, lambda amount: amount.mean)
