"""The builder: where features say what they need. Names are resolved to codes, features that need the same sums share them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.log import Dictionary, EventLog
from whenbuy.core.profile import Profile
from whenbuy.features import lanes
from whenbuy.features.local import DATE, PARTS
from whenbuy.features.program import ByDay, ByInstant, Program

Where = tuple[str, str]
"""A filter: a column of names and the name that an event must have there. ``weekday`` (monday … sunday) and ``hour`` (night, morning,
afternoon, evening) need no column: they are when the event happened, by the shop's clock."""

_PART: Final = -2
"""Where filters on the shop's clock stand among the columns until all columns are known."""

_UNITS: Final = {"h": 3_600_000_000, "d": DAY, "w": 7 * DAY}


def window_length(window: str) -> int:
    """Return the length of a window such as ``12h``, ``30d`` or ``4w`` in microseconds.

    Raises
    ------
    SettingsError
        When it does not look like that.
    """
    parts = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", window)
    if parts is None:
        raise SettingsError(
            f"The window {window!r} is not a length.", "A window is a number and h, d or w: '12h', '30d', '4w'.", "Write it that way."
        )
    return int(parts[1]) * _UNITS[parts[2]]


class Feature(Protocol):
    """A declared feature: its name, with the unit in it, and how it is measured."""

    @property
    def name(self) -> str:
        """The name of its column."""

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""


@dataclass(frozen=True, slots=True)
class Total:
    """A lane within a window, and how many of its units make one."""

    lane: int
    window: str | None
    scale: float = 1.0


