"""Renewal mathematics of gamma gaps with mean 1: survival, expected counts after any silence, as tables for the kernels.

Sources: Cox, Renewal Theory (1962), ch. 2 (delayed renewal function); gamma gaps as in Platzer and Reutterer, Marketing Science 35 (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import gammainc, gammaincc, gammaln

from whenbuy.core.arrays import Floats
from whenbuy.core.kernel import kernel

FAR = 40.0
"""Gaps (in multiples of the mean) up to which counts are tabled; beyond it one purchase per mean gap is added, which is exact by then."""
OLD = 60.0
"""Silence (in multiples of the mean gap) beyond which the residual gap changes no more."""
_NODES, _AGES, _COUNTS, _PIECES = 16_384, 96, 320, 320


@dataclass(frozen=True, slots=True, eq=False)
class Renewal:
    """Tables for some gap shapes.

    Parameters
    ----------
    shapes
        Gamma shapes of the gaps (k).
    survival
        P(gap > z) at z = FAR x (node / last node)² x max(1, 1/shape) (k x nodes).
    reach
        The z of the last node (k); beyond it survival is 0.
    count
        Expected purchases within z after a silence of a (k x ages x counts): a = u²/(1 - u²) at even u up to OLD, z = FAR x w² at even w.
    """

    shapes: Floats
    survival: Floats
    reach: Floats
    count: Floats


@lru_cache(maxsize=8)
def renewal(shapes: tuple[float, ...]) -> Renewal:
    """Return the tables of these gap shapes."""
    reach = np.array([FAR / min(shape, 1.0) for shape in shapes])
    even = np.linspace(0, 1, _NODES) ** 2
    survival = np.array([gammaincc(shape, shape * far * even) for shape, far in zip(shapes, reach, strict=True)])
    return Renewal(np.array(shapes), survival, reach, np.array([_counts(shape) for shape in shapes]))


def _counts(shape: float) -> Floats:
    """Return the delayed renewal function (ages x counts): E N(a, z) = ∫ f(a + s) / S(a) (1 + H(z - s)) ds over s in [0, z]."""
    fine = np.linspace(0, 1, 4_000) ** 2
    ordinary = sum(gammainc(n * shape, shape * FAR * fine) for n in range(1, int(FAR + 12 * np.sqrt(FAR / shape) + 20)))
    far = (OLD + FAR) * fine
    log_survival = _log_survival(shape, far)
    ages, reach = _ages(), FAR * np.linspace(0, 1, _COUNTS) ** 2
    clustered = np.sin(np.linspace(0, np.pi / 2, _PIECES + 1)) ** 2
    steps = reach[:, None] * clustered[None, :] ** 2
    after = 1 + np.interp(reach[:, None] - steps, FAR * fine, ordinary)
    after = (after[:, 1:] + after[:, :-1]) / 2
    table = np.empty((_AGES, _COUNTS))
    for i, age in enumerate(ages):
        left = np.exp(np.interp(age + steps, far, log_survival) - np.interp(age, far, log_survival))
        table[i] = ((left[:, :-1] - left[:, 1:]) * after).sum(axis=1)
    return table


def _log_survival(shape: float, z: Floats) -> Floats:
    """Return log P(gap > z); beyond the reach of floating point its asymptote (Abramowitz and Stegun 6.5.32)."""
    x = shape * z
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = (shape - 1) * np.log(x) - x - gammaln(shape) + np.log1p((shape - 1) / x)
        return np.asarray(np.where(x < 300, np.log(np.maximum(gammaincc(shape, x), 1e-300)), tail))


def _ages() -> Floats:
    u = np.linspace(0, np.sqrt(OLD / (1 + OLD)), _AGES) ** 2
    return np.asarray(u / (1 - u))


@kernel
def survive(survival: Floats, reach: Floats, shape: int, z: float) -> float:
    """Return P(gap > z) for one of the shapes; z in mean gaps."""
    if z <= 0:
        return 1.0
    if z >= reach[shape]:
        return 0.0
    last = survival.shape[1] - 1
    place = np.sqrt(z / reach[shape]) * last
    left = min(int(place), last - 1)
    return float(survival[shape, left] + (place - left) * (survival[shape, left + 1] - survival[shape, left]))


@kernel
def expect(count: Floats, shape: int, age: float, z: float) -> float:
    """Return the expected purchases within z after a silence of ``age``, both in mean gaps."""
    if z <= 0:
        return 0.0
    ages, counts = count.shape[1] - 1, count.shape[2] - 1
    more = max(z - FAR, 0.0)
    across = min(np.sqrt(age / (1.0 + age)) / np.sqrt(OLD / (1.0 + OLD)), 1.0) * ages
    along = np.sqrt(min(z, FAR) / FAR) * counts
    i, j = min(int(across), ages - 1), min(int(along), counts - 1)
    p, q = across - i, along - j
    low = count[shape, i, j] + q * (count[shape, i, j + 1] - count[shape, i, j])
    high = count[shape, i + 1, j] + q * (count[shape, i + 1, j + 1] - count[shape, i + 1, j])
    return float(low + p * (high - low) + more)
