"""One demand forecast out of two views, the series' own and the customers', which adds up over item → category → shop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity
from whenbuy.core.panel import Panel
from whenbuy.core.series_forecast import LEVELS, SeriesForecast
from whenbuy.models.series.agreement import Agreed, View, agree
from whenbuy.models.series.bands import bands
from whenbuy.models.series.promoted import Lifts
from whenbuy.models.series.reconciliation import Tree, rounded
from whenbuy.pipeline.demand.bottom_up import (
    GROUPS,
    LEVEL_WEEKS,
    MEMORIES,
    BottomUp,
    Lines,
    Spoken,
    bottom_up,
    level_cutoffs,
    listen,
)  # fmt: skip
from whenbuy.pipeline.demand.choose import origins_of, truth
from whenbuy.pipeline.demand.nodes import Nodes
from whenbuy.pipeline.demand.panels import STEPS, Closed, Step, near_holidays
from whenbuy.pipeline.demand.series import roll
from whenbuy.pipeline.learning.forecaster import Forecaster

SERIES: Final = "series"
_TINY: Final = 1e-9
NO_DAYS: Final = Closed()
"""A shop that is never closed and keeps no holidays."""
Roll = Callable[[Panel, Ints, int], tuple[Floats, tuple[str, ...]]]
"""From a panel, origins (the last of them its end) and a number of steps to forecasts (n x o x h) and the models' names (n)."""


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """The demand of a shop: one forecast per level that adds up to the level above.

    Parameters
    ----------
    levels
        The forecast by entity: ``shop``, and where asked for ``category`` and ``item``.
    nodes
        The tree; its nodes are the series of the levels one after the other.
    views
        What each view says.
    agreed
        How they were joined.
    units
        Whole units that add up (m x h).
    groups
        The share of each group of customers (see ``GROUPS``) in each node and step (groups x m x h); none where no model spoke for them.
    scores
        One row per level and forecast: its error in the backtest.
    notes
        What the reader should know, in sentences.
    """

    levels: Mapping[Entity, SeriesForecast]
    nodes: Nodes
    views: tuple[View, ...]
    agreed: Agreed
    units: Ints
    groups: Floats | None
    scores: pl.DataFrame
    notes: tuple[str, ...] = ()

    def of(self, entity: Entity) -> SeriesForecast:
        """Return the forecast of one level.

        Raises
        ------
        NotFoundError
            When there is no such level.
        """
        if entity not in self.levels:
            raise NotFoundError(f"There is no forecast of each {entity}.", f"There are: {', '.join(self.levels)}.", "Ask for one of these.")
        return self.levels[entity]

    def frame(self, entity: Entity) -> pl.DataFrame:
        """Return the forecast of one level with ``units``: whole ones that add up."""
        told = self.of(entity)
        return told.frame().with_columns(units=pl.Series(self.units[self.nodes.rows[entity]].ravel()))


