"""How much of a column can be told from something else: a small regression tree, learned on half the rows and judged on the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints

DEPTH: Final = 6
"""Up to 64 leaves: a smooth function of one number is then told to 1/64² of its variance."""
LEAF: Final = 5
"""Rows on each side of a split, at least."""
_GAIN: Final = 1e-9


def unexplained(known: Floats, target: Floats) -> float:
    """Return the share of a target's variance that a tree cannot tell on rows that it did not learn from: 0 tells all, 1 nothing.

    Parameters
    ----------
    known
        What it may look at (n, k); NaN counts as lower than everything.
    target
        What it shall tell (n, m): ranks of numbers, or one column of 0 and 1 per class, whose variance is Gini's impurity (Breiman et al.,
        Classification and Regression Trees, 1984, s. 4.3).
    """
    known = np.where(np.isnan(known), -np.inf, known)
    learns = np.arange(len(known)) % 2 == 0
    told = np.empty_like(target)
    _grow(known, target, learns, np.ones(len(known), bool), DEPTH, told)
    held = target[~learns]
    spread = float(((held - target[learns].mean(axis=0)) ** 2).sum())
    return min(1.0, float(((held - told[~learns]) ** 2).sum()) / spread) if spread > 0 else 1.0


def _grow(known: Floats, target: Floats, learns: Bools, here: Bools, depth: int, told: Floats) -> None:
    """Write the tree's answer for the rows that are here."""
    rows = np.flatnonzero(here & learns)
    told[here] = target[rows].mean(axis=0) if len(rows) else target[learns].mean(axis=0)
    found = _split(known[rows], target[rows]) if depth and len(rows) >= 2 * LEAF else None
    if found is None:
        return
    feature, bound = found
    left = here & (known[:, feature] <= bound)
    _grow(known, target, learns, left, depth - 1, told)
    _grow(known, target, learns, here & ~left, depth - 1, told)


def _split(known: Floats, target: Floats) -> tuple[int, float] | None:
    """Return the feature and the bound that leave the least variance; None where nothing is gained."""
    n, total = len(target), target.sum(axis=0)
    order = np.argsort(known, axis=0, kind="stable")
    value = np.take_along_axis(known, order, axis=0)
    left = np.cumsum(target[order], axis=0)[:-1]  # rows, features, parts of the target
    count = np.arange(1, n, dtype=float)[:, None]
    gain = (left**2).sum(axis=2) / count + ((total - left) ** 2).sum(axis=2) / (n - count) - float((total**2).sum()) / n
    gain[(value[1:] == value[:-1]) | (count < LEAF) | (n - count < LEAF)] = 0.0
    place, feature = np.unravel_index(int(gain.argmax()), gain.shape)
    return (int(feature), float(value[place, feature])) if gain[place, feature] > _GAIN else None


def targets(values: Floats | Ints, classes: bool) -> Floats:
    """Return what a tree is to tell: one column of 0 and 1 per class (the twelve commonest), or the rank of each number, from 0 to 1."""
    if classes:
        names, counts = np.unique(values, return_counts=True)
        common = names[np.argsort(-counts, kind="stable")[:12]]
        return np.asarray(values[:, None] == common[None, :], float)
    place = np.searchsorted(np.sort(values), values, side="left") + np.searchsorted(np.sort(values), values, side="right")
    return (place / (2 * len(values)))[:, None]
