"""The reviews that a history holds as of a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Instants, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary, EventLog
from whenbuy.core.texts import Texts
from whenbuy.models.text.fields import BLOCK

TITLES: Final = ("title", "review_title", "headline", "summary")
"""Columns that hold the title of a review; the first that a log has is read."""
GROUPS: Final = {"item": "item_id", "category": "category"}
_TOPS: Final = (5.0, 10.0, 100.0)
_WITHIN: Final = 0.9
"""A scale is one on which so many of the ratings lie."""


@dataclass(frozen=True, slots=True, eq=False)
class Reviews:
    """Reviews in the order in which they became known.

    Parameters
    ----------
    known_at, time
        When each became known, and when it was written (n).
    user
        Who wrote it (n), a position in ``users``; ``len(users)`` where nobody knows.
    rating
        Her rating in the log's own stars (n), NaN where there is none or it lies outside the scale.
    texts
        What she wrote; None where the log has no texts.
    group
        Of what, by ``item`` and ``category`` (n each), -1 where that is not known; only what the log has.
    names
        The names of these things.
    users
        The names of those who write.
    scale
        The lowest and the highest rating.
    outside
        How many ratings lie outside the scale: they are not used.
    """

    known_at: Instants
    time: Instants
    user: Ints
    rating: Floats
    texts: Texts | None
    group: Mapping[str, Codes]
    names: Mapping[str, Dictionary]
    users: Dictionary
    scale: tuple[float, float]
    outside: int

    @classmethod
    def of(cls, history: History, cutoff: int, scale: tuple[float, float] | None = None) -> Reviews:
        """Return the reviews that were known before a moment.

        Parameters
        ----------
        scale
            The lowest and the highest rating; by default 1 to 5, 10 or 100, or from 0 on where zeros are given, whatever fits most.

        Raises
        ------
        NotEnoughDataError
            When there is none.
        """
        log = history.log
        rows = np.flatnonzero((log.kind == log.code("review")) & (log.known_at < cutoff)) if log.code("review") >= 0 else np.empty(0, int)
        if not len(rows):
            raise NotEnoughDataError(
                f"The log has no reviews before {history.clock.show(cutoff)}.",
                "They are events of the kind 'review', with a rating, a text, or both, and the item they are about.",
                "Add them to the log, or name a later moment.",
            )
        rows = rows[np.argsort(log.known_at[rows], kind="stable")]
        user = np.searchsorted(log.offsets, rows, side="right") - 1
        given = log.columns["rating"].numbers()[rows] if "rating" in log.columns else np.full(len(rows), np.nan)
        low, high = _scale(given) if scale is None else scale
        rating = np.where((given >= low) & (given <= high), given, np.nan)
        outside = int((np.isfinite(given) & np.isnan(rating)).sum())
        group, names = _groups(log, rows, cutoff)
        return cls(
            log.known_at[rows], log.time[rows], np.minimum(user, len(log.users)), rating, _texts(log, rows), group, names, log.users,
            (low, high), outside,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.known_at)

    def take(self, rows: Ints) -> Reviews:
        """Return some of the reviews; the rows must rise."""
        return replace(
            self, known_at=self.known_at[rows], time=self.time[rows], user=self.user[rows], rating=self.rating[rows],
            texts=None if self.texts is None else self.texts.take(rows), group={name: code[rows] for name, code in self.group.items()},
        )  # fmt: skip

    def examples(self) -> Examples:
        """Return the texts with the question what rating goes with each: asked when it became known, answered at that instant."""
        n = len(self)
        nothing = Table((), np.empty((n, 0), np.float32))

        def silence(days: Floats, rows: Ints) -> Table:
            del days
            return nothing.take(rows)

        names = self.users.extended(["\u0000nobody"])
        labels = Labels(np.where(np.isfinite(self.rating), self.rating, 0.0), np.isfinite(self.rating), self.known_at)
        texts = Texts.of(text=[None] * n) if self.texts is None else self.texts
        return Examples(
            Keys("user", self.user.astype(np.int32), self.known_at, names), nothing, {"rating": labels}, silence, blocks={BLOCK: texts}
        )


def _scale(given: Floats) -> tuple[float, float]:
    """Return the scale on which most of the ratings lie."""
    known = given[np.isfinite(given)]
    if not len(known):
        return 1.0, _TOPS[0]
    inside = known[known >= 0]
    low = 0.0 if len(inside) and (inside < 1).mean() > 1 - _WITHIN else 1.0
    return low, next((top for top in _TOPS if len(inside) and (inside <= top).mean() >= _WITHIN), _TOPS[-1])


def _texts(log: EventLog, rows: Ints) -> Texts | None:
    """Return the texts and titles of some rows, where the log has any."""
    title = next((name for name in TITLES if name in log.columns and log.columns[name].dictionary is not None), None)
    codes: dict[str, Codes] = {}
    words: dict[str, Dictionary] = {}
    for field, column in (("text", "text"), ("title", title)):
        if column is None or column not in log.columns:
            continue
        found = log.columns[column]
        if found.dictionary is not None and (found.values[rows] >= 0).any():
            codes[field], words[field] = found.values[rows].astype(np.int32), found.dictionary
    return Texts(codes, words) if codes else None


def _groups(log: EventLog, rows: Ints, cutoff: int) -> tuple[dict[str, Codes], dict[str, Dictionary]]:
    """Return the item and the category of each review; where a review does not say its category, that of the item's latest other event."""
    group: dict[str, Codes] = {}
    names: dict[str, Dictionary] = {}
    for name, column in GROUPS.items():
        found = log.columns.get(column)
        if found is not None and found.dictionary is not None:
            group[name], names[name] = found.values[rows].astype(np.int32), found.dictionary
    if len(group) == 2 and (group["category"] < 0).any():
        item, category = log.columns["item_id"].values, log.columns["category"].values
        known = np.flatnonzero((log.known_at < cutoff) & (item >= 0) & (category >= 0))
        latest = np.full(len(names["item"]), -1, np.int32)
        order = known[np.argsort(log.known_at[known], kind="stable")]
        latest[item[order]] = category[order]
        unsaid = (group["category"] < 0) & (group["item"] >= 0)
        group["category"] = np.where(unsaid, latest[np.maximum(group["item"], 0)], group["category"]).astype(np.int32)
    return group, names
