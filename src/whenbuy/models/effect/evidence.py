"""Ridge regression whose penalties the data choose: each group of coefficients has a spread of its own, as large as the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints

ROUNDS: Final = 60
_NONE: Final = 1e-6
"""A spread below this share of the widest one is none."""


def drawn_in(gram: Floats, moment: Floats, groups: Sequence[Ints], widest: Floats) -> tuple[Floats, Floats]:
    """Return coefficients (p) and their covariance (p x p): normal around 0 with one variance per group before the data spoke.

    The variances maximise the evidence by the fixed point of MacKay (1992, "Bayesian interpolation", s. 4.2): |θ|² / γ, where γ is how many
    coefficients of the group the data determine. So a group that says nothing goes to 0 as a whole, and one that says much is left alone.

    Parameters
    ----------
    gram, moment
        X'X and X'y, rows scaled so that the noise has variance 1.
    groups
        Places of the coefficients of each group. A coefficient in none of them is drawn in no more than the widest one may be.
    widest
        The largest deviation that a coefficient of each group may have (groups); half of it is where they begin.
    """
    variance = (np.asarray(widest, float) / 2) ** 2
    precision = np.full(len(moment), 1 / float(np.max(widest)) ** 2)
    for turn in range(ROUNDS + 1):
        for rows, spread in zip(groups, variance, strict=True):
            precision[rows] = 1 / spread
        covariance = np.linalg.inv(gram + np.diag(precision))
        theta = covariance @ moment
        if turn < ROUNDS:
            sure = [max(len(rows) - covariance[rows, rows].sum() / spread, 1e-9) for rows, spread in zip(groups, variance, strict=True)]
            found = np.array([float(theta[rows] @ theta[rows]) / known for rows, known in zip(groups, sure, strict=True)])
            variance = np.clip(found, _NONE * np.asarray(widest) ** 2, np.asarray(widest, float) ** 2)
    return np.asarray(theta), np.asarray(covariance)
