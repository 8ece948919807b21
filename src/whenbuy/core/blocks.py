"""Blocks: what is known of each key beside its table. Every block has one part per key and gives back the parts of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.errors import ColumnError, WhenbuyError


class Block(Protocol):
    """What every block can do."""

    def __len__(self) -> int:
        """Return how many keys it tells of."""

    def take(self, rows: slice | Ints) -> Self:
        """Return what it tells of some of the keys."""


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """What each key did with each class of things: a category, a brand, an item.

    Parameters
    ----------
    column
        The column of the log that names the classes, such as ``category``.
    classes
        Their names (k).
    names
        Names of the features (f), with the unit in them.
    values
        ``values[row, class, feature]`` (n x k x f), NaN where there is nothing to measure.
    """

    column: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    values: Singles

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (len(self.classes), len(self.names)):
            raise WhenbuyError(
                f"Interactions of {len(self.classes)} classes and {len(self.names)} features were made with shape {self.values.shape}."
            )

    def __len__(self) -> int:
        return len(self.values)

    def feature(self, name: str) -> Singles:
        """Return one feature of every class (n x k).

        Raises
        ------
        ColumnError
            When there is no such feature.
        """
        if name not in self.names:
            raise ColumnError(f"The feature {name!r} is not among the interactions.", f"They have: {', '.join(self.names)}.", "Add it.")
        return self.values[:, :, self.names.index(name)]

    def take(self, rows: slice | Ints) -> Interactions:
        """Return what some of the keys did."""
        return Interactions(self.column, self.classes, self.names, self.values[rows])
