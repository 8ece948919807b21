"""Ridge regression whose penalties the data choose: each group of coefficients has a spread of its own, as large as the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints

ROUNDS: Final = 60
_TRIED: Final = np.geomspace(1e-3, 1.0, 100)
_FREE: Final = 100.0
_NONE: Final = 1e-6
"""A spread below this share of the widest one is none."""
_WORTH: Final = float(np.log(10.0))
"""Evidence of 10 to 1 is strong (Jeffreys 1961, "Theory of probability", app. B)."""


def drawn_in(gram: Floats, moment: Floats, groups: Sequence[Ints], widest: Floats, doubted: Bools | None = None) -> tuple[Floats, Floats]:
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
    doubted
        Groups that are none unless the evidence for them is strong (groups): of many that say nothing some seem to say a little. They are
        let in one by one, the one with the most evidence first.
    """
    most = np.asarray(widest, float) ** 2
    precision = np.full(len(moment), 1 / float(most.max()))
    kept = np.ones(len(groups), bool) if doubted is None else ~doubted
    variance = _likeliest(gram, moment, groups, precision, most, kept)
    while not kept.all():
        left = np.flatnonzero(~kept)
        _, worth = _roomy(gram, moment, [groups[place] for place in left.tolist()], _spread(precision, groups, variance), most[left])
        if worth.max() < _WORTH:
            break
        kept[left[worth.argmax()]] = True
        variance = _likeliest(gram, moment, groups, precision, most, kept)
    sure = _spread(precision, groups, variance)
    roomy, _ = _roomy(gram, moment, groups, sure, most)
    theta = np.linalg.solve(gram + np.diag(sure), moment)
    return np.asarray(theta, float), np.asarray(np.linalg.inv(gram + np.diag(_spread(precision, groups, roomy))))


def _likeliest(gram: Floats, moment: Floats, groups: Sequence[Ints], precision: Floats, most: Floats, kept: Bools) -> Floats:
    """Return the variance of each group that maximises the evidence, of those that are kept (groups); the others have none."""
    variance = np.where(kept, most / 4, _NONE * most)
    for _ in range(ROUNDS):
        covariance = np.linalg.inv(gram + np.diag(_spread(precision, groups, variance)))
        theta = covariance @ moment
        sure = [max(len(rows) - covariance[rows, rows].sum() / spread, 1e-9) for rows, spread in zip(groups, variance, strict=True)]
        found = np.array([float(theta[rows] @ theta[rows]) / known for rows, known in zip(groups, sure, strict=True)])
        variance = np.where(kept, np.clip(found, _NONE * most, most), _NONE * most)
    return variance


def _spread(precision: Floats, groups: Sequence[Ints], variance: Floats) -> Floats:
    """Return the precision of each coefficient before the data spoke (p), that of the groups by their variances."""
    found = precision.copy()
    for rows, spread in zip(groups, variance, strict=True):
        found[rows] = 1 / spread
    return found


def _roomy(gram: Floats, moment: Floats, groups: Sequence[Ints], precision: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Return the mean variance of each group by the evidence, and how much more the likeliest one has than the least (its logarithm).

    The other variances stay as they are, and all sizes of a deviation are as likely before. Without a prior of its own a group's
    coefficients are b ± C; with it b is normal around 0 with the covariance C + v.
    """
    found, worth = np.empty(len(groups)), np.empty(len(groups))
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
        found[place], worth[place] = weight @ tried / weight.sum(), evidence.max() - evidence[0]
    return found, worth
