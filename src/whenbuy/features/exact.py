"""Exact: arithmetic that has the same bits everywhere, or loses none."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Final

import numpy as np

from whenbuy.core.kernel import kernel

_ONES = 2**32 - 1

with localcontext() as _exactly:
    _exactly.prec = 40
    ROOTS: Final = np.array([float(Decimal(2) ** (Decimal(-i) / 64)) for i in range(64)])
POWERS: Final = np.array([2.0**-k for k in range(1023)])


@kernel
def halve(x: float) -> float:
    """Return 2**-x for x >= 0, 0 beyond 1,022; of basic operations only, so it has the same bits everywhere (relative error < 4e-16)."""
    step = math.floor(x * 64.0 + 0.5)
    if step >= 65_408.0:
        return 0.0
    z = (step / 64.0 - x) * 0.6931471805599453
    near = 1.0 + z * (1.0 + z * (0.5 + z * (0.16666666666666666 + z * (0.041666666666666664 + z * 0.008333333333333333))))
    return float(POWERS[int(step) >> 6] * (ROOTS[int(step) & 63] * near))


@kernel
def square(x: int) -> tuple[int, int]:
    """Return x * x as a multiple of 2**32 and a rest, for abs(x) < 2**47."""
    x = abs(x)
    high, low = x >> 31, x & (2**31 - 1)
    low_squared = low * low
    return high * high * 2**30 + high * low + (low_squared >> 32), low_squared & _ONES


@kernel
def deviation(n: int, total: int, high: int, low: int) -> float:
    """Return the sample standard deviation of n integers from their sum and the sum of their squares (high * 2**32 + low), NaN for n < 2.

    The squares are centred on the whole part of the mean in 96-bit integers, so nothing cancels; exact while they sum to less than 2**95.
    """
    if n < 2:
        return math.nan
    mean = total // n
    rest = total - mean * n
    other = total + rest
    mean_high, mean_low, other_high, other_low = mean >> 32, mean & _ONES, other >> 32, other & _ONES
    upper = (mean_low >> 16) * other_low
    lower = ((upper & 0xFFFF) << 16) + (mean_low & 0xFFFF) * other_low
    high -= ((mean_high * other_high) << 32) + mean_high * other_low + mean_low * other_high + (upper >> 16) + (lower >> 32)
    low -= lower & _ONES
    high += low >> 32
    centred = float(high) * 4294967296.0 + float(low & _ONES)
    return math.sqrt(max(centred - float(rest) * float(rest) / float(n), 0.0) / float(n - 1))
