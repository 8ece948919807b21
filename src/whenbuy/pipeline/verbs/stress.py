"""Score forecasts from a log with planted faults."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.progress import part, stepwise
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.judging.harm import harms
from whenbuy.pipeline.judging.stress import stress as stressed
from whenbuy.pipeline.judging.trial import Trial, headline
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.backtest import span
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment
from whenbuy.pipeline.verbs.recording import Work, chosen, further

_LEARNING = 0.7
"""The share of the work that is learning."""


def stress(folder: Path | None, as_of: str | None, *, weeks: int, say: Say) -> Result:
    """Return how much worse the forecasts of the last weeks become with one fault in the log at a time.

    The models learned from the log as it is. The shop is not changed, but for the record of the run.
    """
    shop = find_shop(folder)
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        work = Work("stress", shop, settings, history, settings.shop.seed, {"weeks": weeks})
        trial = Trial.of(history, moment(history, as_of, say), weeks=weeks, horizon_days=max(settings.shop.horizons), seed=work.seed)
        forecaster = learn.fit(
            trial.history, trial.cutoffs[0], horizons=settings.shop.horizons, further=further(settings), seed=work.seed,
            closed=settings.calendar.closed, say=part(say, 0, _LEARNING),
        )  # fmt: skip
        faults = harms(trial.history.log)
        found = stressed(
            forecaster, trial, faults, seed=work.seed, say=part(stepwise(say, (0, *(1,) * len(faults))), _LEARNING, 1.0)
        )  # fmt: skip
        scores = {
            f"{fault.name} {fault.level}/{duel.name}": (duel.ours, duel.ours_low, duel.ours_high)
            for fault in found.faults
            for duel in fault.scores
        }
        run = work.record(scores, trial.cutoffs, chosen(forecaster))
    table, names = found.frame(), headline(forecaster.horizons)
    facts = {"cutoffs": [history.clock.show(cutoff) for cutoff in trial.cutoffs], "forecasts": len(trial.keys), "run": run.id}
    title = f"{len(trial.keys):,} forecasts as of {span(history, trial.cutoffs)}, from a log with one fault at a time:"
    return Result(facts, table, "scores", (_page(table, names, title),))


def _page(table: pl.DataFrame, names: tuple[str, ...], title: str) -> Screen:
    """Return the difference that each fault makes to the scores that a person looks at first."""
    shown = [name for name in (*names[:4], "orders_rmse", "amount_mae") if name in set(table["name"])]
    rows = []
    for (harm, level), group in table.group_by(["harm", "level"], maintain_order=True):
        scored = {row["name"]: row for row in group.iter_rows(named=True)}
        marks = {"worse": "!", "better": "+"}
        cells = [screen.signed(scored[name]["difference"], 4) + marks.get(scored[name]["verdict"], "") for name in shown]
        rows.append((str(harm), str(level), *cells))
    below = ("Differences to the forecasts from the log as it is. ! worse, + better, beyond doubt (95 % interval).",)
    return Screen(title, ("fault", "level", *(f"{name}>" for name in shown)), tuple(rows), below)
