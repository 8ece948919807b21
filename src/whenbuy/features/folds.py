"""Features that depend on order: first and last, instants, gaps, decayed rates, big orders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import SettingsError
from whenbuy.features import lanes
from whenbuy.features.builder import Builder, Where
from whenbuy.features.totals import filter_name, settle


@dataclass(frozen=True, slots=True)
class Recency:
    """Days since the latest event of a kind (of any, without one), NaN where there is none."""

    kind: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", "recency_days")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.SINCE, to.instant(self.kind, latest=True))


@dataclass(frozen=True, slots=True)
class Tenure:
    """Days since the earliest event of a kind (of any, without one), NaN where there is none."""

    kind: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", "tenure_days")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.SINCE, to.instant(self.kind, latest=False))


@dataclass(frozen=True, slots=True)
class First:
    """The first number of a column that became known in events of a kind, NaN where none did."""

    column: str
    kind: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", self.column, "first", filter_name(self.where))

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.VALUE, to.number(self.column, self.kind, self.where, latest=False), to.scale(self.column))


@dataclass(frozen=True, slots=True)
class Last:
    """The last number of a column that became known in events of a kind, NaN where none did."""

    column: str
    kind: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", self.column, "last", filter_name(self.where))

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.VALUE, to.number(self.column, self.kind, self.where, latest=True), to.scale(self.column))


@dataclass(frozen=True, slots=True)
class FirstOrder:
    """The sum of a column over the lines of the first order, NaN where none is known."""

    column: str
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, "first_order", self.column)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.VALUE, to.order_sum(self.column, latest=False), to.scale(self.column))


@dataclass(frozen=True, slots=True)
class LastOrder:
    """The sum of a column over the lines known since the last order's head, NaN where none is known."""

    column: str
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, "last_order", self.column)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, lanes.VALUE, to.order_sum(self.column, latest=True), to.scale(self.column))


@dataclass(frozen=True, slots=True)
class Gaps:
    """Days between events of a kind, in the order in which they became known; between orders, for purchases.

    ``number`` is how many gaps there are, ``open`` the days since the latest event (NaN where there is none). A late event enters with a
    gap of 0. Gaps are counted in whole milliseconds. NaN before the second event (deviation: before the third).

    With ``once_a_day`` an event counts only when its day, by the shop's clock, is later than that of the last one that counted: the first
    one known of each day does, and a late event only if nothing of its day or a later one has been counted.
    """

    statistic: Literal["mean", "deviation", "last", "number", "open"]
    kind: str = "purchase"
    once_a_day: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.statistic not in _GAPS:
            raise SettingsError(f"Gaps have no {self.statistic!r}.", f"They have: {', '.join(_GAPS)}.", "Ask for one of these.")
        settle(self, self.kind, "day" if self.once_a_day else None, "gap", self.statistic, None if self.statistic == "number" else "days")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        slot = to.gaps(self.kind, once_a_day=self.once_a_day)
        to.state(self.name, _GAPS[self.statistic], slot + (self.statistic == "number"))


_GAPS: Final = {
    "mean": lanes.GAP_MEAN,
    "deviation": lanes.GAP_DEVIATION,
    "last": lanes.GAP_LAST,
    "number": lanes.VALUE,
    "open": lanes.SINCE,
}


@dataclass(frozen=True, slots=True)
class Decayed:
    """Events of a kind (orders, for purchases), or the sum of a column over all of them, per day, each weighted by 2**(-age / half-life).

    A steady rate reads as itself; 0 where there was nothing.

    With ``once_a_day`` an event counts only when its day, by the shop's clock, is later than that of the last one that counted: the first
    one known of each day does, and a late event only if nothing of its day or a later one has been counted. A filter asks about the events
    that count.
    """

    kind: str
    halflife_days: float
    column: str | None = None
    where: Where | None = None
    once_a_day: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.halflife_days < math.inf:
            raise SettingsError(
                f"A half-life of {self.halflife_days} days was asked for.", "It must be above 0.", "Say how many days halve a weight."
            )
        if self.once_a_day and self.column is not None:
            raise SettingsError(
                f"The decayed sum of {self.column!r} was asked for once a day.", "Only events count once a day.", "Leave out the column."
            )
        days = "days" if self.once_a_day else None
        settle(self, self.kind, self.column, filter_name(self.where), days, "decay", f"{self.halflife_days:g}d")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        slot, place = to.decay(self.kind, self.halflife_days, self.column, self.where, once_a_day=self.once_a_day)
        each = math.log(2) / self.halflife_days
        rate = each if self.column is None else each / to.scale(self.column)
        to.state(self.name, lanes.DECAYED, slot, self.halflife_days * DAY, rate, place)


@dataclass(frozen=True, slots=True)
class BigOrder:
    """Days since the last big order, or the share of the orders that were big: those above the mean of the user's orders before.

    Orders and their lines follow the order in which they became known; the first order is never big. NaN where there is none.
    """

    statistic: Literal["recency", "share"]
    column: str = "amount"
    name: str = ""

    def __post_init__(self) -> None:
        if self.statistic not in _BIG:
            raise SettingsError(f"Big orders have no {self.statistic!r}.", f"They have: {', '.join(_BIG)}.", "Ask for one of these.")
        settle(self, "big", self.column, "order", "recency_days" if self.statistic == "recency" else "share")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, _BIG[self.statistic], to.big_orders(self.column))


_BIG: Final = {"recency": lanes.BIG_SINCE, "share": lanes.BIG_SHARE}


@dataclass(frozen=True, slots=True)
class Context:
    """Where the last event of a kind took place: the position of its name in ``names``, their number for any other, NaN for none known."""

    column: str
    names: tuple[str, ...]
    kind: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise SettingsError(f"The names of {self.column!r} repeat each other.", "Each has one position.", "Name each once.")
        settle(self, "last", self.kind, self.column)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.named(self.name, self.column, self.kind, self.names)
