"""What a shop has learned: the chosen model of every answer, ready to be asked as of any later moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Classes, Forecast, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner, Model, refuse_leak
from whenbuy.core.outlook import Outlook
from whenbuy.features import ByClass, Features
from whenbuy.models.attribute_prior import AttributePrior
from whenbuy.pipeline.learning.build import examples
from whenbuy.questions.asked import people

CHUNK: Final = 50_000
"""How many users are answered at once: it bounds the memory."""


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
    """

    features: Features
    horizons: tuple[float, ...]
    models: Mapping[str, Model[Any]]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    known_until: int
    closed: tuple[int, ...] = ()
    blocks: Mapping[str, ByClass] = field(default_factory=dict)
    windows: Mapping[str, float] = field(default_factory=dict)
    learners: Mapping[str, Learner[Any]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    newcomers: AttributePrior | None = None

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
        keys = history.keys(users, as_of)
        if users is None:
            keys = keys.take(np.flatnonzero(people(history.before(keys))))
        if not len(keys):
            moment = history.clock.show(history.end if as_of is None else history.clock.instant(as_of))
            raise NotEnoughDataError(
                f"Nobody was known by {moment}.", "A forecast needs somebody to speak about.", "Ask as of a later date."
            )
        return self.answer(history, keys, in_sample=in_sample)

    def answer(self, history: History, keys: Keys, *, in_sample: bool = False) -> Outlook:
        """Return every answer for these keys, in their order."""
        refuse_leak(self.known_until, keys, in_sample=in_sample)
        parts = [self._answer(history, part, in_sample=in_sample) for part in (keys.chunks(CHUNK) if len(keys) else [keys])]
        return Outlook(keys, {name: _joined(keys, [part[name] for part in parts]) for name in parts[0]}, self.horizons, self.windows)

    def _answer(self, history: History, keys: Keys, *, in_sample: bool) -> dict[str, Forecast]:
        """Return the answers of one chunk.

        The curve is read out at the later of the user's last event and the start of the cutoff's day, then conditioned on the silence
        since: the same rule in batch, live and training (training cutoffs are midnights, where the silence is empty).
        """
        midnight, past = history.clock.midnight_before(keys.cutoff), history.before(keys)
        read_at = np.minimum(np.maximum(midnight, past.last_known() + 1), keys.cutoff)
        asked = examples(history, self.features, Keys(keys.entity, keys.code, read_at, keys.names), blocks=self.blocks)
        return self.after_silence(self.said(asked, past.attributes, history.clock), keys, in_sample=in_sample)

    def said(self, asked: Examples, attributes: Callable[[], pl.DataFrame], clock: Clock) -> Said:
        """Return what the models say as of the instants at which pasts are read, where nothing has happened since."""
        curves = self._curves(asked)
        if self.newcomers is not None and self.newcomers.factors:
            curves = self.newcomers.apply(curves, attributes())
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


_PER_KEY: Final = ("mean", "quantiles", "chance", "prior")
"""The parts of a forecast that have a row per key."""
TYPES: Final = {kind.__name__: kind for kind in (Choice, Forecaster)}
