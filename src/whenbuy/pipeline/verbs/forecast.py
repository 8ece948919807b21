"""Forecast demand and other series: what `whenbuy forecast` does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import UsageError
from whenbuy.core.keys import Entity
from whenbuy.core.series_forecast import NAMED, SeriesForecast
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.panels import Closed, Measure, Step
from whenbuy.pipeline.demand.series import Outcome, forecast_series
from whenbuy.pipeline.demand.trend import hot
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count, percent
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15
_HOT: Final = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be forecast.

    Parameters
    ----------
    entity
        "item", "category", "campaign" or "shop".
    names
        Which of them; all, where none is named.
    days
        How far ahead.
    step
        "day" or "week".
    measure
        What is counted.
    models
        Further families: of the library statsforecast, or "global LSTM".
    budget_s
        Processor seconds for them.
    """

    entity: Entity = "category"
    names: tuple[str, ...] = ()
    days: int = 28
    step: Step = "day"
    measure: Measure = "demand"
    models: tuple[str, ...] = ()
    budget_s: float = 60.0


def asked_of(
    items: Sequence[str], categories: Sequence[str], campaigns: Sequence[str], *, every: bool, total: bool
) -> tuple[Entity, tuple[str, ...]]:
    """Return which series were asked for: those named, all items, or the shop; all categories where nothing was said.

    Raises
    ------
    UsageError
        When different kinds of series were asked for at once.
    """
    named: tuple[tuple[Entity, Sequence[str]], ...] = (("item", items), ("category", categories), ("campaign", campaigns))
    told: list[tuple[Entity, tuple[str, ...]]] = [(entity, tuple(names)) for entity, names in named if names]
    if every:
        told.append(("item", ()))
    if total:
        told.append(("shop", ()))
    if len(told) > 1:
        raise UsageError(
            "Different kinds of series were asked for at once.",
            "One of --item, --category, --campaign, --all and --shop-total is answered.", "Run it once for each.",
        )  # fmt: skip
    return told[0] if told else ("category", ())


def forecast(folder: Path | None, as_of: str | None, asked: Asked, *, out: Path | None, say: Say) -> Result:
    """Forecast series of a shop; the backtest that chose their models stands beside them."""
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = moment(history, as_of, say)
    calendar = Closed(settings.calendar.closed, settings.calendar.holidays)
    say(f"trying models of {asked.measure} on earlier weeks")
    found = forecast_series(
        history, _told_of(asked.entity, history.log.columns, asked.names), asked.days, asked.step, instant, measure=asked.measure,
        names=asked.names or None, days=calendar, dear=asked.models, budget_s=asked.budget_s, seed=settings.shop.seed,
    )  # fmt: skip
    told, stands = found.forecast, history.clock.show(history.end if instant is None else instant)
    facts = {
        "as_of": stands, "measure": asked.measure, "series": len(told), "days": told.horizon_days, "step_days": told.step_days,
        "backtest": found.backtest.to_dicts(), "file": None if out is None else str(out),
    }  # fmt: skip
    frame = told.frame()
    after = _strangers(told)
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*after, f"{len(frame):,} rows as of {stands} are in {out}"))
    return Result(facts, frame, "forecasts", _screens(found, stands), after=after)


def _told_of(entity: Entity, columns: Collection[str], names: Sequence[str]) -> Entity:
    """Return the entity; the shop, where all categories were meant and the log has none."""
    return "shop" if entity == "category" and not names and "category" not in columns else entity


def _strangers(told: SeriesForecast) -> tuple[str, ...]:
    if told.prior is None or not told.prior.any():
        return ()
    n = int(told.prior.sum())
    return (f"{n:,} of the {len(told):,} series never had anything before: what is usual for newcomers, or nothing, answers.",)


def _screens(found: Outcome, stands: str) -> tuple[Screen, ...]:
    told = found.forecast
    totals = told.totals().sort("mean", descending=True, maintain_order=True)
    name, rows = NAMED[told.keys.entity], []
    for row in totals.head(_LISTED).iter_rows(named=True):
        wide = "–" if row["low"] is None else f"{count(row['low'])} – {count(row['high'])}"
        rows.append((row[name][:40], count(row["mean"]), wide, row["model"]))
    more = () if len(totals) <= _LISTED else (f"The largest {_LISTED} of {len(totals):,}; --out or a pipe gets all, step by step.",)
    title = f"{told.measure.capitalize()} of the next {told.horizon_days} days as of {stands}:"
    first = Screen(title, (told.keys.entity, "expected>", "80 % range>", "model"), tuple(rows), more)
    return (first, *_warm(found), _backtest(found.backtest))


def _warm(found: Outcome) -> tuple[Screen, ...]:
    """Return what may be hot within a week; nothing where nothing may."""
    likely = hot(found.forecast, found.panel).filter(pl.col("chance") >= 0.1).head(_HOT)
    if not len(likely):
        return ()
    name = NAMED[found.forecast.keys.entity]
    rows = tuple(
        (row[name][:40], count(row["usual"]), count(row["expected"]), _plain(row["chance"])) for row in likely.iter_rows(named=True)
    )
    return (Screen("May bring more than 1.5 times the usual within a week:", (name, "usual>", "expected>", "chance>"), rows),)


def _plain(chance: float) -> str:
    return percent(chance).replace("\u202f", " ")


def _backtest(table: pl.DataFrame) -> Screen:
    rows = tuple(
        (
            row["model"],
            "–" if row["error"] is None else f"{row['error']:.3f}",
            f"{row['series']:,}",
            f"{row['chosen']:,}",
            f"{row['seconds']:.2f}",
        )
        for row in table.iter_rows(named=True)
    )
    below = ("Error: the mean absolute error over that of the median model, mean over the series; seconds of the processor.",)
    return Screen("Models on earlier weeks, the best first:", ("model", "error>", "series>", "answers for>", "seconds>"), rows, below)
