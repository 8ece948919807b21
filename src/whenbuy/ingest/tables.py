"""Tables in memory as parts of a source: pandas, polars and Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl
import pyarrow as pa

from whenbuy.core.errors import EmptyError, UsageError
from whenbuy.ingest.source import Batch, Part, check_names

BATCH: Final = 1 << 20
"""The most rows of a batch."""


def table_part(source: object) -> Part:
    """Return a table as a part of a source.

    Raises
    ------
    EmptyError
        When it has no row.
    UsageError
        When it is no table.
    """
    if isinstance(source, pl.LazyFrame):
        return _lazy(source)
    frame = _eager(source)
    if not len(frame):
        raise EmptyError(
            f"The table has {frame.width} columns and no row.", "whenbuy needs at least one event.", "Give it a table with events."
        )

    def batches(columns: Sequence[str], coded: Sequence[str]) -> Iterator[Batch]:  # noqa: ARG001 - a table is coded as it is
        picked = frame.select(columns)
        for first in range(0, len(picked), BATCH):
            yield Batch(picked[first : first + BATCH], "", first)

    return Part("", dict(frame.schema), len(frame), batches)


def _lazy(source: pl.LazyFrame) -> Part:
    def batches(columns: Sequence[str], coded: Sequence[str]) -> Iterator[Batch]:  # noqa: ARG001 - a table is coded as it is
        first = 0
        for frame in source.select(columns).collect_batches(chunk_size=BATCH, maintain_order=True):
            yield Batch(frame, "", first)
            first += len(frame)

    return Part("", dict(source.collect_schema()), None, batches)


def _eager(source: object) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pa.Table):
        check_names(source.column_names, "the table")
        return _framed(source)
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns"):
        return _from_pandas(source)
    raise UsageError(
        f"A {type(source).__name__} is no event log.",
        "whenbuy reads a path, a pandas or polars table, a LazyFrame or an Arrow table.",
        "Give it one of these.",
    )


def _from_pandas(source: Any) -> pl.DataFrame:
    named = [str(name) for name in source.columns]
    check_names(named, "the table")
    return pl.DataFrame([_series(name, source[label]) for name, label in zip(named, source.columns, strict=True)])


def _series(name: str, column: Any) -> pl.Series:
    if getattr(column.dtype, "tz", None) is not None:
        return _series(name, column.dt.tz_convert("UTC").dt.tz_localize(None)).dt.replace_time_zone("UTC")
    try:
        return _framed(pa.Table.from_arrays([pa.Array.from_pandas(column)], names=[name])).to_series()
    except (pa.ArrowException, TypeError, ValueError):  # objects of several types in one column
        texts = [None if value is None or value != value else str(value) for value in column]  # noqa: PLR0124 - NaN and NaT
        return pl.Series(name, texts, dtype=pl.String)


def _framed(table: Any) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()
