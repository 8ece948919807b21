"""Learn: try the candidates of every answer, keep what wins on validation, and learn it again on everything that is ripe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.learner import Learner, Model
from whenbuy.core.log import EventLog
from whenbuy.core.progress import stepwise
from whenbuy.features import Feature, Features
from whenbuy.models.how_much.conformal import ConformalModel
from whenbuy.models.series.promoted import Lifts
from whenbuy.models.when.attribute_prior import AttributePrior
from whenbuy.models.wrapping.calibrate import CalibratedModel, Correction
from whenbuy.pipeline.learning import catalogue
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.choose import Budget, Chosen, Told, choose, read_beside
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.judges import Judge, chance_judge, curve_judge, distribution_judge, number_judge, quantile_judge
from whenbuy.pipeline.learning.newcomers import newcomers
from whenbuy.pipeline.learning.pace import pace
from whenbuy.pipeline.learning.plan import Plan, plan
from whenbuy.questions.activity import ACTS

HORIZONS = (7.0, 14.0, 28.0)
"""The horizons asked about unless the shop says otherwise, in days."""
BUDGET_S = 1800.0
"""CPU seconds after which no further candidate is tried, unless the shop says otherwise."""
Say = Callable[[str], None]
Candidates = Callable[[str, Grid], tuple[Learner[Any], ...]]
"""The candidates of an answer, the floor first."""


def silent(text: str) -> None:
    """Say nothing."""
    del text


def fit(  # noqa: PLR0913 - the settings of one fit
    history: History,
    as_of: int | str | None = None,
    *,
    horizons: Sequence[float] = HORIZONS,
    features: Features | None = None,
    further: Sequence[Feature] = (),
    seed: int = 0,
    closed: Sequence[date] = (),
    classes: Sequence[str] = (),
    candidates: Candidates = catalogue.learners,
    budget_s: float = BUDGET_S,
    ask: Collection[str] | str = (),
    table: Mapping[str, Answer] = ANSWERS,
    say: Say = silent,
) -> Forecaster:
    """Return what the history teaches up to a moment (its end, by default).

    Only what was known before the moment's local day is learned from. The candidates of the catalogue learn from the earlier cutoffs and
    are compared on the later ones; what wins (see ``choose``) learns again from all of them. ``features`` are by default those of the
    kinds and columns known by then, with the ``further`` ones of the shop; ``closed`` are the days on which it says that nobody can buy;
    ``classes`` are the categories asked about, by default the 30 with the most buyers. ``ask`` names answers of the ``table``: these are
    learned beside the purchase, by default those that every fit learns (also named ``usual``; ``all`` are all of the table).
    An answer without candidates is not asked for; where none of its candidates can learn the forecast goes without it, and a note says
    so. Once ``budget_s`` CPU seconds are spent, candidates whose turn has not come are left out, and their choices say so; a fit that stays
    within it gives the same bytes for the same seed.

    Raises
    ------
    NotEnoughDataError
        When nobody bought, or the log is too short for a single step.
    UsageError
        When an answer is asked for that is not in the table.
    """
    asked = (ask,) if isinstance(ask, str) else tuple(ask)
    made = plan(history, as_of, horizons, features, further, seed, tuple(classes), asked, table)
    return learned(made, candidates, closed=closed, budget_s=budget_s, say=say)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """Candidates by answer, and what came of them."""

    tries: Mapping[str, tuple[Learner[Any], ...]]
    found: dict[str, Chosen] = field(default_factory=dict)
    models: dict[str, Model[Any]] = field(default_factory=dict)


def learned(
    made: Plan, candidates: Candidates, *, closed: Sequence[date] = (), budget_s: float = BUDGET_S, floor: bool = False, say: Say = silent
) -> tuple[Forecaster, ...]:
    """Return what a plan's examples teach, and with ``floor`` also what they teach the floors alone: the examples are made once.

    Raises
    ------
    NotEnoughDataError
        When no model of purchase could learn.
    """
    budget, prior = Budget.of(budget_s), AttributePrior({})
    tries = {answer: _tries(made, answer, candidates) for answer in made.answers}
    same = tuple(answer for answer in made.answers if is_purchase(answer, made.history.log))
    made = replace(made, answers=tuple(answer for answer, listed in tries.items() if listed), beside=read_beside(tries.get("purchase", ())))
    courses = [_Course(tries), *([_Course({answer: listed[:1] for answer, listed in tries.items()})] if floor else [])]
    says = stepwise(say, pace(made.groups, tries)), silent
    alike: tuple[str, ...] = ()
    for answers in made.groups:
        if alike != made.alike(answers):
            alike = made.alike(answers)
            (train, valid), told = made.parts(alike), Told.of(course.tries[answer] for course in courses for answer in alike)
        says[0](f"learning from {len(train):,} examples, choosing on {len(valid):,}: {', '.join(answers)}")
        for course, each in zip(courses, says, strict=False):
            for answer in answers:
                course.found[answer] = choose(
                    answer, course.tries[answer], train, valid, _judge(answer, valid, made), budget=budget, told=told,
                    in_sample=made.split.shares is not None, seed=made.seed, say=each,
                )  # fmt: skip
            _require_purchase(course.found["purchase"])
        seen_until = max(int(label.end.max()) for label in valid.labels.values())
        if alike[-1] in answers:
            del train, valid, told
        everything = made.everything(answers)
        says[0](f"learning what won again, from {len(everything):,} examples")
        prior = newcomers(made.history, everything) if "purchase" in answers else prior
        for course in courses:
            for answer in answers:
                if (learner := course.found[answer].learner) is not None:
                    course.models[answer] = _corrected(learner.fit(everything), course.found[answer], seen_until)
    shut = tuple(sorted((day - date(1970, 1, 1)).days for day in closed))
    return tuple(_forecaster(made, course, shut, prior, same) for course in courses)


def _require_purchase(found: Chosen) -> None:
    if found.learner is None:
        reasons = "; ".join(f"{choice.model}: {choice.note}" for choice in found.choices)
        raise NotEnoughDataError(
            f"No model of purchase could learn. {reasons}", "", "Give a longer log, or check which events are purchases."
        )


def _forecaster(made: Plan, course: _Course, shut: tuple[int, ...], prior: AttributePrior, same: tuple[str, ...]) -> Forecaster:
    """Return what answers, of what was learned."""
    made = replace(made, beside=read_beside((course.found["purchase"].learner,)))
    notes = (*made.notes, *(note for one in course.found.values() for note in one.notes))
    choices = tuple(choice for one in course.found.values() for choice in one.choices)
    learners = {answer: one.learner for answer, one in course.found.items() if one.learner is not None}
    live = {answer: model for answer, model in course.models.items() if not made.table[answer].batch}
    return Forecaster(
        made.features, made.horizons, live, choices, notes, made.end, shut, made.blocks, made.windows, learners, made.classes, prior,
        {answer: model for answer, model in course.models.items() if answer not in live}, made.further_blocks, made.named, same,
        Lifts.of_orders(made.history).learned(made.end),
    )  # fmt: skip


def refit(
    model: Forecaster,
    history: History,
    as_of: int | str | None = None,
    *,
    seed: int = 0,
    table: Mapping[str, Answer] = ANSWERS,
    say: Say = silent,
) -> Forecaster:
    """Return what the same learners learn from a longer history: nothing is chosen again, and corrections are carried over.

    Raises
    ------
    NotEnoughDataError
        When nobody bought before that moment.
    UsageError
        When the log has become long enough for longer windows than the learners were chosen for.
    """
    made = plan(history, as_of, model.horizons, model.features, (), seed, table=table)
    made = replace(
        made, answers=tuple(model.learners), classes=model.classes, named=model.named, beside=read_beside((model.learners["purchase"],))
    )
    chosen_for = {answer: days for answer, days in model.windows.items() if answer in model.learners}
    if made.windows != chosen_for:
        raise UsageError(
            f"The learners were chosen for windows of {chosen_for} days; this log allows {made.windows}.",
            "A refit keeps what was chosen.",
            "Fit again, so that it is chosen anew.",
        )
    models: dict[str, Model[Any]] = {}
    say = stepwise(say, [1.0] * (len(made.groups) + 1))
    for answers in made.groups:
        everything = made.everything(answers)
        say(f"learning {', '.join(answers)} again, from {len(everything):,} examples")
        for answer in answers:
            learned: Model[Any] = model.learners[answer].fit(everything)
            old: Any = model.every[answer]
            wrapped = isinstance(old, CalibratedModel | ConformalModel)
            models[answer] = replace(old, model=learned) if wrapped else learned
    live, batch = ({answer: models[answer] for answer in kept} for kept in (model.models, model.further))
    promoted = Lifts.of_orders(made.history).learned(made.end)
    return replace(
        model, models=live, further=batch, known_until=made.end, blocks=made.blocks, further_blocks=made.further_blocks, promoted=promoted
    )


def is_purchase(answer: str, log: EventLog) -> bool:
    """Return whether an answer is that of the next purchase: to be active is to buy, where a log knows no other act."""
    return answer == "activity" and not any(log.count(kind) for kind in ACTS if kind != "purchase")


def _tries(made: Plan, answer: str, candidates: Candidates) -> tuple[Learner[Any], ...]:
    """Return the candidates that are tried; none where another answer says the same. Those of the table stand in for a shop's own."""
    if is_purchase(answer, made.history.log):
        return ()
    return candidates(answer, made.grid) if answer in ANSWERS else made.table[answer].candidates(made.grid)


def _corrected(model: Model[Any], found: Chosen, seen_until: int) -> Model[Any]:
    """Return the model with the correction that was learned while choosing."""
    if isinstance(found.correction, Correction):
        return CalibratedModel(model, found.correction, seen_until)
    return model if found.correction is None else ConformalModel(model, found.correction, seen_until)


def _judge(answer: str, valid: Examples, made: Plan) -> Judge:
    """Return how candidates of an answer are compared."""
    of = made.table[answer]
    if of.kind == "curve":
        return curve_judge(valid, made.grid.horizons, made.grid.days, whole=made.grid.checked, question=answer)
    if of.kind == "count":
        return number_judge(of.judged, valid, answer, lambda curves: curves.count_at(made.valid_days), whole=made.grid.checked)
    if of.kind in ("chance", "classes"):
        return chance_judge(valid, answer, None if of.usual or of.kind == "classes" else of.window(made.grid) or 1.0)
    if of.kind == "quantiles":
        return quantile_judge(of.judged, valid, answer)
    if of.kind == "number":
        return distribution_judge(valid, answer)
    return number_judge(of.judged, valid, answer, lambda amount: amount.mean)
