"""Agreement: how several views of one tree of series are joined is learned from what each got wrong in the same backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.models.series.reconciliation import Tree, above_zero, weighted

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
    shares
        How much each view counts in each node (v x m).
    """

    told: Floats
    ahead: Floats
    shares: Floats


def agree(views: Sequence[View], came: Floats, tree: Tree, overlap: int = 1) -> Agreed:
    """Return what the views agree on.

    At each node the views are weighed by the inverse of their mean squares, as if their errors did not correlate (Bates and Granger 1969).
    Weights that know the correlations would be better if these were known; learned from ten overlapping windows they are worse, and so is
    choosing one view (the "forecast combination puzzle"; Stock and Watson 2004, Claeskens et al. 2016). The nodes are reconciled by the
    mean squares of what was joined (``weighted``).

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
        apart = (np.abs(np.arange(count) - origin) >= overlap)[:, None]
        before.append(_joined(told[:, :, origin], error, known & apart, tree)[0])
    now, shares = _joined(ahead, error, known, tree)
    return Agreed(np.stack(before, axis=1) if before else told.mean(axis=0), now, shares)


def _joined(base: Floats, error: Floats, known: Bools, tree: Tree) -> tuple[Floats, Floats]:
    """Return the views joined (m x h), and how much each counts (v x m): alike where no error is known."""
    if not known.any():
        return above_zero(weighted(base.mean(axis=0), tree, np.ones(len(tree))), tree), np.full(base.shape[:2], 1 / len(base))
    seen = error[:, :, known]
    precision = 1 / np.maximum(np.mean(seen**2, axis=2), _TINY)
    shares = precision / precision.sum(axis=0)
    left = np.mean(np.einsum("vm,vmt->mt", shares, seen) ** 2, axis=1)
    return above_zero(weighted(np.einsum("vm,vmh->mh", shares, base), tree, np.maximum(left, _TINY)), tree), shares
