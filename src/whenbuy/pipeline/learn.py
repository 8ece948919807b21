"""Learn: try the candidates of every answer, keep what wins on validation, and learn it again on everything that is ripe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Instants
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.learner import Learner, Model
from whenbuy.core.question import Question
from whenbuy.features import Feature, Features, default_features
from whenbuy.pipeline.build import panel
from whenbuy.pipeline.catalogue import learners
from whenbuy.pipeline.forecaster import Choice, Forecaster
from whenbuy.pipeline.grid import Grid
from whenbuy.pipeline.split import Split, time_split
from whenbuy.questions import NextAmount, NextPurchase, OrderCount

HORIZONS = (7.0, 14.0, 28.0)
"""The horizons asked about unless the shop says otherwise, in days."""
ROWS = 1_000_000
"""Examples above this number are thinned by leaving out users: it bounds the time and the memory of a fit."""
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
    say: Say = silent,
) -> Forecaster:
    """Return what the history teaches up to a moment (its end, by default).

    Only what was known before the moment's local day is learned from. The candidates of the catalogue learn from the earlier cutoffs and
    are compared on the later ones; the best of every answer then learns again from all of them. ``features`` are by default those of the
    kinds and columns known by then, with the ``further`` ones of the shop; ``closed`` are the days on which it says that nobody can buy.
    Where no amount can be learned the answer goes without amounts, and a note says so.

    Raises
    ------
    NotEnoughDataError
        When nobody bought, or the log is too short for a single step.
    """
    plan = _plan(history, as_of, tuple(float(days) for days in sorted(horizons)), features, further, seed)
    train, valid = plan.parts()
    say(f"learning from {len(train):,} examples, choosing on {len(valid):,}")
    everything = plan.everything()
    models: dict[str, Model[Any]] = {}
    choices: list[Choice] = []
    notes = [*plan.notes]
    for answer in plan.answers:
        say(f"choosing the model of {answer}")
        tried = [_try(answer, learner, train, valid, plan) for learner in candidates(answer, plan.grid)]
        learner, winner = _best(tried)
        if learner is not None:
            models[answer] = learner.fit(everything)
        elif answer == "purchase":
            reasons = "; ".join(f"{choice.model}: {choice.note}" for _, choice in tried)
            raise NotEnoughDataError(
                f"No model of {answer} could learn.", reasons, "Give a longer log, or check which events are purchases."
            )
        notes += _warnings(answer, winner)
        choices += [replace(choice, chosen=choice is winner) for _, choice in tried]
    shut = tuple(sorted((day - date(1970, 1, 1)).days for day in closed))
    return Forecaster(plan.features, plan.horizons, models, tuple(choices), tuple(notes), plan.end, shut)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is learned from what: fixed before any model sees a row."""

    history: History
    features: Features
    horizons: tuple[float, ...]
    grid: Grid
    split: Split
    valid_days: float
    answers: tuple[str, ...]
    notes: tuple[str, ...]
    end: int
    seed: int

    @property
    def questions(self) -> tuple[Question, ...]:
        longest = max(self.horizons)
        asked: tuple[Question, ...] = (NextPurchase(longest), OrderCount(self.valid_days))
        return (*asked, NextAmount(longest)) if "amount" in self.answers else asked

    def parts(self) -> tuple[Examples, Examples]:
        """Return the examples to learn from, and the later ones on which candidates are compared.

        Choosing needs two parts of the split, not three: what is chosen is judged by a backtest, which stands further back.
        """
        split = self.split
        if split.shares is not None:
            both = self._panel(self.history, split.train)
            learns = split.rows(both.keys, "train")
            return both.take(np.flatnonzero(learns)), both.take(np.flatnonzero(~learns))
        boundary = split.censored_at("valid")
        return self._panel(self.history.cut(boundary), self._weekly(boundary)), self._panel(self.history, split.test)

    def everything(self) -> Examples:
        """Return the examples of all cutoffs, up to the last moment that may be learned from."""
        return self._panel(self.history, self._weekly(self.end))

    def _weekly(self, end: int) -> Instants:
        """Return the local midnights every week back from an instant, which is one of them, to the first event (rising).

        A log of less than four weeks is stepped through faster.
        """
        clock = self.history.clock
        last, first = clock.days(np.array([end, self.history.log.start], np.int64)).tolist()
        return clock.midnights(np.arange(last, first, -min(7, max(1, (last - first) // 4)), dtype=np.int64)[::-1])

    def _panel(self, history: History, cutoffs: Instants) -> Examples:
        return panel(history, self.features, cutoffs, self.questions, most=ROWS, seed=self.seed)


def _plan(
    history: History, as_of: int | str | None, horizons: tuple[float, ...], features: Features | None, further: Sequence[Feature], seed: int
) -> _Plan:
    clock = history.clock
    moment = history.end if as_of is None else min(clock.instant(as_of), history.end)
    end = int(clock.midnight_before(np.array([moment], np.int64))[0])
    known = history.cut(end)
    if not known.log.count("purchase"):
        raise NotEnoughDataError(
            f"The log holds {len(known.log):,} events before {clock.show(end)} and no purchase among them.",
            "At least one purchase is needed to learn when the next one comes.",
            "Say which events are purchases with --kind NAME=purchase, or ask as of a later date.",
        )
    days = (end - known.log.start) / DAY
    grid = Grid.of(known, horizons)
    valid_days = float(max(1, min(max(horizons), np.floor(days / 3.5))))
    split = time_split(known.log.start, end, valid_days, clock, lateness_days=history.lateness_days, seed=seed)
    notes = [split.reason] if split.reason else []
    if valid_days < max(horizons):
        notes.append(
            f"The log holds {days:.0f} days, too few to check a forecast of {max(horizons):g} days on later weeks: models were compared "
            f"over {valid_days:g} days, and the curves beyond that are carried on, not checked."
        )
    answers = ("purchase", "orders", "amount") if "amount" in known.log.columns else ("purchase", "orders")
    features = features or Features((*default_features(known.log).spec, *further))
    return _Plan(known, features, horizons, grid, split, valid_days, answers, tuple(notes), end, seed)


def _try(answer: str, learner: Learner[Any], train: Examples, valid: Examples, plan: _Plan) -> tuple[Learner[Any], Choice]:
    score = _SCORES[answer]
    try:
        forecast = learner.fit(train).predict(valid, in_sample=plan.split.shares is not None)  # other users at the same cutoffs
    except NotEnoughDataError as error:
        return learner, Choice(answer, learner.name, score[0], np.nan, note=str(error))
    return learner, Choice(answer, learner.name, score[0], score[1](forecast, valid, plan))


def _best(tried: Sequence[tuple[Learner[Any], Choice]]) -> tuple[Learner[Any], Choice] | tuple[None, None]:
    """Return the candidate with the lowest score; the first that could learn where none could be scored; none where none could learn."""
    able = [pair for pair in tried if not pair[1].note]
    return min(able, key=lambda pair: pair[1].value if np.isfinite(pair[1].value) else np.inf, default=(None, None))


def _warnings(answer: str, winner: Choice | None) -> list[str]:
    if winner is None:
        return [f"No model of the answer {answer!r} could learn, so the forecast goes without it."]
    if np.isfinite(winner.value):
        return []
    return [f"On later weeks there was nothing to compare models of the answer {answer!r} by: the simplest one answers."]


def _curve_loss(forecast: TimeToEvent, valid: Examples, plan: _Plan) -> float:
    """Return the mean over the horizons of the log-loss of the purchase probability, on the rows watched for the whole horizon."""
    label = valid.label("purchase")
    watched = (label.end - valid.keys.cutoff) / DAY
    losses = []
    for days in {*(days for days in plan.horizons if days < plan.valid_days), plan.valid_days}:
        seen = watched >= days
        if not seen.any():
            continue
        chance = np.clip(forecast.probability(days)[seen], 1e-6, 1 - 1e-6)
        came = (label.observed & (label.value < days))[seen]
        losses.append(float(-np.mean(np.where(came, np.log(chance), np.log1p(-chance)))))
    return float(np.mean(losses)) if losses else np.nan


def _count_loss(forecast: TimeToEvent, valid: Examples, plan: _Plan) -> float:
    """Return the root mean squared error of the expected orders, on the rows whose window has closed."""
    label = valid.label("orders")
    return _rmse(forecast.count_at(plan.valid_days)[label.observed], label.value[label.observed])


def _amount_loss(forecast: Amount, valid: Examples, plan: _Plan) -> float:
    """Return the root mean squared error of the expected amount of the next order, where one came."""
    del plan
    label = valid.label("amount")
    return _rmse(forecast.mean[label.observed], label.value[label.observed])


def _rmse(told: Floats, true: Floats) -> float:
    return float(np.sqrt(np.mean((told - true) ** 2))) if len(true) else np.nan


_SCORES: dict[str, tuple[str, Callable[[Any, Examples, _Plan], float]]] = {
    "purchase": ("log-loss, mean over the horizons", _curve_loss),
    "orders": ("root mean squared error of the count", _count_loss),
    "amount": ("root mean squared error of the next order's amount", _amount_loss),
}
