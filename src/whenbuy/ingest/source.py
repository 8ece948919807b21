"""A source of rows: one or more parts that give raw batches, every value as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.errors import ColumnError
from whenbuy.ingest.text import Dialect


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that has no columns: the wrong number of fields, or no JSON. ``header`` is the line that names the columns of its file."""

    file: str
    row: int
    reason: str
    raw: str
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive rows of one file.

    Parameters
    ----------
    frame
        The values as they were written.
    file
        Where they come from; empty for a table in memory.
    first
        How many whole rows of the file came before.
    broken
        Rows of the file that were found broken since the batch before.
    holes
        For each broken row of the file so far, how many whole rows came before it.
    """

    frame: pl.DataFrame
    file: str = ""
    first: int = 0
    broken: tuple[Broken, ...] = ()
    holes: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def numbers(self, places: Ints) -> Ints:
        """Return the number of some rows in their file, the first being 1."""
        whole = places + self.first
        return whole + 1 + np.searchsorted(self.holes, whole, side="right")


@dataclass(frozen=True, slots=True)
class Part:
    """One file, or one table in memory.

    Parameters
    ----------
    file
        Its name; empty for a table.
    schema
        Its columns and their types, in their order.
    rows
        How many rows it has, where that is known beforehand.
    batches
        Reads some of its columns; the names of those that may stay coded come second.
    dialect
        How its text is written; None where it is no text.
    """

    file: str
    schema: Mapping[str, pl.DataType]
    rows: int | None
    batches: Callable[[Sequence[str], Sequence[str]], Iterator[Batch]]
    dialect: Dialect | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One or more parts, read in their order."""

    parts: tuple[Part, ...]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of all parts; text where the parts differ."""
        schema: dict[str, pl.DataType] = {}
        for part in self.parts:
            for name, kind in part.schema.items():
                schema[name] = kind if schema.get(name, kind) == kind else pl.String()
        return schema

    @property
    def rows(self) -> int | None:
        """How many rows there are, where that is known beforehand."""
        counts = [part.rows for part in self.parts]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def dialect(self) -> Dialect | None:
        """How the first part with text is written."""
        return next((part.dialect for part in self.parts if part.dialect is not None), None)

    @property
    def named(self) -> bool:
        """Whether the columns have names of their own: text without a header has none."""
        return self.dialect is None or [*self.schema] != [f"column_{place}" for place in range(1, len(self.schema) + 1)]

    def sample(self, rows: int) -> pl.DataFrame:
        """Return some rows from the beginning of the first twenty parts."""
        schema = self.schema
        share = -(-rows // min(len(self.parts), 20))
        found = []
        for part in self.parts[:20]:
            for batch in part.batches([*part.schema], []):
                found.append(batch.frame.head(share).cast({n: schema[n] for n in part.schema if schema[n] != part.schema[n]}))
                if len(batch.frame):
                    break
        return pl.concat(found, how="diagonal").select([*schema]) if found else pl.DataFrame(schema=schema)

    def batches(self, columns: Sequence[str] | None = None, coded: Sequence[str] = ()) -> Iterator[Batch]:
        """Yield the rows in their order, a column that a part lacks filled with nulls.

        Parameters
        ----------
        columns
            What to read; all by default.
        coded
            Columns of names, which may stay coded as the file codes them.
        """
        schema = self.schema
        wanted = [name for name in schema if columns is None or name in columns]
        for part in self.parts:
            present = [name for name in wanted if name in part.schema]
            recast = {n: schema[n] for n in present if schema[n] != part.schema[n]}
            for batch in part.batches(present, [name for name in coded if name in present and name not in recast]):
                frame = batch.frame.cast(recast) if recast else batch.frame  # type: ignore[arg-type]
                if len(present) < len(wanted):
                    frame = frame.select(pl.col(n) if n in part.schema else pl.lit(None, schema[n]).alias(n) for n in wanted)
                yield Batch(frame, batch.file, batch.first, batch.broken, batch.holes)


def check_names(names: Sequence[str], where: str) -> None:
    """Raise ColumnError when two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ColumnError(
            f"{where} has more than one column named {', '.join(map(repr, twice))}.",
            "Every column needs a name of its own.",
            "Rename or drop one of them.",
        )
