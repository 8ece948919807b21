"""What the values of a shop's parameters must keep to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from whenbuy.core.errors import SettingsError


def lengths(name: str, values: tuple[object, ...], wanted: int) -> None:
    """Raise SettingsError where there are not so many values."""
    if len(values) != wanted:
        raise SettingsError(f"{name} has {len(values)} values.", f"{wanted} are needed.", "Add or remove some.")


def above_zero(part: str, settings: object, names: tuple[str, ...]) -> None:
    """Raise SettingsError where a value is not above 0."""
    for name in names:
        if not all(value > 0 for value in _many(getattr(settings, name))):
            raise SettingsError(f"{part}.{name} is {getattr(settings, name)}.", "It must be above 0.", "Give another value.")


def shares(part: str, settings: object, names: tuple[str, ...]) -> None:
    """Raise SettingsError where a value is no share."""
    for name in names:
        if not all(0 <= value <= 1 for value in _many(getattr(settings, name))):
            raise SettingsError(f"{part}.{name} is {getattr(settings, name)}.", "It is a share from 0 to 1.", "Give another value.")


def _many(value: Any) -> Iterable[float]:
    """Yield the numbers of a value: of one, of several, of rows of them."""
    if not isinstance(value, tuple):
        yield value
        return
    for each in value:
        yield from _many(each)
