"""The tree of a shop's series: the shop, its categories, their items, and what is told of none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.history import History
from whenbuy.core.keys import Entity, Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.panel import Panel
from whenbuy.core.series_forecast import NAMED
from whenbuy.models.series.reconciliation import Tree
from whenbuy.pipeline.demand.panels import Closed, Step, panel

UNNAMED: Final = "(all others)"
"""The name of everything that was sold beside the items or categories of the log: lines that name none."""


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The series of a shop as a tree that adds up in every step.

    Parameters
    ----------
    tree
        What adds up to what: the shop first, then categories (where items were asked for), then the leaves.
    panels
        The series of each level by entity, each beginning at its place in ``tree``; the last series of the leaves is ``UNNAMED``.
    leaf
        Code of each leaf in the log's dictionary (b), -1 for a stranger and for the last, ``UNNAMED``.
    """

    tree: Tree
    panels: dict[Entity, Panel]
    leaf: Ints

    @property
    def rows(self) -> dict[Entity, slice]:
        """The nodes of each level."""
        ends = np.cumsum([len(part) for part in self.panels.values()])
        return {name: slice(int(end) - len(self.panels[name]), int(end)) for name, end in zip(self.panels, ends, strict=True)}

    @property
    def values(self) -> Singles:
        """What came in each step (m x t), NaN where unknown."""
        return np.concatenate([part.values for part in self.panels.values()])

    @classmethod
    def of(cls, history: History, entity: Entity, step: Step, as_of: int | str | None, horizon: int, days: Closed) -> Nodes:
        """Return the tree above all items or categories of the log, or the shop alone, by what was known before a cutoff."""
        shop = panel(history, "shop", step, as_of, ahead=horizon, days=days)
        if entity == "shop":
            return cls(Tree(np.array([-1])), {"shop": shop}, np.zeros(1, np.int64))
        found = panel(history, entity, step, as_of, ahead=horizon, days=days)
        leaves = _with_unnamed(found, shop)
        column = history.log.columns.get(NAMED[entity])
        known = 0 if column is None or column.dictionary is None else len(column.dictionary)
        leaf = np.append(np.where(found.keys.code < known, found.keys.code, -1).astype(np.int64), -1)
        if entity == "category" or len(np.unique(found.group)) < 2:
            return cls(Tree(np.append(-1, np.zeros(len(leaves), np.int64))), {"shop": shop, entity: leaves}, leaf)
        above, category = _categories(history, leaves)
        parent = np.concatenate([[-1], np.zeros(len(above), np.int64), 1 + category])
        return cls(Tree(parent), {"shop": shop, "category": above, entity: leaves}, leaf)


def _with_unnamed(found: Panel, shop: Panel) -> Panel:
    """Return the series with one more: what the shop sold beside them."""
    steps = min(found.steps, shop.steps)
    rest = shop.values[0, -steps:] - np.nansum(found.values[:, -steps:], axis=0)
    values = np.zeros((1, found.steps), np.float32)
    values[0, -steps:] = np.where(np.isnan(rest), 0.0, np.where(rest > 1e-3, rest, 0.0))
    sold = values[0] > 0
    names = found.keys.names.extended([UNNAMED]) if UNNAMED not in found.keys.names.ids else found.keys.names
    code = np.append(found.keys.code, np.int32(len(names) - 1)).astype(np.int32)
    cutoff = np.append(found.keys.cutoff, found.keys.cutoff[:1] if len(found) else shop.keys.cutoff)
    return replace(
        found, keys=Keys(found.keys.entity, code, cutoff, names), values=np.concatenate([found.values, values]),
        first=np.append(found.first, sold.argmax() if sold.any() else found.steps), group=np.append(found.group, np.int32(-1)),
    )  # fmt: skip


def _categories(history: History, items: Panel) -> tuple[Panel, Ints]:
    """Return the series of the items' categories, each the sum of its items, and the category of each item (n)."""
    codes, category = np.unique(items.group, return_inverse=True)
    values = np.zeros((len(codes), items.steps))
    np.add.at(values, category, np.nan_to_num(items.values))
    gaps = np.isnan(items.values).all(axis=0)
    values[:, gaps] = np.nan
    told = history.log.columns["category"].dictionary
    assert told is not None
    names = [UNNAMED if code < 0 else told.ids[int(code)] for code in codes]
    keys = Keys(
        "category", np.arange(len(codes), dtype=np.int32), np.full(len(codes), items.keys.cutoff[0], np.int64), Dictionary.of(names)
    )
    first = np.full(len(codes), items.steps, np.int64)
    np.minimum.at(first, category, items.first)
    return replace(
        items, keys=keys, values=values.astype(np.float32), first=first,
        group=np.zeros(len(codes), np.int32), pool=np.arange(len(codes), dtype=np.int64),
    ), category  # fmt: skip
