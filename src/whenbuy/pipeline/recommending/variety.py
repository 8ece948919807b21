"""Variety: lists whose things differ from each other, and from what everybody sees anyway."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.ranking import Shelf


def varied(item: Codes, score: Floats, shelf: Shelf, most: int, diverse: float, novel: float = 0.0, wanted: Floats | None = None) -> Codes:
    """Return the first things of each list, chosen one by one: (1 - diverse) * worth - diverse * likeness to what was chosen before.

    This is maximal marginal relevance (Carbonell and Goldstein 1998). The worth is the score over that of the list's first thing, times
    1 - novel * popularity, where the most wanted thing has the popularity 1. Two things are alike by the share of the known attributes in
    which they agree.

    Parameters
    ----------
    item, score
        The lists (n x m), -1 and NaN at their ends.
    shelf
        Says what the things are.
    most
        How many are chosen.
    diverse, novel
        From 0 (the list as it is) to 1.
    wanted
        How much everybody wants each thing (k); needed for ``novel``.

    Raises
    ------
    UsageError
        When one of them is not between 0 and 1.
    """
    if not (0 <= diverse <= 1 and 0 <= novel <= 1):
        raise UsageError(f"Lists were to be diverse by {diverse} and novel by {novel}.", "Both lie between 0 and 1.", "Choose such as 0.3.")
    there = item >= 0
    if not item.size or not (diverse or novel):
        return item[:, :most]
    worth = np.where(there, score, 0.0) / np.maximum(np.nanmax(np.where(there, score, np.nan), axis=1, initial=1e-300), 1e-300)[:, None]
    if novel and wanted is not None:
        common = np.log1p(wanted / max(float(wanted.mean()), 1e-300))
        worth = worth * (1 - novel * common[np.maximum(item, 0)] / max(float(common.max()), 1e-300))
    chosen, rows, like = np.full((len(item), min(most, item.shape[1])), -1, np.int32), np.arange(len(item)), np.zeros(item.shape)
    left: Bools = there.copy()
    for place in range(chosen.shape[1]):
        value = np.where(left, (1 - diverse) * worth - diverse * like, -np.inf)
        best: Ints = value.argmax(axis=1)
        some = left[rows, best]
        chosen[some, place] = item[rows[some], best[some]]
        left[rows, best] = False
        like = np.maximum(like, _alike(shelf, item, item[rows, best]))
    return chosen


def _alike(shelf: Shelf, item: Codes, one: Codes) -> Floats:
    """Return how alike each thing of a list is to one of its own (n x m)."""
    if not shelf.attributes:
        return np.zeros(item.shape)
    each = []
    for codes in shelf.attributes.values():
        mine, other = codes[np.maximum(item, 0)], codes[np.maximum(one, 0)][:, None]
        each.append((mine == other) & (mine >= 0))
    return np.asarray(np.mean(each, axis=0))
