"""What every way to divide customers has in common."""

from __future__ import annotations

from typing import Protocol

from whenbuy.core.arrays import Codes
from whenbuy.core.examples import Table


class Grouping(Protocol):
    """A division that was learned: plain arrays that say of any row to which group it belongs."""

    @property
    def groups(self) -> int:
        """How many groups there are."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the groups have by nature; empty where they are named by what sets them apart."""

    def place(self, table: Table) -> Codes:
        """Return the group of each row (n); it depends on no other row."""


class Way(Protocol):
    """The settings of a way to divide customers."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The settings of size that are tried, from the finest division to the coarsest: numbers of groups, or how small one may be."""

    def learn(self, table: Table, size: int, seed: int) -> Grouping:
        """Return the division of these rows (one at least) at a size."""
