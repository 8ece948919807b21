"""The rule for values far from what was usual before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.draft import Draft, Finding, Touch, require_choice, require_least, require_number_column, require_positive
from whenbuy.clean.running import in_order, moments, quartiles, ranked
from whenbuy.core.arrays import MISSING, Floats, Ints
from whenbuy.core.log import Column


@dataclass(frozen=True, slots=True)
class Outliers:
    """Finds values that lie far from the values known strictly earlier, and flags, clips or takes out their rows.

    Parameters
    ----------
    column
        A column of numbers.
    method
        ``zscore``: further than ``bound`` standard deviations from the mean. ``iqr``: further than ``bound`` times the distance between
        the quartiles below the lower or above the upper one (Tukey 1977).
    bound
        How far is too far.
    by
        Compare within each value of this column (``item_id``, ``category``, ``user_id``); with the whole log where it is empty.
    action
        ``flag`` sets the column ``outlier_<column>`` to 1 (0 elsewhere), ``clip`` moves the value to the bound, ``remove`` takes the row
        out.
    least
        No verdict before this many earlier values.
    kinds
        The kinds of event that are looked at.
    """

    column: str
    method: str = "iqr"
    bound: float = 3.0
    by: str = ""
    action: str = "flag"
    least: int = 30
    kinds: tuple[str, ...] = ("purchase",)

    def __post_init__(self) -> None:
        require_number_column(self.column)
        require_choice("method of outliers", self.method, ("zscore", "iqr"))
        require_choice("action of outliers", self.action, ("flag", "clip", "remove"))
        require_positive("bound of outliers", self.bound)
        require_least("least of outliers", self.least, 1)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"outliers_{self.column}"

    def find(self, draft: Draft) -> Finding:
        """Return the values that are far from the usual."""
        if self.column not in draft.log.columns:
            return Finding()
        rows = draft.rows(self.kinds)
        value = draft.numbers(self.column, rows)
        group = draft.codes(self.by, rows) if self.by else np.zeros(len(rows), np.int32)
        seen = (value != MISSING) & (group >= 0)
        rows, value, group = rows[seen], value[seen], group[seen]
        order = in_order(group, draft.log.known_at[rows], value)
        rows, value, group = rows[order], value[order], group[order]
        low, high = self._bounds(group, draft.log.known_at[rows], value)
        out = (value < low) | (value > high)
        clipped = np.rint(np.clip(value[out].astype(np.float64), low[out], high[out])).astype(np.int64)
        back = np.argsort(rows[out])
        return self._act(draft, rows[out][back], clipped[back])

    def _bounds(self, group: Ints, known_at: Ints, value: Ints) -> tuple[Floats, Floats]:
        """Return the lowest and the highest usual value (n each), NaN where there is no verdict."""
        if self.method == "zscore":
            middle, spread = moments(group, known_at, value, self.least)
            low, high = middle - self.bound * spread, middle + self.bound * spread
        else:
            place, ordered = ranked(group, value)
            first, third = quartiles(group, known_at, place, ordered, self.least)
            spread = third - first
            low, high = first - self.bound * spread, third + self.bound * spread
        return np.where(spread > 0, low, np.nan), np.where(spread > 0, high, np.nan)

    def _act(self, draft: Draft, rows: Ints, clipped: Ints) -> Finding:
        within = f" of its {self.by}" if self.by else ""
        reason = f"its {self.column} is far from the earlier values{within} ({self.method}, {self.bound:g})"
        if self.action == "flag":
            flag = np.zeros(len(draft.log), np.int64)
            flag[rows] = 1
            return Finding(columns={f"outlier_{self.column}": Column(flag)}, facts={f"rows flagged as outlier of {self.column}": len(rows)})
        if not len(rows):
            return Finding()
        return Finding((Touch(rows, reason, {self.column: Column(clipped)} if self.action == "clip" else {}),))
