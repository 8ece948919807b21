"""Cross-validation over users: how well a model speaks of people whom it has never seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.history import History
from whenbuy.evaluate.measure import Measure, pooled
from whenbuy.evaluate.scores import Scores, scored
from whenbuy.pipeline.judging.trial import Learn, Trial, headline, only
from whenbuy.pipeline.learning.learn import Say, fit, silent
from whenbuy.pipeline.learning.split import folds

ALL: Final = "all"
"""The name of the row in which all folds stand together."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The scores of models, each on the fold of users that it did not learn from.

    Parameters
    ----------
    folds
        Of each fold (k).
    whole
        Of all folds together: the sums of every fold and the mean of the ranks' scores, with an interval over all users. Each model learns
        from less than everybody, so this is a little pessimistic.
    """

    folds: tuple[Scores, ...]
    whole: Scores

    def frame(self) -> pl.DataFrame:
        """Return one row per fold and score: ``fold`` (1 … k, then "all"), ``n`` (forecasts), and the columns of ``Scores.frame()``."""
        named = [*((str(place + 1), scores) for place, scores in enumerate(self.folds)), (ALL, self.whole)]
        return pl.concat(
            scores.frame().select(pl.lit(name).alias("fold"), pl.lit(scores.keys, pl.Int64).alias("n"), pl.all()) for name, scores in named
        )

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


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
) -> CrossValidation:
    """Return the scores of k models, each on the fold of users that it did not learn from, and of all folds together.

    The models learn as of the first cutoff from the users of the other folds and are judged on their own fold's later weeks: nothing is
    learned from the people or the weeks that judge.

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
    for place in range(k):
        say(f"fold {place + 1} of {k}")
        forecaster = learn(only(trial.history, fold != place), trial.cutoffs[0])
        rows = np.flatnonzero(fold[trial.keys.code] == place)
        wanted = names or headline(forecaster.horizons)
        parts.append((trial.measured(forecaster, trial.history, trial.labels(forecaster), wanted, rows), trial.users[rows]))
    by_name = [{measure.name: measure for measure in measures} for measures, _ in parts]
    shared = [name for name in by_name[0] if all(name in each for each in by_name)]
    whole = [pooled([each[name] for each in by_name], [len(code) for _, code in parts]) for name in shared]
    each = tuple(_scores(measures, users, rounds, seed) for measures, users in parts)
    return CrossValidation(each, _scores(whole, np.concatenate([users for _, users in parts]), rounds, seed))


def _scores(measures: list[Measure], users: Ints, rounds: int, seed: int) -> Scores:
    return Scores("", len(users), len(np.unique(users)), scored(measures, users, rounds, seed))
