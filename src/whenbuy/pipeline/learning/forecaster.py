"""What a shop has learned: the chosen model of every answer, ready to be asked as of any later moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.lapse import Lapse
from whenbuy.core.learner import Learner, Model, refuse_leak
from whenbuy.core.outlook import Outlook
from whenbuy.core.profile import Profile
from whenbuy.features import Features
from whenbuy.models.series.promoted import NOTHING, Promoted
from whenbuy.models.when.attribute_prior import AttributePrior
from whenbuy.models.when.calendar import Calendar
from whenbuy.pipeline.learning.build import BlockSpec, examples
from whenbuy.questions.activity import usual_gap
from whenbuy.questions.asked import people
from whenbuy.questions.session import silence_s
from whenbuy.questions.visits import PAUSE_S

CHUNK: Final = 25_000
"""How many users a thread answers at once: it bounds the memory."""
THREADS: Final = 4
"""So many threads answer at once, at most: more of them wait for each other."""
ACTIVITY: Final = "activity"
IN_SESSION: Final = "in_session"


@dataclass(frozen=True, slots=True)
class Choice:
    """How one candidate fared on validation.

    Parameters
    ----------
    answer
        The answer that it was a candidate for: ``purchase``, ``orders``, ``amount`` …
    model
        Its name.
    score
        What was compared, in words; lower is better.
    value
        Its score; NaN where nothing could be scored, or the candidate could not learn.
    chosen
        Whether it answers now.
    note
        Why it could not learn, or was left out, where it was.
    floor
        Whether it is what every other candidate has to beat.
    low, high
        The 95 % interval of its score minus the floor's, by the paired bootstrap over users; NaN where there is none.
    """

    answer: str
    model: str
    score: str
    value: float
    chosen: bool = False
    note: str = ""
    floor: bool = False
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the models say as of the instants at which pasts are read.

    Parameters
    ----------
    curves
        When she buys, and how often.
    answers
        The other answers, by name.
    given
        P(buys from each class, given that she buys) (n x k), where the model of the classes says that.
    """

    curves: TimeToEvent
    answers: Mapping[str, Forecast]
    given: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """The chosen models of a shop, with all they need to answer.

    Parameters
    ----------
    features
        The features that the models read.
    horizons
        The horizons asked about, in days.
    models
        Model by answer: ``purchase`` (the curve), ``orders`` (the expected count) and what else the log can teach: ``amount``,
        ``spend``, ``redemption``, ``classes``.
    choices
        How every candidate fared.
    notes
        What the reader should know about how this was learned, in sentences.
    known_until
        Nothing that happened at or after this instant was learned from.
    closed
        Local days (since 1970-01-01) on which the shop is closed: nobody can buy, so the curves stand still.
    blocks
        What the models read beside the features.
    windows
        Over how many days the answers look that look over one window.
    learners
        What learned each answer: enough to learn it again from a longer history.
    classes
        The classes about which ``classes`` answers.
    newcomers
        How people of whom only attributes are known differ from everybody; none in models kept by earlier versions.
    further
        Models of the further answers: those asked for by name that are no chances. They have no compiled rows.
    further_blocks
        What these read beside the features.
    named
        The classes about which the answers among them answer that are about classes.
    same
        Answers that are the curve of the next purchase: to be active is to buy, where the log knew no other act.
    promoted
        What past offers did to the orders of the whole shop: offers that run or are announced scale the curves on their days.
    """

    features: Features
    horizons: tuple[float, ...]
    models: Mapping[str, Model[Any]]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    known_until: int
    closed: tuple[int, ...] = ()
    blocks: Mapping[str, BlockSpec] = field(default_factory=dict)
    windows: Mapping[str, float] = field(default_factory=dict)
    learners: Mapping[str, Learner[Any]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    newcomers: AttributePrior | None = None
    further: Mapping[str, Model[Any]] = field(default_factory=dict)
    further_blocks: Mapping[str, BlockSpec] = field(default_factory=dict)
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    same: tuple[str, ...] = ()
    promoted: Promoted = NOTHING

    @property
    def every(self) -> Mapping[str, Model[Any]]:
        """The model of every answer, also of the further ones."""
        return {**self.models, **self.further}

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of all answers, also of those that are read from others."""
        churn = ("churn",) if ACTIVITY in (*self.further, *self.same) else ()
        return (*self.models, *self.further, *self.same, *churn)

    def classes_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes that an answer is about; none where it is not about classes."""
        return self.classes if answer == "classes" else self.named.get(answer, ())

    def predict(
        self, history: History, as_of: int | str | None = None, users: Iterable[str] | None = None, *, in_sample: bool = False
    ) -> Outlook:
        """Return every answer for the users named (all people known, by default) as of a moment (the log's end, by default).

        Raises
        ------
        LeakError
            When the moment lies before what was learned from, unless ``in_sample`` is said.
        NotEnoughDataError
            When nobody was known by then.
        """
        return self.answer(history, asked_about(history, as_of, users), in_sample=in_sample)

    def answer(self, history: History, keys: Keys, *, in_sample: bool = False) -> Outlook:
        """Return every answer for these keys, in their order."""
        refuse_leak(self.known_until, keys, in_sample=in_sample)
        chunks = list(keys.chunks(CHUNK)) if len(keys) else [keys]
        with ThreadPoolExecutor(max(1, min(len(chunks), THREADS, os.cpu_count() or 1))) as pool:
            parts = list(pool.map(lambda part: self._answer(history, part, in_sample=in_sample), chunks))
        return Outlook(keys, {name: _joined(keys, [part[name] for part in parts]) for name in parts[0]}, self.horizons, self.windows)

    def _answer(self, history: History, keys: Keys, *, in_sample: bool) -> dict[str, Forecast]:
        """Return the answers of one chunk.

        The curve is read out at the later of the user's last event and the start of the cutoff's day, then conditioned on the silence
        since: the same rule in batch, live and training (training cutoffs are midnights, where the silence is empty).
        """
        midnight, past = history.clock.midnight_before(keys.cutoff), history.before(keys)
        read_at = np.minimum(np.maximum(midnight, past.last_known() + 1), keys.cutoff)
        blocks: dict[str, BlockSpec] = {**self.blocks, **self.further_blocks}
        asked = examples(history, self.features, Keys(keys.entity, keys.code, read_at, keys.names), blocks=blocks)
        said = self.said(asked, past.attributes, history.clock, history.offers)
        others = {name: model.predict(asked, in_sample=True) for name, model in self.further.items()}
        found = self.after_silence(replace(said, answers={**said.answers, **others}), keys, in_sample=in_sample)
        curves = found["purchase"]
        found |= dict.fromkeys(self.same, curves)
        if isinstance(activity := found.get(ACTIVITY), TimeToEvent):
            found["churn"] = Lapse.of(activity, usual_gap(past), float(activity.grid_days[-1]))
        if isinstance(buys := found.get(IN_SESSION), Probability):
            found[IN_SESSION] = replace(buys, chance=np.where(silence_s(past) < PAUSE_S, buys.chance, 0.0))
        return found

    def calendar(self, clock: Clock, offers: Profile | None) -> Calendar | None:
        """Return how offers make days differ in the curves; none where nothing was learned of offers."""
        return Calendar(self.promoted, offers, clock) if self.promoted.effects.any() else None

    def said(self, asked: Examples, attributes: Callable[[], pl.DataFrame], clock: Clock, offers: Profile | None) -> Said:
        """Return what the models say as of the instants at which pasts are read, where nothing has happened since."""
        curves = self._curves(asked)
        if self.newcomers is not None and self.newcomers.factors:
            curves = self.newcomers.apply(curves, attributes())
        if (calendar := self.calendar(clock, offers)) is not None:
            curves = calendar.apply(curves)
        if self.closed:
            curves = without_closed_days(curves, self.closed, clock)
        others = {name: model for name, model in self.models.items() if name not in ("purchase", "orders")}
        answers: dict[str, Forecast] = {name: model.predict(asked, in_sample=True) for name, model in others.items()}
        given = getattr(others.get("classes"), "given_purchase", None)  # a model that says what she buys, given that she does
        return Said(curves, answers, None if given is None else given(asked))

    def after_silence(self, said: Said, keys: Keys, *, in_sample: bool = False) -> dict[str, Forecast]:
        """Return the answers for these keys, who have been silent since the models spoke. No model runs again."""
        curves = _after_silence(said.curves, keys, (keys.cutoff - said.curves.keys.cutoff) / DAY, in_sample=in_sample)
        found: dict[str, Forecast] = {"purchase": curves}
        for name, answer in said.answers.items():
            if isinstance(answer, TimeToEvent):
                found[name] = _after_silence(answer, keys, (keys.cutoff - answer.keys.cutoff) / DAY, in_sample=in_sample)
            else:
                found[name] = replace(cast("Any", answer), keys=keys, in_sample=in_sample)
        if isinstance(classes := found.get("classes"), Classes):
            buys = curves.probability(classes.horizon_days)
            own = classes if said.given is None or curves.prior is None else _multiplied(classes, said.given, buys, curves.prior)
            found["classes"] = own.at_most(buys)
        return found

    def _curves(self, asked: Examples) -> TimeToEvent:
        curve: TimeToEvent = self.models["purchase"].predict(asked, in_sample=True)
        if "orders" not in self.models:
            return curve
        count: TimeToEvent = self.models["orders"].predict(asked, in_sample=True)
        return TimeToEvent.of(asked.keys, curve.grid_days, curve.survival, count.mean_count, curve.model, prior=curve.prior)


def asked_about(history: History, as_of: int | str | None = None, users: Iterable[str] | None = None) -> Keys:
    """Return the keys of the users named (all people known, by default) as of a moment (the log's end, by default).

    Raises
    ------
    NotEnoughDataError
        When nobody was known by then.
    """
    keys = history.keys(users, as_of)
    if users is None:
        keys = keys.take(np.flatnonzero(people(history.before(keys))))
    if not len(keys):
        moment = history.clock.show(history.end if as_of is None else history.clock.instant(as_of))
        raise NotEnoughDataError(f"Nobody was known by {moment}.", "A forecast needs somebody to speak about.", "Ask as of a later date.")
    return keys


def _multiplied(classes: Classes, given: Floats, buys: Floats, prior: Bools) -> Classes:
    """Return the chances as P(buys) x P(class, given that she buys); strangers keep their prior."""
    return replace(classes, chance=np.where(prior[:, None], classes.chance, buys[:, None] * given))


def without_closed_days(curves: TimeToEvent, closed: tuple[int, ...], clock: Clock) -> TimeToEvent:
    """Return the curves with no hazard and no orders on closed days: every bin keeps the share of both that falls on open time."""
    edges = curves.keys.cutoff[:, None] / DAY + np.concatenate([[0.0], curves.grid_days])[None, :]
    shut = np.zeros(curves.survival.shape)
    for start, end in zip(*(clock.midnights(np.array(closed, np.int64) + later) / DAY for later in (0, 1)), strict=True):
        shut += np.maximum(np.minimum(edges[:, 1:], end) - np.maximum(edges[:, :-1], start), 0.0)
    share = np.clip(1.0 - shut / np.diff(edges, axis=1), 0.0, 1.0)
    start = np.zeros((len(curves), 1))
    hazard = np.diff(np.hstack([start, -np.log(np.maximum(curves.survival, 1e-300))]), axis=1) * share
    count = np.diff(np.hstack([start, curves.mean_count]), axis=1) * share
    survival = np.exp(-np.cumsum(hazard, axis=1))
    return TimeToEvent.of(curves.keys, curves.grid_days, survival, np.cumsum(count, axis=1), curves.model, prior=curves.prior)


def _after_silence(curves: TimeToEvent, keys: Keys, silence: Floats, *, in_sample: bool) -> TimeToEvent:
    later = curves.after_silence(silence) if silence.any() else curves
    return TimeToEvent(keys, later.grid_days, later.survival, later.mean_count, later.model, later.prior, in_sample)


def _joined(keys: Keys, parts: list[Forecast]) -> Forecast:
    """Return the forecasts of consecutive chunks as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, TimeToEvent):
        curves = [part for part in parts if isinstance(part, TimeToEvent)]
        survival, count = (np.concatenate([getattr(part, name) for part in curves]) for name in ("survival", "mean_count"))
        prior = None if first.prior is None else np.concatenate([part.prior for part in curves if part.prior is not None])
        return TimeToEvent(keys, first.grid_days, survival, count, first.model, prior, first.in_sample)
    rows = {name: [getattr(part, name) for part in parts] for name in _PER_KEY if hasattr(first, name)}
    whole: Any = replace(cast("Any", first), keys=keys, **{name: _stacked(found) for name, found in rows.items()})
    joined: Forecast = whole
    return joined


def _stacked(parts: list[Any]) -> Any:
    return None if parts[0] is None else np.concatenate(parts)


_PER_KEY: Final = ("mean", "quantiles", "chance", "prior", "dispersion", "days")
"""The parts of a forecast that have a row per key."""
TYPES: Final = {kind.__name__: kind for kind in (Choice, Forecaster)}
