"""What a verb found: plain data, exact values for files, pipes and JSON, and what a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Screen:
    """One small table with its words.

    Parameters
    ----------
    title
        What it shows, in one line.
    columns
        The heads of the columns; one that ends in ``>`` is aligned right.
    rows
        The cells, as they are shown.
    below
        Lines that explain it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a verb found.

    Parameters
    ----------
    facts
        What happened, as plain data.
    table
        Everything that was found, with exact values: what a pipe gets.
    name
        What the rows of the table are: their key in JSON.
    screens
        What a terminal shows.
    line
        One line of data beside them, such as a path.
    after
        Words to the person in front of it, after the rest.
    code
        The exit code: not 0 where the work was done and what was found is not as it should be.
    """

    facts: Mapping[str, Any]
    table: pl.DataFrame | None = None
    name: str = "rows"
    screens: tuple[Screen, ...] = ()
    line: str = ""
    after: tuple[str, ...] = ()
    code: int = 0

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data; what is not finite is null, as JSON has no other word for it."""
        if self.table is None:
            return dict(self.facts)
        import polars as pl
        from polars import selectors

        number = selectors.float()
        return {**self.facts, self.name: self.table.with_columns(pl.when(number.is_finite()).then(number)).to_dicts()}

    def csv(self) -> str:
        """Return the table as CSV with exact values; nothing where there is no table."""
        return "" if self.table is None else self.table.write_csv()
