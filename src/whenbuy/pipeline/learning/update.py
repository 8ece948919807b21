"""Update: a forecaster goes on learning from what happened since, without what it learned from before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import DAY, Instants
from whenbuy.core.errors import ImmatureError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.learner import Model, can_learn_on
from whenbuy.models.wrapping.calibrate import CalibratedModel
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.build import panel
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import Say, silent
from whenbuy.pipeline.learning.plan import CLASS_ROWS, CLASSES, ROWS, Plan, plan

_WEEK: Final = 7


def update(model: Forecaster, history: History, as_of: int | str | None = None, *, seed: int = 0, say: Say = silent) -> Forecaster:
    """Return the forecaster as what happened since it learned changes it, up to a moment (the history's end, by default).

    Models that can learn on do so from weekly cutoffs whose windows closed since, and calibrations are learned again on the cutoffs that
    they had not seen; the others stay as they are, which a note says (``refit`` learns them again). Nothing is chosen again.

    Raises
    ------
    ImmatureError
        When nothing has happened since that a model can learn from.
    UsageError
        When the log has become long enough for longer windows than the models were chosen for.
    """
    made = plan(
        history, as_of, model.horizons, model.features, (), seed, model.classes, tuple(name for name in model.models if name in ANSWERS)
    )
    made = replace(made, answers=tuple(answer for answer in made.answers if answer in model.models))
    chosen_for = {answer: days for answer, days in model.windows.items() if answer in made.answers}
    if made.windows != chosen_for:
        raise UsageError(
            f"The models were chosen for windows of {chosen_for} days; this log allows {made.windows}.",
            "An update keeps what was chosen.",
            "Fit again, so that it is chosen anew.",
        )
    models, learned = dict(model.models), list[str]()
    for answers in made.groups:
        able = [answer for answer in answers if _able(answer, model.models[answer])]
        if not able or made.end <= model.known_until:
            continue
        later = _later(made, model, answers, seed)
        say(f"learning on: {', '.join(able)}, from {len(later):,} examples")
        for answer in able:
            if (new := _updated(model.models[answer], answer, later)) is not None:
                models[answer] = new
                learned.append(answer)
    if not learned:
        clock = history.clock
        raise ImmatureError(
            f"The models know everything up to {clock.show(model.known_until)}, and nothing up to {clock.show(made.end)} can be added.",
            "A model learns on from windows that have closed since.",
            "Come back when a week has passed, or fit again.",
        )
    return replace(model, models=models, known_until=made.end, notes=(*model.notes, _note(model, made, learned)))


def _able(answer: str, model: Model[Any]) -> bool:
    """Return whether later examples can teach a model. The calibration of chances of one window stays as it is, and so does the model."""
    return can_learn_on(model) and (answer == "purchase" or not isinstance(model, CalibratedModel))


def _later(made: Plan, model: Forecaster, answers: tuple[str, ...], seed: int) -> Examples:
    """Return the examples at weekly cutoffs before and after what is known, as far back as a window can still be open."""
    classes = CLASSES in answers
    blocks, most = (model.blocks, CLASS_ROWS) if classes else ({}, ROWS)
    cutoffs = _weekly(made, model.known_until)
    return panel(made.history, model.features, cutoffs, made.questions(answers), blocks, most=most, seed=seed)


def _weekly(made: Plan, known_until: int) -> Instants:
    """Return the local midnights a week apart from those whose windows were open at an instant up to the end (rising)."""
    clock = made.history.clock
    first, anchor, last = clock.days(np.array([known_until - round(max(made.horizons) * DAY), known_until, made.end], np.int64)).tolist()
    days = np.arange(anchor - (anchor - first) // _WEEK * _WEEK, last, _WEEK, dtype=np.int64)
    found = clock.midnights(days)
    return found[found > made.history.log.start]


def _updated(model: Model[Any], answer: str, later: Examples) -> Model[Any] | None:
    """Return the model as the examples change it that it has not learned from; none where they say nothing yet."""
    label, asked = later.labels.get(answer), later.keys.cutoff
    rows = np.flatnonzero((later.label("purchase" if label is None else answer).end > model.known_until) | (asked >= model.known_until))
    assert can_learn_on(model)
    try:
        return model.update(later.take(rows)) if len(rows) else None
    except ImmatureError:
        return None


def _note(model: Forecaster, made: Plan, learned: list[str]) -> str:
    clock = made.history.clock
    kept = [answer for answer in model.every if answer not in learned]
    stays = f"; {', '.join(kept)} stayed as they were" if kept else ""
    return f"From {clock.show(model.known_until)} to {clock.show(made.end)} {', '.join(learned)} learned on{stays}."
