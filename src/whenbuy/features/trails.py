"""Trails: the things that each key met, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Instants, Ints, Kinds, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.core.log import ORDERS
from whenbuy.core.ranking import Shelf, Trails, place_on
from whenbuy.features.sweep import chunks

STRENGTHS: Final[Mapping[str, float]] = MappingProxyType({"purchase": 1.0, "cart": 0.5, "favourite": 0.4, "view": 0.2, "click": 0.2})
"""How loudly each kind of event speaks for a thing."""


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """The latest things that each key met, as a block of trails.

    Parameters
    ----------
    shelf
        What can be met; other things are passed over.
    strengths
        The kinds of event that count, and how loudly each speaks.
    length
        So many steps at most, the latest ones.
    column
        The column of names that tells the thing. A log without it has met nothing.

    Raises
    ------
    SettingsError
        When no step would count.
    """

    shelf: Shelf
    strengths: Mapping[str, float] = field(default_factory=lambda: STRENGTHS)
    length: int = 1000
    column: str = "item_id"

    def __post_init__(self) -> None:
        if self.length < 1 or not self.strengths or not all(0 < strength <= 1 for strength in self.strengths.values()):
            raise SettingsError(
                f"Trails of {self.length} steps were asked for, with the strengths {dict(self.strengths)}.",
                "A trail has one step at least, and a kind that counts a strength above 0 and at most 1.", "Change them.",
            )  # fmt: skip

    def block(self, past: Past) -> Trails:
        """Return the trails of each key (n), from what was known before its cutoff."""
        log, order = past._history.log, past.keys.order()
        strength = np.array([self.strengths.get(kind, 0.0) for kind in log.kinds], np.float32)
        held = log.columns.get(self.column)
        named = held is not None and held.dictionary is not None
        places = (
            place_on(self.shelf.names, held.dictionary) if held is not None and held.dictionary is not None else np.full(1, -1, np.int32)
        )
        lengths, parts = (
            np.zeros(len(past), np.int64),
            [(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))],
        )
        for keys, rows, start, stop in chunks(past, order):
            time: Instants = np.minimum(log.time[rows], log.known_at[rows])
            item = places[held.values[rows]] if held is not None and named else np.full(len(time), -1, np.int32)
            head: Bools = log.columns[ORDERS].values[rows] != 0 if ORDERS in log.columns else np.ones(len(time), np.bool_)
            found = _steps(item, time, log.kind[rows], head | (log.kind[rows] != log.code("purchase")), strength, start, stop, self.length)
            lengths[keys] = found[0]
            parts.append(found[1:])
        offsets = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
        item, time, number, loud = (np.concatenate(each) for each in zip(*parts, strict=True))
        made = Trails(self.shelf, offsets, item, time, number, loud, past.at[order])
        return made if (order[1:] > order[:-1]).all() else made.take(np.argsort(order))


@kernel
def _steps(
    item: Codes, time: Instants, kind: Kinds, head: Bools, strength: Singles, start: Ints, stop: Ints, most: int
) -> tuple[Ints, Codes, Instants, Codes, Singles]:
    """Return how many steps each key took, and of each: the thing, the instant, the number of the order, the strength."""
    length = np.zeros(len(start), np.int64)
    for key in range(len(start)):
        for event in range(start[key], stop[key]):
            length[key] += item[event] >= 0 and strength[kind[event]] > 0
        length[key] = min(length[key], most)
    steps, base = length.sum(), 0
    met, when = np.empty(steps, np.int32), np.empty(steps, np.int64)
    number, loud = np.empty(steps, np.int32), np.empty(steps, np.float32)
    for key in range(len(start)):
        place, order = base + length[key], 0
        for event in range(stop[key] - 1, start[key] - 1, -1):
            if place == base:
                break
            if item[event] >= 0 and strength[kind[event]] > 0:
                place -= 1
                met[place], when[place], number[place], loud[place] = item[event], time[event], order, strength[kind[event]]
            order += head[event]
        for step in range(base, base + length[key]):
            number[step] = order - number[step]
        base += length[key]
    return length, met, when, number, loud
