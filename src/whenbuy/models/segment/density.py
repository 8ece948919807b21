"""Density: groups are where customers crowd, of any shape; who stands between the crowds belongs to none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.examples import Table
from whenbuy.models.segment.scale import SegmentScale


@dataclass(frozen=True, slots=True)
class Density:
    """Crowds by HDBSCAN (Campello, Moulavi and Sander 2013).

    Parameters
    ----------
    features
        The features that count.
    sizes
        The smallest groups that are tried, in thousandths of all customers.
    most
        So many rows at most are learned from: distances between all of them are looked at.
    """

    features: tuple[str, ...]
    sizes: tuple[int, ...] = (20, 50, 100)
    most: int = 4_000

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "density"

    def learn(self, table: Table, size: int, seed: int) -> Crowds:
        """Return the crowds of at least so many thousandths of the rows; one where there is none."""
        from sklearn.cluster import HDBSCAN
        from threadpoolctl import threadpool_limits

        if len(table) > self.most:
            table = table.take(np.sort(np.random.default_rng(seed).choice(len(table), self.most, replace=False)))
        scale = SegmentScale.learn(table, self.features)
        points = scale.coordinates(table)
        least = max(5, len(points) * size // 1000)
        if least > len(points) or len(np.unique(points, axis=0)) == 1:
            return Crowds(scale, points[:1], np.zeros(1, np.int32), 1)
        with threadpool_limits(1):  # as for k-means
            found = HDBSCAN(min_cluster_size=least, min_samples=min(5, len(points)), copy=True).fit(points).labels_
        crowds = int(found.max()) + 1
        if not crowds:
            return Crowds(scale, points[:1], np.zeros(1, np.int32), 1)
        label = np.where(found < 0, crowds, found).astype(np.int32)
        return Crowds(scale, points, label, crowds + int((found < 0).any()))


@dataclass(frozen=True, slots=True, eq=False)
class Crowds:
    """Crowds that were learned: a new customer goes with the nearest of those learned from.

    Parameters
    ----------
    scale
        How features become coordinates.
    points
        Customers that were learned from (m x f).
    label
        The group of each (m); the last group is of those between the crowds, where there are any.
    groups
        How many groups there are.
    """

    scale: SegmentScale
    points: Floats
    label: Codes
    groups: int

    @property
    def names(self) -> tuple[str, ...]:
        """None by nature."""
        return ()

    def place(self, table: Table) -> Codes:
        """Return the group of each row (n)."""
        from scipy.spatial import KDTree

        if not len(table):
            return np.empty(0, np.int32)
        return self.label[KDTree(self.points).query(self.scale.coordinates(table))[1]]


TYPES: Final = {"Crowds": Crowds}
