"""The shop's own clock as a filter: the weekday and the part of the day in which an event happened."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeVar

import numpy as np

from whenbuy.core.arrays import DAY, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.kernel import kernel

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "weekday": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "hour": ("night", "morning", "afternoon", "evening"),
}
"""Filters that need no column, and their names; parts of the day are six hours long, night begins at midnight."""

DATE: Final = "date"
"""What else the shop's clock says of an event: its day, in days since 1970-01-01. No filter asks for it."""

Wall = TypeVar("Wall", int, Ints)

_LAST_DAY: Final = 47_482
"""Changes of a zone's offset are looked up once, from 1970 up to this day, the first of 2100."""


def refuse_unknown_part(column: str, name: str) -> None:
    """Raise SettingsError where a filter on the shop's clock asks for a name that its clock has not."""
    if column in PARTS and name not in PARTS[column]:
        raise SettingsError(f"A filter asks for the {column} {name!r}.", f"There are: {', '.join(PARTS[column])}.", "Ask for one of these.")


def part_of(part: str, instants: Instants, clock: Clock) -> Ints:
    """Return in which weekday (0: Monday), part of the day (0: night) or ``DATE`` of the shop each instant lies (n)."""
    return on_the_wall(part, instants + offsets_at(instants, clock))


def on_the_wall(part: str, local: Wall) -> Wall:
    """Return what `part_of` says of one instant, or of several, on the shop's wall clock."""
    return local // DAY if part == DATE else (local // DAY + 3) % 7 if part == "weekday" else local % DAY // (DAY // 4)


def steady(instant: int, clock: Clock) -> tuple[int, int, int]:
    """Return a stretch [begin, end) around an instant in which the shop's clock keeps its offset to UTC, and the offset."""
    if clock.zone == "UTC":
        return -(2**62), 2**62, 0
    if not 0 <= instant < _LAST_DAY * DAY:
        return instant, instant + 1, int(_ahead(np.array([instant]), clock)[0])
    begin, offset = _changes(clock)
    place = int(np.searchsorted(begin, instant, side="right")) - 1
    return int(begin[place]), int(begin[place + 1]) if place + 1 < len(begin) else _LAST_DAY * DAY, int(offset[place])


def offsets_at(instants: Instants, clock: Clock) -> Ints:
    """Return how far the shop's clock is ahead of UTC at each instant, in microseconds (n)."""
    if clock.zone == "UTC" or not len(instants):
        return np.zeros(len(instants), np.int64)
    if instants.min() < 0 or instants.max() >= _LAST_DAY * DAY:
        return _ahead(instants, clock)
    begin, offset = _changes(clock)
    return np.full(len(instants), offset[0]) if len(begin) == 1 else _pick(instants, begin, offset)


def _ahead(instants: Instants, clock: Clock) -> Ints:
    """Return what polars says of the offsets (n): right for any instant, slow for many."""
    wall: Ints = clock.local(instants).dt.replace_time_zone(None).to_physical().to_numpy().astype(np.int64)
    return wall - instants


@lru_cache
def _changes(clock: Clock) -> tuple[Instants, Ints]:
    """Return the instants from which each offset of a zone holds, rising, and these offsets (two changes within a day are not seen)."""
    days = np.arange(_LAST_DAY + 1, dtype=np.int64) * DAY
    at_midnight = _ahead(days, clock)
    changed = np.flatnonzero(np.diff(at_midnight))
    low, high = days[changed], days[changed + 1]
    while len(low) and (high - low).max() > 1:
        middle = (low + high) // 2
        early = _ahead(middle, clock) == at_midnight[changed]
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    return np.append(days[:1], high), np.append(at_midnight[:1], at_midnight[changed + 1])


@kernel
def _pick(instants: Instants, begin: Instants, offset: Ints) -> Ints:
    """Return the offset that holds at each instant (n); events that follow each other lie close together."""
    found, place = np.empty(len(instants), np.int64), 0
    for i in range(len(instants)):
        while begin[place] > instants[i]:
            place -= 1
        while place + 1 < len(begin) and begin[place + 1] <= instants[i]:
            place += 1
        found[i] = offset[place]
    return found
