"""Agreement: how several views of one tree of series are joined is learned from what each got wrong in the same backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import nnls

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.reconciliation import Tree, above_zero, weighted

_TINY: Final = 1e-12
_TRUST: Final = 0.5
"""So much of the best weights is taken; the rest is the inverse of the mean squares, which knows less and errs less."""
_FAR: Final = 5.0
"""An error of more than so many times the usual of its leaf counts as that."""


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
    judges the shares. The nodes are reconciled by the mean squares of what was joined (``weighted``).

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
    leaves = tree.leaves
    usual = np.sqrt(np.maximum(np.mean(error[:, leaves] ** 2, axis=(0, 2)), _TINY))[:, None]
    wrong, size = np.clip(error[:, leaves] / usual, -_FAR, _FAR), told[:, leaves] / usual
    common = (wrong * size).sum(axis=1, keepdims=True) / np.maximum((size**2).sum(axis=1, keepdims=True), _TINY)
    level, mix = _weights(wrong, error[:, :1]), _weights(wrong - common * size)
    joined = np.tensordot(level, base, 1)
    shared = np.tensordot(mix, base[:, leaves], 1)
    factor = (joined[leaves] * shared / usual**2).sum(axis=0) / np.maximum((shared**2 / usual**2).sum(axis=0), _TINY)
    joined[leaves] = shared * factor
    left = np.mean(np.tensordot(level, error, 1) ** 2, axis=1)
    return above_zero(weighted(joined, tree, np.maximum(left, _TINY)), tree), level, mix


def _weights(error: Floats, total: Floats | None = None) -> Floats:
    """Return how much each view counts by its scaled errors (v x b x t): weights of at least 0 that sum to 1 (v).

    Half of them minimise the mean square of what is joined, w'Mw with M the mean products of errors: the x of at least 0 that minimises
    x'Mx / 2 - 1'x is in their proportion, and is a least-squares problem by the Cholesky root of M (Lawson and Hanson 1974). Half are the
    inverse of the mean squares, of the errors in the ``total`` (v x 1 x t) where it is the level that is judged.
    """
    flat = np.clip(error, -_FAR, _FAR).reshape(len(error), -1)
    products = flat @ flat.T / flat.shape[1]
    products += np.eye(len(flat)) * max(1e-9 * np.trace(products), _TINY)
    root = np.linalg.cholesky(products)
    best, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(flat))))
    plain = 1 / (np.diag(products) if total is None else np.maximum(np.mean(total**2, axis=(1, 2)), _TINY))
    return np.asarray(_TRUST * best / best.sum() + (1 - _TRUST) * plain / plain.sum())
