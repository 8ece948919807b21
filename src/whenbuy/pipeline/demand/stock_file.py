"""The file that says what is on the shelves: one row per item or category, and region where the shop has several warehouses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from whenbuy.core.errors import ColumnError, EmptyError, InputError, NotFoundError, UsageError

ON_HAND: Final = "on_hand"
OPTIONAL: Final = {"on_order": 0.0, "lead_days": None, "pack": 1.0}
"""Columns that may be there, and what holds where they are not: units that will come within the lead time, the item's own lead time (that
of the rule otherwise) and the units of a package."""
REGION: Final = "region"
_READERS: Final[Mapping[str, Callable[[Path], pl.DataFrame]]] = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}


def read_stock(path: Path, name: str) -> pl.DataFrame:
    """Return what is on the shelves: the column ``name``, ``on_hand``, ``on_order``, ``lead_days``, ``pack`` and, where told, ``region``.

    Raises
    ------
    NotFoundError
        When there is no such file.
    UsageError
        When it has another ending.
    InputError
        When it cannot be read, a number is none or below 0, or a name stands twice.
    ColumnError
        When a column is missing.
    EmptyError
        When it has no row.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", "It says what is on the shelves.", "Check the name.")
    if path.suffix.lower() not in _READERS:
        raise UsageError(
            f"{path.name} has the ending {path.suffix!r}.", f"Stock is read from {', '.join(_READERS)}.", "Save it as one of them."
        )
    try:
        table = _READERS[path.suffix.lower()](path)
    except (PolarsError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {next(iter(str(error).splitlines()), '')}", "", "Save it again.") from error
    return checked(table, name)


def checked(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a table of stock with all its columns, in their types; raises as ``read_stock``."""
    if lacking := [column for column in (name, ON_HAND) if column not in table.columns]:
        raise ColumnError(
            f"The stock has the columns {', '.join(table.columns)}, and no {' and no '.join(lacking)}.",
            f"It needs {name} and {ON_HAND}; {', '.join([*OPTIONAL, REGION])} may be there too.", "Rename or add the column.",
        )  # fmt: skip
    if not len(table):
        raise EmptyError("The stock has no row.", "It has one per item.", "Leave the file out to be told what empty shelves need.")
    numbers = {column: _number(table, column) for column in (ON_HAND, *OPTIONAL)}
    by = [name, REGION] if REGION in table.columns else [name]
    found = table.select(pl.col(column).cast(pl.String) for column in by).with_columns(**numbers)
    if found[name].null_count():
        raise InputError(f"{found[name].null_count()} rows of the stock name nothing.", f"Every row has a {name}.", "Fill or remove them.")
    if len(twice := found.filter(pl.struct(by).is_duplicated())):
        raise InputError(
            f"{twice[name][0]!r} stands in the stock more than once.", f"Each {' and '.join(by)} stands once.", "Add the rows up."
        )
    return found


def _number(table: pl.DataFrame, column: str) -> pl.Series:
    """Return a column as numbers from 0 on."""
    usual = OPTIONAL.get(column)
    if column not in table.columns:
        return pl.Series(column, [usual] * len(table), dtype=pl.Float64)
    values = table[column].cast(pl.Float64, strict=False)
    lost = int((values.is_null() & table[column].is_not_null()).sum()) + (values.null_count() if column == ON_HAND else 0)
    if lost:
        raise InputError(f"{column} of the stock holds {lost} values that are no numbers.", "Stock is counted in units.", "Mend them.")
    low = values.drop_nulls().min()
    if low is not None and (
        float(str(low)) < 0 or (column == "pack" and float(str(low)) <= 0) or not values.drop_nulls().is_finite().all()
    ):
        row = int(values.fill_null(0).arg_min() or 0)
        raise InputError(
            f"{column} of the stock is {values[row]:g} in row {row + 1}.",
            "A package holds more than 0 units." if column == "pack" else "It is counted from 0 on.", "Count again, or leave the row out.",
        )  # fmt: skip
    return values if usual is None else values.fill_null(usual)
