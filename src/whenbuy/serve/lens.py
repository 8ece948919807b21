"""The lens through which the live state sees events: what the rules of a shop's own do to an event by itself, they have done to it.

The journal keeps what came. What such a rule learns from other events waits for the log; see ``bringing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from whenbuy.clean import Rule, ShiftClock
from whenbuy.clean.alone import Alone, alone
from whenbuy.core.history import History
from whenbuy.core.log import SCALES
from whenbuy.ingest.reception import Event, Shift


@dataclass(frozen=True, slots=True)
class Lens:
    """What the rules of a shop make of one event.

    Parameters
    ----------
    alone
        Those that look at nothing but the event.
    shift
        How a wrong clock is moved, which the reception does when an event comes; None where there is none.
    """

    alone: Alone
    shift: Shift | None

    @classmethod
    def of(cls, rules: Sequence[Rule], history: History) -> Lens:
        """Return the lens of a shop with some rules, and this log."""
        numbers = {name: column.scale for name, column in history.log.columns.items() if column.dictionary is None}
        names = frozenset(name for name, column in history.log.columns.items() if column.dictionary is not None)
        scales = {name: scale for name, scale in SCALES.items() if name not in names} | numbers
        return cls(Alone(tuple(filter(alone, rules)), history.clock, scales, names), shift_of(rules))

    def see(self, event: Event) -> Event:
        """Return an event as these rules leave it; one that they take out belongs to nobody."""
        if not self.alone.rules:
            return event
        cells = self.alone.cleaned(event.kind, event.time, event.values)
        if cells is event.values:
            return event
        return msgspec.structs.replace(event, user=None) if cells is None else msgspec.structs.replace(event, values=cells)

    def as_sent(self, event: Event) -> Event:
        """Return an event with the time that its sender's clock told, as an import would read it."""
        return event if self.shift is None else msgspec.structs.replace(event, time=event.time - self.shift.of(event.values))


def shift_of(rules: Sequence[Rule]) -> Shift | None:
    """Return how some rules move a clock."""
    found = next((rule for rule in rules if isinstance(rule, ShiftClock)), None)
    return None if found is None else Shift(found.source[0], found.source[1], found.microseconds)
