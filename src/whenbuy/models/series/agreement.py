"""Agreement: how several views of one tree of series are joined is learned from what each got wrong in the same backtest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.reconciliation import DENSE, Tree, above_zero, min_trace, shrunk_covariance, weighted

WORSE: Final = 0.01
"""The total of what was agreed may be so much worse in the backtest than that of the best view, no more."""
_FAR: Final = 5.0
"""Errors farther off than so many usual ones count as that many where weights are shared or ways are compared."""
_LEAST: Final = 0.05
"""A node's usual error is at least so much of what comes."""
_TINY: Final = 1e-12


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
    way
        How: ``covariances``, ``variances`` or ``mean`` of the views.
    guarded
        The view whose total was kept, where the agreed one was worse; empty elsewhere.
    """

    told: Floats
    ahead: Floats
    way: str
    guarded: str = ""


def agree(views: Sequence[View], came: Floats, tree: Tree, overlap: int = 1) -> Agreed:
    """Return what the views agree on.

    Four ways are tried, each origin joined by weights from origins whose windows do not touch its own: MinT with the shrunk covariances of
    all views' errors (see ``min_trace``; up to ``DENSE`` forecasts of nodes), weights by their mean squares alone, weights that all nodes
    of a depth share (see ``best_weights``), and the plain mean, these last two reconciled by mean squares. The way with the least error per
    node, relative to the first view's, is taken. Where its total is more than ``WORSE`` worse in the backtest than that of the best single
    view, that view's total is kept and only its parts are shared anew.

    Parameters
    ----------
    views
        At least one.
    came
        What came after each origin (m x o x h), NaN where it is not known yet.
    tree
        What adds up to what.
    overlap
        The windows of origins nearer than this (in origins) overlap.
    """
    if not views or any(view.told.shape != came.shape or len(view.ahead) != len(tree) for view in views):
        raise WhenbuyError("The views of a tree differ in shape.")
    told, ahead = np.stack([view.told for view in views]), np.stack([view.ahead for view in views])
    error = np.where(np.isfinite(came), came[None] - told, 0.0)
    known = np.asarray(np.isfinite(came).any(axis=0))
    if not known.any():
        return Agreed(told.mean(axis=0), _mean(ahead, tree, np.ones(len(tree))[None]), "mean")
    ways = {"covariances": _covariances, "variances": _variances, "shared weights": _shared, "mean": _plain}
    if len(views) * len(tree) > DENSE:
        del ways["covariances"]
    tried = {name: _apart(way, told, error, known, tree, overlap) for name, way in ways.items()}
    usual = np.maximum(_mae(error[0], known), _LEAST * np.nan_to_num(np.abs(came[:, known])).mean(axis=1))
    scores = {name: _relative(_mae(came - each, known), usual) for name, each in tried.items()}
    way = min(scores, key=lambda name: scores[name])
    found = Agreed(tried[way], ways[way](ahead, error[:, :, known], tree), way)
    return _guarded(found, views, error, came, known, tree)


_Way = Callable[[Floats, Floats, Tree], Floats]


def _covariances(base: Floats, errors: Floats, tree: Tree) -> Floats:
    stacked = errors.reshape(-1, errors.shape[2]).T
    found = min_trace(base.reshape(-1, base.shape[2]), tree.summing(), shrunk_covariance(stacked)[0])
    return above_zero(found, tree)


def _variances(base: Floats, errors: Floats, tree: Tree) -> Floats:
    precision = 1 / np.maximum(np.mean(errors**2, axis=2), _TINY)
    joined = (precision[:, :, None] * base).sum(axis=0) / precision.sum(axis=0)[:, None]
    return above_zero(weighted(joined, tree, 1 / precision.sum(axis=0)), tree)


def _shared(base: Floats, errors: Floats, tree: Tree) -> Floats:
    """Return the views joined by weights that all nodes of a depth share, reconciled by the mean squares of what was joined."""
    usual = np.maximum(np.abs(errors).mean(axis=(0, 2)), _TINY)
    joined, left = np.empty(base.shape[1:]), np.empty(errors.shape[1:])
    for nodes in tree.levels():
        scaled = np.clip(errors[:, nodes] / usual[nodes, None], -_FAR, _FAR).reshape(len(errors), -1)
        weights = best_weights(scaled @ scaled.T / scaled.shape[1])
        joined[nodes], left[nodes] = np.tensordot(weights, base[:, nodes], 1), np.tensordot(weights, errors[:, nodes], 1)
    return above_zero(weighted(joined, tree, np.mean(left**2, axis=1)), tree)


def best_weights(moments: Floats) -> Floats:
    """Return the weights (v), none below 0 and 1 together, of least w'Mw for the second moments M of errors (v x v).

    The weights of Bates and Granger (1969, s. 2), kept above 0: non-negative least squares with a heavy row for their sum.
    """
    from scipy.optimize import nnls

    size = max(float(np.trace(moments)) / len(moments), _TINY)
    root = np.linalg.cholesky(moments / size + 1e-9 * np.eye(len(moments))).T
    heavy = 1e4
    found, _ = nnls(np.vstack([root, heavy * np.ones(len(moments))]), np.append(np.zeros(len(moments)), heavy))
    return np.asarray(found / found.sum())


def _plain(base: Floats, errors: Floats, tree: Tree) -> Floats:
    return _mean(base, tree, np.mean(errors.mean(axis=0) ** 2, axis=1)[None])


def _mean(base: Floats, tree: Tree, variance: Floats) -> Floats:
    return above_zero(weighted(base.mean(axis=0), tree, variance[0]), tree)


def _apart(way: _Way, told: Floats, error: Floats, known: Bools, tree: Tree, overlap: int) -> Floats:
    """Return what would have been agreed at each origin, by weights from the errors of those apart from it (m x o x h).

    Where the backtest is too short for that, the views count alike.
    """
    out, count = np.empty(told.shape[1:]), told.shape[2]
    for origin in range(count):
        others = known & (np.abs(np.arange(count) - origin) >= overlap)[:, None]
        if others.any():
            out[:, origin] = way(told[:, :, origin], error[:, :, others], tree)
        else:
            out[:, origin] = _plain(told[:, :, origin], error[:, :, known], tree)
    return out


def _mae(error: Floats, known: Bools) -> Floats:
    """Return the mean absolute error of each node (m)."""
    return np.asarray(np.nan_to_num(np.abs(error[:, known])).mean(axis=1))


def _relative(mae: Floats, usual: Floats) -> float:
    some = usual > _TINY
    return float(np.minimum(mae[some] / usual[some], _FAR).mean()) if some.any() else float(mae.mean())


def _guarded(found: Agreed, views: Sequence[View], error: Floats, came: Floats, known: Bools, tree: Tree) -> Agreed:
    """Return what was agreed, with the total of the best view where it is better in the backtest."""
    root = [float(np.abs(error[i, 0][known]).mean()) for i in range(len(views))]
    best = int(np.argmin(root))
    own = float(np.nan_to_num(np.abs(came[0] - found.told[0])[known]).mean())
    if own <= (1 + WORSE) * root[best]:
        return found
    view = views[best]
    variance = (np.nan_to_num(came - found.told)[:, known] ** 2).mean(axis=1)
    told = np.stack([_with_total(found.told[:, o], view.told[0, o], variance, tree) for o in range(found.told.shape[1])], axis=1)
    return Agreed(told, _with_total(found.ahead, view.ahead[0], variance, tree), found.way, view.name)


def _with_total(whole: Floats, total: Floats, variance: Floats, tree: Tree) -> Floats:
    """Return coherent forecasts with another total (h), each node moved by as much as it is usually wrong."""
    base = whole.copy()
    base[0] = total
    fixed = np.maximum(variance, _TINY)
    fixed[0] = fixed[1:].min(initial=1.0) * 1e-9
    moved = weighted(base, tree, fixed)
    moved[0] = total
    return above_zero(moved, tree)
