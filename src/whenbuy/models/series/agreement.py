"""Agreement: how several views of one tree of series are joined is learned from what each got wrong in the same backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import nnls

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.reconciliation import Tree, above_zero, weighted

_TINY: Final = 1e-12
_DENSE: Final = 0.95
"""Series that sold in so many of the steps judge the views: what else sells now and then is chance, and says that who tells nothing is
right."""
_FAR: Final = 5.0
"""An error of more than so many times the usual of its leaf, or what it usually sells, counts as that."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one view says of all nodes of a tree.

    Parameters
    ----------
    name
        Who speaks.
    told
        What it said from earlier origins (m x o x h).
    ahead
        What it says now (m x h).
    """

    name: str
    told: Floats
    ahead: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """One forecast of a tree that adds up.

    Parameters
    ----------
    told
        What would have been agreed at each earlier origin, by weights that did not see it (m x o x h).
    ahead
        What is agreed now (m x h).
    level, mix
        How much each view counts in how much there will be of everything, and in how that is shared among the leaves (v).
    """

    told: Floats
    ahead: Floats
    level: Floats
    mix: Floats


def agree(views: Sequence[View], came: Floats, tree: Tree, overlap: int = 1) -> Agreed:
    """Return what the views agree on.

    Two things are asked of the views: how much there will be of everything, and how it is shared among the leaves. Who knows the one need
    not know the other, so each has its own weights, the same ones for all nodes: a node's few overlapping windows teach too little (the
    "forecast combination puzzle"; Claeskens et al. 2016), those of all leaves together teach enough to know how errors go together (Bates
    and Granger 1969). At each origin and step ahead the error that all leaves have in common is a factor, by least squares; what is left
    judges the shares. A leaf's chance hides a level that is off for all, so the weights of the level fall with the square of what that
    factor made wrong. The nodes are reconciled by the mean squares of what was joined (``weighted``).

    Parameters
    ----------
    views
        At least one.
    came
        What came after each origin (m x o x h), NaN where it is not known yet.
    tree
        What adds up to what.
    overlap
        The windows of origins nearer than this (in origins) overlap: none of them judges the others.
    """
    if not views or any(view.told.shape != came.shape or len(view.ahead) != len(tree) for view in views):
        raise WhenbuyError("The views of a tree differ in shape.")
    told, ahead = np.stack([view.told for view in views]), np.stack([view.ahead for view in views])
    error = np.where(np.isfinite(came), came[None] - told, 0.0)
    known = np.asarray(np.isfinite(came).any(axis=0))
    before, count = [], came.shape[1]
    for origin in range(count):
        judges = known & (np.abs(np.arange(count) - origin) >= overlap)[:, None]
        before.append(_joined(told[:, :, origin], told[:, :, judges], error[:, :, judges], tree)[0])
    now, level, mix = _joined(ahead, told[:, :, known], error[:, :, known], tree)
    return Agreed(np.stack(before, axis=1) if before else told.mean(axis=0), now, level, mix)


def _joined(base: Floats, told: Floats, error: Floats, tree: Tree) -> tuple[Floats, Floats, Floats]:
    """Return the views joined (m x h) by what they told (v x m x t) and got wrong, and how much each counts in the level and the mix (v).

    They count alike where no error is known.
    """
    even = np.full(len(base), 1 / len(base))
    if not error.shape[2]:
        return above_zero(weighted(base.mean(axis=0), tree, np.ones(len(tree))), tree), even, even
    leaves, came = tree.leaves, told[0] + error[0]
    most = _FAR * np.sqrt(np.maximum(np.mean(came**2, axis=1), 1.0))[:, None]
    error = np.clip(error, -most, most)
    usual = np.sqrt(np.maximum(np.mean(error[:, leaves] ** 2, axis=(0, 2)), _TINY))[:, None]
    dense = np.mean(came[leaves] > 0, axis=1) >= _DENSE
    judges = dense if dense.any() else np.ones(len(leaves), bool)
    level, mix = _counts((error[:, leaves] / usual)[:, judges], (told[:, leaves] / usual)[:, judges])
    mixed = _mixed(told, level, mix, usual, leaves)
    below = np.zeros(mixed.shape)
    np.add.at(below, tree.parent[1:], mixed[1:])
    own, summed = (np.mean(np.clip(came - part, -most, most) ** 2, axis=1) for part in (mixed, below))
    return above_zero(weighted(_mixed(base, level, mix, usual, leaves), tree, own, summed), tree), level, mix


def _counts(wrong: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Return how much each view counts in the level and in the mix (v), by scaled errors and amounts of the judging leaves (v x b x t)."""
    wrong = np.clip(wrong, -_FAR, _FAR)
    common = size * (wrong * size).sum(axis=1, keepdims=True) / np.maximum((size**2).sum(axis=1, keepdims=True), _TINY)
    off = np.maximum(np.mean(common**2, axis=(1, 2)), _TINY)
    level = _weights(wrong) * (off.min() / off) ** 2
    return np.asarray(level / level.sum()), _weights(wrong - common)


def _mixed(told: Floats, level: Floats, mix: Floats, usual: Floats, leaves: Ints) -> Floats:
    """Return what the views tell (v x m x t) as one (m x t): as much as the level's weights say, shared as the mix's do."""
    found = np.tensordot(level, told, 1)
    shared = np.tensordot(mix, told[:, leaves], 1)
    factor = (found[leaves] * shared / usual**2).sum(axis=0) / np.maximum((shared**2 / usual**2).sum(axis=0), _TINY)
    found[leaves] = shared * factor
    return np.asarray(found)


def _weights(error: Floats) -> Floats:
    """Return how much each view counts by its scaled errors (v x b x t): weights of at least 0 that sum to 1 (v).

    They minimise the mean square of what is joined, w'Mw with M the mean products of errors: the x of at least 0 that minimises
    x'Mx / 2 - 1'x is in their proportion, and is a least-squares problem by the Cholesky root of M (Lawson and Hanson 1974).
    """
    flat = np.clip(error, -_FAR, _FAR).reshape(len(error), -1)
    products = flat @ flat.T / flat.shape[1]
    products += np.eye(len(flat)) * max(1e-9 * np.trace(products), _TINY)
    root = np.linalg.cholesky(products)
    best, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(flat))))
    return np.asarray(best / best.sum())
