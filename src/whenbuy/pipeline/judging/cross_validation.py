"""Cross-validation over users: how well a model speaks of people whom it has never seen."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.history import History
from whenbuy.evaluate.answers import measures_of
from whenbuy.evaluate.measure import Measure, pooled
from whenbuy.evaluate.scores import Scores, scored
from whenbuy.pipeline.judging.trial import Learn, Trial, headline, only
from whenbuy.pipeline.learning.learn import Say, fit, silent
from whenbuy.pipeline.learning.split import folds

ALL = "all"
"""The name of the row in which all folds stand together."""


def cross_validate(
    history: History,
    k: int = 5,
    as_of: int | str | None = None,
    *,
    learn: Learn = fit,
    weeks: int = 1,
    horizon_days: float = 28.0,
    names: Collection[str] = (),
    rounds: int = 500,
    seed: int = 0,
    say: Say = silent,
) -> pl.DataFrame:
    """Return the scores of k models, each on the fold of users that it did not learn from, and of all folds together.

    Columns: ``fold`` (1 … k, then "all"), ``n``, and those of ``Scores.frame()``. The models learn as of the first cutoff from the users of
    the other folds and are judged on their own fold's later weeks: nothing is learned from the people or the weeks that judge. "all" has
    the sums of every fold and the mean of the ranks' scores, with an interval over all users; each learns from less than everybody, so it
    is a little pessimistic.

    Parameters
    ----------
    history
        The log with its clock.
    k
        The number of folds.
    as_of
        The moment by which windows must have closed: the log's end, by default.
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
        Decides who is in which fold.

    Raises
    ------
    UsageError
        When there are fewer than two folds.
    NotEnoughDataError
        When the log is too short, or the other folds teach nothing.
    """
    trial = Trial.of(history, as_of, weeks=weeks, horizon_days=horizon_days, seed=seed)
    fold = folds(trial.history.log.users.ids, k, seed)
    parts: list[tuple[list[Measure], Ints]] = []
    frames = []
    for place in range(k):
        say(f"fold {place + 1} of {k}")
        forecaster = learn(only(trial.history, fold != place), trial.cutoffs[0])
        rows = np.flatnonzero(fold[trial.keys.code] == place)
        outlook = forecaster.answer(trial.history, trial.keys.take(rows))
        labels = {name: label.take(rows) for name, label in trial.labels(forecaster.models).items()}
        measures = measures_of(outlook, labels, names=names or headline(forecaster.horizons))
        parts.append((measures, trial.keys.code[rows].astype(np.int64)))
        frames.append(_rows(str(place + 1), measures, parts[-1][1], rounds, seed))
    by_name = [{measure.name: measure for measure in measures} for measures, _ in parts]
    shared = [name for name in by_name[0] if all(name in each for each in by_name)]
    whole = [pooled([each[name] for each in by_name], [len(code) for _, code in parts]) for name in shared]
    users = np.concatenate([code for _, code in parts])
    return pl.concat([*frames, _rows(ALL, whole, users, rounds, seed)])


def _rows(fold: str, measures: list[Measure], users: Ints, rounds: int, seed: int) -> pl.DataFrame:
    frame = Scores("", len(users), len(np.unique(users)), scored(measures, users, rounds, seed)).frame()
    return frame.select(pl.lit(fold).alias("fold"), pl.lit(len(users), pl.Int64).alias("n"), pl.all())