@dataclass(slots=True)
class Builder:
    """Where features declare what they need; equal needs are met once."""

    log: EventLog
    clock: Clock
    offers: Profile | None = None
    names: list[str] = field(default_factory=list)
    _columns: dict[str, int] = field(default_factory=dict)
    _parts: dict[str, int] = field(default_factory=dict)
    _lanes: dict[tuple[object, ...], int] = field(default_factory=dict)
    _folds: dict[tuple[object, ...], int] = field(default_factory=dict)
    _width: int = 0
    _units: list[tuple[int, int]] = field(default_factory=list)
    _steps: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    _fold_steps: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    _day_steps: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    _empty: list[int] = field(default_factory=list)
    _decays: dict[tuple[str, float, str | None, Where | None, bool], int] = field(default_factory=dict)
    _known_names: list[int] = field(default_factory=list)
    _plain: list[tuple[int, Total]] = field(default_factory=list)
    _reads: list[tuple[int, int, tuple[int | Total, ...], tuple[float, float]]] = field(default_factory=list)
    _by_day: list[tuple[int, ByDay]] = field(default_factory=list)
    _by_instant: list[tuple[int, ByInstant]] = field(default_factory=list)
    _turned: list[int] = field(default_factory=list)
    _over: list[tuple[int, str, str]] = field(default_factory=list)

    # ---- what to add up

    def count(self, kind: str | None, window: str | None, where: Where | None = None) -> Total:
        """Return the number of events of a kind (of any, for None)."""
        return Total(self._lane(lanes.COUNT, self._kinds(kind), None, where), window)

    def orders(self, window: str | None, where: Where | None = None) -> Total:
        """Return the number of orders: lines of one order count once, and its first line must pass the filter."""
        return Total(self._lane(lanes.COUNT, self._heads("purchase"), None, where), window)

    def total(self, column: str, kind: str | None, window: str | None, where: Where | None = None) -> Total:
        """Return the sum of a column over the events of a kind in which it is known."""
        return Total(self._lane(lanes.SUM, self._kinds(kind), column, where), window, self.scale(column))

    def known(self, column: str, kind: str | None, window: str | None, where: Where | None = None) -> Total:
        """Return the number of events of a kind in which a column is known."""
        return Total(self._lane(lanes.KNOWN, self._kinds(kind), column, where), window)

    def squares(self, column: str, kind: str | None, window: str | None, where: Where | None = None) -> Total:
        """Return the sum of squares of a column: two lanes, the second one behind the first."""
        return Total(self._lane(lanes.SQUARE, self._kinds(kind), column, where), window)

    # ---- what to fold

    def instant(self, kind: str | None, *, latest: bool) -> int:
        """Return the slot of the latest (or earliest) time of an event of a kind."""
        return self._fold(lanes.LATEST if latest else lanes.EARLIEST, self._kinds(kind), 1)

    def number(self, column: str, kind: str | None, where: Where | None, *, latest: bool) -> int:
        """Return the slot of the last (or first) known number of a column."""
        return self._fold(lanes.LAST if latest else lanes.FIRST, self._kinds(kind), 1, self._number(column), where)

    def order_sum(self, column: str, *, latest: bool) -> int:
        """Return the slot of the sum of a column over the last (or first) order."""
        column_at, heads = self._number(column), self._heads("purchase")
        further = tuple(kind for kind in self._kinds("purchase") if kind not in heads)
        head, line = (lanes.HEAD, lanes.LINE) if latest else (lanes.FIRST_HEAD, lanes.FIRST_LINE)
        slot = self._fold(head, heads, 1 if latest else 2, column_at)
        if not latest:
            self._empty[slot + 1] = 0
        return self._fold(line, further, 1, column_at, slot=slot)

    def name_of(self, column: str, kind: str | None) -> int:
        """Return the slot of the last known name in a column."""
        return self._fold(lanes.LAST_NAME, self._kinds(kind), 1, self._coded(column))

    def gaps(self, kind: str, *, once_a_day: bool = False) -> int:
        """Return the first of the six slots of the gaps between events of a kind (between orders, for purchases)."""
        slot = self._fold(lanes.GAP, self._heads(kind), 6, once_a_day=once_a_day)
        self._empty[slot + 1 : slot + 6] = [0] * 5
        return slot

    def big_orders(self, column: str) -> int:
        """Return the first of the six slots of the orders whose sum of a column is above the mean of the orders before."""
        column_at, heads = self._number(column), self._heads("purchase")
        slot = self._fold(lanes.BIG_HEAD, heads, 6, column_at)
        for place in (2, 3, 5):
            self._empty[slot + place] = 0
        return self._fold(lanes.BIG_LINE, tuple(kind for kind in self._kinds("purchase") if kind not in heads), 6, column_at, slot=slot)

    def decay(
        self, kind: str, halflife_days: float, column: str | None = None, where: Where | None = None, *, once_a_day: bool = False
    ) -> tuple[int, int]:
        """Return slot and place of a decayed count of the events of a kind (orders, for purchases), or of a decayed sum of a column."""
        place = self._decays.setdefault((kind, halflife_days, column, where, once_a_day), len(self._decays))
        if column is None:
            return self._fold(lanes.DECAY, self._heads(kind), 1, where=where, decay=place, once_a_day=once_a_day), place
        return self._fold(lanes.DECAY_SUM, self._kinds(kind), 1, self._number(column), where, decay=place), place

    # ---- how to read it

    def feature(self, name: str, total: Total) -> None:
        """Read a feature as one total."""
        self._plain.append((self._named(name), total))

    def ratio(self, name: str, top: Total, bottom: Total) -> None:
        """Read a feature as one total over another, NaN where that is zero."""
        self._reads.append((lanes.RATIO, self._named(name), (top, bottom), (top.scale, bottom.scale)))

    def repeats(self, name: str, total: Total) -> None:
        """Read a feature as a count less one, not below zero."""
        self._reads.append((lanes.REPEATS, self._named(name), (total, total), (1.0, 1.0)))

    def deviation(self, name: str, known: Total, total: Total, squares: Total) -> None:
        """Read a feature as the sample standard deviation of a column."""
        rest = Total(squares.lane + 1, squares.window)
        self._reads.append((lanes.DEVIATION, self._named(name), (known, total, squares, rest), (total.scale, 1.0)))

    def state(self, name: str, way: int, slot: int, factor: float = 1.0, more: float = 1.0, place: int = 0) -> None:
        """Read a feature from a slot of the state, in one of the ways of `lanes`."""
        self._reads.append((way, self._named(name), (slot, place), (factor, more)))

    def named(self, name: str, column: str, kind: str | None, names: Sequence[str]) -> None:
        """Read a feature as the place of the last known name among the names given, their number for any other name."""
        if column in self.log.columns:
            dictionary = self._dictionary(column)
            place = np.full(len(dictionary), len(names), np.int64)
            codes = dictionary.codes(names)
            place[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
        else:
            place = np.empty(0, np.int64)
        self._reads.append(
            (lanes.NAME, self._named(name), (self.name_of(column, kind), len(self._known_names), len(place), len(names)), (1.0, 1.0))
        )
        self._known_names.extend(place.tolist())

    def by_day(self, name: str, measure: ByDay) -> None:
        """Read a feature from the calendar alone."""
        self._by_day.append((self._named(name), measure))

    def by_instant(self, name: str, measure: ByInstant) -> None:
        """Read a feature from the cutoff and the instant at which the past is read alone."""
        self._by_instant.append((self._named(name), measure))

    def turned(self) -> None:
        """Turn the last seven features, which tell of Monday to Sunday: the first one tells of the weekday in which the past is read."""
        self._turned.append(len(self.names) - 7)

    def over(self, name: str, top: str, bottom: str) -> None:
        """Read a feature as one other feature over another, NaN where that is zero."""
        self._over.append((self._named(name), top, bottom))

    # ---- what the log knows

    def scale(self, column: str) -> float:
        """Return how many stored units of a column make one; 1 where the log has no such column."""
        self._number(column)
        return float(self.log.columns[column].scale) if column in self.log.columns else 1.0

    def _kinds(self, kind: str | None) -> tuple[int, ...]:
        """Return the local codes of a kind: none where the log does not know it; a purchase is a head or a further line of an order."""
        if kind is None:
            return tuple(range(len(self.log.kinds) + 1))
        code = self.log.code(kind)
        return () if code < 0 else (code, len(self.log.kinds)) if kind == "purchase" else (code,)

    def _heads(self, kind: str) -> tuple[int, ...]:
        return self._kinds(kind)[:1]

    def _number(self, column: str) -> int:
        """Return the place of a column of numbers among the values, -1 where the log has none."""
        if column not in self.log.columns:
            return -1
        if self.log.columns[column].dictionary is not None:
            raise ColumnError(
                f"A feature asks for the numbers of {column!r}, which holds names.",
                "Sums and means need numbers.",
                "Count by name instead.",
            )
        return self._columns.setdefault(column, len(self._columns))

    def _dictionary(self, column: str) -> Dictionary:
        dictionary = self.log.columns[column].dictionary
        if dictionary is None:
            raise ColumnError(
                f"A feature asks for the names in {column!r}, which holds numbers.", "A filter needs a column of names.", "Sum it instead."
            )
        return dictionary

    def _coded(self, column: str) -> int:
        if column not in self.log.columns:
            return -1
        self._dictionary(column)
        return self._columns.setdefault(column, len(self._columns))

    def _filter(self, where: Where | None) -> tuple[int, int] | None:
        """Return column and code of a filter, (-1, -1) for none; None where no event of this log can pass. Parts go down from ``_PART``."""
        if where is None:
            return -1, -1
        if where[0] in PARTS:
            return _PART - self._parts.setdefault(where[0], len(self._parts)), PARTS[where[0]].index(where[1])
        column = self._coded(where[0])
        code = -1 if column < 0 else int(self._dictionary(where[0]).codes([where[1]])[0])
        return (column, code) if code >= 0 else None

    # ---- sharing

    def _lane(self, action: int, kinds: tuple[int, ...], column: str | None, where: Where | None) -> int:
        place = -1 if column is None else self._number(column)
        key = (action, kinds, column, where)
        if key not in self._lanes:
            self._lanes[key] = self._width
            passes = self._filter(where)
            if passes is not None and (column is None or place >= 0):
                for kind in kinds:
                    if action == lanes.COUNT and where is None:
                        self._units.append((kind, self._width))
                    else:
                        self._steps.setdefault(kind, []).append((action, self._width, place, *passes))
            self._width += 2 if action == lanes.SQUARE else 1
        return self._lanes[key]

    def _fold(
        self,
        action: int,
        kinds: tuple[int, ...],
        slots: int,
        column: int = 0,
        where: Where | None = None,
        *,
        decay: int = 0,
        slot: int = -1,
        once_a_day: bool = False,
    ) -> int:
        key = (action, kinds, column, where, decay, slot, once_a_day)
        if key not in self._folds:
            if slot < 0:
                slot = len(self._empty)
                self._empty.extend([MISSING] * slots)
            self._folds[key] = slot
            passes = self._filter(where)
            if passes is not None and column >= 0:
                for kind in kinds:
                    steps = self._days(kind) if once_a_day else self._fold_steps.setdefault(kind, [])
                    steps.append((action, slot, column, *passes, decay))
        return self._folds[key]

    def _days(self, kind: int) -> list[tuple[int, ...]]:
        """Return the steps that stand behind one that lets only the first event of each day of the shop pass."""
        if kind not in self._day_steps:
            date = _PART - self._parts.setdefault(DATE, len(self._parts))
            self._day_steps[kind] = [(lanes.NEW_DAY, len(self._empty), date, -1, -1, 0)]
            self._empty.append(MISSING)
        return self._day_steps[kind]

    def _named(self, name: str) -> int:
        self.names.append(name)
        return len(self.names) - 1

    # ---- the end

    def finish(self) -> Program:
        """Return the program."""
        totals = [total for _, total in self._plain] + [part for read in self._reads for part in read[2] if isinstance(part, Total)]
        lengths = sorted({window_length(total.window) for total in totals if total.window is not None})

        def place(part: int | Total) -> int:
            if not isinstance(part, Total):
                return part
            window = len(lengths) if part.window is None else lengths.index(window_length(part.window))
            return window * self._width + part.lane

        reads = [(way, column, *(list(map(place, parts)) + [0] * 4)[:4]) for way, column, parts, _ in self._reads]
        units = np.zeros((len(self.log.kinds) + 1, self._width), np.int64)
        for kind, lane in self._units:
            units[kind, lane] = 1
        kinds = len(self.log.kinds) + 1
        folds = {kind: self._fold_steps.get(kind, []) + self._day_steps.get(kind, []) for kind in range(kinds)}
        code = lanes.Code(
            _ints(lengths), self._width, units, *self._by_kind(self._steps, kinds, 5), *self._by_kind(folds, kinds, 6),
            np.array([days * DAY for _, days, *_ in self._decays], np.float64), _ints(self._empty),
            _ints([(column, place(total)) for column, total in self._plain]).reshape(-1, 2),
            np.array([total.scale for _, total in self._plain], np.float64), _ints(reads).reshape(-1, 6),
            np.array([factors for *_, factors in self._reads], np.float64).reshape(-1, 2), _ints(self._known_names),
        )  # fmt: skip
        over = [(column, self._place(top), self._place(bottom)) for column, top, bottom in self._over]
        return Program(
            tuple(self.names), self.log, self.clock, code, tuple(self._columns), tuple(self._parts), tuple(self._by_day),
            tuple(self._by_instant), tuple(self._turned), _ints(over).reshape(-1, 3),
        )  # fmt: skip

    def _place(self, name: str) -> int:
        if name not in self.names or any(name == self.names[column] for column, *_ in self._over):
            raise SettingsError(
                f"A feature is made of {name!r}, which is not measured.", "It is made of two others of the spec.", "Add that one too."
            )
        return self.names.index(name)

    def _by_kind(self, steps: dict[int, list[tuple[int, ...]]], kinds: int, width: int) -> tuple[Ints, Ints]:
        """Return where each kind's steps begin (kinds + 1), and the steps of all kinds in one array."""
        listed = _ints([step for kind in range(kinds) for step in steps.get(kind, [])]).reshape(-1, width)
        first = np.cumsum([0, *(len(steps.get(kind, [])) for kind in range(kinds))])
        where = listed[:, 2:4]
        where[where <= _PART] = len(self._columns) + _PART - where[where <= _PART]
        return first.astype(np.int64), listed


def _ints(listed: Sequence[int] | Sequence[tuple[int, ...]]) -> Ints:
    return np.array(listed, np.int64)
