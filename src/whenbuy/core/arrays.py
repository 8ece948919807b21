"""Names for the array types that the nouns are made of, and the two constants of time and absence."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
"""Instants: microseconds since 1970-01-01 00:00 UTC."""
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
"""Positions in a Dictionary; -1 means absent."""
Kinds = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

DAY: Final = 86_400_000_000
"""A day of 24 hours in microseconds. Horizons and durations are counted in these; shop-local days come from the Clock."""
MISSING: Final = -(2**63)
"""The value that stands for "no number" in an int64 column."""
