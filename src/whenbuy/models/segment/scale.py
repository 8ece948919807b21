"""Features as coordinates: logarithms on one scale, so that no feature is louder than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Table

FARTHEST: Final = 4.0
"""No coordinate lies further than so many standard deviations from the mean: one wild customer makes no group of her own."""
LONG: Final = ("recency_days", "gap_mean_days")
"""Endings of features whose absence means long, not little."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentScale:
    """How features become coordinates, learned from training rows alone.

    Parameters
    ----------
    names
        The features that count (f).
    unit
        A tenth of each one's mean size: differences below it say little (f).
    absent
        What stands for an unknown value: the largest one seen for waiting times, 0 for the rest (f).
    middle, spread
        Mean and standard deviation of the logarithms (f).
    """

    names: tuple[str, ...]
    unit: Floats
    absent: Floats
    middle: Floats
    spread: Floats

    @classmethod
    def learn(cls, table: Table, names: tuple[str, ...]) -> SegmentScale:
        """Return the scale of some of the features of a table."""
        columns = [table.column(name) for name in names]
        known = [column[np.isfinite(column)] for column in columns]
        unit = np.array([_tenth(values) for values in known])
        absent = np.array([_absent(name, values) for name, values in zip(names, known, strict=True)])
        raw = cls(names, unit, absent, np.zeros(len(names)), np.ones(len(names)))
        logs = raw._logs(table)
        spread = logs.std(axis=0) if len(logs) else np.ones(len(names))
        return cls(names, unit, absent, logs.mean(axis=0) if len(logs) else raw.middle, np.where(spread > 1e-9, spread, 1.0))

    def coordinates(self, table: Table) -> Floats:
        """Return where each row lies (n x f): finite, within ``FARTHEST`` of 0."""
        return np.clip((self._logs(table) - self.middle) / self.spread, -FARTHEST, FARTHEST)

    def _logs(self, table: Table) -> Floats:
        values = np.column_stack([table.column(name) for name in self.names])
        filled = np.where(np.isfinite(values), values, self.absent)
        return np.asarray(np.copysign(np.log1p(np.abs(filled) / self.unit), filled))


def _tenth(values: Floats) -> float:
    sizes = np.abs(values[values != 0])
    return 0.1 * float(sizes.mean()) if len(sizes) else 1.0


def _absent(name: str, values: Floats) -> float:
    return float(values.max()) if name.endswith(LONG) and len(values) else 0.0


TYPES: Final = {"SegmentScale": SegmentScale}
