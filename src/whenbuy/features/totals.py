"""Features that add up: counts, sums, means, shares and rates of the events in a window."""

from __future__ import annotations

from dataclasses import dataclass

from whenbuy.features.builder import Builder, Total, Where, window_length
from whenbuy.features.local import refuse_unknown_part


def settle(feature: object, *parts: object, window: str | None = None) -> None:
    """Give a feature the name that its parts spell, unless it was given one, and check its window."""
    if window is not None:
        window_length(window)
    if not getattr(feature, "name"):  # noqa: B009 - every feature has one
        object.__setattr__(feature, "name", "_".join(str(part) for part in (*parts, window) if part))


def filter_name(where: Where | None) -> str:
    """Return what a filter adds to a feature's name, and refuse one that no event can pass."""
    if where is not None:
        refuse_unknown_part(*where)
    return "" if where is None else "_".join(where)


@dataclass(frozen=True, slots=True)
class Count:
    """How many events of a kind (of any, without one) lie in the window."""

    kind: str | None = None
    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.kind or "event", "count", filter_name(self.where), window=self.window)

    def total(self, to: Builder) -> Total:
        """Return what is added up."""
        return to.count(self.kind, self.window, self.where)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.feature(self.name, self.total(to))


@dataclass(frozen=True, slots=True)
class Orders:
    """How many orders lie in the window; a filter asks about the first line of an order."""

    window: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, "orders", filter_name(self.where), window=self.window)

    def total(self, to: Builder) -> Total:
        """Return what is added up."""
        return to.orders(self.window, self.where)

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
        settle(self, self.kind or "event", self.column, "sum", filter_name(self.where), window=self.window)

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
        settle(self, self.kind or "event", self.column, "mean", filter_name(self.where), window=self.window)

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
        settle(self, self.kind or "event", self.column, "deviation", filter_name(self.where), window=self.window)

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
        settle(self, self.kind or "event", "share", filter_name(self.where), window=self.window)

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


@dataclass(frozen=True, slots=True)
class Over:
    """One feature of the spec over another, both by name: how long she waits against her own gap. NaN where the second is 0."""

    top: str
    bottom: str
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, self.top, "over", self.bottom)

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.over(self.name, self.top, self.bottom)
