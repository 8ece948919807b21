"""Backtest: stand at past moments, forecast with what was known then, and compare with what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from whenbuy.core.arrays import Instants
from whenbuy.core.examples import Labels
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.core.question import Question
from whenbuy.evaluate.scores import Comparison, compare
from whenbuy.features import Feature, Features
from whenbuy.pipeline.build import people_at
from whenbuy.pipeline.catalogue import floors
from whenbuy.pipeline.forecaster import Forecaster
from whenbuy.pipeline.learn import HORIZONS, Say, fit, silent
from whenbuy.pipeline.split import rolling_origin
from whenbuy.questions import NextAmount, NextPurchase, OrderCount

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
        Every score of both, with the paired bootstrap interval of the difference over users.
    forecaster
        What forecast: learned once, from what was known at the first cutoff.
    cutoffs
        The moments of the forecasts; the windows of all of them have closed.
    """

    ours: Outlook
    floor: Outlook
    labels: dict[str, Labels]
    comparison: Comparison
    forecaster: Forecaster
    cutoffs: tuple[int, ...]

    def calibration(self) -> pl.DataFrame:
        """Return how often people bought of whom a chance was promised: horizon, mean_probability, share_bought, n; a row per bucket."""
        label, rows = self.labels["purchase"], []
        for days in self.ours.horizons:
            chance, came = self.ours.purchase.probability(days), label.observed & (label.value < days)
            for bucket in np.array_split(np.argsort(chance, kind="stable"), min(BUCKETS, len(chance))):
                rows.append((days, float(chance[bucket].mean()), float(came[bucket].mean()), len(bucket)))
        return pl.DataFrame(rows, ["horizon", "mean_probability", "share_bought", "n"], orient="row")


def backtest(
    history: History,
    as_of: int | str | None = None,
    *,
    weeks: int = 8,
    horizons: Sequence[float] = HORIZONS,
    features: Features | None = None,
    further: Sequence[Feature] = (),
    seed: int = 0,
    closed: Sequence[date] = (),
    rounds: int = 500,
    say: Say = silent,
) -> Backtest:
    """Return the forecasts at the last ``weeks`` weekly cutoffs whose windows have closed by a moment (the log's end, by default).

    The models learn once, from what was known at the first of these cutoffs; features are as of each cutoff.

    Raises
    ------
    NotEnoughDataError
        When the log is too short to have a closed window before and after any cutoff.
    """
    known = history if as_of is None else history.cut(history.clock.instant(as_of))
    longest = max(horizons)
    origins = rolling_origin(known.log.start, known.end, longest, known.clock, weeks, lateness_days=known.lateness_days)
    cutoffs: Instants = np.array([origin.cutoff for origin in origins], np.int64)
    ours = fit(known, int(cutoffs[0]), horizons=horizons, features=features, further=further, seed=seed, closed=closed, say=say)
    floor = fit(known, int(cutoffs[0]), horizons=horizons, features=ours.features, seed=seed, closed=closed, candidates=floors)
    keys = people_at(known, cutoffs)
    say(f"scoring {len(keys):,} forecasts at {len(cutoffs)} cutoffs")
    past, future = known.before(keys), known.within(keys, longest)
    asked: list[Question] = [NextPurchase(longest), OrderCount(longest), *([NextAmount(longest)] if "amount" in ours.models else [])]
    labels = {question.name: question.label(past, future) for question in asked}
    answers = ours.answer(known, keys), floor.answer(known, keys)
    return Backtest(*answers, labels, compare(*answers, labels, rounds=rounds, seed=seed), ours, tuple(cutoffs.tolist()))
