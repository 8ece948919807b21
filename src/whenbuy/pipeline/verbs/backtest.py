"""Score forecasts of past weeks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import UsageError
from whenbuy.core.history import History
from whenbuy.core.progress import part, stepwise
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.extending.contracts import check as check_extensions
from whenbuy.pipeline.extending.extensions import extensions
from whenbuy.pipeline.judging import backtest as backtesting
from whenbuy.pipeline.judging.backtest import Backtest
from whenbuy.pipeline.judging.cross_validation import cross_validate
from whenbuy.pipeline.judging.error_analysis import ErrorAnalysis, error_analysis
from whenbuy.pipeline.judging.trial import Learn
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.catalogue import learners
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.evidence import Evidence
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.figures import score_table, shown
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment
from whenbuy.pipeline.verbs.recording import Work, chosen, further, ours

WEEKS: Final = 8
"""How many weekly cutoffs are scored unless it is said."""
SEGMENTS: Final = ("customer", "orders", "recency", "amount", "category", "channel")
"""The segmentations that a log can have by itself."""
_LEARNING: Final = 0.85
"""The share of a backtest's work that is learning."""


def judged(folder: Path | None, as_of: str | None, *, weeks: int | None, folds: int | None, by: str | None, say: Say) -> Result:
    """Score forecasts of the last weeks: plainly, by segment, or by folds of customers.

    Raises
    ------
    UsageError
        When both ways to look closer are asked for, or the segmentation does not exist.
    """
    if folds is not None:
        if by is not None:
            raise UsageError(
                f"--folds {folds} and --by {by} were asked for together.", "One of them is done at a time.", "Run it twice, once with each."
            )
        return crossed(folder, as_of, folds, weeks or 1, say)
    return scored_shop(folder, as_of, weeks or WEEKS, say, by=by)[0]


def scored_shop(
    folder: Path | None, as_of: str | None, weeks: int, say: Say, *, by: str | None = None, candidates: learn.Candidates = learners
) -> tuple[Result, Forecaster]:  # fmt: skip
    """Return what a backtest of these candidates says, by the segments of ``by`` too where it is given, and the model that was scored.

    The scores are kept for the report.
    """
    shop = find_shop(folder)
    with shop.writing():
        work = _work(shop, "backtest", {"weeks": weeks})
        settings, history = work.settings, work.history
        if by is not None:
            _require_segment(history, by)
        own = extensions(shop.folder)
        check_extensions(own, history)
        found = backtesting.backtest(
            history, moment(history, as_of, say), weeks=weeks, horizons=settings.shop.horizons, further=(*further(settings), *own.features),
            seed=work.seed, closed=settings.calendar.closed, ask=settings.shop.ask, table=own.table,
            candidates=own.candidates if own.learners else candidates, say=part(say, 0, _LEARNING),
        )  # fmt: skip
        duels = shown(found.comparison, found.ours.horizons)
        table = score_table(found.comparison, [duel.name for duel in duels])
        say("judging by week and by segment")
        Evidence.of(found).write(shop.reports)
        run = work.record(ours(found.comparison.rows), found.cutoffs, chosen(found.forecaster))
    facts = {
        "cutoffs": [history.clock.show(cutoff) for cutoff in found.cutoffs], "forecasts": len(found.ours), "floor": found.comparison.floor,
        "chosen": chosen(found.forecaster), "run": run.id, "notes": list(found.forecaster.notes),
    }  # fmt: skip
    title = f"{len(found.ours):,} forecasts as of {span(history, found.cutoffs)}, against what came:"
    page = screen.scores(duels, title, found.comparison.floor)
    result = Result(facts, table, "scores", (page,), after=found.forecaster.notes)
    return (result if by is None else _by(result, found, by, say)), found.forecaster


