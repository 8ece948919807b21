"""The rule for empty cells of the log that looks back only; fills of features are in :mod:`whenbuy.clean.fill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.clean.draft import Draft, Finding, Touch, require_choice, require_least, require_positive
from whenbuy.clean.fill import Fill
from whenbuy.clean.running import last_two
from whenbuy.clean.terms import number_columns, real, stored, terms
from whenbuy.core.arrays import MISSING, Codes, Ints
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Table
from whenbuy.core.log import CODED, Column, Dictionary

LEARNED: Final = ("mean", "median", "mode", "nearest", "knn", "model")
"""The ways to fill that learn from rows known before."""
HOW: Final = ("remove", "constant", "last", "line", "interpolate", *LEARNED)
"""The ways to treat an empty cell."""
_OF_NAMES: Final = ("remove", "constant", "last", "mode", "nearest")


@dataclass(frozen=True, slots=True)
class Missing:
    """Fills the empty cells of one column, or takes their rows out.

    Whatever fills a cell was known before its row, with one exception that is stamped: ``interpolate`` draws the line between the value
    before and the value after, so it knows the cell only when the value after is known. Such a row counts from then on (its ``known_at``
    is raised) and waits in quarantine while no later value is known.

    Parameters
    ----------
    column
        The column.
    how
        ``remove`` (or ``drop``) takes the row out; ``constant`` writes ``value``; ``last`` repeats the latest earlier-known value of the
        same item or user; ``line`` goes on along the straight line through its last two; ``interpolate`` draws it to the next. ``mean``,
        ``median``, ``mode``, ``nearest`` (the value of the nearest row by its other numbers), ``knn`` (the mean of the nearest rows) and
        ``model`` (ridge regressions on the other numbers) learn from the rows known before each term. Where nothing is known yet the cell
        stays empty.
    value
        The constant: a number, or a name in a column of names.
    by
        Whose earlier values count for last, line and interpolate: ``item_id`` or ``user_id``.
    kinds
        The kinds of event that should have a value.
    every_days, most
        What is learned is learned anew so often, in days, from so many of the latest rows.
    neighbours
        How many rows lend their value for ``knn``.
    """

    column: str
    how: str
    value: float | str | None = None
    by: str = "item_id"
    kinds: tuple[str, ...] = ("purchase",)
    every_days: float = 7.0
    most: int = 2048
    neighbours: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "how", {"drop": "remove", "interpolation": "interpolate"}.get(self.how, self.how))
        require_choice("how of missing", self.how, HOW)
        require_choice("by of missing", self.by, ("item_id", "user_id"))
        require_positive("every_days of missing", self.every_days)
        require_least("most of missing", self.most, 1)
        require_least("neighbours of missing", self.neighbours, 1)
        if (self.how == "constant") != (self.value is not None):
            raise SettingsError(
                f"The rule missing for {self.column!r} fills by {self.how!r} with the value {self.value!r}.",
                "A constant needs a value, and nothing else has one.",
                "Correct one of the two.",
            )
        if self.column in CODED:
            self._require_names()

    def _require_names(self) -> None:
        if self.how not in _OF_NAMES:
            need = f"Names can be filled by {', '.join(_OF_NAMES)}."
            raise SettingsError(
                f"The column {self.column!r} holds names and was to be filled by {self.how!r}.", need, "Use 'last' or 'mode'."
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"missing_{self.column}"

    def find(self, draft: Draft) -> Finding:
        """Return the empty cells with what goes into them."""
        column = draft.log.columns.get(self.column)
        if column is None:
            return Finding()
        if column.dictionary is not None:
            self._require_names()
        absent = MISSING if column.dictionary is None else -1
        rows = draft.rows(self.kinds)
        empty = rows[column.values[rows] == absent]
        if self.how == "remove":
            return Finding((Touch(empty, f"its {self.column} is missing"),) if len(empty) else ())
        if self.how == "interpolate":
            return self._interpolated(draft, column, rows, len(empty))
        if self.how == "constant":
            rows, filled = empty, self._constant(column, len(empty))
        else:
            rows, found = (self._learned if self.how in LEARNED else self._earlier)(draft, column, rows, absent)
            filled = Column(found, column.dictionary, column.scale)
        touch = Touch(rows, f"its {self.column} is missing and was filled ({self._words()})", {self.column: filled})
        return Finding((touch,) if len(rows) else (), facts=self._left(len(empty) - len(rows)))

    def _left(self, count: int) -> dict[str, int]:
        return {f"cells of {self.column} that stay empty": count} if count else {}

    def _words(self) -> str:
        whose = "item" if self.by == "item_id" else "user"
        said = {
            "constant": f"with {self.value}", "last": f"with the last value of the {whose}",
            "line": f"along the line of the {whose}'s last two values", "nearest": "with the value of the nearest earlier row",
            "knn": f"with the mean of the {self.neighbours} nearest earlier rows", "model": "by a regression learned from earlier rows",
        }  # fmt: skip
        return said.get(self.how, f"with the {self.how} of earlier rows")

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
        rows, group = self._grouped(draft, column, rows)
        value, time = column.values[rows], log.time[rows]
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

    def _grouped(self, draft: Draft, column: Column, rows: Ints) -> tuple[Ints, Codes]:
        """Return the rows that belong to an item or user, in the order of these and of knowledge, and whose they are (n each)."""
        group, log = draft.codes(self.by, rows), draft.log
        rows, group = rows[group >= 0], group[group >= 0]
        order = np.lexsort((column.values[rows], log.time[rows], log.known_at[rows], group))
        return rows[order], group[order]

    def _interpolated(self, draft: Draft, column: Column, rows: Ints, empty: int) -> Finding:
        """Return rows with a value on the line to the next one, known when that is, and those that wait for it."""
        log = draft.log
        rows, group = self._grouped(draft, column, rows)
        value, time, known_at = np.asarray(column.values[rows], np.int64), log.time[rows], log.known_at[rows]
        known = (value != MISSING).astype(np.int64)
        before, _ = last_two(group, known_at, known)
        after, _ = last_two(group[::-1].copy(), known_at[::-1].copy(), known[::-1].copy())
        after = np.where(after >= 0, len(rows) - 1 - after, -1)[::-1]
        wanted = np.flatnonzero(known == 0)
        waits, wanted = wanted[after[wanted] < 0], wanted[after[wanted] >= 0]
        low = np.where(before[wanted] >= 0, before[wanted], after[wanted])
        high = after[wanted]
        run, rise = time[high] - time[low], value[high] - value[low]
        share = np.clip(np.divide(time[wanted] - time[low], run, out=np.zeros(len(run)), where=run > 0), 0, 1)
        found = value[low] + np.rint(rise * share).astype(np.int64)
        back, sooner = np.argsort(rows[wanted]), np.sort(rows[waits])
        whose = "item" if self.by == "item_id" else "user"
        touches = []
        if len(sooner):
            touches.append(Touch(sooner, f"its {self.column} is missing and waits for the next value of its {whose}"))
        if len(wanted):
            reason = f"its {self.column} is missing and was filled on the line to the next value of its {whose}; known since then"
            new = {self.column: Column(found[back], None, column.scale), "known_at": Column(known_at[high][back])}
            touches.append(Touch(rows[wanted][back], reason, new))
        return Finding(tuple(touches), facts=self._left(empty - len(sooner) - len(wanted)))

    def _learned(self, draft: Draft, column: Column, rows: Ints, absent: int) -> tuple[Ints, Ints | Codes]:
        """Return the empty rows for which something was learned before their term, and their new values."""
        others = tuple(name for name in number_columns(draft) if name != self.column)
        names = (self.column, *others)
        ranks = None if column.dictionary is None else _ranks(column.dictionary)
        own = np.asarray(column.values[rows], np.int64)
        own = np.where(own == absent, MISSING, own if ranks is None else ranks[own])
        values = np.column_stack([own, stored(draft, others, rows)])
        scales = np.array([column.scale, *(draft.log.columns[name].scale for name in others)], np.int64)
        fill = Fill({self.column: self.how}, "keep", neighbours=self.neighbours, most=self.most)
        places, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        empty = (own == MISSING).astype(np.int64)
        for known, asked in terms(draft.log.known_at[rows], values, empty, 1 - empty, self.every_days, self.most, 1):
            learned = fill.fit(Table(names, real(values[known], scales).astype(np.float32)))
            filled = learned.apply(Table(names, real(values[asked], scales).astype(np.float32))).values[:, 0]
            places.append(asked)
            found.append(np.rint(filled.astype(np.float64) * column.scale).astype(np.int64))
        place, new = np.concatenate(places), np.concatenate(found)
        back = np.argsort(rows[place])
        new = new[back]
        return rows[place][back], new if ranks is None else np.argsort(ranks)[new].astype(np.int32)


def _ranks(names: Dictionary) -> Ints:
    """Return the place of each name in alphabetical order (n): it does not depend on which names were met first."""
    order = names.ids.arg_sort().to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
