"""Profiles: what is known about users, items or offers beside their events."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from whenbuy.core.arrays import Instants
from whenbuy.core.errors import ColumnError


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Attributes of entities, each row true from an instant on.

    Parameters
    ----------
    entity
        What the rows describe: user, item or offer.
    table
        ``id`` (string), ``valid_from`` (date-time, UTC; absent in a timeless profile) and one column per attribute.
    timeless
        Said aloud: these attributes never changed, or their changes do not matter. Needed where ``valid_from`` is absent.

    Raises
    ------
    ColumnError
        When ``id`` is missing, or ``valid_from`` is and the profile is not declared timeless.
    """

    entity: str
    table: pl.DataFrame
    timeless: bool = False

    def __post_init__(self) -> None:
        if "id" not in self.table.columns:
            raise ColumnError(f"The {self.entity} profile has the columns {self.table.columns}.", "It needs the column 'id'.")
        if "valid_from" not in self.table.columns and not self.timeless:
            raise ColumnError(
                f"The {self.entity} profile says nothing about when its rows became true.",
                "Without `valid_from` today's attributes would leak into every earlier cutoff.",
                "Add the column 'valid_from', or declare the profile timeless.",
            )

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return [name for name in self.table.columns if name not in ("id", "valid_from")]

    def as_of(self, ids: pl.Series, cutoff: Instants) -> pl.DataFrame:
        """Return the attributes that were true strictly before each cutoff (n rows), null where none was."""
        wanted = pl.DataFrame({"id": ids.cast(pl.String), "cutoff": cutoff}).with_row_index("row")
        if self.timeless:
            found = wanted.join(self.table.unique("id", keep="last", maintain_order=True), on="id", how="left", maintain_order="left")
            return found.select(self.attributes)
        known = self.table.with_columns(cutoff=pl.col("valid_from").cast(pl.Datetime("us")).cast(pl.Int64) + 1).sort("cutoff")
        found = wanted.sort("cutoff").join_asof(known, on="cutoff", by="id", strategy="backward", check_sortedness=False)
        return found.sort("row").select(self.attributes)
