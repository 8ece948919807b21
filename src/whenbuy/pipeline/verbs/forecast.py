"""Forecast demand and other series: what `whenbuy forecast` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import ColumnError, NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity
from whenbuy.core.series_forecast import NAMED, SeriesForecast
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.nodes import UNNAMED
from whenbuy.pipeline.demand.panels import Closed, Measure, Step
from whenbuy.pipeline.demand.reconcile import Demand, demand
from whenbuy.pipeline.demand.series import Outcome, forecast_series
from whenbuy.pipeline.demand.trend import hot
from whenbuy.pipeline.demand.why import words
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count, percent
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15
_HOT: Final = 5
_EXPLAINED: Final = 3
"""Of so many of the largest it is said who will buy them."""


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
    customers
        Whether what the customers' curves let expect is joined with the series.
    """

    entity: Entity = "category"
    names: tuple[str, ...] = ()
    days: int = 28
    step: Step = "day"
    measure: Measure = "demand"
    models: tuple[str, ...] = ()
    budget_s: float = 60.0
    customers: bool = False

    def __post_init__(self) -> None:
        if self.customers and (self.measure != "demand" or self.models or self.entity == "campaign"):
            raise UsageError(
                "The customers were to be asked about something else than the demand for items, categories or the shop.",
                "Their curves say how many orders come, and what is in them.",
                "Leave out --measure, --models and --campaign, or --customers.",
            )


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
    calendar = Closed.of(settings.calendar)
    if asked.customers:
        return _joined(shop, history, instant, asked, calendar, out, say)
    say(f"trying models of {asked.measure} on earlier weeks")
    found = forecast_series(
        history, told_of(asked.entity, history.log.columns, asked.names), asked.days, asked.step, instant, measure=asked.measure,
        names=asked.names or None, days=calendar, dear=asked.models, budget_s=asked.budget_s, seed=settings.shop.seed,
    )  # fmt: skip
    told, stands = found.forecast, history.clock.show(history.end if instant is None else instant)
    facts = {
        "as_of": stands, "measure": asked.measure, "series": len(told), "days": told.horizon_days, "step_days": told.step_days,
        "backtest": found.backtest.to_dicts(), "file": None if out is None else str(out),
    }  # fmt: skip
    frame = told.frame()
    after = strangers(told)
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*after, f"{len(frame):,} rows as of {stands} are in {out}"))
    return Result(facts, frame, "forecasts", _screens(found, stands), after=after)


def _joined(shop: Shop, history: History, instant: int | None, asked: Asked, calendar: Closed, out: Path | None, say: Say) -> Result:
    """Forecast demand from the series and from the customers at once: it adds up, and says who is behind it."""
    entity = told_of(asked.entity, history.log.columns, asked.names)
    if entity != "shop" and NAMED[entity] not in history.log.columns:
        raise ColumnError(f"The log has no {NAMED[entity]}.", f"Demand is told by {entity}.", "Ask with --shop-total.")
    if entity != "shop":
        names = history.log.columns[NAMED[entity]].dictionary
        _refuse_absent(entity, asked.names, [UNNAMED] if names is None else [UNNAMED, *names.ids.to_list()])
    cutoff = history.end if instant is None else instant
    forecaster = champion.customers(shop, cutoff, say)
    say("telling the demand of the series and of the customers")
    told = demand(history, forecaster, entity, asked.days, asked.step, cutoff, days=calendar)
    name, level = NAMED[entity], told.of(entity)
    frame, totals = told.frame(entity), level.totals().sort("mean", descending=True, maintain_order=True)
    if asked.names:
        _refuse_absent(entity, asked.names, totals[name])
        frame, totals = (table.filter(pl.col(name).is_in(asked.names)) for table in (frame, totals))
    units = _units(told, entity)
    why = () if told.groups is None else tuple(words(told, entity, one) for one in totals[name].head(_EXPLAINED).to_list())
    stands = history.clock.show(cutoff)
    facts = {
        "as_of": stands, "measure": "demand", "series": len(totals), "days": level.horizon_days, "step_days": level.step_days,
        "backtest": told.scores.to_dicts(), "why": list(why), "file": None if out is None else str(out),
    }  # fmt: skip
    if out is not None:
        write_frame(frame, out)
        return Result(facts, after=(*why, *told.notes, f"{len(frame):,} rows as of {stands} are in {out}"))
    rows = tuple(
        (row[name][:40], count(row["mean"]), f"{count(row['low'])} – {count(row['high'])}", f"{units[row[name]]:,}")
        for row in totals.head(_LISTED).iter_rows(named=True)
    )
    more = () if len(totals) <= _LISTED else (f"The largest {_LISTED} of {len(totals):,}; --out or a pipe gets all, step by step.",)
    title = f"Demand of the next {level.horizon_days} days as of {stands}, from the series and from the customers:"
    below = ("Units: whole ones; those of items add up to those of their category, and these to the shop's.", *more)
    return Result(
        facts, frame, "forecasts", (Screen(title, (entity, "expected>", "80 % range>", "units>"), rows, below),), after=(*why, *told.notes)
    )


def _refuse_absent(entity: Entity, names: Sequence[str], known: Iterable[str]) -> None:
    """Refuse names that are not known: before what costs time by the log's, and after it by those that were known at the cutoff."""
    found = set(known)
    absent = [one for one in names if one not in found]
    if absent:
        raise NotFoundError(
            f"The log knows of no {entity} {', '.join(absent)}.", "Customers buy what the log knows.", "Look for its name."
        )  # fmt: skip


def _units(told: Demand, entity: Entity) -> dict[str, int]:
    """Return the whole units of each series over all steps."""
    units = told.units[told.nodes.rows[entity]].sum(axis=1).tolist()
    return dict(zip(told.of(entity).keys.ids().to_list(), units, strict=True))


def told_of(entity: Entity, columns: Collection[str], names: Sequence[str]) -> Entity:
    """Return the entity; the shop, where all categories were meant and the log has none."""
    return "shop" if entity == "category" and not names and "category" not in columns else entity


def strangers(told: SeriesForecast) -> tuple[str, ...]:
    """Return a line about series that never had anything before; nothing where there are none."""
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
    return (first, *warm_screen(hot(told, found.panel), name, _HOT), _backtest(found.backtest))


def warm_screen(warm: pl.DataFrame, name: str, most: int) -> tuple[Screen, ...]:
    """Return what may be hot within a week, of a table of ``hot``; nothing where nothing may."""
    rows = tuple(
        (row[name][:40], count(row["usual"]), count(row["expected"]), percent(row["chance"]).replace("\u202f", " "))
        for row in warm.filter(pl.col("chance") >= 0.1).head(most).iter_rows(named=True)
    )
    title = "May bring more than 1.5 times the usual within a week:"
    return (Screen(title, (name, "usual>", "expected>", "chance>"), rows),) if rows else ()


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
