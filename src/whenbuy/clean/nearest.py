"""Nearest rows: compiled searches in stored training rows, for fills and for the local outlier factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.training import sample, spreads
from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import DamagedError
from whenbuy.core.kernel import kernel


@dataclass(frozen=True, slots=True, eq=False)
class NearestRows:
    """Training rows that lend their values to rows with gaps.

    Parameters
    ----------
    rows
        Stored training rows in units of one standard deviation (m x f), NaN where a value is missing.
    shift, factor
        How a value becomes one of those units: ``(value - shift) * factor`` (f each).
    targets, neighbours
        The columns that are filled, and from how many rows each (t each).
    """

    rows: Floats
    shift: Floats
    factor: Floats
    targets: Ints
    neighbours: Ints

    def __post_init__(self) -> None:
        f = self.rows.shape[-1]
        together = self.rows.ndim == 2 and self.shift.shape == self.factor.shape == (f,) and self.targets.shape == self.neighbours.shape
        if not together or self.targets.ndim != 1 or not ((self.targets >= 0) & (self.targets < f)).all() or (self.neighbours < 1).any():
            raise DamagedError("Stored rows do not belong to their columns.", "They must be what training made.", "Fit again.")

    @classmethod
    def of(cls, values: Floats, targets: Ints, neighbours: Ints, most: int, seed: int) -> NearestRows:
        """Return at most ``most`` of the training rows (n x f)."""
        mean, deviation = spreads(values)
        part = values[sample(len(values), most, seed)]
        return cls((part - mean) / deviation, mean, 1 / deviation, targets, neighbours)

    def filled(self, values: Floats) -> Floats:
        """Return the values (n x f) with the gaps of the target columns filled by the mean of the nearest rows that know them.

        The distance is Euclidean over the columns that both rows know, scaled up to all columns (Dixon 1979); without any such row the
        gap gets the mean of the training rows.
        """
        gaps = np.flatnonzero(np.isnan(values[:, self.targets]).any(axis=1))
        found = values.copy()
        lent = lend((values[gaps] - self.shift) * self.factor, self.rows, self.targets, self.neighbours)
        for place, target in enumerate(self.targets):
            gap = np.isnan(values[gaps, target])
            found[gaps[gap], target] = lent[gap, place] / self.factor[target] + self.shift[target]
        return found


@kernel
def lend(values: Floats, rows: Floats, targets: Ints, neighbours: Ints) -> Floats:
    """Return the mean of each target over the nearest stored rows that know it (n x t), 0 where no such row shares a known column."""
    n, f, m = len(values), values.shape[1], len(rows)
    lent = np.zeros((n, len(targets)))
    distance = np.empty(m)
    for i in range(n):
        for j in range(m):
            total, shared = 0.0, 0
            for c in range(f):
                gap = values[i, c] - rows[j, c]
                if not np.isnan(gap):
                    total += gap * gap
                    shared += 1
            distance[j] = total * f / shared if shared else np.inf
        for t in range(len(targets)):
            lent[i, t] = _mean_of_nearest(distance, rows[:, targets[t]], neighbours[t])
    return lent


@kernel
def _mean_of_nearest(distance: Floats, values: Floats, k: int) -> float:
    """Return the mean of the ``k`` nearest known values, 0 where none is at a finite distance."""
    near, value = np.full(k, np.inf), np.zeros(k)
    for j in range(len(distance)):
        if distance[j] >= near[k - 1] or np.isnan(values[j]):
            continue
        place = k - 1
        while place > 0 and near[place - 1] > distance[j]:
            near[place], value[place] = near[place - 1], value[place - 1]
            place -= 1
        near[place], value[place] = distance[j], values[j]
    total, count = 0.0, 0
    for place in range(k):
        if near[place] < np.inf:
            total += value[place]
            count += 1
    return total / max(count, 1)


@kernel
def nearest(values: Floats, rows: Floats, k: int, itself: bool) -> tuple[Floats, Ints]:
    """Return the Euclidean distances to the ``k`` nearest stored rows and which they are (n x k each), the nearest first.

    With ``itself`` the values are the stored rows, and no row counts as its own neighbour.
    """
    n, f, m = len(values), values.shape[1], len(rows)
    distance, which = np.full((n, k), np.inf), np.zeros((n, k), np.int64)
    for i in range(n):
        for j in range(m):
            if itself and i == j:
                continue
            total = 0.0
            for c in range(f):
                gap = values[i, c] - rows[j, c]
                total += gap * gap
            if total >= distance[i, k - 1]:
                continue
            place = k - 1
            while place > 0 and distance[i, place - 1] > total:
                distance[i, place], which[i, place] = distance[i, place - 1], which[i, place - 1]
                place -= 1
            distance[i, place], which[i, place] = total, j
    return np.sqrt(distance), which
