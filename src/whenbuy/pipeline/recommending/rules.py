"""Rules: what may be shown to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Codes
from whenbuy.core.errors import ColumnError, NotFoundError, SettingsError
from whenbuy.core.history import History
from whenbuy.core.ranking import Shelf, Trails

_NO = ("", "0", "0.0", "false", "no", "n")


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be shown. A thing that the profile of the items calls ``deleted`` never is.

    Parameters
    ----------
    in_stock
        Only things whose ``in_stock`` in the profile of the items says so (a number above 0, or yes).
    not_within_days
        Nothing that the key bought within so many days.
    only
        Only things with these words, by attribute: ``{"category": ("COFFEE", "TEA")}``.
    without
        Things that are not shown.
    """

    in_stock: bool = False
    not_within_days: float = 0.0
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.not_within_days >= 0:
            raise SettingsError(
                f"Nothing bought within {self.not_within_days} days was to be shown.", "Days are not negative.", "Change it."
            )

    def allowed(self, shelf: Shelf, history: History, instant: int) -> Bools:
        """Return which things may be shown at all at a moment (k).

        Raises
        ------
        ColumnError
            When stock or an attribute is asked about of which nothing is known.
        NotFoundError
            When no thing has one of the words.
        """
        may = ~_says(shelf, history, instant, "deleted", missing=False)
        if self.in_stock:
            may &= _says(shelf, history, instant, "in_stock", missing=None)
        for name, words in self.only.items():
            if name not in shelf.attributes:
                raise ColumnError(
                    f"Nothing is known of the {name} of things.",
                    f"Known is: {', '.join(shelf.attributes) or 'nothing'}.",
                    "Read that column.",
                )
            codes = shelf.words[name].codes(words)
            if (codes < 0).any():
                unknown = [word for word, code in zip(words, codes, strict=True) if code < 0]
                raise NotFoundError(f"No thing has the {name} {', '.join(unknown)}.", "Words are those of the log.", "Check the spelling.")
            may &= np.isin(shelf.attributes[name], codes)
        if self.without:
            gone = shelf.names.codes(self.without)
            may[gone[gone >= 0]] = False
        return may

    def barred(self, trails: Trails, item: Codes) -> Bools:
        """Return which things of each key's list (n x m) it bought too lately."""
        out = np.zeros(item.shape, bool)
        if not self.not_within_days:
            return out
        owner = np.repeat(np.arange(len(trails)), np.diff(trails.offsets))
        lately = (trails.strength >= 1) & (trails.time > trails.at[owner] - self.not_within_days * DAY)
        things = len(trails.shelf) + 1
        held = np.unique(owner[lately] * things + trails.item[lately])
        return np.isin(np.arange(len(item))[:, None] * things + item, held)


def _says(shelf: Shelf, history: History, instant: int, name: str, missing: bool | None) -> Bools:
    """Return of which things the profile of the items says yes at a moment (k); where it has no such column, ``missing`` for all."""
    profile = history.items
    if profile is None or name not in profile.attributes:
        if missing is None:
            raise ColumnError(
                f"Nothing says what is {name.replace('_', ' ')}.",
                f"The profile of the items needs the column {name!r}.",
                "Add it, or leave the rule out.",
            )
        return np.full(len(shelf), missing)
    said = profile.as_of(shelf.names.ids, np.full(len(shelf), instant, np.int64))[name]
    text = said.cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    negative = said.cast(pl.Float64, strict=False).fill_null(1.0) <= 0 if said.dtype.is_numeric() else pl.Series([False] * len(said))
    return (~(text.is_in(_NO) | negative)).to_numpy()
