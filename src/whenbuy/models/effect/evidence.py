"""Ridge regression whose penalties the data choose: each group of coefficients has a spread of its own, as large as the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints

ROUNDS: Final = 60
_TRIED: Final = np.geomspace(1e-3, 1.0, 100)
_FREE: Final = 100.0
_NONE: Final = 1e-6
"""A spread below this share of the widest one is none."""


def drawn_in(gram: Floats, moment: Floats, groups: Sequence[Ints], widest: Floats) -> tuple[Floats, Floats]:
    """Return coefficients (p) and their covariance (p x p): normal around 0 with one variance per group before the data spoke.

    The variances maximise the evidence by the fixed point of MacKay (1992, "Bayesian interpolation", s. 4.2): |θ|² / γ, where γ is how many
    coefficients of the group the data determine. So a group that says nothing goes to 0 as a whole, and one that says much is left alone.
    That little data say nothing does not make them sure of nothing: the covariance is that of the variances that the data let expect on
    average, not of the likeliest ones.

    Parameters
    ----------
    gram, moment
        X'X and X'y, rows scaled so that the noise has variance 1.
    groups
        Places of the coefficients of each group. A coefficient in none of them is drawn in no more than the widest one may be.
    widest
        The largest deviation that a coefficient of each group may have (groups); half of it is where they begin.
    """
    most = np.asarray(widest, float) ** 2
    variance = most / 4
    precision = np.full(len(moment), 1 / float(most.max()))
    for turn in range(ROUNDS + 1):
        covariance = np.linalg.inv(gram + np.diag(_spread(precision, groups, variance)))
        theta = covariance @ moment
        if turn < ROUNDS:
            sure = [max(len(rows) - covariance[rows, rows].sum() / spread, 1e-9) for rows, spread in zip(groups, variance, strict=True)]
            found = np.array([float(theta[rows] @ theta[rows]) / known for rows, known in zip(groups, sure, strict=True)])
            variance = np.clip(found, _NONE * most, most)
    roomy = _roomy(gram, moment, groups, _spread(precision, groups, variance), most)
    return np.asarray(theta), np.asarray(np.linalg.inv(gram + np.diag(_spread(precision, groups, roomy))))


def _spread(precision: Floats, groups: Sequence[Ints], variance: Floats) -> Floats:
    """Return the precision of each coefficient before the data spoke (p), that of the groups by their variances."""
    found = precision.copy()
    for rows, spread in zip(groups, variance, strict=True):
        found[rows] = 1 / spread
    return found


def _roomy(gram: Floats, moment: Floats, groups: Sequence[Ints], precision: Floats, most: Floats) -> Floats:
    """Return the mean variance of each group by the evidence, the other variances as they are all sizes of a deviation as likely before.

    Without a prior of its own a group's coefficients are b ± C; with it b is normal around 0 with the covariance C + v.
    """
    found = np.empty(len(groups))
    for place, rows in enumerate(groups):
        free = precision.copy()
        free[rows] = 1 / (_FREE * most[place])
        whole = np.linalg.inv(gram + np.diag(free))
        size, axes = np.linalg.eigh(whole[np.ix_(rows, rows)])
        along = (axes.T @ (whole @ moment)[rows]) ** 2
        tried = _TRIED**2 * most[place]
        width = np.maximum(size, 0.0)[None, :] + tried[:, None]
        evidence = -0.5 * (np.log(width) + along[None, :] / width).sum(axis=1)
        weight = np.exp(evidence - evidence.max())
        found[place] = weight @ tried / weight.sum()
    return found