def demand(
    history: History,
    forecaster: Forecaster | None,
    entity: Entity = "category",
    horizon_days: int = 28,
    step: Step = "week",
    as_of: int | str | None = None,
    *,
    rolled: Roll = roll,
    days: Closed = NO_DAYS,
    origins: int = 10,
    spoken: dict[int, Spoken] | None = None,
) -> Demand:
    """Return the demand of the shop and of each category or item.

    Both views are told from the same earlier origins, a week apart, and joined by what each got wrong there; the intervals are those that
    the joined forecast would have needed there.

    Parameters
    ----------
    history
        The shop's log.
    forecaster
        What was learned of the customers; None where the series shall speak alone.
    entity
        "shop", "category" or "item".
    horizon_days
        How far ahead; made whole weeks where the step is a week.
    step
        "day" or "week".
    as_of
        The cutoff; the log's end by default.
    rolled
        How the series are forecast.
    days
        The shop's closed days and holidays.
    origins
        So many earlier origins at most.
    spoken
        What the curves said as of other cutoffs, where that is known already; what is asked anew is added.

    Raises
    ------
    UsageError
        When the horizon has no day, or the entity is another one.
    NotEnoughDataError
        When not one whole step is known.
    """
    if horizon_days < 1 or entity not in ("shop", "category", "item"):
        raise UsageError(
            f"The demand of each {entity} over {horizon_days} days was asked for.",
            "It is told for items, categories or the shop, over at least one day.", "Ask for that.",
        )  # fmt: skip
    horizon = -(-horizon_days // STEPS[step])
    nodes = Nodes.of(history, entity, step, as_of, horizon, days)
    shop = nodes.panels["shop"]
    places = origins_of(shop)[:-1][-origins:]
    came = np.concatenate([truth(part, places, horizon) for part in nodes.panels.values()]).astype(np.float64)
    lines = Lines.of(history, entity)
    lifts = Lifts(history, history.clock.days(lines.time), lines.known_at, lines.units)
    told, models = _series(history, lifts, nodes, places, horizon, rolled)
    views, below = [View(SERIES, told[:, :-1], told[:, -1])], None
    if forecaster is not None:
        heard, below = _people(history, forecaster, lines, lifts, nodes, places, horizon, {} if spoken is None else spoken)
        views += heard if step == "week" else [_on_the_days_of(views[0], view, nodes.tree) for view in heard]
    agreed = agree(views, came, nodes.tree, -(-horizon // shop.season))
    near = near_holidays(shop, np.append(places, shop.steps), horizon, days)
    levels = {name: _level(nodes, name, agreed, came, models, len(views), near) for name in nodes.panels}
    units = rounded(agreed.ahead, nodes.tree)
    scores = _scores(nodes, [*views, View("agreed", agreed.told, agreed.ahead)], came)
    return Demand(levels, nodes, tuple(views), agreed, units, below, scores, _notes(views, agreed))


def _series(
    history: History, lifts: Lifts, nodes: Nodes, places: Ints, horizon: int, roll: Roll
) -> tuple[Floats, tuple[str, ...]]:  # fmt: skip
    """Return what the series' own models say from each origin and now (m x (o + 1) x h), and their names.

    They are told without what offers did, and get back what the offers do that were known, or to be expected, at each origin. What an
    offer does is learned once, now. Nothing is sold on closed days.
    """
    shop, ends = nodes.panels["shop"], np.append(places, nodes.panels["shop"].steps)
    past, ahead = _lifted(history, lifts, shop, ends, horizon)
    if "closed" in shop.calendar:
        ahead = ahead * (1.0 - shop.calendar["closed"][ends, :horizon])
    parts = []
    for part in nodes.panels.values():
        parts.append(roll(replace(part, values=(part.values / past).astype(np.float32)), ends, horizon))
    told = np.concatenate([np.nan_to_num(np.asarray(part[0], np.float64)) for part in parts])
    return np.maximum(told, 0.0) * ahead, tuple(name for part in parts for name in part[1])


def _lifted(history: History, lifts: Lifts, shop: Panel, ends: Ints, horizon: int) -> tuple[Floats, Floats]:
    """Return by how much offers raised each step of the past (t), and raise the next ones as known at each origin (o x h)."""
    cutoffs, step = _instants(history, shop, ends[:-1]), shop.step_days
    learned = lifts.learned(int(cutoffs[-1]))
    past = lifts.factors(learned, int(cutoffs[-1]), shop.start, shop.start + shop.steps * step)
    ahead = [
        lifts.factors(learned, cutoff, shop.start + end * step, shop.start + (end + horizon) * step)
        for cutoff, end in zip(cutoffs.tolist(), ends.tolist(), strict=True)
    ]
    return past.reshape(-1, step).mean(axis=1), np.stack(ahead).reshape(len(ends), horizon, step).mean(axis=2)


def _people(
    history: History, forecaster: Forecaster, lines: Lines, lifts: Lifts, nodes: Nodes, places: Ints, horizon: int,
    spoken: dict[int, Spoken],
) -> tuple[list[View], Floats]:  # fmt: skip
    """Return what the customers' curves say, and what of it each group is (groups x m x h)."""
    shop = nodes.panels["shop"]
    weeks = -(-horizon * shop.step_days // 7)
    cutoffs = _instants(history, shop, places).tolist()
    wanted = sorted({one for cutoff in cutoffs for one in (*level_cutoffs(cutoff), cutoff)})
    heard = {cutoff for cutoff, said in spoken.items() if said.orders.shape[1] == weeks}
    new = [cutoff for cutoff in wanted if cutoff not in heard and cutoff > _first(lines)]
    spoken |= listen(forecaster, history, lines, new, weeks)
    told = {name: np.zeros((len(nodes.tree), len(cutoffs), horizon)) for name in MEMORIES}
    groups = np.zeros((len(GROUPS), len(nodes.tree), horizon))
    for place, cutoff in enumerate(cutoffs):
        if cutoff not in spoken:
            continue
        today = int(history.clock.days(np.array([cutoff]))[0])
        factors = lifts.factors(lifts.learned(cutoff), cutoff, today - 7 * LEVEL_WEEKS, today + 7 * weeks)
        below = bottom_up(spoken, lines, cutoff, factors, closed=forecaster.closed, offset=_offset(history, cutoff))
        now = {name: _by_node(one, shop.step_days, horizon, nodes) for name, one in below.items()}
        for name, one in now.items():
            told[name][:, place] = one.sum(axis=0)
        groups = np.mean(list(now.values()), axis=0)
    return [View(name, each[:, :-1], each[:, -1]) for name, each in told.items()], groups


def _on_the_days_of(series: View, view: View, tree: Tree) -> View:
    """Return what the customers' curves say of each week, shared among its days as each series' own forecast is.

    The curves say who buys within so many days, not that bread sells on Saturdays and nothing before Christmas is as usual.
    """

    def shared(told: Floats, own: Floats) -> Floats:
        found = told.copy()
        for begin in range(0, told.shape[-1], 7):
            days = slice(begin, begin + 7)
            week, usual = (part[..., days].sum(axis=-1, keepdims=True) for part in (told, own))
            found[..., days] = np.divide(own[..., days] * week, usual, out=told[..., days].copy(), where=usual > _TINY)
        return np.asarray(tree.add_up(found[tree.leaves]))

    return View(view.name, shared(view.told, series.told), shared(view.ahead, series.ahead))


def _first(lines: Lines) -> int:
    return int(lines.known_at.min(initial=2**62))


def _instants(history: History, shop: Panel, places: Ints) -> Instants:
    """Return the midnights of the origins, and the cutoff itself."""
    midnights = history.clock.midnights(shop.start + places * shop.step_days) if len(places) else np.empty(0, np.int64)
    return np.append(midnights, shop.keys.cutoff[0])


def _offset(history: History, cutoff: int) -> int:
    """Return by how much local time is ahead of UTC at a midnight."""
    return int(history.clock.days(np.array([cutoff]))[0]) * DAY - cutoff


def _by_node(below: BottomUp, step_days: int, horizon: int, nodes: Nodes) -> Floats:
    """Return expected units by group, node and step (groups x m x h)."""
    steps = below.steps(step_days, horizon)
    if len(nodes.tree) == 1:
        return np.asarray(steps.sum(axis=1, keepdims=True))
    leaves = np.where((nodes.leaf >= 0)[None, :, None], steps[:, nodes.leaf], 0.0)
    leaves[:, -1] = np.maximum(steps.sum(axis=1) - leaves[:, :-1].sum(axis=1), 0.0)
    return np.stack([nodes.tree.add_up(part) for part in leaves])


def _level(nodes: Nodes, name: Entity, agreed: Agreed, came: Floats, models: tuple[str, ...], views: int, near: Bools) -> SeriesForecast:
    """Return the forecast of one level with the intervals that it would have needed in the backtest."""
    rows, part, levels = nodes.rows[name], nodes.panels[name], np.array(LEVELS)
    ahead, all_rows = agreed.ahead[rows], np.arange(len(part))
    made = bands(agreed.told[rows].astype(np.float32), came[rows].astype(np.float32), ahead, all_rows, levels, near)
    names = tuple(f"{one} + customers" if views > 1 else one for one in models[rows])
    return SeriesForecast(
        part.keys, part.step_days, part.end, ahead, levels, made.quantiles, names, part.first >= part.steps, "demand", made.sums,
        part.values[:, -8 * part.season :].astype(np.float64),
    )  # fmt: skip


def _scores(nodes: Nodes, views: list[View], came: Floats) -> pl.DataFrame:
    """Return the error of each view at each level in the backtest: ``wape``, and ``mase`` scaled by the seasonal naive errors before it."""
    found = []
    for name, rows in nodes.rows.items():
        part = nodes.panels[name]
        season = part.season
        past = part.values[:, : max(part.steps - came.shape[1] * season, season + 1)].astype(np.float64)
        scale = np.nanmean(np.abs(past[:, season:] - past[:, :-season]), axis=1) if past.shape[1] > season else np.zeros(len(part))
        for view in views:
            error = np.abs(came[rows] - view.told[rows])
            each = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in error])
            truth = np.nansum(np.abs(came[rows]))
            wape = float(np.nansum(error) / truth) if truth > 0 else None
            scaled = each[(scale > 0) & np.isfinite(each)] / scale[(scale > 0) & np.isfinite(each)]
            found.append((name, view.name, wape, float(scaled.mean()) if len(scaled) else None, len(part)))
    return pl.DataFrame(found, ["level", "view", "wape", "mase", "series"], orient="row")


def _notes(views: list[View], agreed: Agreed) -> tuple[str, ...]:
    if len(views) == 1:
        return ()
    how = [", ".join(f"{view.name} {one:.0%}" for view, one in zip(views, part, strict=True)) for part in (agreed.level, agreed.mix)]
    return (f"By what each got wrong in the backtest the views count in how much there will be: {how[0]}; in what it is: {how[1]}.",)
