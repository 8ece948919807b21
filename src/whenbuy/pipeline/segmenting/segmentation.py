"""A segmentation: how a shop's customers were divided, what the segments are called, and how it is learned again without losing its ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.learner import refuse_leak
from whenbuy.core.segments import Segment, Segments
from whenbuy.features import Features
from whenbuy.models.segment.density import Density
from whenbuy.models.segment.k_means import KMeans
from whenbuy.models.segment.mixture import Mixture
from whenbuy.models.segment.rfm import Rfm
from whenbuy.models.segment.stability import TriedNumber, choose, same
from whenbuy.models.segment.way import Grouping, Way
from whenbuy.pipeline.segmenting import traits
from whenbuy.questions.asked import people

By = Literal["rfm", "k-means", "mixture", "density"]
LEARNED_FROM: Final = 20_000
"""A division is learned from so many customers at most, drawn at random."""
FIGURES: Final = ("recency_days", "orders_84d", "mean_amount", "gap_mean_days", "tenure_days")
"""Medians that every profile shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A division of customers that was learned, with its names.

    Parameters
    ----------
    by
        The way: rfm, k-means, mixture or density.
    features
        What is measured of each customer.
    grouping
        To which group a measured customer belongs.
    segments
        The segment of each group (k).
    next_id
        The id that the next new segment gets.
    known_until
        Nothing known at or after this instant was learned from.
    tried
        How stable the sizes that were tried are; the last one in use is ``stability``.
    stability
        Mean adjusted Rand index over resamples, of the size that was taken.
    """

    by: str
    features: Features
    grouping: Grouping
    segments: tuple[Segment, ...]
    next_id: int
    known_until: int
    tried: tuple[TriedNumber, ...]
    stability: float

    @property
    def size(self) -> int:
        """The size that was taken."""
        return next(one.size for one in self.tried if one.stability == self.stability)

    def of(
        self, history: History, as_of: int | str | None = None, users: Iterable[str] | None = None, *, in_sample: bool = False
    ) -> Segments:
        """Return the segments of the users named (all people known, by default) as of a moment (the log's end, by default).

        Raises
        ------
        LeakError
            When the moment lies before what was learned from, unless ``in_sample`` is said.
        NotEnoughDataError
            When nobody was known by then.
        """
        keys = _keys(history, as_of, users)
        refuse_leak(self.known_until, keys, in_sample=in_sample)
        return self.place(keys, self.features.table(history.before(keys)))

    def place(self, keys: Keys, table: Table) -> Segments:
        """Return the segments of keys whose features are known."""
        code = self.grouping.place(table)
        return Segments(keys, code, self.segments, self.by, self.stability, _figures(table, code, len(self.segments)))


def segment(
    history: History,
    by: By = "rfm",
    k: int | None = None,
    as_of: int | str | None = None,
    *,
    seed: int = 0,
    earlier: Segmentation | None = None,
) -> Segmentation:
    """Return how the customers known before a moment (the log's end, by default) divide.

    Parameters
    ----------
    history
        The shop.
    by
        rfm: the grid of quintiles; k-means, mixture, density: clusters of recency, orders, amounts and views.
    k
        How many segments k-means and mixture make; by default the finest division that is stable over resamples of the customers.
    as_of
        Only what was known before it is learned from.
    seed
        What chance starts from.
    earlier
        A segmentation whose ids and names stay where the same customers are still together.

    Raises
    ------
    UsageError
        When the number of segments makes no sense, or the way has none to set.
    NotEnoughDataError
        When nobody was known by then.
    """
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    history = history if cutoff >= history.end else history.cut(cutoff)  # so that what comes later cannot even name a feature
    keys = _keys(history, cutoff, None)
    features = traits.spec(history.log)
    table = features.table(history.before(keys))
    way = _way(by, table)
    _require(way, k, len(table))
    size, tried = choose(way, table, seed, k, None if earlier is None or earlier.by != by else earlier.size)
    rng = np.random.default_rng(seed)
    learns = table.take(np.sort(rng.choice(len(table), LEARNED_FROM, replace=False))) if len(table) > LEARNED_FROM else table
    grouping = way.learn(learns, size, seed)
    code = grouping.place(table)
    found = traits.described(traits.ranks(table), table, code, grouping.groups)
    segments, next_id = _named(grouping, found, code, _before(earlier, by, history, keys))
    stability = next(one.stability for one in tried if one.size == size)
    return Segmentation(by, features, grouping, segments, next_id, cutoff, tried, stability)


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What an earlier segmentation says of the same customers now."""

    code: Codes
    segments: tuple[Segment, ...]
    next_id: int


def _before(earlier: Segmentation | None, by: str, history: History, keys: Keys) -> _Before | None:
    if earlier is None or earlier.by != by:
        return None
    code = earlier.grouping.place(earlier.features.table(history.before(keys)))
    return _Before(code, earlier.segments, earlier.next_id)


def _named(grouping: Grouping, found: list[tuple[str, str]], code: Codes, before: _Before | None) -> tuple[tuple[Segment, ...], int]:
    """Return the segments with their ids and names, and the next free id."""
    if grouping.names:
        made = tuple(Segment(i + 1, name, words) for i, (name, (_, words)) in enumerate(zip(grouping.names, found, strict=True)))
        return made, len(made) + 1
    is_old = np.full(grouping.groups, -1) if before is None else same(before.code, code, grouping.groups)
    next_id = 1 if before is None else before.next_id
    kept = [before.segments[old] if before is not None and old >= 0 else None for old in is_old.tolist()]
    taken = [one.name for one in kept if one is not None]
    new = [name for one, (name, _) in zip(kept, found, strict=True) if one is None]
    fresh = iter(traits.unique([*taken, *new])[len(taken) :])
    segments = []
    for one, (_, words) in zip(kept, found, strict=True):
        segments.append(Segment(one.id, one.name, words) if one is not None else Segment(next_id, next(fresh), words))
        next_id += one is None
    return tuple(segments), next_id


def _figures(table: Table, code: Codes, groups: int) -> dict[str, Floats]:
    """Return the medians of some features by group (k each), NaN where nothing is known."""
    found: dict[str, Floats] = {}
    for name in FIGURES:
        if name in table.names:
            values = table.column(name)
            parts = [values[(code == group) & np.isfinite(values)] for group in range(groups)]
            found[name] = np.array([float(np.median(part)) if len(part) else np.nan for part in parts])
    return found


def _way(by: str, table: Table) -> Way:
    names = traits.divided_by(table)
    ways: dict[str, Way] = {"rfm": Rfm(), "k-means": KMeans(names), "mixture": Mixture(names), "density": Density(names)}
    if by not in ways:
        raise UsageError(f"Segments by {by!r} were asked for.", f"There are: {', '.join(ways)}.", "Name one of these.")
    return ways[by]


def _require(way: Way, k: int | None, users: int) -> None:
    if k is None:
        return
    if not isinstance(way, KMeans | Mixture):
        raise UsageError(
            f"{way.name} was to make {k} segments.", "Its number follows from the customers.", "Leave out --k, or use k-means."
        )
    if not 1 <= k <= users:
        raise UsageError(f"{k} segments of {users:,} customers were asked for.", "Each needs one customer at least.", "Ask for fewer.")


def _keys(history: History, as_of: int | str | None, users: Iterable[str] | None) -> Keys:
    keys = history.keys(users, as_of)
    if users is None:
        keys = keys.take(np.flatnonzero(people(history.before(keys))))
    if not len(keys):
        moment = history.clock.show(history.end if as_of is None else history.clock.instant(as_of))
        raise NotEnoughDataError(f"Nobody was known by {moment}.", "Segments need customers.", "Ask as of a later date.")
    return keys


TYPES: Final = {"Segment": Segment, "Segmentation": Segmentation}
