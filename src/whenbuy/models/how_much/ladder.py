"""Ladders: the quantiles of an amount among those of whom about as much was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats

_STEPS: Final = 40
_FEWEST: Final = 50
"""Rows that a step of a ladder rests on, at least, where there are two steps or more."""


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Quantiles by what was expected: empirical ones on each step, straight in between, in proportion beyond the first and the last step.

    Parameters
    ----------
    levels
        Probabilities of the quantiles (q), rising.
    expected
        The mean of what was expected on each step (s), rising.
    quantiles
        Of what came on each step (s x q).
    everybody
        The quantiles over all rows (q): the answer for those of whom nothing is known.
    """

    levels: Floats
    expected: Floats
    quantiles: Floats
    everybody: Floats

    @classmethod
    def learn(cls, expected: Floats, came: Floats, weight: Floats, levels: Floats) -> Ladder:
        """Return the ladder of what came (n) by what was expected (n), each row with a weight (n), at least one of them above 0."""
        counts = np.flatnonzero(weight > 0)
        expected, came, weight = expected[counts], came[counts], weight[counts]
        steps = max(1, min(_STEPS, len(came) // _FEWEST))
        edges = np.unique(np.quantile(expected, np.arange(1, steps) / steps)) if steps > 1 else np.empty(0)
        place = np.searchsorted(edges, expected, side="left")
        found = [np.flatnonzero(place == step) for step in range(len(edges) + 1)]
        found = [rows for rows in found if len(rows)]
        middle = np.array([np.average(expected[rows], weights=weight[rows]) for rows in found])
        quantiles = np.array([_quantiles(came[rows], weight[rows], levels) for rows in found])
        return cls(levels, middle, quantiles, _quantiles(came, weight, levels))

    def read(self, expected: Floats) -> Floats:
        """Return the quantiles for what is expected (n x q)."""
        first, last = float(self.expected[0]), float(self.expected[-1])
        inside = np.clip(expected, first, last)
        found = np.stack([np.interp(inside, self.expected, column) for column in self.quantiles.T], axis=1)
        return found * np.divide(expected, inside, out=np.ones(len(expected)), where=inside > 0)[:, None]


def without_crossings(levels: Floats, quantiles: Floats) -> Floats:
    """Return quantiles (n x q) that never fall along a row; the median, where there is one, stays as it is and the others make room."""
    middle = int(np.abs(levels - 0.5).argmin())
    below = np.minimum.accumulate(quantiles[:, middle::-1], axis=1)[:, ::-1]
    return np.hstack([below, np.maximum.accumulate(quantiles[:, middle:], axis=1)[:, 1:]])


def _quantiles(came: Floats, weight: Floats, levels: Floats) -> Floats:
    return np.asarray(np.quantile(came, levels, weights=weight, method="inverted_cdf"), float)


TYPES: Mapping[str, type] = {"Ladder": Ladder}
"""What a stored model of this file may be made of."""
