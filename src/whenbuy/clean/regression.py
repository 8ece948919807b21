"""Filling columns from one another by ridge regressions in turn (chained equations, van Buuren and Groothuis-Oudshoorn 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.training import sample, spreads
from whenbuy.core.arrays import Bools, Floats, Ints

_ROWS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class ChainedRidge:
    """The regressions of some rounds, replayed on new rows.

    Parameters
    ----------
    targets
        The columns that are filled, in their order (t): those with the fewest gaps first.
    shift, factor
        How a value becomes one in units of a standard deviation (f each).
    weights, offset
        One regression per round and target on all columns (rounds x t x f, and rounds x t); the target's own weight is 0.
    """

    targets: Ints
    shift: Floats
    factor: Floats
    weights: Floats
    offset: Floats

    @classmethod
    def of(cls, values: Floats, targets: Ints, rounds: int, penalty: float, seed: int) -> ChainedRidge:
        """Return the regressions learned from training rows (n x f) that have gaps in the target columns only."""
        mean, deviation = spreads(values)
        scaled = (values[sample(len(values), _ROWS, seed)] - mean) / deviation
        gaps = np.isnan(scaled)
        targets = targets[np.argsort(gaps[:, targets].sum(axis=0), kind="stable")]
        scaled[gaps] = 0.0
        weights, offset = np.zeros((rounds, len(targets), values.shape[1])), np.zeros((rounds, len(targets)))
        for round_ in range(rounds):
            for place, target in enumerate(targets):
                known = ~gaps[:, target]
                if known.any():
                    weights[round_, place], offset[round_, place] = _ridge(scaled[known], int(target), penalty)
                _predict(scaled, gaps, int(target), weights[round_, place], float(offset[round_, place]))
        return cls(targets, mean, 1 / deviation, weights, offset)

    def filled(self, values: Floats) -> Floats:
        """Return the values (n x f) with the gaps of the target columns filled."""
        gaps = np.isnan(values)
        rows = np.flatnonzero(gaps[:, self.targets].any(axis=1))
        scaled, gaps = (values[rows] - self.shift) * self.factor, gaps[rows]
        scaled[gaps] = 0.0
        for weights, offset in zip(self.weights, self.offset, strict=True):
            for place, target in enumerate(self.targets):
                _predict(scaled, gaps, int(target), weights[place], float(offset[place]))
        found = values.copy()
        found[rows] = np.where(gaps, scaled / self.factor + self.shift, values[rows])
        return found


def _ridge(values: Floats, target: int, penalty: float) -> tuple[Floats, float]:
    """Return the weights on all columns (f) and the offset of the ridge regression of one column on the others (Hoerl and Kennard 1970)."""
    others = np.delete(np.arange(values.shape[1]), target)
    middle = values.mean(axis=0)
    centred = values - middle
    inputs, wanted = centred[:, others], centred[:, target]
    weights = np.zeros(values.shape[1])
    weights[others] = np.linalg.solve(inputs.T @ inputs + penalty * np.eye(len(others)), inputs.T @ wanted)
    return weights, float(middle[target] - middle @ weights)


def _predict(scaled: Floats, gaps: Bools, target: int, weights: Floats, offset: float) -> None:
    """Write the prediction into the gaps of one column."""
    rows = gaps[:, target]
    scaled[rows, target] = scaled[rows] @ weights + offset
