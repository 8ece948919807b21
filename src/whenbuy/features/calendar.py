"""Features of the calendar: of the shop-local day in which the past is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import SettingsError
from whenbuy.features.builder import Builder
from whenbuy.features.folds import Decayed
from whenbuy.features.local import PARTS
from whenbuy.features.program import ByDay
from whenbuy.features.totals import Count, Orders, Sum


@dataclass(frozen=True, slots=True)
class Calendar:
    """A part of the shop-local date of the instant at which the past is read; the weekday as a point on a circle, Monday at angle 0."""

    part: Literal["weekday_sin", "weekday_cos", "day_of_month", "month"]
    name: str = ""

    def __post_init__(self) -> None:
        if self.part not in _PARTS:
            raise SettingsError(f"The calendar has no {self.part!r}.", f"It has: {', '.join(_PARTS)}.", "Ask for one of these.")
        object.__setattr__(self, "name", self.name or self.part)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.by_day(self.name, _PARTS[self.part])


@dataclass(frozen=True, slots=True)
class Payday:
    """Days until the next pay-day, 0 on one; a day that a month does not have is its last day."""

    days: tuple[int, ...] = (1,)
    name: str = "payday_in_days"

    def __post_init__(self) -> None:
        if not self.days or not all(1 <= day <= 31 for day in self.days):
            raise SettingsError(f"The pay-days {self.days} were given.", "A pay-day is a day of the month, 1 to 31.", "Give at least one.")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.by_day(self.name, self._wait)

    def _wait(self, days: Ints) -> Floats:
        month = days.astype("datetime64[D]").astype("datetime64[M]")
        wait = np.full(len(days), np.inf)
        for later in (0, 1):
            first, following = (
                (month + later).astype("datetime64[D]").astype(np.int64),
                (month + later + 1).astype("datetime64[D]").astype(np.int64),
            )
            for day in self.days:
                until = np.minimum(first + day - 1, following - 1) - days
                wait = np.where((until >= 0) & (until < wait), until, wait)
        return wait


@dataclass(frozen=True, slots=True)
class Holiday:
    """1 on the shop-local days that the shop lists (ISO dates), else 0."""

    dates: tuple[str, ...]
    name: str = "holiday"

    def __post_init__(self) -> None:
        self._days()

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.by_day(self.name, lambda days: np.isin(days, self._days()).astype(np.float64))

    def _days(self) -> Ints:
        try:
            return np.array([(date.fromisoformat(day) - date(1970, 1, 1)).days for day in self.dates], np.int64)
        except ValueError as error:
            raise SettingsError(
                f"The holidays {self.dates} were given.", "A holiday is an ISO date such as '2017-12-25'.", "Write it that way."
            ) from error


@dataclass(frozen=True, slots=True)
class Weekdays:
    """A number for each weekday, seven columns from that of today on: today's weekday, tomorrow's, …, that of six days ahead.

    Columns that turn with the day say the same on every day of the week, so a learner needs no week of its own for each.
    """

    of: Orders | Count | Sum | Decayed
    name: str = ""

    def __post_init__(self) -> None:
        if self.of.where is not None:
            raise SettingsError(f"Weekdays of {self.of.name!r} were asked for.", "It has a filter already.", "Give it without one.")
        object.__setattr__(self, "name", self.name or f"{self.of.name}_on_weekday")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(f"{self.name}_in_{days}d" for days in range(7))

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        for name, weekday in zip(self.columns, PARTS["weekday"], strict=True):
            replace(self.of, where=("weekday", weekday), name=name).measure(to)
        to.turned()


def _weekday(days: Ints, wave: Literal["sin", "cos"]) -> Floats:
    circle: Floats = np.array([getattr(math, wave)(2 * math.pi * day / 7) for day in range(7)])
    return circle[(days + 3) % 7]


def _day_of_month(days: Ints) -> Floats:
    first: Ints = days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return (days - first + 1).astype(np.float64)


_PARTS: Final[dict[str, ByDay]] = {
    "weekday_sin": lambda days: _weekday(days, "sin"),
    "weekday_cos": lambda days: _weekday(days, "cos"),
    "day_of_month": _day_of_month,
    "month": lambda days: (days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1).astype(np.float64),
}
