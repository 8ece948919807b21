"""Why so many: which customers the expected units come from."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, NotFoundError
from whenbuy.core.keys import Entity
from whenbuy.core.series_forecast import NAMED
from whenbuy.models.series.reconciliation import largest_remainder
from whenbuy.pipeline.demand.bottom_up import GROUPS
from whenbuy.pipeline.demand.reconcile import Demand

_WORDS: Final = {
    "due": "from customers whose usual gap is nearly over",
    "regular": "from other regular customers",
    "other": "from customers without a usual gap, or long past it",
    "newcomer": "from newcomers and people without a name",
}


def split(demand: Demand, entity: Entity) -> Ints:
    """Return the whole units of each series of a level that come from each group of customers, over all steps (groups x n).

    The units of the forecast are shared as the customers' own curves share them, and add up to its ``units``.

    Raises
    ------
    NotEnoughDataError
        When no model spoke for the customers.
    """
    demand.of(entity)
    if demand.groups is None:
        raise NotEnoughDataError(
            "Nothing was learned of the customers: nobody knows who will buy.", "That takes a model of when they do.", "Run `whenbuy fit`."
        )  # fmt: skip
    rows = demand.nodes.rows[entity]
    expected: Floats = demand.groups[:, rows].sum(axis=2)
    usual = demand.groups[:, :1].sum(axis=2)
    shared = np.where(expected.sum(axis=0) > 0, expected, usual)
    return largest_remainder(shared, demand.units[rows].sum(axis=1))


def reasons(demand: Demand, entity: Entity) -> pl.DataFrame:
    """Return one row per series: its name, ``units`` over all steps, and how many of them come from each group of customers."""
    parts, rows = split(demand, entity), demand.nodes.rows[entity]
    names = {NAMED[entity]: demand.of(entity).keys.ids(), "units": demand.units[rows].sum(axis=1)}
    return pl.DataFrame(names | dict(zip(GROUPS, parts, strict=True)))


def words(demand: Demand, entity: Entity, name: str) -> str:
    """Return why so many units are expected of one series, as a sentence.

    Raises
    ------
    NotFoundError
        When the forecast does not cover it.
    """
    told = reasons(demand, entity).filter(pl.col(NAMED[entity]) == name)
    if not len(told):
        raise NotFoundError(
            f"The {entity} {name!r} is not in this forecast.", "It covers what the log knows.", "Look for its name in the log."
        )
    row = told.row(0, named=True)
    days = demand.of(entity).horizon_days
    parts = [f"{row[group]:,} {_WORDS[group]}" for group in sorted(GROUPS, key=lambda group: -row[group]) if row[group]]
    head = f"{name}: {row['units']:,} units within {days} days"
    return f"{head}, {', '.join(parts)}." if parts else f"{head}."
