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
"""The total may be so much worse in the backtest than that of the best view, no more."""
ALL: Final = "all views"
_LUCK: Final = 0.97
"""Another way must be so much better than weights by mean squares alone, or it was luck."""
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
        How the parts were joined: ``covariances``, ``variances``, ``shared weights`` or ``mean`` of the views, or ``alone``: by the first.
    guarded
        Whose total was taken where that of the parts is worse: ``ALL``, weighed by how wrong each is, or a view's; empty elsewhere.
    """

    told: Floats
    ahead: Floats
    way: str
    guarded: str = ""


def agree(views: Sequence[View], came: Floats, tree: Tree, overlap: int = 1) -> Agreed:
    """Return what the views agree on.

    Five ways are tried, each origin joined by weights from origins whose windows do not touch its own: MinT with the shrunk covariances of
    all views' errors (see ``min_trace``; up to ``DENSE`` forecasts of nodes), weights by their mean squares alone, weights that all nodes
    of a depth share (see ``best_weights``), the plain mean, and the first view alone, these last three reconciled by mean squares. Weights
    by mean squares are taken unless the way with the least error per node, relative to the first view's, is clearly better.

    The total is one series: its errors are few and alike in all views, so that hardly any weights can be learned. It is the mean of the
    views' totals by the inverse of their mean squares (the weights of Bates and Granger 1969 without correlations, which hold where little
    is known), unless that of the parts or of the best single view is more than ``WORSE`` better in the backtest; the parts are shared anew
    below it.

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
    ways = {"covariances": _covariances, "variances": _variances, "shared weights": _shared, "mean": _plain, "alone": _alone}
    if len(views) * len(tree) > DENSE:
        del ways["covariances"]
    tried = {name: _apart(way, told, error, known, tree, overlap) for name, way in ways.items()}
    usual = np.maximum(_mae(error[0], known), _LEAST * np.nan_to_num(np.abs(came[:, known])).mean(axis=1))
    scores = {name: _relative(_mae(came - each, known), usual) for name, each in tried.items()}
    best = min(scores, key=lambda name: scores[name])
    way = best if scores[best] < _LUCK * scores["variances"] else "variances"
    found = Agreed(tried[way], ways[way](ahead, error[:, :, known], tree), way)
    return _with_best_total(found, views, error, came, known, tree, overlap)


_Way = Callable[[Floats, Floats, Tree], Floats]


def _covariances(base: Floats, errors: Floats, tree: Tree) -> Floats:
    stacked = errors.reshape(-1, errors.shape[2]).T
    found = min_trace(base.reshape(-1, base.shape[2]), tree.summing(), shrunk_covariance(stacked)[0])
    return above_zero(found, tree)


def _variances(base: Floats, errors: Floats, tree: Tree) -> Floats:
    precision = 1 / np.maximum(np.mean(errors**2, axis=2), _TINY)
    return above_zero(weighted(_weighed(base, errors, tree), tree, 1 / precision.sum(axis=0)), tree)


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


def _alone(base: Floats, errors: Floats, tree: Tree) -> Floats:
    return _mean(base[:1], tree, np.mean(errors[0] ** 2, axis=1)[None])


def _weighed(base: Floats, errors: Floats, tree: Tree) -> Floats:
    """Return the views weighed by the inverse of their mean squares at each node, which need not add up (m x h)."""
    precision = 1 / np.maximum(np.mean(errors**2, axis=2), _TINY)
    return np.asarray((precision[:, :, None] * base).sum(axis=0) / precision.sum(axis=0)[:, None])[: len(tree)]


def _apart(way: _Way, told: Floats, error: Floats, known: Bools, tree: Tree, overlap: int) -> Floats:
    """Return what would have been agreed at each origin, by weights from the errors of those apart from it (m x o x h).

    Where the backtest is too short for that, the views count alike.
    """
    count, out = told.shape[2], []
    for origin in range(count):
        others = known & (np.abs(np.arange(count) - origin) >= overlap)[:, None]
        use, seen = (way, others) if others.any() else (_plain, known)
        out.append(use(told[:, :, origin], error[:, :, seen], tree))
    return np.stack(out, axis=1)


def _mae(error: Floats, known: Bools) -> Floats:
    """Return the mean absolute error of each node (m)."""
    return np.asarray(np.nan_to_num(np.abs(error[:, known])).mean(axis=1))


def _relative(mae: Floats, usual: Floats) -> float:
    some = usual > _TINY
    return float(np.minimum(mae[some] / usual[some], _FAR).mean()) if some.any() else float(mae.mean())


def _with_best_total(
    found: Agreed, views: Sequence[View], error: Floats, came: Floats, known: Bools, tree: Tree, overlap: int
) -> Agreed:  # fmt: skip
    """Return what was agreed, below the total that holds best."""
    told, ahead, root = np.stack([view.told[:1] for view in views]), np.stack([view.ahead[:1] for view in views]), Tree(np.array([-1]))
    joined = _apart(_weighed, told, error[:, :1], known, root, overlap)[0], _weighed(ahead, error[:, :1, known], root)[0]
    totals = {ALL: joined}
    totals[""] = (found.told[0], found.ahead[0])
    totals |= {view.name: (view.told[0], view.ahead[0]) for view in views}
    wrong = {name: float(np.nan_to_num(np.abs(came[0] - total)[known]).mean()) for name, (total, _) in totals.items()}
    best = min(wrong, key=lambda name: wrong[name])
    name = ALL if wrong[ALL] <= (1 + WORSE) * wrong[best] else best
    if not name:
        return found
    square, count = np.nan_to_num(came - found.told) ** 2, came.shape[1]
    before = []
    for origin in range(count):
        others = known & (np.abs(np.arange(count) - origin) >= overlap)[:, None]
        variance = square[:, others if others.any() else known].mean(axis=1)
        before.append(_with_total(found.told[:, origin], totals[name][0][origin], variance, tree))
    now = _with_total(found.ahead, totals[name][1], square[:, known].mean(axis=1), tree)
    return Agreed(np.stack(before, axis=1), now, found.way, name if len(views) > 1 else views[0].name)


def _with_total(whole: Floats, total: Floats, variance: Floats, tree: Tree) -> Floats:
    """Return coherent forecasts with another total (h), each node moved by as much as it is usually wrong."""
    base = whole.copy()
    base[0] = total
    fixed = np.maximum(variance, _TINY)
    fixed[0] = fixed[1:].min(initial=1.0) * 1e-9
    moved = weighted(base, tree, fixed)
    moved[0] = total
    return above_zero(moved, tree)
