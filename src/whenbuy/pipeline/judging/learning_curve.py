"""The learning curve: how much better a forecast becomes with more customers and with more weeks of history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.evaluate.scores import Duel, duels
from whenbuy.pipeline.judging.trial import Learn, Trial, headline, only
from whenbuy.pipeline.learning.learn import Say, fit, silent
from whenbuy.pipeline.learning.split import spread

SHARES = (0.1, 0.25, 0.5)
"""Shares of the users that are learned from, beside all of them."""
WEEKS = (8, 16, 32)
"""Weeks of history that are learned from, beside all of them."""


Of = Literal["users", "weeks"]


@dataclass(frozen=True, slots=True)
class Point:
    """A model that learned from less.

    Parameters
    ----------
    of
        Of what there was less.
    size
        How many of them it learned from.
    scores
        Its scores (``ours``) beside those of the model that learned from everything (``floor``); none where it could not learn.
    note
        Why it could not.
    """

    of: Of
    size: int
    scores: tuple[Duel, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Models that learned from less, beside the one that learned from everything, all judged on the same forecasts."""

    points: tuple[Point, ...]

    def frame(self) -> pl.DataFrame:
        """Return one row per point and score.

        ``of`` ("users" or "weeks"), ``size`` (how many were learned from), ``name`` of the score, its ``value`` with the 95 % interval
        ``low`` to ``high``, its value with ``everything``, the ``difference`` with ``difference_low`` and ``difference_high`` by the paired
        bootstrap over users, the ``verdict`` ("worse": more data still helps) and a ``note`` where nothing could be learned.
        """
        rows: list[tuple[object, ...]] = []
        for point in self.points:
            for duel in point.scores:
                numbers = duel.ours, duel.ours_low, duel.ours_high, duel.floor, duel.difference, duel.low, duel.high
                rows.append((point.of, point.size, duel.name, *numbers, duel.verdict, duel.note))
            if not point.scores:
                rows.append((point.of, point.size, *(None,) * 9, point.note))
        return pl.DataFrame(rows, _COLUMNS, orient="row").fill_nan(None)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


def learning_curve(
    history: History,
    as_of: int | str | None = None,
    *,
    shares: Sequence[float] = SHARES,
    history_weeks: Sequence[int] = WEEKS,
    learn: Learn = fit,
    weeks: int = 4,
    horizon_days: float = 28.0,
    names: Collection[str] = (),
    rounds: int = 500,
    seed: int = 0,
    say: Say = silent,
) -> LearningCurve:
    """Return the scores of models that learned from less, beside those of the model that learned from everything.

    Fewer users are nested in more; with fewer weeks the older events are known to nobody, features included.

    Parameters
    ----------
    history
        The log with its clock.
    as_of
        The moment by which windows must have closed: the log's end, by default.
    shares
        Shares of the users, strictly between 0 and 1.
    history_weeks
        Weeks before the first cutoff; those that reach beyond the log's start are left out.
    learn
        How to learn.
    weeks
        How many weekly cutoffs judge.
    horizon_days
        The longest horizon asked about.
    names
        The names of the scores; those of the headline by default.
    rounds
        Resamples of the users.
    seed
        Decides which users are learned from.

    Raises
    ------
    NotEnoughDataError
        When the log is too short for a forecast that can be judged.
    """
    if not all(0 < share < 1 for share in shares) or not all(count >= 1 for count in history_weeks):
        raise UsageError(
            f"Shares {list(shares)} and weeks {list(history_weeks)} were asked for.",
            "Shares lie between 0 and 1, weeks are 1 or more.",
            "Give such.",
        )
    trial = Trial.of(history, as_of, weeks=weeks, horizon_days=horizon_days, seed=seed)
    known, first = trial.history, trial.cutoffs[0]
    say("learning from everything")
    forecaster = learn(known, first)
    wanted = names or headline(forecaster.horizons)
    best, points = trial.measured(forecaster, known, trial.labels(forecaster), wanted), list[Point]()
    for of, size, less, seen in _smaller(known, first, sorted(shares), sorted(history_weeks), seed):
        say(f"learning from {size:,} {of}")
        try:
            model = learn(less, first)
        except NotEnoughDataError as error:
            points.append(Point(of, size, note=str(error)))
            continue
        told = trial.measured(model, seen, trial.labels(model, forecaster), wanted)
        points.append(Point(of, size, duels(told, best, trial.users, rounds, seed)))
    return LearningCurve(tuple(points))


def _smaller(
    known: History, first: int, shares: Sequence[float], weeks: Sequence[int], seed: int
) -> Iterator[tuple[Of, int, History, History]]:
    """Yield what is learned from, how large it is, that history, and what is known when its model forecasts."""
    place = spread(known.log.users.ids, seed)
    for share in shares:
        users = place < share
        yield "users", int(users.sum()), only(known, users), known
    for count in weeks:
        since = first - round(7 * count * DAY)
        if since > known.log.start:
            recent = replace(known, log=known.log.take(np.flatnonzero(known.log.known_at >= since)))
            yield "weeks", count, recent, recent


_COLUMNS = {
    "of": pl.String, "size": pl.Int64, "name": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "everything": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "verdict": pl.String,
    "note": pl.String,
}  # fmt: skip
