"""Gamma gaps between orders as tables: how long a gap holds, and how many orders come after any silence.

Times are in mean gaps, and the tables are even in their logarithms: along a row of rates that is even in the logarithm the place in a table
moves by even steps, so that a forecast takes no logarithm per rate. Sources: Cox (1962), *Renewal Theory*, chapters 2 and 4; gamma gaps
between purchases as in Platzer and Reutterer (2016), "Ticking away the moments", Marketing Science 35.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.kernel import kernel

NODES: Final = 512
AGES: Final = 48
COUNTS: Final = 96
SHORT: Final = np.log(1e-4)
"""Logarithm of the shortest silence that is told from none."""
NEAR: Final = np.log(1e-3)
"""Logarithm of the first time ahead in the tables of counts: before it they rise evenly."""
OLD: Final = np.log(60.0)
"""Logarithm of the silence beyond which what is left of a gap changes no more."""
FAR: Final = np.log(40.0)
"""Logarithm of the time ahead beyond which one order comes in a mean gap."""
_FINE, _PIECES = 400, 48


@dataclass(frozen=True, slots=True, eq=False)
class GapTables:
    """Tables for some gap shapes.

    Parameters
    ----------
    shapes
        Gamma shapes (k).
    reach
        Logarithm of the last node of ``held`` (k): beyond it no gap holds.
    held
        P(gap > z), z even in the logarithm from ``SHORT`` to ``reach`` (k x NODES).
    count
        Expected orders within z after a silence of a: a from ``SHORT`` to ``OLD``, z from ``NEAR`` to ``FAR`` (k x AGES x COUNTS).
    """

    shapes: Floats
    reach: Floats
    held: Floats
    count: Floats


@lru_cache(maxsize=8)
def gap_tables(shapes: tuple[float, ...]) -> GapTables:
    """Return the tables of these gap shapes."""
    from scipy.special import gammaincc

    reach = [float(np.log(40.0 / min(shape, 1.0))) for shape in shapes]
    held = [gammaincc(shape, shape * np.exp(np.linspace(SHORT, far, NODES))) for shape, far in zip(shapes, reach, strict=True)]
    return GapTables(np.array(shapes), np.array(reach), np.array(held), np.array([_counts(shape) for shape in shapes]))


def _counts(shape: float) -> Floats:
    """Return E N(a, z) = ∫ f(a + s) / S(a) (1 + H(z - s)) ds over s in [0, z] with the renewal function H (AGES x COUNTS)."""
    from scipy.special import gammainc, gammaincc

    far = float(np.exp(FAR))
    fine = far * np.linspace(0, 1, _FINE) ** 2
    renewed = sum(gammainc(n * shape, shape * fine) for n in range(1, int(far + 12 * np.sqrt(far / shape) + 20)))
    ahead = np.exp(np.linspace(NEAR, FAR, COUNTS))[:, None]
    steps = ahead * np.sin(np.linspace(0, np.pi / 2, _PIECES + 1)) ** 4
    after = 1 + np.interp(ahead - steps, fine, renewed)
    after = (after[:, 1:] + after[:, :-1]) / 2
    table = np.empty((AGES, COUNTS))
    for i, age in enumerate(np.exp(np.linspace(SHORT, OLD, AGES))):
        left = gammaincc(shape, shape * (age + steps)) / gammaincc(shape, shape * age)
        table[i] = ((left[:, :-1] - left[:, 1:]) * after).sum(axis=1)
    return table


@kernel
def holds(held: Floats, reach: float, z: float) -> float:
    """Return P(gap > exp(z)) of one shape from its row of ``held``."""
    if z >= reach:
        return 0.0
    place = max(z - SHORT, 0.0) / (reach - SHORT) * (NODES - 1)
    left = min(int(place), NODES - 2)
    return float(held[left] + (place - left) * (held[left + 1] - held[left]))


@kernel
def comes(count: Floats, age: float, z: float) -> float:
    """Return the expected orders within exp(z) after a silence of exp(age) of one shape, from its part of ``count``."""
    across = min(max((age - SHORT) / (OLD - SHORT), 0.0), 1.0) * (AGES - 1)
    along = min(max((z - NEAR) / (FAR - NEAR), 0.0), 1.0) * (COUNTS - 1)
    i, j = min(int(across), AGES - 2), min(int(along), COUNTS - 2)
    p, q = across - i, along - j
    low = count[i, j] + q * (count[i, j + 1] - count[i, j])
    high = count[i + 1, j] + q * (count[i + 1, j + 1] - count[i + 1, j])
    found = low + p * (high - low)
    if z < NEAR:
        return float(found * np.exp(z - NEAR))
    return float(found + np.exp(z) - np.exp(FAR) if z > FAR else found)
