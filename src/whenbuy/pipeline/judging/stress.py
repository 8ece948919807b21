"""Stress: how much worse a forecast becomes when the log has faults, planted one at a time before the moment of the forecast."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from whenbuy.core.history import History
from whenbuy.evaluate.measure import Measure, pooled
from whenbuy.evaluate.scores import Duel, duels
from whenbuy.pipeline.judging.harm import Harm, harms
from whenbuy.pipeline.judging.trial import Learn, Trial, headline
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import Say, silent


@dataclass(frozen=True, slots=True)
class Harmed:
    """What one fault does to a forecast: its scores with it (``ours``) beside those without it (``floor``)."""

    name: str
    level: str
    scores: tuple[Duel, ...]


@dataclass(frozen=True, slots=True)
class Stress:
    """How much worse a forecast becomes when the log has faults, one at a time."""

    faults: tuple[Harmed, ...]

    def frame(self) -> pl.DataFrame:
        """Return one row per fault and score.

        ``harm``, ``level``, ``name`` of the score, ``clean`` and ``harmed`` (its values), ``difference`` (harmed minus clean; of a score
        that should be near its aim, of the distances to it) with its 95 % interval ``low`` to ``high`` by the paired bootstrap over users,
        and the ``verdict`` on the harmed log ("worse", "better" or "no clear difference").
        """
        rows = [
            (fault.name, fault.level, duel.name, duel.floor, duel.ours, duel.difference, duel.low, duel.high, duel.verdict)
            for fault in self.faults
            for duel in fault.scores
        ]
        return pl.DataFrame(rows, _COLUMNS, orient="row").fill_nan(None)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


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
) -> Stress:
    """Return the scores of forecasts from a harmed log beside those from the log as it is; what came true is read from the latter.

    Each fault is planted into everything known before each cutoff; people stay who they are, with whatever is left of them.

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
    wanted = names or headline(forecaster.horizons)
    read = (lambda history: history) if mend is None else mend
    past = [trial.history.cut(cutoff) for cutoff in trial.cutoffs]
    users = np.concatenate([trial.users[trial.at(cutoff)] for cutoff in trial.cutoffs])
    clean = _told(trial, forecaster, [read(known) for known in past], wanted, forecaster)
    found = []
    for fault in faults or harms(trial.history.log):
        say(f"{fault.name}: {fault.level}")
        rng = np.random.default_rng(seed)
        harmed = [read(replace(known, log=fault(known.log, rng))) for known in past]
        answers = forecaster if learn is None else learn(harmed[0], trial.cutoffs[0])
        told = _told(trial, answers, harmed, wanted, forecaster)
        found.append(Harmed(fault.name, fault.level, duels(told, clean, users, rounds, seed)))
    return Stress(tuple(found))


_COLUMNS = {
    "harm": pl.String, "level": pl.String, "name": pl.String, "clean": pl.Float64, "harmed": pl.Float64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "verdict": pl.String,
}  # fmt: skip


def _told(trial: Trial, answers: Forecaster, known: Sequence[History], names: Collection[str], beside: Forecaster) -> list[Measure]:
    """Return the measures of the answers at every cutoff, from what is known then, as one set."""
    labels, rows = trial.labels(answers, beside), [trial.at(cutoff) for cutoff in trial.cutoffs]
    parts = [trial.measured(answers, history, labels, names, part) for history, part in zip(known, rows, strict=True)]
    sizes = [len(part) for part in rows]
    return [pooled(same, sizes) for same in zip(*parts, strict=True)]
