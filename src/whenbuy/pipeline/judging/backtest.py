"""Backtest: stand at past moments, forecast with what was known then, and compare with what came."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from whenbuy.core.examples import Labels
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.scores import Comparison, compare
from whenbuy.features import Feature, Features
from whenbuy.pipeline.judging.trial import WEEKS, Trial, headline
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.catalogue import learners
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import HORIZONS, Candidates, Say, learned, silent
from whenbuy.pipeline.learning.plan import plan

BUCKETS = 10
"""How many groups of equal size a calibration has."""


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """Forecasts of past weeks beside what came and beside the floor's.

    Parameters
    ----------
    ours, floor
        The outlooks of the chosen models and of the floor's, for the same keys.
    labels
        What came true, by question.
    comparison
        Every score of both over all cutoffs, with the paired bootstrap interval of the difference over users.
    forecaster
        What forecast: learned once, from what was known at the first cutoff.
    trial
        Who was forecast, and as of when; the windows of all cutoffs have closed.
    rounds, seed
        Of the bootstrap.
    """

    ours: Outlook
    floor: Outlook
    labels: dict[str, Labels]
    comparison: Comparison
    forecaster: Forecaster
    trial: Trial
    rounds: int = 500
    seed: int = 0

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The moments of the forecasts, rising."""
        return self.trial.cutoffs

    @property
    def headline(self) -> tuple[str, ...]:
        """The names of the few scores that say how good the forecast is."""
        return headline(self.ours.horizons)

    def by_cutoff(self, names: Collection[str] = ()) -> pl.DataFrame:
        """Return the scores at each cutoff, those of the headline by default: ``as_of``, ``n`` and the columns of a comparison.

        All answers are scored. A forecast that ages, or weeks that are unlike the others, show here. ``ours_low`` to ``ours_high`` is the
        95 % interval of our own score over resampled users, ``low`` to ``high`` that of the difference to the floor.
        """
        found = []
        for cutoff in self.cutoffs:
            rows = self.trial.at(cutoff)
            if len(rows):
                came = {name: label.take(rows) for name, label in self.labels.items()}
                pair = self.ours.take(rows), self.floor.take(rows)
                frame = compare(*pair, came, names=names or self.headline, rounds=self.rounds, seed=self.seed).frame()
                found.append(
                    frame.select(instants(np.full(len(frame), cutoff)).alias("as_of"), pl.lit(len(rows), pl.Int64).alias("n"), pl.all())
                )
        return pl.concat(found)

    def calibration(self) -> pl.DataFrame:
        """Return how often people bought of whom a chance was promised: horizon, mean_probability, share_bought, n; a row per bucket."""
        label, rows = self.labels["purchase"], []
        for days in self.ours.horizons:
            chance, came = self.ours.purchase.probability(days), label.observed & (label.value < days)
            for bucket in np.array_split(np.argsort(chance, kind="stable"), min(BUCKETS, len(chance))):
                rows.append((days, float(chance[bucket].mean()), float(came[bucket].mean()), len(bucket)))
        return pl.DataFrame(rows, ["horizon", "mean_probability", "share_bought", "n"], orient="row")


def backtest(  # noqa: PLR0913 - the settings of a fit among them
    history: History,
    as_of: int | str | None = None,
    *,
    weeks: int = WEEKS,
    horizons: Sequence[float] = HORIZONS,
    features: Features | None = None,
    further: Sequence[Feature] = (),
    seed: int = 0,
    closed: Sequence[date] = (),
    rounds: int = 500,
    ask: Collection[str] = (),
    table: Mapping[str, Answer] = ANSWERS,
    candidates: Candidates = learners,
    say: Say = silent,
) -> Backtest:
    """Return the forecasts at the last ``weeks`` weekly cutoffs whose windows have closed by a moment (the log's end, by default).

    The models learn once, from what was known at the first of these cutoffs; features are as of each cutoff. ``ask``,
    ``table`` and ``candidates`` say what is learned, as for ``fit`` and by default its own.

    Raises
    ------
    NotEnoughDataError
        When the log is too short to have a closed window before and after any cutoff.
    """
    trial = Trial.of(history, as_of, weeks=weeks, horizon_days=max(horizons), seed=seed)
    known, first = trial.history, trial.cutoffs[0]
    made = plan(known, first, horizons, features, further, seed, (), ask, table)
    ours, floor = learned(made, candidates, closed=closed, floor=True, say=say)
    say(f"scoring {len(trial.keys):,} forecasts at {len(trial.cutoffs)} cutoffs")
    labels = trial.labels(ours, table=table)
    answers = ours.answer(known, trial.keys), floor.answer(known, trial.keys)
    return Backtest(*answers, labels, compare(*answers, labels, rounds=rounds, seed=seed), ours, trial, rounds, seed)
