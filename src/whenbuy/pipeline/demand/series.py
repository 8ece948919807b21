"""Forecasts of series: from a history to what is expected in each of the next days or weeks, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity, Keys
from whenbuy.core.panel import Panel
from whenbuy.core.series_forecast import LEVELS, SeriesForecast
from whenbuy.models.series.bands import bands
from whenbuy.models.series.newcomers import newcomers
from whenbuy.pipeline.demand.choose import choose, families, origins_of, truth
from whenbuy.pipeline.demand.panels import ORDINARY, STEPS, Closed, Measure, Step, near_holidays, panel

MOST_DAYS: Final = 731
"""A horizon of more days than these is refused: nothing is known that far."""
_PAST_DAYS: Final = 84
"""So much of the past stands in the picture."""
_PRIOR: Final = "newcomers"
"""Who answers for what was never seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A forecast of series with what it rests on.

    Parameters
    ----------
    forecast
        What is expected.
    backtest
        One row per model: how it did on earlier weeks, for how many series it answers, and what it cost (see ``choose.Chosen``).
    panel
        The series from which it was made.
    """

    forecast: SeriesForecast
    backtest: pl.DataFrame
    panel: Panel


def series_forecast(
    history: History,
    entity: Entity = "category",
    horizon_days: int = 28,
    step: Step = "day",
    as_of: int | str | None = None,
    **more: Any,
) -> SeriesForecast:
    """Return what is expected of each item, category or campaign, or of the shop, in each of the next days or weeks.

    As ``forecast_series``, without what it rests on.
    """
    return forecast_series(history, entity, horizon_days, step, as_of, **more).forecast


def forecast_series(
    history: History,
    entity: Entity = "category",
    horizon_days: int = 28,
    step: Step = "day",
    as_of: int | str | None = None,
    *,
    measure: Measure = "demand",
    names: Sequence[str] | None = None,
    days: Closed = ORDINARY,
    dear: Sequence[str] = (),
    budget_s: float = 60.0,
    seed: int = 0,
) -> Outcome:
    """Return a forecast of series, the backtest that chose its models, and the series.

    Many families are tried on earlier weeks; the best for each series answers, or the blend of unlike ones. The intervals come from the
    errors of what answers on these weeks. What one series is told does not depend on which others are named. A thing that was never seen
    sells what newcomers sold in their first days (marked ``prior``); one that was seen and never sold, or was given up, sells nothing.

    Parameters
    ----------
    history
        The shop's log.
    entity
        "item", "category", "campaign" or "shop".
    horizon_days
        How far ahead; made whole weeks where the step is a week. It may be longer than the history: intervals grow.
    step
        "day" or "week".
    as_of
        The cutoff; the log's end by default.
    measure
        What is counted: "demand" (units), "orders", "visits", "views", "clicks", "shown", "opened", "clicked", "redeemed".
    names
        Only these, in this order; all that were known by default.
    days
        The shop's closed days and holidays.
    dear
        Further families: of the library statsforecast (``models.series.library.LIBRARY``), tried on the largest series, or "global LSTM".
    budget_s
        Processor seconds for them.
    seed
        Where chance starts.

    Raises
    ------
    UsageError
        When the horizon, the step, the measure, the entity or a family does not exist.
    NotEnoughDataError
        When not one whole step was over before the cutoff.
    """
    if not 1 <= horizon_days <= MOST_DAYS:
        raise UsageError(f"A horizon of {horizon_days} days was asked for.", f"It has 1 to {MOST_DAYS} days.", "Name another one.")
    horizon = -(-horizon_days // STEPS.get(step, 1))
    found = panel(history, entity, step, as_of, measure=measure, ahead=horizon, days=days)
    if not len(found):
        raise NotEnoughDataError(
            f"Before {history.clock.show(_instant(history, as_of))} the log knows of no {entity}.",
            "A forecast needs something to forecast.",
            "Name a later date, or ask for the shop.",
        )  # fmt: skip
    if names is not None and not dear:
        found = _needed(found, names)
    told, backtest = told_by_panel(found, horizon, days=days, dear=dear, budget_s=budget_s, seed=seed)
    return Outcome(told if names is None else among(told, found, names), backtest, found)


def told_by_panel(
    found: Panel, horizon: int, *, days: Closed = ORDINARY, dear: Sequence[str] = (), budget_s: float = 60.0, seed: int = 0
) -> tuple[SeriesForecast, pl.DataFrame]:
    """Return the forecast of a panel and the backtest that chose its models; see ``forecast_series``."""
    levels, places = np.array(LEVELS), origins_of(found)
    chosen = choose(found, places, horizon, families(found, dear=dear, seed=seed), budget_s)
    ahead = np.maximum(chosen.told[:, -1].astype(np.float64), 0.0)
    ahead *= _open(found, horizon)
    unsold = found.first >= found.steps
    pool = found.pool if len(found.pool) else np.arange(len(found))
    near = near_holidays(found, places, horizon, days)
    made = bands(chosen.told[:, :-1], truth(found, places[:-1], horizon), ahead, pool, levels, near)
    shut = _open(found, horizon) == 0
    quantiles = np.where(shut[:, None] | unsold[:, None, None], 0.0, made.quantiles)
    sums = np.where(unsold[:, None, None], 0.0, made.sums)
    past = found.values[:, -max(_PAST_DAYS // found.step_days, 1) :].astype(np.float64)
    before = np.arange(found.steps - past.shape[1], found.steps) < found.first[:, None]
    return SeriesForecast(
        found.keys, found.step_days, found.end, ahead, levels, quantiles, chosen.models, unsold, found.measure, sums,
        np.where(before, np.nan, past),
    ), chosen.backtest  # fmt: skip


def _instant(history: History, as_of: int | str | None) -> int:
    return history.end if as_of is None else history.clock.instant(as_of)


def _needed(found: Panel, names: Sequence[str]) -> Panel:
    """Return the series that are named and those that speak for all: the others change nothing."""
    wanted = np.isin(found.keys.code, found.keys.names.codes(list(names)))
    wanted[found.pool] = True
    rows = np.flatnonzero(wanted)
    return replace(
        found, keys=found.keys.take(rows), values=found.values[rows], first=found.first[rows], group=found.group[rows],
        pool=np.searchsorted(rows, found.pool),
    )  # fmt: skip


def roll(found: Panel, origins: Ints, horizon: int) -> tuple[Floats, tuple[str, ...]]:
    """Return the forecasts of the chosen models from each origin (n x o x h; the last origin is the panel's end), and their names (n)."""
    chosen = choose(found, origins, horizon, families(found))
    return chosen.told.astype(np.float64), chosen.models


def among(told: SeriesForecast, found: Panel, names: Sequence[str]) -> SeriesForecast:
    """Return the forecasts of these names, in their order; of those that nobody has seen, what newcomers sell."""
    code = told.keys.names.codes(list(names))
    place = np.full(len(told.keys.names), -1, np.int64)
    place[told.keys.code] = np.arange(len(told))
    row = np.where(code >= 0, place[np.maximum(code, 0)], -1)
    new = [name for name, at in zip(names, row.tolist(), strict=True) if at < 0]
    if new:
        told = _joined(told, _newcomers(told, found, list(dict.fromkeys(new))))
        where = {name: i for i, name in enumerate(told.keys.ids().to_list())}
        row = np.array([where[name] for name in names], np.int64)
    return told.take(row)


def _newcomers(told: SeriesForecast, found: Panel, names: list[str]) -> SeriesForecast:
    """Return the forecast of things that nobody has seen."""
    mean, quantiles, sums = newcomers(found, told.horizon, told.levels)
    strangers = [name for name in names if name not in set(told.keys.names.ids.to_list())]
    both = told.keys.names.extended(strangers) if strangers else told.keys.names
    n, cutoff = len(names), np.full(len(names), _cutoff(told), np.int64)
    keys = Keys(told.keys.entity, both.codes(names), cutoff, both)
    each, summed = np.broadcast_to(quantiles, (n, *quantiles.shape)), np.broadcast_to(sums, (n, *sums.shape))
    past = None if told.past is None else np.full((n, told.past.shape[1]), np.nan)
    return replace(
        told, keys=keys, mean=np.tile(mean, (n, 1)), quantiles=np.array(each), sums=np.array(summed), models=(_PRIOR,) * n,
        prior=np.ones(n, bool), past=past,
    )  # fmt: skip


def _cutoff(told: SeriesForecast) -> int:
    return int(told.keys.cutoff[0]) if len(told) else 0


def _joined(one: SeriesForecast, other: SeriesForecast) -> SeriesForecast:
    """Return two forecasts of the same steps as one; the second knows the names of both."""
    keys = Keys(
        one.keys.entity, np.concatenate([one.keys.code, other.keys.code]), np.concatenate([one.keys.cutoff, other.keys.cutoff]),
        other.keys.names,
    )  # fmt: skip
    parts = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("mean", "quantiles", "sums", "past", "prior")}
    return replace(one, keys=keys, models=one.models + other.models, **parts)  # type: ignore[arg-type]


def _open(found: Panel, horizon: int) -> Floats:
    """Return the share of each step to come on which the shop is open (h), beside an ordinary one."""
    if "closed" not in found.calendar:
        return np.ones(horizon)
    return 1.0 - found.calendar["closed"][-1, :horizon]
