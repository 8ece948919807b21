"""A panel: series side by side, in steps of a day or a week, all up to the same cutoff, with what the shop's calendar says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.keys import Keys


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What happened to each key in each step up to the cutoff, and what is known of the steps to come.

    Parameters
    ----------
    keys
        Items, categories, campaigns or the shop (n), all at one cutoff.
    measure
        What is counted.
    step_days
        Length of a step: 1 or 7 shop-local days.
    start
        The local day on which the first step begins, in days since 1970-01-01; the last step ends where the cutoff's day begins.
    values
        The numbers (n x t); NaN where nobody could know them: the thing was out of stock, or the log has a gap. Zero before the first sale.
    first
        The step of each key's first sale (n); t where there was none.
    calendar
        What the shop's calendar says, by name (t + 1 x ahead each): ``calendar[name][s, k]`` is the number of step s + k, by what was known
        before step s; the last row speaks of the steps to come.
    group
        Which series are alike (n), such as the items of one category.
    pool
        Rows from which what all series have in common is learned, chosen once: what is forecast of one series must not depend on which
        others are asked about.
    """

    keys: Keys
    measure: str
    step_days: int
    start: int
    values: Singles
    first: Ints
    calendar: Mapping[str, Floats]
    group: Codes
    pool: Ints

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.keys):
            raise WhenbuyError(f"A panel of {len(self.keys)} series was given values of shape {self.values.shape}.")
        if len(self.first) != len(self.keys) or len(self.group) != len(self.keys):
            raise WhenbuyError(f"A panel of {len(self.keys)} series was given {len(self.first)} beginnings and {len(self.group)} groups.")
        if len(self.pool) and not 0 <= int(self.pool.min()) <= int(self.pool.max()) < len(self):
            raise WhenbuyError("The pool of a panel lies outside it.")
        if any(len(part) != self.steps + 1 for part in self.calendar.values()):
            raise WhenbuyError("The calendar of a panel is not as long as its series.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def steps(self) -> int:
        """How many steps are known (t)."""
        return int(self.values.shape[1])

    @property
    def end(self) -> int:
        """The local day on which the first step to come begins."""
        return self.start + self.steps * self.step_days

    @property
    def season(self) -> int:
        """Steps after which the week repeats: 7 for days, 1 (none) for weeks."""
        return 7 if self.step_days == 1 else 1

    def days(self, ahead: int = 0) -> Ints:
        """Return the local day on which each step begins (t + ahead)."""
        return self.start + self.step_days * np.arange(self.steps + ahead, dtype=np.int64)

    def until(self, step: int) -> Panel:
        """Return the panel as it stood before a step: nothing that was known later is in it."""
        calendar = {name: part[: step + 1] for name, part in self.calendar.items()}
        return replace(self, values=self.values[:, :step], first=np.minimum(self.first, step), calendar=calendar)
