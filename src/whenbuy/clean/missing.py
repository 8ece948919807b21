"""The rule for empty cells of the log that looks back only; fills that learn from training rows are in :mod:`whenbuy.clean.fill`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.draft import Draft, Finding, Touch, require_choice
from whenbuy.clean.running import last_two
from whenbuy.core.arrays import MISSING, Codes, Ints
from whenbuy.core.errors import SettingsError
from whenbuy.core.log import CODED, Column


@dataclass(frozen=True, slots=True)
class Missing:
    """Fills the empty cells of one column, or takes their rows out.

    Parameters
    ----------
    column
        The column.
    how
        ``remove`` takes the row out; ``constant`` writes ``value``; ``last`` repeats the latest earlier-known value of the same item or
        user; ``line`` goes on along the straight line through its last two. Where nothing is known yet the cell stays empty.
    value
        The constant: a number, or a name in a column of names.
    by
        Whose earlier values count: ``item_id`` or ``user_id``.
    kinds
        The kinds of event that should have a value.
    """

    column: str
    how: str
    value: float | str | None = None
    by: str = "item_id"
    kinds: tuple[str, ...] = ("purchase",)

    def __post_init__(self) -> None:
        require_choice("how of missing", self.how, ("remove", "constant", "last", "line"))
        require_choice("by of missing", self.by, ("item_id", "user_id"))
        if (self.how == "constant") != (self.value is not None):
            raise SettingsError(
                f"The rule missing for {self.column!r} fills by {self.how!r} with the value {self.value!r}.",
                "A constant needs a value, and nothing else has one.",
                "Correct one of the two.",
            )
        if self.how == "line" and self.column in CODED:
            raise SettingsError(f"The column {self.column!r} holds names.", "No line runs through names.", "Use 'last'.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"missing_{self.column}"

    def find(self, draft: Draft) -> Finding:
        """Return the empty cells with what goes into them."""
        column = draft.log.columns.get(self.column)
        if column is None:
            return Finding()
        absent = MISSING if column.dictionary is None else -1
        rows = draft.rows(self.kinds)
        empty = rows[column.values[rows] == absent]
        if self.how == "remove":
            return Finding((Touch(empty, f"its {self.column} is missing"),) if len(empty) else ())
        if self.how == "constant":
            rows, filled = empty, self._constant(column, len(empty))
        else:
            rows, found = self._earlier(draft, column, rows, absent)
            filled = Column(found, column.dictionary, column.scale)
        facts = {f"cells of {self.column} that stay empty": len(empty) - len(rows)} if len(empty) > len(rows) else {}
        touch = Touch(rows, f"its {self.column} is missing and was filled ({self._words()})", {self.column: filled})
        return Finding((touch,) if len(rows) else (), facts=facts)

    def _words(self) -> str:
        if self.how == "constant":
            return f"with {self.value}"
        whose = "item" if self.by == "item_id" else "user"
        return f"with the last value of the {whose}" if self.how == "last" else f"along the line of the {whose}'s last two values"

    def _constant(self, column: Column, count: int) -> Column:
        if column.dictionary is None:
            if isinstance(self.value, str) or self.value is None:
                raise SettingsError(f"{self.column!r} was to be filled with {self.value!r}.", "It holds numbers.", "Write a number.")
            value = round(self.value * column.scale)
            return Column(np.full(count, value, np.int64), None, column.scale)
        name = str(self.value)
        code = int(column.dictionary.codes([name])[0])
        known = column.dictionary if code >= 0 else column.dictionary.extended([name])
        return Column(np.full(count, code if code >= 0 else len(column.dictionary), np.int32), known)

    def _earlier(self, draft: Draft, column: Column, rows: Ints, absent: int) -> tuple[Ints, Ints | Codes]:
        """Return the empty rows that have an earlier value, and their new values."""
        log = draft.log
        group, value = draft.codes(self.by, rows), column.values[rows]
        rows, value, group = rows[group >= 0], value[group >= 0], group[group >= 0]
        order = np.lexsort((value, log.time[rows], log.known_at[rows], group))
        rows, value, group, time = rows[order], value[order], group[order], log.time[rows[order]]
        last, before = last_two(group, log.known_at[rows], (value != absent).astype(np.int64))
        wanted = np.flatnonzero((value == absent) & (last >= 0))
        found, earlier = value[last[wanted]], before[wanted]
        if self.how == "line":
            run = np.where(earlier >= 0, time[last[wanted]] - time[earlier], 0)
            rise = np.where(earlier >= 0, found - value[earlier], 0)
            ahead = time[wanted] - time[last[wanted]]
            step = np.divide(rise, run, out=np.zeros(len(run)), where=run > 0)
            found = found + np.rint(step * ahead).astype(np.int64)
        back = np.argsort(rows[wanted])
        return rows[wanted][back], found[back]
