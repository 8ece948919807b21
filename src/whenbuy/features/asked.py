"""What a spec asks about: the kinds, columns and names that can change a feature. All others are alike to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.clock import Clock
from whenbuy.core.log import SCALES, Column, Dictionary, EventLog
from whenbuy.features.builder import Builder, Where
from whenbuy.features.local import PARTS
from whenbuy.features.spec import Features

OTHER = "\0other"
"""The kind that stands for all kinds about which nothing is asked; no event can have this name."""
_FINE = 1_000_000


@dataclass(slots=True)
class _Ear(Builder):
    """A builder that notes what it is asked about."""

    kinds: dict[str, None] = field(default_factory=dict)
    numbers: dict[str, None] = field(default_factory=dict)
    coded: dict[str, dict[str, None]] = field(default_factory=dict)

    def _kinds(self, kind: str | None) -> tuple[int, ...]:
        if kind is not None:
            self.kinds[kind] = None
        return Builder._kinds(self, kind)

    def _number(self, column: str) -> int:
        self.numbers[column] = None
        return Builder._number(self, column)

    def _coded(self, column: str) -> int:
        self.coded.setdefault(column, {})
        return Builder._coded(self, column)

    def _filter(self, where: Where | None) -> tuple[int, int] | None:
        if where is not None and where[0] not in PARTS:
            self.coded.setdefault(where[0], {})[where[1]] = None
        return Builder._filter(self, where)

    def named(self, name: str, column: str, kind: str | None, names: Sequence[str]) -> None:
        self.coded.setdefault(column, {}).update(dict.fromkeys(names))
        Builder.named(self, name, column, kind, names)


def asked_log(features: Features, log: EventLog, clock: Clock) -> EventLog:
    """Return an empty log that knows all that a spec asks about, and nothing else.

    A spec that is compiled for it stays right for every later event, whatever new kinds, columns and names that one brings: a kind that is
    not among ``kinds`` is ``OTHER``, a name that is not in a column's dictionary has the code behind its last one.

    Parameters
    ----------
    features
        The spec.
    log
        Says what its columns hold. A column that it does not have yet holds what its name says; an attribute that it does not have holds
        names.
    clock
        The shop's.
    """
    columns = {name: _emptied(column) for name, column in log.columns.items()}
    ear = _Ear(_empty(log.kinds, columns), clock)
    for feature in features.spec:
        getattr(feature, "measure")(ear)  # noqa: B009 - a feature measures itself with any builder
    wanted = {name: _number(name, log) for name in ear.numbers} | {name: _names(name, log, tuple(ear.coded[name])) for name in ear.coded}
    kept = {name: column for name, column in wanted.items() if column is not None}
    return _empty((*dict.fromkeys(("purchase", *ear.kinds)), OTHER), kept)


def _empty(kinds: tuple[str, ...], columns: dict[str, Column]) -> EventLog:
    none: Ints = np.empty(0, np.int64)
    return EventLog(Dictionary.of(()), kinds, np.zeros(1, np.int64), none, none, np.empty(0, np.uint8), columns, 0)


def _emptied(column: Column) -> Column:
    return Column(column.values[:0].copy(), None if column.dictionary is None else Dictionary.of(()), column.scale)


def _number(name: str, log: EventLog) -> Column | None:
    """Return an empty column of numbers; whole numbers of an attribute may be followed by others, so they are kept as fine as these."""
    if name not in log.columns:
        return Column(np.empty(0, np.int64), scale=SCALES[name]) if name in SCALES else None
    scale = log.columns[name].scale
    return Column(np.empty(0, np.int64), scale=_FINE if scale == 1 and name not in SCALES else scale)


def _names(name: str, log: EventLog, asked: tuple[str, ...]) -> Column | None:
    """Return an empty column of names that knows those asked about."""
    if name in SCALES or (name in log.columns and log.columns[name].dictionary is None):
        return None
    return Column(np.empty(0, np.int32), Dictionary.of(asked))
