"""The declarative spec: what a feature measures, as frozen data. A spec is stored with the model that learned from it.

A window such as ``30d`` is the half-open stretch [at - 30 days, at) before the instant at which the past is read; no window means all
time. A filter ``where=("category", "MEAT")`` keeps the events that have that name in that column, ``where=("weekday", "monday")`` and
``where=("hour", "morning")`` those of that part of the shop's week or day. Lines of one order count once wherever orders are meant. What a
log does not know (a kind, column or name) matches nothing: counts, sums and decayed rates are 0, the rest is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Table
from whenbuy.core.history import Past
from whenbuy.core.log import EventLog
from whenbuy.core.profile import Profile
from whenbuy.features.builder import Builder, Feature
from whenbuy.features.program import Program
from whenbuy.features.seek import seek
from whenbuy.features.sweep import sweep


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
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"Several features are called {', '.join(twice)}.", "Each needs a name of its own.", "Give them names.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; a feature of several says which ``columns`` it has."""
        return tuple(name for feature in self.spec for name in getattr(feature, "columns", (feature.name,)))

    def compile(self, log: EventLog, clock: Clock, offers: Profile | None = None) -> Program:
        """Return the spec compiled for one log, its shop's clock and offers.

        Raises
        ------
        ColumnError
            When a feature asks for the numbers of a column of names, or the other way round.
        SettingsError
            When a feature is made of one that is not in the spec.
        """
        builder = Builder(log, clock, offers)
        for feature in self.spec:
            feature.measure(builder)
        return builder.finish()

    def table(self, past: Past, engine: Literal["sweep", "seek"] = "sweep") -> Table:
        """Return the features of each key: by the sweep for many rows, by the seek for a few. Both give the same bits."""
        history = past._history
        program = self.compile(history.log, history.clock, history.offers)
        return (sweep if engine == "sweep" else seek)(past, program)
