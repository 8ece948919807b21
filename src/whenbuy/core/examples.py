"""Examples: what a learner sees. Keys, blocks of features, labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Block
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.keys import Keys

B = TypeVar("B", bound=Block)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Features of each key: ``values[row, column]`` (n x f), NaN where there is nothing to measure.

    The unit stands in the name.
    """

    names: tuple[str, ...]
    values: Singles

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise WhenbuyError(f"A table of {len(self.names)} features was made with values of shape {self.values.shape}.")

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> Floats:
        """Return one feature (n).

        Raises
        ------
        ColumnError
            When the table has no such feature.
        """
        if name not in self.names:
            raise ColumnError(f"The feature {name!r} is not in the table.", f"It has: {', '.join(self.names)}.", "Add it to the features.")
        return self.values[:, self.names.index(name)].astype(np.float64)

    def take(self, rows: slice | Ints) -> Table:
        """Return some of the rows."""
        return Table(self.names, self.values[rows])

    def beside(self, other: Table) -> Table:
        """Return both tables side by side."""
        return Table(self.names + other.names, np.hstack([self.values, other.values]))


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What came true.

    Parameters
    ----------
    value
        The answer (n): days to the event, a count, an amount, 1 or 0 for yes or no; (n x k) for a question about k classes. Where it was
        not observed, what is known of it: the days without one.
    observed
        False where the label is censored (n): the window or the log ended first.
    end
        The instant at which each label's window ends (n).
    """

    value: Floats
    observed: Bools
    end: Instants

    def __post_init__(self) -> None:
        if not len(self.value) == len(self.observed) == len(self.end):
            raise WhenbuyError("The parts of the labels differ in length.")

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: slice | Ints) -> Labels:
        """Return some of the labels."""
        return Labels(self.value[rows], self.observed[rows], self.end[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Keys with their features and, for learning, their labels.

    Parameters
    ----------
    keys
        Who is asked (n).
    table
        Features as of each key's cutoff (n rows).
    labels
        What came true, by question; empty when a forecast is asked for.
    silence
        ``silence(days, rows)`` returns a table with one row per pair: that row's features as they would read so many days later, had
        nothing happened since (m days and m row numbers -> m rows). It is the path along which a hazard is rolled out.
    weight
        How much each row counts (n); all the same when absent.
    blocks
        What is known of each key beside its table, by name: ``interactions``, ``sequences`` (n parts each).
    """

    keys: Keys
    table: Table
    labels: dict[str, Labels]
    silence: Callable[[Floats, Ints], Table]
    weight: Floats | None = None
    blocks: Mapping[str, Block] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts: tuple[Table | Labels | Block, ...] = (self.table, *self.labels.values(), *self.blocks.values())
        for part in parts:
            if len(part) != len(self.keys):
                raise WhenbuyError(f"{len(self.keys)} keys were given {len(part)} rows of {type(part).__name__.lower()}.")

    def __len__(self) -> int:
        return len(self.keys)

    def label(self, question: str) -> Labels:
        """Return the labels of one question.

        Raises
        ------
        WhenbuyError
            When the examples were made to be forecast, not learned from.
        """
        if question not in self.labels:
            raise WhenbuyError(f"These examples carry no labels of {question!r}.", f"They carry: {', '.join(self.labels) or 'none'}.")
        return self.labels[question]

    def block(self, name: str, kind: type[B]) -> B:
        """Return one block.

        Raises
        ------
        WhenbuyError
            When the examples were made without it.
        """
        block = self.blocks.get(name)
        if not isinstance(block, kind):
            raise WhenbuyError(f"These examples carry no {name!r}.", f"They carry: {', '.join(self.blocks) or 'a table alone'}.")
        return block

    def take(self, rows: slice | Ints) -> Examples:
        """Return some of the examples."""
        where = np.arange(len(self))[rows]

        def silence(days: Floats, part: Ints) -> Table:
            return self.silence(days, where[part])

        labels = {name: label.take(rows) for name, label in self.labels.items()}
        blocks = {name: block.take(rows) for name, block in self.blocks.items()}
        weight = None if self.weight is None else self.weight[rows]
        return replace(
            self, keys=self.keys.take(rows), table=self.table.take(rows), labels=labels, silence=silence, weight=weight, blocks=blocks
        )
