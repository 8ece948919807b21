"""What to order: from a shop's history and its shelves to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import ColumnError, NotEnoughDataError, NotFoundError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity, Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.series_forecast import NAMED, SeriesForecast
from whenbuy.decide.stock import Shelf, StockPlan, StockRule, part_of, restock
from whenbuy.pipeline.demand.bottom_up import Lines
from whenbuy.pipeline.demand.nodes import UNNAMED
from whenbuy.pipeline.demand.reconcile import Demand
from whenbuy.pipeline.demand.stock_file import ON_HAND, REGION

AHEAD_DAYS: Final = 28
"""Demand is told at least so far, so that the day can be named on which stock runs out."""
_REGION_DAYS: Final = 182
_REGION_UNITS: Final = 20.0
_WEEK: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class Restocking:
    """What to order, and what stands beside it.

    Parameters
    ----------
    plan
        The plan, one series per item or category, or per one and region.
    regions
        The region of each series (n); none where the stock names no regions.
    unknown
        Names in the stock of which the log knows nothing.
    """

    plan: StockPlan
    regions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def frame(self) -> pl.DataFrame:
        """Return the plan as a table, with ``region`` behind the name where there are regions."""
        if not self.regions:
            return self.plan.frame()
        name = NAMED[self.plan.demand.keys.entity]
        parts = pl.col(name).str.split_exact(_MARK, 1)
        return self.plan.frame().with_columns(parts.struct[0].alias(name), parts.struct[1].alias(REGION)).select(
            name, REGION, pl.exclude(name, REGION)
        )  # fmt: skip


_MARK: Final = "\x1f"


def horizon_days(rule: StockRule, stock: pl.DataFrame | None) -> int:
    """Return for how many days the demand must be told."""
    own = None if stock is None else stock["lead_days"].max()
    lead = max(rule.lead_days, float(str(own)) if own is not None else 0.0)
    return max(AHEAD_DAYS, int(np.ceil(lead + rule.review_days)))


def require_history(history: History, cutoff: int, days: int) -> None:
    """Raise NotEnoughDataError unless the log before a cutoff is as long as the time that demand must be told for."""
    held = (cutoff - history.log.start) / DAY if len(history.log) else 0.0
    if days > held:
        raise NotEnoughDataError(
            f"Lead time and review ask for the demand of {days} days, and the log before {history.clock.show(cutoff)} has {held:,.0f}.",
            "Demand can be told for as long as the log is.", "Give shorter times, or wait.",
        )  # fmt: skip


def restocking(
    history: History, demand: Demand, entity: Entity, rule: StockRule, stock: pl.DataFrame | None = None, names: Sequence[str] | None = None
) -> Restocking:
    """Return what to order of each item or category.

    Parameters
    ----------
    history
        The shop's log.
    demand
        Its demand over at least ``horizon_days``.
    entity
        "item" or "category".
    rule
        How the shop restocks.
    stock
        What is on the shelves, as ``read_stock`` gives it: only what it names is planned. Without it: all that is known, on empty shelves.
    names
        Only these.

    Raises
    ------
    NotFoundError
        When a name is not known, or the stock names nothing that is.
    ColumnError
        When the stock names regions and the log does not.
    """
    told = demand.of(entity)
    ids = told.keys.ids()
    place = {name: row for row, name in enumerate(ids.to_list()) if name != UNNAMED}
    _require_known(names, place, entity)
    if stock is None:
        wanted = [place[name] for name in (place if names is None else dict.fromkeys(names))]
        return Restocking(restock(told.take(np.array(wanted, np.int64)), rule))
    held = stock if names is None else stock.filter(pl.col(NAMED[entity]).is_in(list(names)))
    unknown = tuple(dict.fromkeys(name for name in held[NAMED[entity]].to_list() if name not in place))
    held = held.filter(pl.col(NAMED[entity]).is_in(list(place)))
    if not len(held):
        raise NotFoundError(f"The stock names no {entity} that the log knows.", "Names must be those of the log.", "Compare the two.")
    asked = told.take(np.array([place[name] for name in held[NAMED[entity]].to_list()], np.int64))
    regions: tuple[str, ...] = ()
    if REGION in held.columns:
        regions = tuple(held[REGION].fill_null("").to_list())
        asked = _by_region(history, asked, regions)
    return Restocking(restock(asked, rule, _shelf(held)), regions, unknown)


def _require_known(names: Sequence[str] | None, place: dict[str, int], entity: Entity) -> None:
    if strangers := [name for name in names or () if name not in place]:
        raise NotFoundError(
            f"The log knows no {entity} {strangers[0]!r}" + (f" (nor {len(strangers) - 1} others asked for)." if strangers[1:] else "."),
            f"It knows {len(place):,} of them.", "Check the name.",
        )  # fmt: skip


def _shelf(held: pl.DataFrame) -> Shelf:
    lead = held["lead_days"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return Shelf(held[ON_HAND].to_numpy(), held["on_order"].to_numpy(), lead, held["pack"].to_numpy())


def _by_region(history: History, asked: SeriesForecast, regions: tuple[str, ...]) -> SeriesForecast:
    """Return the demand of each series in the region that stands beside it."""
    share = region_shares(history, asked.keys, regions)
    parts = part_of(asked, share)
    names = [f"{name}{_MARK}{region}" for name, region in zip(asked.keys.ids().to_list(), regions, strict=True)]
    keys = Keys(asked.keys.entity, np.arange(len(names), dtype=np.int32), asked.keys.cutoff, Dictionary.of(names))
    return replace(parts, keys=keys)


def region_shares(history: History, keys: Keys, regions: Sequence[str]) -> Floats:
    """Return the share of each item's or category's demand in the region beside it (n), by the last half year, drawn towards the shop's.

    Raises
    ------
    ColumnError
        When neither the log nor the users' profile has a region.
    """
    cutoff = int(keys.cutoff[0])
    lines = Lines.of(history, keys.entity)
    code, known = _regions(history, lines, cutoff)
    recent = (lines.known_at < cutoff) & (lines.time >= cutoff - _REGION_DAYS * DAY)
    place = {name: i for i, name in enumerate(known)}
    where = np.where(recent & (code >= 0), code, len(known))
    table = np.bincount(
        lines.leaf * (len(known) + 1) + where, np.where(recent, lines.units, 0.0), minlength=lines.leaves * (len(known) + 1)
    )
    table = table.reshape(lines.leaves, -1)[:, : len(known)]
    usual = table.sum(axis=0) / max(table.sum(), 1e-12)
    leaf = lines.names.codes(keys.ids()).astype(np.int64)
    own = np.where((leaf >= 0)[:, None], table[leaf], 0.0)
    shares = (own + _REGION_UNITS * usual) / (own.sum(axis=1, keepdims=True) + _REGION_UNITS)
    asked = np.array([place.get(region, -1) for region in regions])
    return np.where(asked >= 0, shares[np.arange(len(asked)), asked], 0.0)


def _regions(history: History, lines: Lines, cutoff: int) -> tuple[Ints, list[str]]:
    """Return the region of each purchase line (e), -1 where it is not known, and the regions' names."""
    column = history.log.columns.get(REGION)
    if column is not None and column.dictionary is not None:
        rows = np.flatnonzero(history.log.kind == history.log.code("purchase"))
        return column.values[rows].astype(np.int64), column.dictionary.ids.to_list()
    if history.users is None or REGION not in history.users.attributes:
        raise ColumnError(
            "The stock names regions, and the log does not know in which region anybody buys.",
            "A column 'region' in the log, or in the users' profile, says so.", "Add it, or leave the regions out of the stock.",
        )  # fmt: skip
    users = history.log.users
    told = history.users.as_of(users.ids, np.full(len(users), cutoff, np.int64))[REGION].cast(pl.String)
    names = told.drop_nulls().unique().sort()
    code = Dictionary(names.alias("id")).codes(told).astype(np.int64)
    return np.where(lines.user >= 0, code[np.maximum(lines.user, 0)], -1), names.to_list()
