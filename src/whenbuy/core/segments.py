"""Segments: who belongs to which group of customers, and what each group is like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Floats, Ints
from whenbuy.core.card import card, percent
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.forecast import instants
from whenbuy.core.keys import Keys


@dataclass(frozen=True, slots=True)
class Segment:
    """One group of customers.

    Parameters
    ----------
    id
        Its number, above 0: it stays when the segments are learned again, and is never given to another group.
    name
        What people call it.
    words
        What sets it apart from everybody, in words.
    """

    id: int
    name: str
    words: str

    def __post_init__(self) -> None:
        if self.id < 1 or not self.name.strip():
            raise WhenbuyError(f"A segment was made with the id {self.id} and the name {self.name!r}.")


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Which segment each key belongs to.

    Parameters
    ----------
    keys
        Who was asked, and as of when (n).
    code
        Place of each key's segment in ``segments`` (n).
    segments
        All segments (k), also those to which nobody belongs.
    way
        How they were found: rfm, k-means, mixture or density.
    stability
        Mean adjusted Rand index between these segments and those learned from resamples of the customers; NaN where it is not known.
    figures
        Numbers that describe each segment (k each), by name; NaN where there is none.
    """

    keys: Keys
    code: Codes
    segments: tuple[Segment, ...]
    way: str
    stability: float = math.nan
    figures: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k = len(self.segments)
        if len(self.code) != len(self.keys):
            raise WhenbuyError(f"{len(self.keys)} keys were given {len(self.code)} segments.")
        if len(self.code) and not 0 <= int(self.code.min()) <= int(self.code.max()) < k:
            raise WhenbuyError(f"A key belongs to a segment that is none of the {k}.")
        if len({one.id for one in self.segments}) < k or len({one.name for one in self.segments}) < k:
            raise WhenbuyError("Two segments have the same id or the same name.")
        wrong = [name for name, values in self.figures.items() if len(values) != k]
        if wrong:
            raise WhenbuyError(f"The figures {', '.join(wrong)} are not one per segment.")

    def __len__(self) -> int:
        return len(self.code)

    @property
    def sizes(self) -> Ints:
        """How many keys belong to each segment (k)."""
        return np.bincount(self.code, minlength=len(self.segments)).astype(np.int64)

    def take(self, rows: slice | Ints) -> Segments:
        """Return the segments of some of the keys."""
        return replace(self, keys=self.keys.take(rows), code=self.code[rows])

    def of(self, user: str) -> Segment:
        """Return the segment of one user.

        Raises
        ------
        NotFoundError
            When the user was not asked about.
        """
        rows = np.flatnonzero((self.keys.ids() == user).to_numpy())
        if not len(rows):
            raise NotFoundError(
                f"{user!r} is in none of these segments.", "They hold whom they were asked about.", "Ask for that customer."
            )
        return self.segments[int(self.code[rows[-1]])]

    def frame(self) -> pl.DataFrame:
        """Return one row per key: ``user_id``, ``as_of``, ``segment`` (its id), ``name``."""
        ids = np.array([one.id for one in self.segments], np.int64)
        names = pl.Series([one.name for one in self.segments], dtype=pl.String)
        return pl.DataFrame(
            {
                "user_id": self.keys.ids(),
                "as_of": instants(self.keys.cutoff),
                "segment": ids[self.code] if len(ids) else np.empty(0, np.int64),
                "name": names.gather(self.code),
            }
        )

    def profiles(self) -> pl.DataFrame:
        """Return one row per segment: ``segment``, ``name``, ``customers``, ``share``, ``words`` and the figures (null: none)."""
        sizes = self.sizes
        return pl.DataFrame(
            {
                "segment": pl.Series([one.id for one in self.segments], dtype=pl.Int64),
                "name": pl.Series([one.name for one in self.segments], dtype=pl.String),
                "customers": sizes,
                "share": sizes / max(len(self), 1),
                "words": pl.Series([one.words for one in self.segments], dtype=pl.String),
            }
            | {name: pl.Series(np.asarray(values, np.float64), nan_to_null=True) for name, values in self.figures.items()}
        )

    def plot(self) -> Any:
        """Return a chart of how the keys are spread over the segments."""
        from whenbuy.core.chart.answers import shares

        return shares(self.profiles().select("name", "share"), "share of the customers")

    def _repr_html_(self) -> str:
        table = self.profiles().drop("share").with_columns(share=pl.Series([percent(size / max(len(self), 1)) for size in self.sizes]))
        words = f"{len(self):,} customers in {len(self.segments)} segments ({self.way})"
        words += "." if math.isnan(self.stability) else f"; adjusted Rand {self.stability:.2f} over resamples."
        shown = table.select("segment", "name", "customers", "share", "words")
        return card(
            "Segments", words, shown, chart=self.plot() if len(self) else None, note="profiles() has the figures, frame() everybody."
        )

    def __repr__(self) -> str:
        return f"Segments({len(self)} keys, {len(self.segments)} segments, {self.way!r})"
