"""Rankings: what can be recommended, what each key met, what it took, and the answer, which things first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import _entries
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import instants
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The things that can be recommended, as far as is known of them at one moment.

    Parameters
    ----------
    names
        Their names (k).
    attributes
        What kind of thing each is, by column such as ``category`` or ``brand``: a position in ``words`` (k each), -1 where unknown.
    words
        The names behind the attributes.
    price
        The latest price of one piece, in the shop's currency (k), NaN where unknown.
    """

    names: Dictionary
    attributes: Mapping[str, Codes] = field(default_factory=dict)
    words: Mapping[str, Dictionary] = field(default_factory=dict)
    price: Singles = field(default_factory=lambda: np.empty(0, np.float32))

    def __post_init__(self) -> None:
        if set(self.attributes) != set(self.words) or len(self.price) not in (0, len(self.names)):
            raise WhenbuyError(f"A shelf of {len(self.names):,} things was given {len(self.price):,} prices, or attributes without words.")
        for name, codes in self.attributes.items():
            if len(codes) != len(self.names) or codes.max(initial=-1) >= len(self.words[name]):
                raise WhenbuyError(f"The attribute {name!r} does not fit a shelf of {len(self.names):,} things.")

    def __len__(self) -> int:
        return len(self.names)


@lru_cache(maxsize=64)
def place_on(shelf: Dictionary, names: Dictionary) -> Codes:
    """Return where each name stands on a shelf, -1 for nowhere; the last place stands for the code -1. Kept for the next time."""
    same = shelf is names or shelf.ids.equals(names.ids)
    places = np.arange(len(names), dtype=np.int32) if same else shelf.codes(names.ids)
    return np.append(places, np.int32(-1))


@dataclass(frozen=True, slots=True, eq=False)
class Trails:
    """The things that each key met before its cutoff, one after the other: a block.

    Parameters
    ----------
    shelf
        What can be met.
    offsets
        The steps of key i are ``offsets[i] : offsets[i + 1]`` (n + 1), in the order in which they became known.
    item
        Which thing (t), a position on the shelf.
    time
        When it happened (t), not after it was known.
    order
        The number of the order or of the single event within the key (t), rising: things of one basket share it.
    strength
        How loudly the step speaks (t): 1 a purchase, less a mere look.
    at
        The instant at which each key's past is read (n).
    """

    shelf: Shelf
    offsets: Ints
    item: Codes
    time: Instants
    order: Codes
    strength: Singles
    at: Instants

    def __post_init__(self) -> None:
        steps = int(self.offsets[-1])
        if {steps} != {len(part) for part in (self.item, self.time, self.order, self.strength)} or len(self.at) != len(self):
            raise WhenbuyError(f"Trails of {len(self):,} keys with {steps:,} steps were given parts of other lengths.")
        if steps and not 0 <= int(self.item.min()) <= int(self.item.max()) < len(self.shelf):
            raise WhenbuyError("A step of a trail leads to nothing on the shelf.")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: slice | Ints) -> Trails:
        """Return the trails of some of the keys."""
        offsets, where = _entries(self.offsets, rows)
        parts = (self.item[where], self.time[where], self.order[where], self.strength[where], self.at[rows])
        return Trails(self.shelf, offsets, *parts)


@dataclass(frozen=True, slots=True, eq=False)
class Trends:
    """How much everybody wanted each thing lately, as of the beginning of the day of each key: a block.

    Parameters
    ----------
    shelf
        The things.
    row
        Which of the days each key stands at (n).
    halflives_days
        An event counts half after so many days (h), rising.
    rate
        Events per day, older ones counting less (days x k x h).
    """

    shelf: Shelf
    row: Ints
    halflives_days: tuple[float, ...]
    rate: Singles

    def __post_init__(self) -> None:
        if self.rate.shape[1:] != (len(self.shelf), len(self.halflives_days)) or self.row.max(initial=-1) >= len(self.rate):
            raise WhenbuyError(f"Trends of {len(self.shelf):,} things were given rates of shape {self.rate.shape}.")

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: slice | Ints) -> Trends:
        """Return the trends as of the days of some of the keys."""
        return Trends(self.shelf, self.row[rows], self.halflives_days, self.rate)


