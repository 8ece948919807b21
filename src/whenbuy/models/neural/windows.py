"""Window features as a net reads them: bent by a logarithm, brought to usual size, gaps marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Singles
from whenbuy.core.examples import Table
from whenbuy.models.neural.kernels.steps import rows_of_features, rows_of_silence

FURTHEST: Final = 5.0
"""Features further from their mean than so many deviations are read as that far."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """How features are read.

    Parameters
    ----------
    names
        The features (f).
    mean, deviation
        Of each on the scale sign(x) log(1 + |x|) (f).
    gappy
        Those that were missing for some in training (f): each has a mark of its own.
    """

    names: tuple[str, ...]
    mean: Floats
    deviation: Floats
    gappy: Bools

    @classmethod
    def learn(cls, table: Table) -> Windows:
        """Return how the features of training rows are read; those that are always the same are left out."""
        values = _bent(table.values)
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        deviation = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count)
        gappy = np.logical_and(known.any(axis=0), ~known.all(axis=0))
        kept = np.logical_or(deviation > 1e-9, gappy)
        names = tuple(name for name, keep in zip(table.names, kept, strict=True) if keep)
        return cls(names, mean[kept], np.maximum(deviation[kept], 1e-6), gappy[kept])

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return len(self.names) + int(self.gappy.sum())

    def read(self, table: Table) -> Singles:
        """Return the features of each row as a net reads them (n x width); what is missing is read as the mean.

        Raises
        ------
        ColumnError
            When the table lacks one of them.
        """
        read = np.zeros((len(table), self.width), np.float32)
        if self.names:
            rows_of_features(np.stack([table.column(name) for name in self.names], axis=1), self.usual, FURTHEST, read)
        return read

    @property
    def usual(self) -> Floats:
        """Mean, deviation and gappiness of each feature, as the kernels want them (f x 3)."""
        return np.stack([self.mean, self.deviation, self.gappy], axis=1)


def silence(since_days: Floats) -> Singles:
    """Return the days since the last event as a net reads them (n x 6): its logarithm, how much of it several half-lives leave, a mark."""
    read = np.zeros((len(since_days), SILENCE), np.float32)
    rows_of_silence(since_days, HALF_LIVES, read)
    return read


HALF_LIVES: Final = np.array([1.0, 7.0, 30.0, 120.0])
SILENCE: Final = len(HALF_LIVES) + 2
"""How many numbers tell of the silence."""


def _bent(values: Singles | Floats) -> Floats:
    wide = values.astype(np.float64)
    return np.asarray(np.sign(wide) * np.log1p(np.abs(wide)))


TYPES: Final[dict[str, type]] = {"Windows": Windows}
"""What a stored model of this file may be made of."""
