"""Sizes in words: probability points and chances as people read them."""

from __future__ import annotations

from typing import Final

_WHOLE: Final = 2.5
"""Where the largest size is as many points, words round to whole ones."""


def decimals(largest: float) -> int:
    """Return how many decimals sizes are told with, given the largest of them in points."""
    return 0 if abs(largest) >= _WHOLE else 1


def sized(points: float, decimals: int) -> str:
    """Return probability points with their sign."""
    return f"{points:+.{decimals}f}".replace("-", "−")


def unit(size: str) -> str:
    """Return the unit behind a size in words."""
    return "point" if size[1:] == "1" else "points"


def something(size: str) -> bool:
    """Return whether a size in words is more than nothing."""
    return bool(size.strip("+−0."))


def percent(share: float) -> str:
    """Return a chance in percent; what is not certain is never shown as 0 or 100."""
    return "<1 %" if share < 0.005 else ">99 %" if share > 0.995 else f"{100 * share:.0f} %"