@dataclass(frozen=True, slots=True, eq=False)
class Taken(Labels):
    """Which things each key took: ``value`` is how many different ones (n).

    Parameters
    ----------
    offsets
        The things of key i are ``offsets[i] : offsets[i + 1]`` (n + 1).
    item
        Positions in ``names`` (e), each once per key, in the order in which they were taken.
    names
        Names of the things.
    """

    offsets: Ints
    item: Codes
    names: Dictionary

    def __post_init__(self) -> None:
        if not len(self.value) == len(self.observed) == len(self.end) == len(self.offsets) - 1 or len(self.item) != self.offsets[-1]:
            raise WhenbuyError("The parts of what was taken differ in length.")

    def take(self, rows: slice | Ints) -> Taken:
        """Return what some of the keys took."""
        offsets, where = _entries(self.offsets, rows)
        return Taken(self.value[rows], self.observed[rows], self.end[rows], offsets, self.item[where], self.names)

    @property
    def owner(self) -> Ints:
        """The row of the key that took each thing (e)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Which things first, for each key.

    Parameters
    ----------
    keys
        Who was asked (n).
    names
        Names of the things.
    item
        Positions in ``names``, the best first (n x m); a thing stands in a row at most once; -1 where a list is shorter, at its end.
    score
        How strongly each speaks (n x m), never rising along a row; NaN where there is no thing. Scores of different models, and of
        different keys, cannot be compared.
    model
        The name of the model that answered.
    prior
        True where nothing was known of the key, so that a prior answered (n); nowhere when absent.
    in_sample
        Whether the model had seen events from after these cutoffs.
    """

    keys: Keys
    names: Dictionary
    item: Codes
    score: Floats
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        if self.item.shape != self.score.shape or self.item.ndim != 2 or len(self.item) != len(self.keys):
            raise WhenbuyError(f"{len(self.keys)} keys were given rankings of shape {self.item.shape} and {self.score.shape}.")
        if not self.item.size:
            return
        there = self.item >= 0
        if int(self.item.max()) >= len(self.names) or (there[:, 1:] & ~there[:, :-1]).any():
            raise WhenbuyError("A ranking names a thing that there is not, or has a gap before its end.")
        if not np.isfinite(self.score[there]).all() or (np.diff(self.score, axis=1)[there[:, 1:]] > 0).any():
            raise WhenbuyError("The scores of a ranking rise, or are not finite numbers.")
        ordered = np.sort(self.item, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
            raise WhenbuyError("A ranking shows one thing twice.")

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Ranking:
        """Return the rankings of some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        return replace(self, keys=self.keys.take(rows), item=self.item[rows], score=self.score[rows], prior=prior)

    def top(self, m: int = 10) -> Ranking:
        """Return the first things of each list only (n x m)."""
        return replace(self, item=self.item[:, :m], score=self.score[:, :m])

    def of(self, user: str) -> list[str]:
        """Return the things of one user, the best first.

        Raises
        ------
        NotFoundError
            When the user was not asked about.
        """
        rows = np.flatnonzero((self.keys.ids() == user).to_numpy())
        if not len(rows):
            raise NotFoundError(f"The user {user!r} is not in this ranking.", "It covers the users it was asked about.", "Ask about her.")
        found = self.item[rows[0]]
        return self.names.names(found[found >= 0]).to_list()

    def frame(self) -> pl.DataFrame:
        """Return one row per key and thing: user_id, as_of, rank (1 is the best), item_id, score."""
        row, place = np.nonzero(self.item >= 0)
        return pl.DataFrame(
            {
                "user_id": self.keys.ids().gather(row),
                "as_of": instants(self.keys.cutoff[row]),
                "rank": place + 1,
                "item_id": self.names.names(self.item[row, place]),
                "score": self.score[row, place],
            }
        )

    def plot(self) -> Any:
        """Return a chart of the things that stand highest on most lists: the share of the keys among whose first five each is."""
        from whenbuy.core.chart.answers import classes

        first = self.item[:, :5]
        code, count = np.unique(first[first >= 0], return_counts=True)
        best = np.lexsort((code, -count))[:10]
        rows = pl.DataFrame(
            {
                "user_id": ["among the first five"] * len(best),
                "class": self.names.names(code[best].astype(np.int32)),
                "probability": count[best] / max(len(self), 1),
            },
            {"user_id": pl.String, "class": pl.String, "probability": pl.Float64},
        )
        return classes(rows, "share of the customers among whose first five it is")

    def _repr_html_(self) -> str:
        n, m = self.item.shape
        words = f"Which {m} of {len(self.names):,} things first, by {self.model}: {n:,} {'key' if n == 1 else 'keys'}."
        some = self.take(slice(0, ROWS))
        listed = [", ".join(self.names.names(row[row >= 0][:5]).to_list()) for row in some.item]
        rows = pl.DataFrame({"user_id": some.keys.ids(), "first": pl.Series(listed, dtype=pl.String)})
        return card("Ranking", words, rows, chart=self.plot() if (self.item >= 0).any() else None, rows=n)

    def __repr__(self) -> str:
        return f"Ranking({len(self)} keys, {self.item.shape[1]} of {len(self.names)} things, model={self.model!r})"
