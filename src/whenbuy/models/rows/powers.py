"""Logarithms and exponentials of basic operations only, so that a loop over many is compiled to steps that do several at once.

The library's own are called number by number. These differ from them by two units in the last place at most.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.kernel import kernel

_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_PER_LN2: Final = 1.4426950408889634
_ONE: Final = 0x3FF0000000000000
_ROOT_HALF: Final = 0x3FE6A09E00000000
_MANTISSA: Final = 0x000FFFFFFFFFFFFF
_FARTHEST: Final = 700.0


@kernel
def log_of(x: float) -> float:
    """Return the logarithm of a number above 0 that is neither infinite nor below 1e-307 (the polynomial of FreeBSD's ``e_log.c``)."""
    bits = np.float64(x).view(np.int64) + (_ONE - _ROOT_HALF)
    power = np.float64((bits >> 52) - 1023)
    f = np.int64((bits & _MANTISSA) + _ROOT_HALF).view(np.float64) - 1.0
    s = np.true_divide(f, 2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = 2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)
    odd = z * (6.666666666666735130e-01 + w * odd)
    half = 0.5 * f * f
    return float(s * (half + even + odd) + power * _LN2_LOW - half + f + power * _LN2_HIGH)


@kernel
def exp_of(x: float) -> float:
    """Return the exponential of a number, which is taken as 700 or -700 where it lies beyond (Taylor's series on half a doubling)."""
    x = min(max(x, -_FARTHEST), _FARTHEST)
    power = np.floor(x * _PER_LN2 + 0.5)
    r = x - power * _LN2_HIGH - power * _LN2_LOW
    tail = 1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600 + r * (1 / 6227020800)))))
    near = 1.0 + r * (1.0 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * tail)))))))
    return float(near * np.int64((np.int64(power) + 1023) << 52).view(np.float64))


@kernel
def logs(x: Floats) -> None:
    """Replace numbers by their logarithms."""
    for i in range(len(x)):
        x[i] = log_of(x[i])


@kernel
def exps(x: Floats) -> None:
    """Replace numbers by their exponentials."""
    for i in range(len(x)):
        x[i] = exp_of(x[i])
