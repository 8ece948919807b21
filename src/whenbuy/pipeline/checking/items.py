"""Columns that know an item's whole sales."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import MISSING, Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.log import Column
from whenbuy.pipeline.checking.parts import Leak

ROWS: Final = 50
"""Rows on which the whole sales and those so far differ, before anything is said."""
SAME: Final = 0.9
"""A column is an item's whole sales where it equals them on this part of those rows."""
KAPPA: Final = 0.85
"""And where agreement beyond chance reaches this."""
_MOST: Final = 200_000


def item_leak(name: str, column: Column, history: History, of: str = "event") -> Leak | None:
    """Return the leak of a column of numbers that holds an item's sales of the whole log; None where it does not."""
    log = history.log
    if column.dictionary is not None or "item_id" not in log.columns or "purchase" not in log.kinds:
        return None
    item = log.columns["item_id"].values.astype(np.int64)
    rows = np.flatnonzero((log.kind == log.code("purchase")) & (item >= 0))
    rows = rows[np.argsort(log.time[rows], kind="stable")]
    item = item[rows]
    looked = np.flatnonzero(column.values[rows] != MISSING)
    looked = looked[:: max(1, len(looked) // _MOST)]
    if len(looked) < ROWS:
        return None
    numbers = column.values[rows[looked]] / column.scale
    for words, weight, tolerance in _weights(history, rows):
        total, so_far = np.bincount(item, weight)[item], _so_far(item, weight)
        differs = np.abs(total - so_far)[looked] > np.maximum(tolerance, np.abs(weight[looked]) + tolerance)
        if differs.sum() < ROWS:
            continue
        value, past, own = total[looked][differs], so_far[looked][differs], numbers[differs]
        share = float((np.abs(own - value) <= tolerance).mean())
        chance = max(float((np.abs(own - np.roll(value, len(value) // part)) <= tolerance).mean()) for part in (2, 3, 5))
        if share >= SAME and share - chance >= KAPPA * (1 - chance):
            honest = float((np.abs(own - past) <= tolerance).mean())
            evidence = (
                f"it equals that on {share:.1%} of {len(value):,} rows where it was another number by then (chance: {chance:.0%}), and the "
                f"one by then on {honest:.1%}"
            )
            do = (
                "Leave it out, or count it up to each row"
                if of == "event"
                else "Leave it out, or give each row of the profile a valid_from"
            )
            return Leak(name, of, "sure", f"it holds {words}", evidence, do)
    return None


def _weights(history: History, rows: Ints) -> list[tuple[str, Floats, float]]:
    """Return what can be summed over an item's sales: the words, the weight of each row, and by how much a column may differ."""
    found = [("the number of sales of the item in the whole log", np.ones(len(rows)), 1e-6)]
    for name, words, tolerance in (("quantity", "pieces sold of the item", 1e-3), ("amount", "money that the item made", 0.0051)):
        if name in history.log.columns:
            values = history.log.columns[name].values[rows]
            weight = np.where(values == MISSING, 0.0, values / history.log.columns[name].scale)
            found.append((f"the {words} in the whole log", weight, tolerance))
    return found


def _so_far(item: Ints, weight: Floats) -> Floats:
    """Return the sum of each row's item up to it, itself included (n); rows are in the order of time."""
    order = np.argsort(item, kind="stable")
    running = np.cumsum(weight[order])
    begins = np.flatnonzero(np.diff(item[order], prepend=-1))
    base = np.repeat((running - weight[order])[begins], np.diff(np.append(begins, len(item))))
    found = np.empty(len(item))
    found[order] = running - base
    return found
