"""What a cleaning rule sees and what it finds.

A rule looks at each row and at rows that were known earlier, never at later ones: only then is the cleaned log, cut at an instant, the
same as the cleaned cut log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING, Bools, Codes, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError, WhenbuyError
from whenbuy.core.log import CODED, SCALES, Column, Dictionary, EventLog, order_by_time

MONEY: Final = ("amount", "quantity", "unit_price")
"""The columns that say how much was bought or given back."""


@dataclass(frozen=True, slots=True, eq=False)
class Touch:
    """Rows that a rule takes out or changes, all for one reason.

    Parameters
    ----------
    rows
        Rows of the draft, rising (n).
    reason
        Why, in words that follow "because".
    values
        New values of these rows (n each) by column, the main one first; the rows are taken out where it is empty. The columns ``kind``,
        ``time`` and ``known_at`` may be changed too. A column of names brings its dictionary, which extends the old one.
    """

    rows: Ints
    reason: str
    values: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """Events that a rule adds: one per user code, happened and known at one instant each (n)."""

    kind: str
    user: Codes
    instant: Instants
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What one rule found.

    Parameters
    ----------
    touches
        Rows taken out or changed.
    additions
        Events to add.
    columns
        Columns of remarks to set (all rows of the draft).
    links
        Columns that point at another row of the same user, as its row in the log as it came (all rows; -1 for none).
    facts
        Further counts for the report, in words.
    """

    touches: tuple[Touch, ...] = ()
    additions: tuple[Addition, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    links: Mapping[str, Ints] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A log between two rules: every row is still in its place, and those taken out are marked.

    Parameters
    ----------
    log
        The rows with the values as changed so far.
    alive
        False where a rule took the row out (n).
    origin
        The row in the log as it came (n).
    clock
        The shop's clock.
    now
        The instant at which the log is cleaned; nothing can have happened after it. None: not stated.
    """

    log: EventLog
    alive: Bools
    origin: Ints
    clock: Clock
    now: int | None

    def rows(self, kinds: Iterable[str] | None = None) -> Ints:
        """Return the rows that still stand, of some kinds or of all."""
        if kinds is None:
            return np.flatnonzero(self.alive)
        wanted = np.zeros(256, bool)
        wanted[[code for code in map(self.log.code, kinds) if code >= 0]] = True
        return np.flatnonzero(wanted[self.log.kind] & self.alive)

    def owners(self, rows: Ints) -> Codes:
        """Return the user of each row (n), -1 where it has none."""
        owner = np.searchsorted(self.log.offsets, rows, side="right") - 1
        return np.where(owner < len(self.log.users), owner, -1).astype(np.int32)

    def numbers(self, name: str, rows: Ints) -> Ints:
        """Return stored numbers of a column (n), all ``MISSING`` where the log has no such column."""
        if name not in self.log.columns:
            return np.full(len(rows), MISSING, np.int64)
        column = self.log.columns[name]
        if column.dictionary is not None:
            raise SettingsError(f"A rule was given the column {name!r}, which holds names.", "It needs numbers.", "Name another column.")
        return np.asarray(column.values[rows], np.int64)

    def codes(self, name: str, rows: Ints) -> Codes:
        """Return the codes of a column of names (n), all -1 where the log has no such column; ``user_id`` is one of them."""
        if name == "user_id":
            return self.owners(rows)
        if name not in self.log.columns:
            return np.full(len(rows), -1, np.int32)
        column = self.log.columns[name]
        if column.dictionary is None:
            raise SettingsError(f"A rule was given the column {name!r}, which holds numbers.", "It needs names.", "Name another column.")
        return np.asarray(column.values[rows], np.int32)

    def named(self, name: str, value: str) -> Bools:
        """Return which rows carry a name in a column (all rows of the draft)."""
        column = self.log.columns.get(name)
        if column is None or column.dictionary is None:
            return np.zeros(len(self.log), bool)
        code = int(column.dictionary.codes([value])[0])
        return np.asarray(column.values == code) if code >= 0 else np.zeros(len(self.log), bool)

    def kinds(self, kind: str, count: int) -> Column:
        """Return ``count`` rows of one kind of event, known to the log or not."""
        names = with_kind(self.log.kinds, kind)
        return Column(np.full(count, names.index(kind), np.int32), Dictionary.of(names))

    def with_touch(self, touch: Touch) -> Draft:
        """Return the draft with one finding applied."""
        if not touch.values:
            alive = self.alive.copy()
            alive[touch.rows] = False
            return replace(self, alive=alive)
        columns = dict(self.log.columns)
        for name, new in touch.values.items():
            if name not in ("kind", "time", "known_at"):
                columns[name] = _overwritten(columns[name], touch.rows, new)
        log = replace(self.log, columns=columns)
        if kind := touch.values.get("kind"):
            codes = self.log.kind.copy()
            codes[touch.rows] = kind.values
            log = replace(log, kind=codes, kinds=tuple(kind.dictionary.ids) if kind.dictionary else log.kinds)
        return replace(self, log=log)._moved(touch)

    def with_columns(self, columns: Mapping[str, Column]) -> Draft:
        """Return the draft with columns of remarks set."""
        return replace(self, log=replace(self.log, columns={**self.log.columns, **columns})) if columns else self

    def _moved(self, touch: Touch) -> Draft:
        """Return the draft in order again after instants were changed."""
        if "time" not in touch.values and "known_at" not in touch.values:
            return self
        old = self.log
        time, known_at = old.time.copy(), old.known_at.copy()
        for name, instants in (("time", time), ("known_at", known_at)):
            if name in touch.values:
                instants[touch.rows] = touch.values[name].values
        owner = np.repeat(np.arange(len(old.offsets)), np.diff(np.append(old.offsets, len(old))))
        order = np.lexsort((known_at, owner))
        time, known_at = time[order], known_at[order]
        late = not np.array_equal(time, known_at)
        log = EventLog(
            old.users, old.kinds, old.offsets, known_at, time if late else known_at, old.kind[order],
            {name: Column(c.values[order], c.dictionary, c.scale) for name, c in old.columns.items()},
            old.end, order_by_time(old.offsets, time) if late else None,
        )  # fmt: skip
        return replace(self, log=log, alive=self.alive[order], origin=self.origin[order])


class Rule(Protocol):
    """A cleaning rule: its settings, and what it finds in a draft."""

    @property
    def name(self) -> str:
        """The name under which reports and the quarantine speak of it."""

    def find(self, draft: Draft) -> Finding:
        """Return what is wrong, judging each row by itself and by rows known earlier."""


def with_kind(kinds: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return the kinds with one more, where it is not among them."""
    if kind in kinds:
        return kinds
    if len(kinds) == 256:
        raise WhenbuyError(f"The log has 256 kinds of event; {kind!r} does not fit.", "A kind is one byte.", "Map rare kinds to one name.")
    return (*kinds, kind)


def require_number_column(name: str) -> None:
    """Raise SettingsError when a rule about numbers is given a column that always holds names."""
    if name in CODED or name in ("user_id", "kind", "time", "known_at"):
        need = f"Columns of numbers are {', '.join(SCALES)} and some of the shop's own."
        raise SettingsError(f"The column {name!r} holds no numbers.", need, "Name one of them.")


def require_choice(what: str, got: str, choices: Iterable[str]) -> None:
    """Raise SettingsError when a setting is none of its choices."""
    if got not in (known := tuple(choices)):
        raise SettingsError(f"The setting {what} is {got!r}.", f"It can be {', '.join(known)}.", "Choose one of them.")


def require_positive(what: str, got: float) -> None:
    """Raise SettingsError when a setting is not a positive number."""
    if not 0 < got < float("inf"):
        raise SettingsError(f"The setting {what} is {got}.", "It must be a positive number.", "Change it.")


def require_least(what: str, got: int, least: int) -> None:
    """Raise SettingsError when a setting is not a whole number of at least so much."""
    if int(got) != got or got < least:
        raise SettingsError(f"The setting {what} is {got}.", f"It must be a whole number of {least} or more.", "Change it.")


def readable(column: Column) -> pl.Series:
    """Return the values of a column as short texts (n), null where there is none."""
    return column.series().cast(pl.String)


def _overwritten(old: Column, rows: Ints, new: Column) -> Column:
    values = old.values.copy()
    values[rows] = new.values
    return Column(values, new.dictionary if old.dictionary is not None else None, old.scale)
