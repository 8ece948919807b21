"""Means of things with few reviews, drawn towards that of all."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Floats, Ints


def lent(value: Floats, code: Ints) -> float:
    """Return how many reviews at the common mean are lent to each thing: the variance within things over that between them.

    Both are estimated by the moments of the one-way analysis of variance (Searle, Casella & McCulloch 1992, section 3.6); infinite where
    things do not differ beyond luck.

    Parameters
    ----------
    value
        Scores (n).
    code
        Which thing each is about (n), 0 or above.
    """
    count = np.bincount(code).astype(float)
    count, total, square = count[count > 0], np.bincount(code, value)[count > 0], float(value @ value)
    n, groups = float(count.sum()), len(count)
    if groups < 2 or n <= groups:
        return np.inf
    inside = max(square - float(((total**2) / count).sum()), 0.0) / (n - groups)
    among = max(float(((total**2) / count).sum()) - float(total.sum()) ** 2 / n, 0.0) / (groups - 1)
    between = (among - inside) / ((n - float((count**2).sum()) / n) / (groups - 1))
    return inside / between if between > 1e-12 else np.inf


def shrunk(value: Floats, code: Ints, things: int) -> Floats:
    """Return the mean of each thing's scores, drawn towards the mean of all (things); scores that are NaN and codes below 0 count nowhere.

    NaN everywhere where there is no score.
    """
    known = np.isfinite(value) & (code >= 0)
    if not known.any():
        return np.full(things, np.nan)
    mean = float(value[known].mean())
    spare = lent(value[known], code[known])
    count = np.bincount(code[known], minlength=things)
    total = np.bincount(code[known], value[known] - mean, minlength=things)
    return mean + (total / (count + spare) if np.isfinite(spare) else np.zeros(things))
