"""Texts that customers wrote, one per field and key: the body of a review, its title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Ints
from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.log import Dictionary


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The texts of each key, as codes: a text that many wrote is held once.

    Parameters
    ----------
    codes
        By field, which text (n each), -1 where there is none.
    words
        By field, the texts themselves.
    """

    codes: Mapping[str, Codes]
    words: Mapping[str, Dictionary]

    def __post_init__(self) -> None:
        if not self.codes or set(self.codes) != set(self.words) or len({len(part) for part in self.codes.values()}) != 1:
            raise WhenbuyError(f"Texts were made of the fields {list(self.codes)} and {list(self.words)}, or differ in length.")

    @classmethod
    def of(cls, **fields: Sequence[str | None] | pl.Series) -> Texts:
        """Return the texts of some fields (n each)."""
        series = {name: pl.Series(name, texts, dtype=pl.String) for name, texts in fields.items()}
        words = {name: Dictionary(one.drop_nulls().unique(maintain_order=True)) for name, one in series.items()}
        return cls({name: words[name].codes(one) for name, one in series.items()}, words)

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    @property
    def known(self) -> Bools:
        """Whether anything was written, in whatever field (n)."""
        return np.asarray(np.any([part >= 0 for part in self.codes.values()], axis=0))

    def distinct(self, field: str) -> tuple[list[str], Ints]:
        """Return the texts of a field, each once, and which of them each key wrote (n), the first being empty for those who wrote none.

        Raises
        ------
        ColumnError
            When there is no such field.
        """
        if field not in self.codes:
            raise ColumnError(f"There is no text {field!r}.", f"There is: {', '.join(self.codes)}.", "Name one of these.")
        found, place = np.unique(np.append(-1, self.codes[field]), return_inverse=True)
        return ["", *self.words[field].names(found[1:].astype(np.int32)).to_list()], place[1:].astype(np.int64)

    def take(self, rows: slice | Ints) -> Texts:
        """Return the texts of some keys."""
        return replace(self, codes={name: part[rows] for name, part in self.codes.items()})
