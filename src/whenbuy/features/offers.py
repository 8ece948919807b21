"""Promotions: how many offers of the shop run at an instant, by what was known of them before the cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Instants, Ints
from whenbuy.core.errors import ColumnError
from whenbuy.core.profile import Profile
from whenbuy.features.builder import Builder, Where
from whenbuy.features.totals import settle

_NEVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class Offers:
    """How many offers of the shop are running at the instant at which the past is read.

    An offer runs from ``begins`` (from when it is known, by default) until just before ``ends`` (for ever, where that is empty). What the
    offers' profile says from the cutoff on (``valid_from``) is not known; a later row of one offer replaces an earlier one. 0 for a shop
    without offers.

    Parameters
    ----------
    ends, begins
        Columns of the offers' profile that hold dates or instants.
    where
        A column of the profile, and the value that an offer must have there: ``("campaign_type", "Type A")``.
    """

    ends: str = "ends"
    begins: str | None = None
    where: Where | None = None
    name: str = ""

    def __post_init__(self) -> None:
        settle(self, "offers_running", *(self.where or ()))

    def measure(self, to: Builder) -> None:
        """Declare itself to a program that is being built."""
        to.by_instant(self.name, self.running(to.offers))

    def running(self, offers: Profile | None) -> Running:
        """Return the number of running offers as a function of cutoff and instant; 0 for a shop that has none.

        Raises
        ------
        ColumnError
            When the profile has no such column.
        """
        none = np.empty(0, np.int64)
        return Running(none, none, none) if offers is None else Running(*self._steps(offers))

    def _steps(self, offers: Profile) -> tuple[Instants, Instants, Ints]:
        """Return by how much the number of running offers changes, when, and from when on that is known; by the instant of the change."""
        wanted = [name for name in (self.ends, self.begins, self.where and self.where[0]) if name is not None]
        for name in wanted:
            if name not in offers.table.columns:
                raise ColumnError(
                    f"A feature asks for {name!r} of the offers.", f"They have: {', '.join(offers.attributes)}.", "Name one of these."
                )
        known = pl.lit(-_NEVER) if offers.timeless else _instant("valid_from")
        table = offers.table.select(
            "id", known=known, ends=_instant(self.ends).fill_null(_NEVER), begins=known if self.begins is None else _instant(self.begins),
            passes=pl.lit(True) if self.where is None else (pl.col(self.where[0]).cast(pl.String) == self.where[1]).fill_null(False),
        ).filter(pl.col("known").is_not_null()).sort("known", maintain_order=True)  # fmt: skip
        table = table.with_columns(replaced=pl.col("known").shift(-1).over("id")).filter("passes")
        rows = [
            (known, begins, end, 1) if sign == 1 else (replaced, begins, end, -1)
            for known, begins, end, replaced in table.select("known", "begins", "ends", "replaced").iter_rows()
            for sign in (1, -1)
            if begins is not None and (sign == 1 or replaced is not None)
        ]
        steps = [
            (known, instant, way)
            for known, begins, end, sign in rows
            if max(known, begins) < end
            for instant, way in ((max(known, begins), sign), (end, -sign))
        ]
        found = np.array(sorted(steps, key=lambda step: step[1]), np.int64).reshape(-1, 3)
        return found[:, 0].copy(), found[:, 1].copy(), found[:, 2].copy()


def _instant(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Datetime("us")).cast(pl.Int64)


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """The number of running offers at any instant.

    Parameters
    ----------
    known
        Instant from which each step is known (m).
    instant
        Instant at which it happens (m), rising, never before it is known.
    change
        By how much the number changes (m).
    """

    known: Instants
    instant: Instants
    change: Ints

    def __call__(self, cutoff: Instants, at: Instants) -> Floats:
        """Return the number of offers that run at each instant, by what was known before each cutoff (n)."""
        sums = np.concatenate([[0], np.cumsum(self.change)])
        first, last = np.searchsorted(self.instant, cutoff, side="left"), np.searchsorted(self.instant, at, side="right")
        running: Floats = sums[last].astype(np.float64)
        # a step before the cutoff was known before it; those from the cutoff on are looked at one by one
        open_rows = np.flatnonzero(first < last)
        pairs, where = np.unique(np.stack([cutoff[open_rows], first[open_rows], last[open_rows]]), axis=1, return_inverse=True)
        unknown = [int(self.change[begin:end][self.known[begin:end] >= instant].sum()) for instant, begin, end in pairs.T.tolist()]
        running[open_rows] -= np.array(unknown, np.float64)[where.ravel()]
        return running
