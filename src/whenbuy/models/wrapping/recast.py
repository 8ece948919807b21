"""A learner of one answer put to another: labels, columns and blocks of the other under the names that it reads.

When she is next active is a question like when she next buys, and the categories that she looks at one like those that she buys from: the
same learners answer both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.blocks import Block, Interactions
from whenbuy.core.examples import Examples, Table
from whenbuy.core.learner import F_co, Learner, Model, refuse_leak

INTERACTIONS: Final = "interactions"
"""The block that learners of classes read."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Under which names a learner reads what belongs to another question.

    Parameters
    ----------
    labels, columns
        Pairs of the name that it reads and the name in the examples. Labels that are not named are hidden from it; a column that the table
        lacks is read as unknown.
    interactions
        The block that it reads as interactions; none where it reads none.
    beside
        A block of one class whose numbers stand beside the table; none where nothing does.
    """

    labels: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...] = ()
    interactions: str = ""
    beside: str = ""

    def put(self, examples: Examples) -> Examples:
        """Return the examples under the names that the learner reads."""
        beside = with_block(examples, self.beside).table if self.beside else examples.table
        blocks: dict[str, Block] = {}
        if self.interactions:
            blocks[INTERACTIONS] = examples.block(self.interactions, Interactions)
        labels = {reads: examples.labels[name] for reads, name in self.labels if name in examples.labels}

        def silence(days: Floats, rows: Ints) -> Table:
            return self._columns(examples.silence(days, rows))

        return replace(examples, table=self._columns(beside), labels=labels, silence=silence, blocks=blocks)

    def _columns(self, table: Table) -> Table:
        if not self.columns:
            return table
        names = (*table.names, *(name for name, _ in self.columns if name not in table.names))
        values: Singles = np.full((len(table), len(names)), np.nan, np.float32)
        values[:, : len(table.names)] = table.values
        for name, other in self.columns:
            values[:, names.index(name)] = table.column(other) if other in table.names else np.nan
        return Table(names, values)


@dataclass(frozen=True, slots=True)
class Recast(Generic[F_co]):
    """A learner that learns another question than the one that it was made for.

    Parameters
    ----------
    learner
        Who learns.
    question
        The question that it is put to.
    names
        Under which names it reads what belongs to that question.
    """

    learner: Learner[F_co]
    question: str
    names: Reads

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the learner's, and the question's behind it."""
        ending = f"-{self.question}"
        return self.learner.name if self.learner.name.endswith(ending) else self.learner.name + ending

    def fit(self, train: Examples, valid: Examples | None = None) -> RecastModel[F_co]:
        """Return what the learner learns of the question. Raises what it raises."""
        model = self.learner.fit(self.names.put(train), None if valid is None else self.names.put(valid))
        return RecastModel(self.name, model, self.names)


@dataclass(frozen=True, slots=True, eq=False)
class RecastModel(Generic[F_co]):
    """A model, and under which names it reads its question."""

    name: str
    model: Model[F_co]
    names: Reads

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model saw."""
        return self.model.known_until

    def predict(self, examples: Examples, *, in_sample: bool = False) -> F_co:
        """Return the forecast of each key; raises as the model does.

        Raises
        ------
        LeakError
            When a cutoff lies before ``known_until`` and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        answer: Any = self.model.predict(self.names.put(examples), in_sample=in_sample)
        named: F_co = replace(answer, model=self.name)
        return named


def with_block(examples: Examples, block: str) -> Examples:
    """Return the examples with the numbers of a block of one class beside the table."""
    told = examples.block(block, Interactions)
    return replace(examples, table=examples.table.beside(Table(told.names, told.values[:, 0, :])))


TYPES: Final[Mapping[str, type]] = {kind.__name__: kind for kind in (Reads, Recast, RecastModel)}
"""What a stored model of this file may be made of."""
