"""k-means: groups around centres, each customer in that of the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.examples import Table
from whenbuy.models.segment.scale import SegmentScale

_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class KMeans:
    """Centres that lie as near as possible to all customers (Lloyd 1982, begun as Arthur and Vassilvitskii 2007).

    Parameters
    ----------
    features
        The features that count.
    starts
        How often it begins anew; the best one stays.
    sizes
        The numbers of groups that are tried.
    """

    features: tuple[str, ...]
    starts: int = 4
    sizes: tuple[int, ...] = (8, 7, 6, 5, 4, 3, 2)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "k-means"

    def learn(self, table: Table, size: int, seed: int) -> Centres:
        """Return so many centres, fewer where fewer rows differ."""
        from sklearn.cluster import KMeans as Lloyd
        from threadpoolctl import threadpool_limits

        scale = SegmentScale.learn(table, self.features)
        points = scale.coordinates(table)
        many = min(size, len(np.unique(points, axis=0)))
        with threadpool_limits(1):  # threads that wait for each other cost more than so little work, and change its last bits
            found = Lloyd(many, n_init=self.starts, random_state=seed, algorithm="lloyd").fit(points).cluster_centers_
        return Centres(scale, found[np.lexsort(found.T[::-1])])


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """Centres that were learned.

    Parameters
    ----------
    scale
        How features become coordinates.
    centres
        Where they lie (k x f), the first coordinate rising.
    """

    scale: SegmentScale
    centres: Floats

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.centres)

    @property
    def names(self) -> tuple[str, ...]:
        """None by nature."""
        return ()

    def place(self, table: Table) -> Codes:
        """Return the group of each row (n)."""
        found = np.empty(len(table), np.int32)
        for start in range(0, len(table), _ROWS):
            part = slice(start, start + _ROWS)
            points = self.scale.coordinates(table.take(part))
            far = np.zeros((len(points), len(self.centres)))
            for place in range(points.shape[1]):  # coordinate by coordinate: no bit depends on the other rows
                far += (points[:, place, None] - self.centres[None, :, place]) ** 2
            found[part] = far.argmin(axis=1)
        return found


TYPES: Final = {"Centres": Centres}
