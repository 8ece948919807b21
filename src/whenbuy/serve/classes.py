"""Classes: what one customer did with each of some classes of things, from her rows in the log and the events that followed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from whenbuy.core.arrays import MISSING, Bools, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Interactions
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.features import ByClass
from whenbuy.features.interactions import fill
from whenbuy.ingest.reception import Event
from whenbuy.serve.coding import number_reader

_ZERO: Final = np.zeros(1, np.int64)
Entry = tuple[int, bool, bool, int, int]
"""What an event says: when it happened, whether it counts, whether it begins an order, its class (-1: none of these), its amount."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassReader:
    """Makes the block of `ByClass` of one customer, equal to what the batch makes.

    Parameters
    ----------
    spec, log
        What is asked, and the log that holds her rows.
    kind
        The code of the kind that counts, -1 where the log has none.
    codes
        The class of each name.
    place
        The class of each code of the log's column; the last place stands for none.
    amount
        How an amount is read.
    speeds
        How fast the rates decay, per day.
    scale
        How many units of an amount make one.
    """

    spec: ByClass
    log: EventLog
    kind: int
    codes: dict[str, int]
    place: Ints
    amount: Callable[[Any], int]
    speeds: Floats
    scale: float

    @classmethod
    def of(cls, spec: object, log: EventLog) -> Self | None:
        """Return the reader of a block's spec; None where the block or the log is of another kind, so that the batch must make it."""
        if type(spec) is not ByClass or "amount" not in log.columns:
            return None
        column = log.columns.get(spec.column)
        if column is None or column.dictionary is None:
            return None
        known = column.dictionary.codes(spec.classes)
        place = np.full(len(column.dictionary) + 1, -1, np.int64)
        place[known[known >= 0]] = np.flatnonzero(known >= 0)
        codes = {name: code for code, name in enumerate(spec.classes)}
        speeds = math.log(2.0) / np.array(spec.halflives_days, np.float64)
        scale = log.columns["amount"].scale
        return cls(spec, log, log.code(spec.kind), codes, place, number_reader(scale), speeds, float(scale))

    def entry(self, event: Event, *, head: bool) -> Entry:
        """Return what an event says; ``head`` is whether it begins an order, where it is a purchase."""
        told = event.values
        name, paid = told.get(self.spec.column), told.get("amount")
        held = -1 if name is None else self.codes.get(str(name), -1)
        counts, first = event.kind == self.spec.kind, head or self.spec.kind != "purchase"
        return min(event.time, event.known_at), counts, first, held, MISSING if paid is None else self.amount(paid)

    def block(self, slices: Sequence[tuple[int, int]], later: Sequence[Sequence[Entry]], at: Instants) -> Interactions:
        """Return the block of some customers.

        Parameters
        ----------
        slices
            Where the rows of each stand in the log.
        later
            What followed them.
        at
            When each one's past is read.
        """
        told = [self.one(lo, hi, entries, instant) for (lo, hi), entries, instant in zip(slices, later, at.tolist(), strict=True)]
        empty = np.empty((0, len(self.codes), len(self.spec.names)), np.float32)
        return Interactions(self.spec.column, self.spec.classes, self.spec.names, np.stack(told) if told else empty)

    def one(self, lo: int, hi: int, later: Sequence[Entry], at: int) -> Singles:
        """Return what is told of one customer and each class (k x f); the parameters are those of `block`."""
        out = np.empty((1, len(self.codes), len(self.spec.names)), np.float32)
        time, counts, head, held, paid = self._rows(lo, hi, later)
        fill(time, counts, head, held, paid, self.scale, _ZERO, np.array([len(time)]), np.array([at]), _ZERO, self.speeds, out)
        told: Singles = out[0]
        return told

    def _rows(self, lo: int, hi: int, entries: Sequence[Entry]) -> tuple[Instants, Bools, Bools, Ints, Ints]:
        log, part, n = self.log, slice(lo, hi), hi - lo
        size = n + len(entries)
        time, held, paid = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
        counts, head = np.empty(size, np.bool_), np.ones(size, np.bool_)
        np.minimum(log.time[part], log.known_at[part], out=time[:n])
        counts[:n] = log.kind[part] == self.kind
        if ORDERS in log.columns and self.spec.kind == "purchase":
            head[:n] = log.columns[ORDERS].values[part] != 0
        held[:n] = self.place[log.columns[self.spec.column].values[part]]
        paid[:n] = log.columns["amount"].values[part]
        for i, entry in enumerate(entries, n):
            time[i], counts[i], head[i], held[i], paid[i] = entry
        return time, counts, head, held, paid


def readers_of(blocks: Mapping[str, object], log: EventLog) -> Mapping[str, ClassReader]:
    """Return the readers of a model's block, where it has one and that is one of classes."""
    found = {name: ClassReader.of(spec, log) for name, spec in blocks.items()}
    return {name: reader for name, reader in found.items() if reader is not None} if len(found) == 1 else {}
