"""Files out: a table as Parquet, CSV or JSON lines, by the ending of its name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.core.errors import UsageError
from whenbuy.pipeline.keeping.shop import write

ENDINGS: Final = (".parquet", ".csv", ".jsonl")
_FORMULA: Final = r"^[=+\-@\t\r\n]"


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a table for its owner alone, whole or not at all.

    In CSV a text that a spreadsheet would run as a formula gets an apostrophe in front.

    Raises
    ------
    UsageError
        When the name has another ending.
    AccessError
        When the file system says no.
    """
    require_ending(path)
    buffer = io.BytesIO()
    ending = path.suffix.lower()
    if ending == ".parquet":
        frame.write_parquet(buffer, compression="zstd")
    elif ending == ".csv":
        text = pl.col(pl.String)
        frame.with_columns(pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep()).write_csv(buffer)
    else:
        frame.write_ndjson(buffer)
    write(path, buffer.getvalue())


def require_ending(path: Path) -> None:
    """Raise UsageError unless a table can be written under this name: asked before the work, not after it."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{path.name} has the ending {path.suffix!r}.", f"Tables are written as {', '.join(ENDINGS)}.", "Choose one of these."
        )
