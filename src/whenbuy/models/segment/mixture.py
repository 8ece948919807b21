"""A Gaussian mixture: groups that may be long, flat or slanted, each customer in the likeliest."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.examples import Table
from whenbuy.models.segment.scale import SegmentScale

_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Mixture:
    """Normal distributions with covariances of their own, learned by expectation and maximisation (Dempster, Laird and Rubin 1977).

    Parameters
    ----------
    features
        The features that count.
    starts
        How often it begins anew; the likeliest one stays.
    sizes
        The numbers of groups that are tried.
    least
        Added to every variance: counts lie on lines, on which a group would shrink to nothing.
    """

    features: tuple[str, ...]
    starts: int = 2
    sizes: tuple[int, ...] = (8, 7, 6, 5, 4, 3, 2)
    least: float = 0.05

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "mixture"

    def learn(self, table: Table, size: int, seed: int) -> Normals:
        """Return so many normal distributions, fewer where fewer rows differ."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        scale = SegmentScale.learn(table, self.features)
        points = scale.coordinates(table)
        many = min(size, len(np.unique(points, axis=0)))
        points = np.vstack([points, points]) if len(points) == 1 else points  # one customer alone has no spread
        with warnings.catch_warnings(), threadpool_limits(1):  # as for k-means
            warnings.simplefilter("ignore", ConvergenceWarning)  # a division of customers need not be exact to the last step
            found = GaussianMixture(many, n_init=self.starts, reg_covar=self.least, random_state=seed, max_iter=60, tol=1e-3).fit(points)
        order = np.lexsort(found.means_.T[::-1])
        return Normals(scale, np.log(found.weights_[order]), found.means_[order], found.precisions_cholesky_[order])


@dataclass(frozen=True, slots=True, eq=False)
class Normals:
    """Normal distributions that were learned.

    Parameters
    ----------
    scale
        How features become coordinates.
    log_weight
        The logarithm of each one's share (k).
    mean
        Where they lie (k x f).
    precision
        The upper triangle whose square is the inverse of each one's covariance (k x f x f).
    """

    scale: SegmentScale
    log_weight: Floats
    mean: Floats
    precision: Floats

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.mean)

    @property
    def names(self) -> tuple[str, ...]:
        """None by nature."""
        return ()

    def place(self, table: Table) -> Codes:
        """Return the group of each row (n): the one to which it most probably belongs."""
        found = np.empty(len(table), np.int32)
        for start in range(0, len(table), _ROWS):
            part = slice(start, start + _ROWS)
            found[part] = self._log_density(self.scale.coordinates(table.take(part))).argmax(axis=1)
        return found

    def _log_density(self, points: Floats) -> Floats:
        """Return log share + log density of each group at each point, up to a constant (n x k)."""
        found = np.empty((len(points), len(self.mean)))
        for k, (mean, triangle) in enumerate(zip(self.mean, self.precision, strict=True)):
            far = points - mean
            square = np.zeros(len(points))
            for column in triangle.T:  # coordinate by coordinate: no bit depends on the other rows
                whitened = np.zeros(len(points))
                for place, weight in enumerate(column):
                    whitened += weight * far[:, place]
                square += whitened**2
            found[:, k] = self.log_weight[k] + np.log(np.diag(triangle)).sum() - 0.5 * square
        return found


TYPES: Final = {"Normals": Normals}
