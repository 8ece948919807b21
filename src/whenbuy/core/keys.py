"""Keys: who is asked, and the instant at which we pretend to stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Instants, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.log import Dictionary

Entity = Literal["user", "item", "category", "campaign", "shop"]


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Pairs of (entity, cutoff), in the caller's order.

    Parameters
    ----------
    entity
        What is asked about.
    code
        Position in ``names`` (n). A user that the log does not know has a code beyond the log's own users: an empty past.
    cutoff
        The instant at which we pretend to stand (n): only what was known strictly before it counts.
    names
        The names behind the codes.
    """

    entity: Entity
    code: Codes
    cutoff: Instants
    names: Dictionary

    def __post_init__(self) -> None:
        if len(self.code) != len(self.cutoff):
            raise WhenbuyError(f"{len(self.code)} entities were paired with {len(self.cutoff)} cutoffs.")
        if len(self.code) and not 0 <= int(self.code.min()) <= int(self.code.max()) < len(self.names):
            raise WhenbuyError("A key points outside its dictionary of names.")

    def __len__(self) -> int:
        return len(self.code)

    def ids(self) -> pl.Series:
        """Return the name of each entity (n)."""
        return self.names.names(self.code)

    def order(self) -> Ints:
        """Return the rows in the order of the sweep: by entity, then by cutoff."""
        same = self.code[1:] == self.code[:-1]
        if ((self.code[1:] > self.code[:-1]) | (same & (self.cutoff[1:] >= self.cutoff[:-1]))).all():
            return np.arange(len(self), dtype=np.int64)
        return np.lexsort((self.cutoff, self.code)).astype(np.int64)

    def take(self, rows: slice | Ints) -> Keys:
        """Return some of the keys."""
        return Keys(self.entity, self.code[rows], self.cutoff[rows], self.names)

    def chunks(self, size: int) -> Iterator[Keys]:
        """Yield the keys in parts of at most ``size``, so that memory stays bounded."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))
