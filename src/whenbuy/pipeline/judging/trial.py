"""A trial: people at past moments whose windows have closed, with what came true of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import Bools, Ints
from whenbuy.core.examples import Labels
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.question import Question
from whenbuy.evaluate.answers import measures_of
from whenbuy.evaluate.measure import Measure
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.build import people_at
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.split import rolling_origin, spread
from whenbuy.questions import NextPurchase, OrderCount

Learn = Callable[[History, int], Forecaster]
"""Learns from what a history knew before an instant: ``fit`` with its settings."""
ROWS = 200_000
"""Forecasts above this number are thinned by leaving out users: an interval hardly becomes narrower by more."""
WEEKS = 8
"""Weekly cutoffs of a trial."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Who is forecast as of when, and what came.

    Parameters
    ----------
    history
        What is known by now.
    cutoffs
        The moments of the forecasts, rising, a week apart; the windows of all of them have closed.
    horizon_days
        How far the windows reach.
    keys
        Everybody known before each cutoff (n), thinned by whole users where there are many.
    """

    history: History
    cutoffs: tuple[int, ...]
    horizon_days: float
    keys: Keys

    @classmethod
    def of(
        cls, history: History, as_of: int | str | None = None, *, weeks: int = WEEKS, horizon_days: float = 28.0, seed: int = 0
    ) -> Trial:
        """Return the trial of the last weekly cutoffs whose windows have closed by a moment (the log's end, by default).

        Parameters
        ----------
        weeks
            How many cutoffs; a short log has fewer.
        seed
            Decides who is left out where there are too many.

        Raises
        ------
        NotEnoughDataError
            When no cutoff has a closed window before and after it.
        """
        known = history if as_of is None else history.cut(history.clock.instant(as_of))
        origins = rolling_origin(known.log.start, known.end, horizon_days, known.clock, weeks, lateness_days=known.lateness_days)
        cutoffs = np.array([origin.cutoff for origin in origins], np.int64)
        keys = people_at(known, cutoffs)
        if len(keys) > ROWS:
            stays = spread(known.log.users.ids, seed) < ROWS / len(keys)
            keys = keys.take(np.flatnonzero(stays[keys.code]))
        return cls(known, tuple(cutoffs.tolist()), horizon_days, keys)

    def labels(self, *forecasters: Forecaster, table: Mapping[str, Answer] = ANSWERS) -> dict[str, Labels]:
        """Return what came true (n), by question: all that is asked of every one of these forecasters (see ``asked``)."""
        past, future = self.history.before(self.keys), self.history.within(self.keys, self.horizon_days)
        found = {}
        for question in asked(self.horizon_days, *forecasters, table=table):
            whole = question.horizon_days == self.horizon_days
            found[question.name] = question.label(past, future if whole else self.history.within(self.keys, question.horizon_days))
        return found

    def at(self, cutoff: int) -> Ints:
        """Return the rows of one cutoff."""
        return np.flatnonzero(self.keys.cutoff == cutoff).astype(np.int64)

    def measured(
        self, forecaster: Forecaster, known: History, labels: dict[str, Labels], names: Collection[str], rows: Ints | None = None
    ) -> list[Measure]:
        """Return the measures of what a forecaster answers about some of the rows (all, by default).

        Parameters
        ----------
        known
            What it is told: the trial's own history, or one in which events are missing or wrong.
        labels
            What came true of all rows.
        names
            The names of the measures wanted; all where there are none.
        """
        rows = np.arange(len(self.keys)) if rows is None else rows
        outlook = forecaster.answer(known, self.keys.take(rows))
        return measures_of(outlook, {name: label.take(rows) for name, label in labels.items()}, names=names)

    @property
    def users(self) -> Ints:
        """The user of each row (n), for the bootstrap."""
        return self.keys.code.astype(np.int64)


def only(history: History, users: Bools) -> History:
    """Return the history of some of the users (users); events of nobody stay, and so does every name."""
    log = history.log
    keep = np.repeat(np.append(users, True), np.diff(np.append(log.offsets, len(log))))
    return replace(history, log=log.take(np.flatnonzero(keep)))


def asked(horizon_days: float, *forecasters: Forecaster, table: Mapping[str, Answer] = ANSWERS) -> tuple[Question, ...]:
    """Return the questions by which forecasters are judged: the next purchase and the orders always, and what else all of them answer.

    An answer that looks over one window is judged over that window, where it is not longer than ``horizon_days`` and the same for all of
    them; classes where all answer about the same ones. ``table`` holds the answers there are.
    """
    first = forecasters[0]
    questions: list[Question] = [NextPurchase(horizon_days), OrderCount(horizon_days)]
    for name in first.answers:
        days = first.windows.get(name, horizon_days)
        alike = all(name in one.answers and one.windows.get(name, horizon_days) == days for one in forecasters)
        if name in ("purchase", "orders") or name not in table or not alike or days > horizon_days:
            continue
        if all(one.classes_of(name) == first.classes_of(name) for one in forecasters):
            questions.append(table[name].question(days, first.classes_of(name)))
    return tuple(questions)


def headline(horizons: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the few scores that say how good a forecast is, where all of them would be too many to read or to compute."""
    middle, longest = sorted(horizons)[len(horizons) // 2], max(horizons)
    chance = tuple(f"{name}_{middle:g}d" for name in ("auc", "logloss", "ece", "bias"))
    amounts = tuple(f"{answer}_{name}" for answer in ("amount", "spend", "quantity") for name in ("rmse", "mae", "bias", "coverage_80"))
    others = ("redemption_auc", "redemption_logloss", "redemption_bias", "classes_logloss", "classes_precision_at_3", "classes_bias")
    return (*chance, f"ibs_{longest:g}d", f"mae_{longest:g}d", "coverage_80", "orders_rmse", "orders_bias", *amounts, *others)
