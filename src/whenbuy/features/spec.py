"""The declarative spec: what a feature measures, as frozen data. A spec is stored with the model that learned from it.

A window such as ``30d`` is the half-open stretch [at - 30 days, at) before the instant at which the past is read; no window means all
time. A filter ``where=("category", "MEAT")`` keeps the events that have that name in that column. Lines of one order count once wherever
orders are meant. What a log does not know (a kind, column or name) matches nothing: counts, sums and decayed rates are 0, the rest is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.log import EventLog
from whenbuy.features import lanes
from whenbuy.features.program import Builder, Feature, Program, Total, Where, window_length
from whenbuy.features.seek import seek
from whenbuy.features.sweep import sweep


def settle(feature: object, *parts: object, window: str | None = None) -> None:
    """Give a feature the name that its parts spell, unless it was given one, and check its window."""
    if window is not None:
        window_length(window)
    if not getattr(feature, "name"):  # noqa: B009 - every feature has one
        object.__setattr__(feature, "name", "_".join(str(part) for part in (*parts, window) if part))


def _filter_name(where: Where | None) -> str:
    return "" if where is None else "_".join(where)


# ---------------------------------------------------------------------------------------------- totals


@dataclass(frozen=True, slots=True)
class Count:
    """How many events of a kind (of any, without one) lie in the window."""

    kind: str | None = None
    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", "count", _filter_name(self.where), window=self.window)

    def total(self, to: Builder) -> Total:
        """Return what is added up."""
        return to.count(self.kind, self.window, self.where)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.feature(self.name, self.total(to))


@dataclass(frozen=True, slots=True)
class Orders:
    """How many orders lie in the window."""

    window: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, "orders", window=self.window)

    def total(self, to: Builder) -> Total:
        """Return what is added up."""
        return to.orders(self.window)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.feature(self.name, self.total(to))


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a column over the events of a kind in the window, in the column's own unit."""

    column: str
    kind: str | None = "purchase"
    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", self.column, "sum", _filter_name(self.where), window=self.window)

    def total(self, to: Builder) -> Total:
        """Return what is added up."""
        return to.total(self.column, self.kind, self.window, self.where)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.feature(self.name, self.total(to))


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a column over the events of a kind in which it is known, NaN where there is none."""

    column: str
    kind: str | None = "purchase"
    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", self.column, "mean", _filter_name(self.where), window=self.window)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        parts = self.column, self.kind, self.window, self.where
        to.ratio(self.name, to.total(*parts), to.known(*parts))


@dataclass(frozen=True, slots=True)
class Deviation:
    """The sample standard deviation of a column over the events of a kind in which it is known, NaN for fewer than two.

    Exact for values below 2**47 stored units (1.4e12 in money) whose squares sum to less than 2**95.
    """

    column: str
    kind: str | None = "purchase"
    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", self.column, "deviation", _filter_name(self.where), window=self.window)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        parts = self.column, self.kind, self.window, self.where
        to.deviation(self.name, to.known(*parts), to.total(*parts), to.squares(*parts))


@dataclass(frozen=True, slots=True)
class Share:
    """The share of the events of a kind that pass a filter: the affinity to a category, a brand, a channel. NaN where there is no event."""

    where: Where
    kind: str | None = "purchase"
    window: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", "share", _filter_name(self.where), window=self.window)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.ratio(self.name, to.count(self.kind, self.window, self.where), to.count(self.kind, self.window))


@dataclass(frozen=True, slots=True)
class Rate:
    """One total over another: clicks per message shown, orders per view, orders per second of dwell. NaN where the second is 0."""

    top: Count | Orders | Sum
    bottom: Count | Orders | Sum
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.top.name, "per", self.bottom.name)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.ratio(self.name, self.top.total(to), self.bottom.total(to))


@dataclass(frozen=True, slots=True)
class Frequency:
    """Repeat orders so far: the first one starts the clock (Fader, Hardie and Lee 2005, section 2)."""

    name: str = "frequency"

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.repeats(self.name, to.orders(None))


# ------------------------------------------------------------------------------------- order and instants


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
        settle(self, self.kind or "event", self.column, "first", _filter_name(self.where))

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
        settle(self, self.kind or "event", self.column, "last", _filter_name(self.where))

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

    A late event enters with a gap of 0. Gaps are counted in whole milliseconds. NaN before the second event (deviation: before the third).
    """

    statistic: Literal["mean", "deviation", "last"]
    kind: str = "purchase"
    name: str = ""

    def __post_init__(self) -> None:
        if self.statistic not in _GAPS:
            raise SettingsError(f"Gaps have no {self.statistic!r}.", f"They have: {', '.join(_GAPS)}.", "Ask for one of these.")
        settle(self, self.kind, "gap", self.statistic, "days")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.state(self.name, _GAPS[self.statistic], to.gaps(self.kind))


_GAPS: Final = {"mean": lanes.GAP_MEAN, "deviation": lanes.GAP_DEVIATION, "last": lanes.GAP_LAST}


@dataclass(frozen=True, slots=True)
class Decayed:
    """Events of a kind (orders, for purchases) per day, each weighted by 2**(-age / half-life).

    A steady rate reads as itself; 0 where there was no event.
    """

    kind: str
    halflife_days: float
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.halflife_days < math.inf:
            raise SettingsError(
                f"A half-life of {self.halflife_days} days was asked for.", "It must be above 0.", "Say how many days halve a weight."
            )
        settle(self, self.kind, "decay", f"{self.halflife_days:g}d")

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        slot, place = to.decay(self.kind, self.halflife_days)
        to.state(self.name, lanes.DECAYED, slot, self.halflife_days * DAY, math.log(2) / self.halflife_days, place)


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


# ----------------------------------------------------------------------------------------------- the spec


@dataclass(frozen=True, slots=True)
class Features:
    """A spec: the features that a model learns from.

    Raises
    ------
    SettingsError
        When two features have one name.
    """

    spec: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.spec]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"Several features are called {', '.join(twice)}.", "Each needs a name of its own.", "Give them names.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(feature.name for feature in self.spec)

    def compile(self, log: EventLog, clock: Clock) -> Program:
        """Return the spec compiled for one log.

        Raises
        ------
        ColumnError
            When a feature asks for the numbers of a column of names, or the other way round.
        """
        builder = Builder(log, clock)
        for feature in self.spec:
            feature.measure(builder)
        return builder.finish()

    def table(self, past: Past, engine: Literal["sweep", "seek"] = "sweep") -> Table:
        """Return the features of each key: by the sweep for many rows, by the seek for a few. Both give the same bits."""
        program = self.compile(past._history.log, past._history.clock)
        return (sweep if engine == "sweep" else seek)(past, program)
