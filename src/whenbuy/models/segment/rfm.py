"""Recency, frequency, monetary: the grid of quintiles that merchants have used since mail order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints
from whenbuy.core.examples import Table

NAMES: Final = ("champions", "loyal", "promising", "new", "at risk", "lapsed", "no order yet")
_CHAMPIONS, _LOYAL, _PROMISING, _NEW, _AT_RISK, _LAPSED, _NOBODY = range(7)
_FIFTHS: Final = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Rfm:
    """The grid by quintiles of recency, orders and spend.

    A customer's scores run from 1 to 5, 5 for the latest, the most often and the most. Champions: recency 4 or 5, the mean of the other two
    4 or more; loyal: 3 or more each; promising: recency 3 or more, the others lower; new: one order so far, recency 4 or 5; at risk and
    lapsed: recency below 3, the others 3 or more, or lower. Without amounts the orders count twice.

    Parameters
    ----------
    recency, orders, spend
        The features that count; ``repeats`` says who ordered once.
    """

    recency: str = "recency_days"
    orders: str = "orders_365d"
    spend: str = "spend_365d"
    repeats: str = "frequency"

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "rfm"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The grid has one size: its number of names."""
        return (len(NAMES),)

    def learn(self, table: Table, size: int, seed: int) -> RfmGrid:
        """Return the grid whose edges are the quintiles of these rows' buyers."""
        del size, seed
        worth = self.spend if self.spend in table.names else self.orders
        buyers = np.isfinite(table.column(self.recency))
        edges = np.stack([_fifths(table.column(name)[buyers]) for name in (self.recency, self.orders, worth)])
        return RfmGrid((self.recency, self.orders, worth), self.repeats, edges)


@dataclass(frozen=True, slots=True, eq=False)
class RfmGrid:
    """A learned grid.

    Parameters
    ----------
    features
        Recency, orders and spend by name.
    repeats
        The feature that says how many orders came after the first.
    edges
        The upper ends of the lowest four fifths of each (3 x 4).
    """

    features: tuple[str, str, str]
    repeats: str
    edges: Floats

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(NAMES)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that merchants give them."""
        return NAMES

    def scores(self, table: Table) -> Ints:
        """Return the scores of each row for recency, orders and spend (n x 3), 1 to 5; 0 where she never bought."""
        columns = [table.column(name) for name in self.features]
        placed = [np.searchsorted(edges, column, side="left") for edges, column in zip(self.edges, columns, strict=True)]
        found = np.column_stack([5 - placed[0], 1 + placed[1], 1 + placed[2]])
        return np.where(np.isfinite(columns[0])[:, None], found, 0).astype(np.int64)

    def place(self, table: Table) -> Codes:
        """Return the group of each row (n)."""
        score = self.scores(table)
        late, worth = score[:, 0], (score[:, 1] + score[:, 2]) / 2
        once = np.nan_to_num(table.column(self.repeats)) == 0
        rules = (
            (late == 0, _NOBODY), (once & (late >= 4), _NEW), ((late >= 4) & (worth >= 4), _CHAMPIONS),
            ((late >= 3) & (worth >= 3), _LOYAL), (late >= 3, _PROMISING), (worth >= 3, _AT_RISK),
        )  # fmt: skip
        return np.select([rule for rule, _ in rules], [group for _, group in rules], _LAPSED).astype(np.int32)


def _fifths(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    return np.quantile(known, _FIFTHS, method="lower") if len(known) else np.zeros(len(_FIFTHS))


TYPES: Final = {"RfmGrid": RfmGrid}
