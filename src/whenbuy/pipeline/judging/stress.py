"""Stress: how much worse a forecast becomes when the log has faults, planted one at a time before the moment of the forecast."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from whenbuy.core.examples import Labels
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.answers import measures_of
from whenbuy.evaluate.measure import Measure, pooled
from whenbuy.evaluate.scores import duels
from whenbuy.pipeline.judging.harm import Harm, harms
from whenbuy.pipeline.judging.trial import Learn, Trial, headline
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import Say, silent


def stress(
    forecaster: Forecaster,
    trial: Trial,
    faults: Sequence[Harm] = (),
    *,
    learn: Learn | None = None,
    mend: Callable[[History], History] | None = None,
    names: Collection[str] = (),
    rounds: int = 200,
    seed: int = 0,
    say: Say = silent,
) -> pl.DataFrame:
    """Return the scores of forecasts from a harmed log beside those from the log as it is; what came true is read from the latter.

    Columns: ``harm``, ``level``, ``name`` of the score, ``clean`` and ``harmed`` (its values), ``difference`` (harmed minus clean; of a
    score that should be near its aim, of the distances to it) with its 95 % interval ``low`` to ``high`` by the paired bootstrap over
    users, and the ``verdict`` on the harmed log ("worse", "better" or "no clear difference"). Each fault is planted into everything known
    before each cutoff; people stay who they are, with whatever is left of them.

    Parameters
    ----------
    forecaster
        What forecasts; it learned from a clean log before the first cutoff.
    trial
        Who is forecast as of when; few cutoffs will do.
    faults
        The faults; by default all of ``harms`` that the log can have.
    learn
        Where it is given, a forecaster is also learned from the harmed log of the first cutoff, and its answers are judged instead.
    mend
        Where it is given, it cleans both logs before anybody forecasts from them, as reading would.
    names
        The names of the scores; those of the headline by default.
    rounds
        Resamples of the users.
    seed
        Where chance starts.
    """
    wanted, labels = names or headline(forecaster.horizons), trial.labels(forecaster.models)
    read = (lambda history: history) if mend is None else mend
    past = [trial.history.cut(cutoff) for cutoff in trial.cutoffs]
    users = np.concatenate([trial.keys.code[trial.at(cutoff)] for cutoff in trial.cutoffs]).astype(np.int64)
    clean = _pooled([_told(forecaster, trial, labels, place, read(known), wanted) for place, known in enumerate(past)])
    found = []
    for fault in faults or harms(trial.history.log):
        say(f"{fault.name}: {fault.level}")
        rng = np.random.default_rng(seed)
        harmed = [read(replace(known, log=fault(known.log, rng))) for known in past]
        answers = forecaster if learn is None else learn(harmed[0], trial.cutoffs[0])
        told = _pooled([_told(answers, trial, labels, place, known, wanted) for place, known in enumerate(harmed)])
        for duel in duels(told, clean, users, rounds, seed):
            numbers = duel.floor, duel.ours, duel.difference, duel.low, duel.high
            found.append((fault.name, fault.level, duel.name, *numbers, duel.verdict))
    return pl.DataFrame(found, _COLUMNS, orient="row").fill_nan(None)


_COLUMNS = {
    "harm": pl.String, "level": pl.String, "name": pl.String, "clean": pl.Float64, "harmed": pl.Float64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "verdict": pl.String,
}  # fmt: skip


def _told(
    forecaster: Forecaster, trial: Trial, labels: dict[str, Labels], place: int, known: History, names: Collection[str]
) -> tuple[list[Measure], int]:
    """Return the measures of the answers at one cutoff, from what is known then, and how many there are."""
    rows = trial.at(trial.cutoffs[place])
    outlook: Outlook = forecaster.answer(known, trial.keys.take(rows))
    return measures_of(outlook, {name: label.take(rows) for name, label in labels.items()}, names=names), len(rows)


def _pooled(parts: Sequence[tuple[list[Measure], int]]) -> list[Measure]:
    sizes = [size for _, size in parts]
    return [pooled(same, sizes) for same in zip(*(measures for measures, _ in parts), strict=True)]