def crossed(folder: Path | None, as_of: str | None, folds: int, weeks: int, say: Say) -> Result:
    """Return the scores of models that each speak of customers whom they have never seen."""
    shop = find_shop(folder)
    with shop.writing():
        work = _work(shop, f"backtest --folds {folds}", {"weeks": weeks})
        history, horizons = work.history, work.settings.shop.horizons
        found = cross_validate(
            history, folds, moment(history, as_of, say), learn=learning(work), weeks=weeks, horizon_days=max(horizons), seed=work.seed,
            say=stepwise(say, (0, *(1,) * folds)),
        )  # fmt: skip
        run = work.record(found.whole.values(), ())
    folded = [fold.values() for fold in found.folds]
    rows = tuple(
        (one.name, *(screen.number(value, 4) for value in (one.value, one.low, one.high)), _spread(one.name, folded))
        for one in found.whole.rows
    )
    page = Screen(
        f"{found.whole.keys:,} forecasts for {found.whole.users:,} customers, each by a model that never saw them:",
        ("score", "all>", "low>", "high>", f"{folds} folds>"), rows,
        ("Low and high: the 95 % interval over customers. Folds: the lowest and the highest.",),
    )  # fmt: skip
    return Result({"folds": folds, "weeks": weeks, "forecasts": found.whole.keys, "run": run.id}, found.frame(), "scores", (page,))


def learning(work: Work) -> Learn:
    """Return how this shop learns, for verbs that learn often; they say themselves how far they are."""
    settings = work.settings
    return partial(
        learn.fit, horizons=settings.shop.horizons, further=further(settings), seed=work.seed, closed=settings.calendar.closed
    )  # fmt: skip


def span(history: History, cutoffs: tuple[int, ...]) -> str:
    """Return moments in words."""
    first, last = (history.clock.show(cutoff) for cutoff in (cutoffs[0], cutoffs[-1]))
    return first if len(cutoffs) == 1 else f"{len(cutoffs)} weekly cutoffs, {first} to {last}"


def _work(shop: Shop, verb: str, options: dict[str, Any]) -> Work:
    settings = shop.settings(RULES)
    return Work(verb, shop, settings, open_log(shop.log, verify=True), settings.shop.seed, options)


def _spread(name: str, folds: list[dict[str, tuple[float, float, float]]]) -> str:
    values = [fold[name][0] for fold in folds if name in fold]
    return f"{screen.number(min(values), 4)} … {screen.number(max(values), 4)}" if values else ""


# ----------------------------------------------------------------------------------------------------- by segment


def _require_segment(history: History, by: str) -> None:
    """Raise UsageError where a segmentation does not exist: asked before the work, not after it."""
    attributes = () if history.users is None else tuple(name for name in history.users.table.columns if name not in ("id", "valid_from"))
    columns = history.log.columns
    known = (*(name for name in SEGMENTS if name not in ("amount", "category", "channel") or name in columns), *attributes)
    if by not in known:
        raise UsageError(f"There is no segment {by!r} here.", f"There are: {', '.join(known)}.", "Name one of them with --by.")


def _by(result: Result, found: Backtest, by: str, say: Say) -> Result:
    """Return what a backtest says, with the scores of each segment and the groups for which it is wrong."""
    say(f"scoring by {by}")
    closer = error_analysis(found, attributes=() if by in SEGMENTS else (by,))
    table = closer.slices.filter(pl.col("by") == by)
    spots = closer.frame()
    facts = {**result.facts, "scores": result.plain()["scores"], "weak_spots": spots.select("of", "words", "n").to_dicts()}
    return Result(facts, table, "slices", (*result.screens, _slices(table, by), *_spots(closer)), after=result.after)


def _slices(table: pl.DataFrame, by: str) -> Screen:
    """Return the scores that a person looks at first, a row per segment."""
    names = list(dict.fromkeys(table["name"]))[:6]
    rows = []
    for (segment,), group in table.group_by(["segment"], maintain_order=True):
        scored = {row["name"]: row for row in group.iter_rows(named=True)}
        cells = [_slice(scored[name]) if name in scored else "" for name in names]
        rows.append((str(segment), f"{group['n'][0]:,}", *cells))
    return Screen(
        f"By {by}:", (by, "forecasts>", *(f"{name}>" for name in names)), tuple(rows), ("! worse than for everybody else, beyond doubt.",)
    )  # fmt: skip


def _slice(row: dict[str, Any]) -> str:
    return screen.number(row["value"], 4) + ("!" if row["verdict"] == "worse" else "")


def _spots(closer: ErrorAnalysis) -> tuple[Screen, ...]:
    found = []
    for one in closer.judged:
        if one.spots:
            said = tuple((spot.says(one.expected, one.found),) for spot in one.spots[:5])
            found.append(Screen(f"Where the {one.of} is off:", ("",), said))
    return tuple(found)
