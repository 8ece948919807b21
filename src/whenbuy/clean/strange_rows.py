"""The rule for events that are strange as a whole, judged by a forest or by densities learned from events known before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.clean.draft import Draft, Finding, Touch, require_choice, require_least, require_number_column, require_positive
from whenbuy.clean.strange import Isolation, LocalOutliers
from whenbuy.clean.terms import number_columns, real, stored, terms
from whenbuy.core.arrays import MISSING, Bools, Floats, Ints
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Table
from whenbuy.core.log import Column

FLAG = "strange"
"""The column that says which rows were found strange."""


@dataclass(frozen=True, slots=True)
class StrangeRows:
    """Finds events whose numbers together are unlike those known before, and flags, clips or takes them out.

    At the beginning of each term a forest (Liu, Ting and Zhou 2008) or a local outlier factor (Breunig et al. 2000) is learned from the
    latest events known until then; events of the term are judged by it. So no verdict depends on what came later.

    Parameters
    ----------
    method
        ``isolation`` or ``local``.
    columns
        The columns of numbers that are looked at; all known ones where none is named.
    action
        ``flag`` sets the column ``strange`` to 1 (0 elsewhere), ``clip`` moves each number to the range of the rows that were not strange
        when the term began, ``remove`` takes the row out.
    share
        Which share of the rows that teach counts as strange.
    every_days, most, least
        What is learned is learned anew so often, in days, from so many of the latest rows; before ``least`` rows there is no verdict.
    trees, neighbours
        Size of the forest; how many neighbours the local outlier factor looks at.
    kinds
        The kinds of event that are looked at.
    seed
        Where chance starts.
    """

    method: str = "isolation"
    columns: tuple[str, ...] = ()
    action: str = "flag"
    share: float = 0.01
    every_days: float = 28.0
    most: int = 4096
    least: int = 200
    trees: int = 100
    neighbours: int = 20
    kinds: tuple[str, ...] = ("purchase",)
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("method of strange", self.method, ("isolation", "local"))
        require_choice("action of strange", self.action, ("flag", "clip", "remove"))
        for column in self.columns:
            require_number_column(column)
        if not 0 < self.share < 1:
            raise SettingsError(f"The setting share of strange is {self.share}.", "It lies between 0 and 1.", "Change it.")
        require_positive("every_days of strange", self.every_days)
        for what, lowest in (("most", 2), ("least", 2), ("trees", 1), ("neighbours", 1)):
            require_least(f"{what} of strange", getattr(self, what), lowest)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"strange_{self.method}"

    def find(self, draft: Draft) -> Finding:
        """Return the events that are strange."""
        names = self.columns or number_columns(draft)
        names = tuple(name for name in names if name in draft.log.columns)
        rows = draft.rows(self.kinds)
        values = stored(draft, names, rows)
        whole = (values != MISSING).any(axis=1) if names else np.zeros(len(rows), bool)
        rows, values = rows[whole], values[whole]
        scales = np.array([draft.log.columns[name].scale for name in names], np.int64)
        strange, low, high = np.zeros(len(rows), bool), np.full(values.shape, -np.inf), np.full(values.shape, np.inf)
        every = np.ones(len(rows), np.int64)
        for known, asked in terms(draft.log.known_at[rows], values, every, every, self.every_days, self.most, self.least):
            table = Table(names, real(values[known], scales).astype(np.float32))
            learned = self._learner().fit(table)
            usual = learned.scores(table) >= learned.bound
            strange[asked] = learned.scores(Table(names, real(values[asked], scales).astype(np.float32))) < learned.bound
            low[asked], high[asked] = _range(values[known][usual])
        return self._act(draft, names, rows, values, strange, low, high)

    def _learner(self) -> Isolation | LocalOutliers:
        if self.method == "isolation":
            return Isolation(self.trees, share=self.share, seed=self.seed)
        return LocalOutliers(self.neighbours, share=self.share, most=self.most, seed=self.seed)

    def _act(self, draft: Draft, names: tuple[str, ...], rows: Ints, values: Ints, strange: Bools, low: Floats, high: Floats) -> Finding:
        order = np.flatnonzero(strange)
        order = order[np.argsort(rows[order])]
        reason = f"its numbers together are unlike those known before ({self.method}, {self.share:g})"
        if self.action == "flag":
            flag = np.zeros(len(draft.log), np.int64)
            flag[rows[order]] = 1
            return Finding(columns={FLAG: Column(flag)}, facts={"rows flagged as strange": len(order)})
        if self.action == "remove":
            return Finding((Touch(rows[order], reason),) if len(order) else ())
        touches = []
        for place, name in enumerate(names):
            old = values[order, place]
            new = np.clip(old, low[order, place], high[order, place]).astype(np.int64)
            moved = (old != MISSING) & (new != old)
            if moved.any():
                held = Column(new[moved], None, draft.log.columns[name].scale)
                touches.append(Touch(rows[order][moved], f"{reason}, and its {name} lies beyond the usual", {name: held}))
        return Finding(tuple(touches), facts={"rows that are strange as a whole": len(order)} if len(order) else {})


def _range(values: Ints) -> tuple[Floats, Floats]:
    """Return the lowest and highest value of each column (f each), infinite where there is none."""
    known = np.where(values == MISSING, np.nan, values.astype(np.float64))
    empty = np.isnan(known).all(axis=0)
    low, high = np.where(np.isnan(known), np.inf, known).min(axis=0), np.where(np.isnan(known), -np.inf, known).max(axis=0)
    return np.where(empty, -np.inf, low), np.where(empty, np.inf, high)
