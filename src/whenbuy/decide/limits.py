"""What all decisions together may use."""

from __future__ import annotations

from dataclasses import dataclass

from whenbuy.core.arrays import Bools, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What all decisions together may use.

    Parameters
    ----------
    money
        Cost at most; infinite where there is no limit.
    names
        What is counted beside money (r): "contacts", "stock of ten" …
    counted
        Which pairs of offer and channel use one of each (r x pairs).
    most
        How many there are of each (r), finite.
    """

    money: float
    names: tuple[str, ...]
    counted: Bools
    most: Floats
