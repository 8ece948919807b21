"""Which rating a customer would give a thing: her own mean, the thing's, its category's, and what its texts read like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Codes, Floats, Instants, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.log import Dictionary
from whenbuy.pipeline.reviewing.opinions import Opinions
from whenbuy.pipeline.reviewing.reviews import Reviews
from whenbuy.pipeline.reviewing.shrunk import lent

RATED: Final = 50
"""So many ratings are needed before those of pairs are told."""
LEVEL: Final = 0.8
"""The share of ratings that lie inside the interval."""
_HELD: Final = 0.2
_RIDGE: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """How far each of some things lies from the mean (t + 1, the last for strangers), drawn towards it by so many lent reviews."""

    value: Floats
    lent: float

    def of(self, code: Codes | Ints) -> Floats:
        """Return the effect of each thing (n); 0 for those that are not known."""
        return self.value[np.where((code >= 0) & (code < len(self.value) - 1), code, -1)]


@dataclass(frozen=True, slots=True, eq=False)
class PairRatings:
    """The expected rating of any customer and thing, as of a moment.

    Parameters
    ----------
    mean, weights
        The common mean, and how much each effect counts.
    effects
        By name: ``user``, and of what the log has ``item``, ``category``, ``item_read`` (what the thing's texts read like).
    low, high
        How far the ends of the 80 % interval lie from the expected rating.
    scale
        The lowest and the highest rating.
    users, items
        The names.
    category
        The category of each item (its latest), -1 where it is not known.
    held, error, floor
        On how many of the latest ratings it was tried, its root mean squared error there and that of the thing's own drawn mean.
    """

    mean: float
    weights: Mapping[str, float]
    effects: Mapping[str, Effects]
    low: float
    high: float
    scale: tuple[float, float]
    users: Dictionary
    items: Dictionary
    category: Codes
    held: int
    error: float
    floor: float

    def predict(self, users: Sequence[str], items: Sequence[str]) -> pl.DataFrame:
        """Return a row per pair: user_id, item_id, rating (expected, in stars), low, high, known_user, known_item."""
        user, item = self.users.codes(users), self.items.codes(items)
        category = np.where(item >= 0, self.category[np.maximum(item, 0)], -1) if len(self.category) else np.full(len(item), -1)
        asked = {"user": user, "item": item, "item_read": item, "category": category}
        rating = self.mean + sum((w * self.effects[name].of(asked[name]) for name, w in self.weights.items()), np.zeros(len(user)))
        rating = np.clip(rating, *self.scale)
        return pl.DataFrame(
            {
                "user_id": pl.Series(users, dtype=pl.String), "item_id": pl.Series(items, dtype=pl.String), "rating": rating,
                "low": np.clip(rating + self.low, *self.scale), "high": np.clip(rating + self.high, *self.scale),
                "known_user": user >= 0, "known_item": item >= 0,
            }
        )  # fmt: skip


def pair_ratings(found: Opinions) -> PairRatings:
    """Return what the reviews teach about the rating of any pair.

    Each review is described by what was known strictly before it. How much each effect counts (never less than nothing) is learned by least
    squares from the earlier 80 %; the interval is the range of the errors on the latest 20 % (split conformal; Vovk et al. 2005, section
    4.1). The effects of the answer are those of all reviews.

    Raises
    ------
    NotEnoughDataError
        When fewer than 50 reviews have a rating.
    """
    reviews, rated = found.reviews, np.flatnonzero(np.isfinite(found.reviews.rating))
    if len(rated) < RATED:
        raise NotEnoughDataError(f"{len(rated):,} reviews have a rating.", f"{RATED} teach who rates how.", "Give a longer log.")
    learns = rated[: round((1 - _HELD) * len(rated))]
    held = rated[len(learns) :]
    mean = float(reviews.rating[learns].mean())
    sides = _sides(reviews, found.read, mean, learns)
    described = {name: _before(code, reviews.known_at, value, spare) for name, (code, value, spare) in sides.items()}
    matrix = np.stack([described[name] for name in sides], axis=1)
    weight = _weights(matrix[learns], reviews.rating[learns] - mean, _prior(tuple(sides)))
    told = np.clip(mean + matrix[held] @ weight, *reviews.scale)
    rest = np.sort(reviews.rating[held] - told)
    floor = np.clip(mean + described.get("item", np.zeros(len(reviews)))[held], *reviews.scale)
    low, high = _ends(rest)
    effects = {name: _now(code, value, spare) for name, (code, value, spare) in sides.items()}
    return PairRatings(
        mean, dict(zip(sides, map(float, weight), strict=True)), effects, low, high, reviews.scale, reviews.users,
        reviews.names.get("item", Dictionary.of([])), _category(reviews), len(held), float(np.sqrt(np.mean(rest**2))),
        float(np.sqrt(np.mean((reviews.rating[held] - floor) ** 2))),
    )  # fmt: skip


def _sides(reviews: Reviews, read: Floats, mean: float, learns: Ints) -> dict[str, tuple[Ints, Floats, float]]:
    """Return by effect: what each review is about (n), how far its score lies from the mean (n), and how many reviews are lent."""
    user = np.where(reviews.user < len(reviews.users), reviews.user, -1).astype(np.int64)
    told = {"user": (user, reviews.rating - mean)}
    for name in ("item", "category"):
        if name in reviews.group:
            told[name] = (reviews.group[name].astype(np.int64), reviews.rating - mean)
    if "item" in reviews.group and np.isfinite(read[learns]).any():
        told["item_read"] = (reviews.group["item"].astype(np.int64), read - float(np.nanmean(read[learns])))
    found = {}
    for name, (code, value) in told.items():
        known = learns[(code[learns] >= 0) & np.isfinite(value[learns])]
        spare = lent(value[known], code[known]) if len(known) else np.inf
        found[name] = (code, value, min(spare, 1e6))
    return found


def _weights(matrix: Floats, rest: Floats, prior: Floats) -> Floats:
    """Return weights of 0 or more with the least squared error, drawn towards a prior by one review at each effect's unit."""
    from scipy.optimize import nnls

    return np.asarray(nnls(np.vstack([matrix, np.sqrt(_RIDGE) * np.eye(len(prior))]), np.append(rest, np.sqrt(_RIDGE) * prior))[0])


def _prior(names: tuple[str, ...]) -> Floats:
    """Return what the weights are drawn towards: her own and the thing's drawn mean as they are, the others not at all."""
    return np.array([float(name in ("user", "item")) for name in names])


def _before(code: Ints, known_at: Instants, value: Floats, spare: float) -> Floats:
    """Return the drawn mean of the values of the same thing that were known strictly before each review (n); 0 where there is none."""
    order = np.lexsort((known_at, code))
    counts: Bools = np.isfinite(value[order]) & (code[order] >= 0)
    total = np.concatenate([[0.0], np.cumsum(np.where(counts, value[order], 0.0))])
    count = np.concatenate([[0], np.cumsum(counts)])
    own, at = code[order], known_at[order]
    new = np.append(True, own[1:] != own[:-1])
    tie = new | np.append(True, at[1:] != at[:-1])
    place = np.arange(len(code))
    start, stop = np.maximum.accumulate(np.where(new, place, 0)), np.maximum.accumulate(np.where(tie, place, 0))
    found = np.empty(len(code))
    found[order] = np.where(own >= 0, (total[stop] - total[start]) / (count[stop] - count[start] + spare), 0.0)
    return found


def _now(code: Ints, value: Floats, spare: float) -> Effects:
    """Return the drawn mean of each thing's values, and 0 for strangers."""
    known = (code >= 0) & np.isfinite(value)
    things = int(code.max(initial=-1)) + 1
    total = np.bincount(code[known], value[known], minlength=things)
    return Effects(np.append(total / (np.bincount(code[known], minlength=things) + spare), 0.0), spare)


def _ends(rest: Floats) -> tuple[float, float]:
    """Return the ends of the interval around the expected rating: the errors between which 80 % lie, one error more on either side."""
    n = len(rest)
    miss = int(np.floor((1 - LEVEL) / 2 * (n + 1)))
    return (float(rest[miss - 1]), float(rest[n - miss])) if miss > 0 else (float(rest[0]), float(rest[-1]))


def _category(reviews: Reviews) -> Codes:
    """Return the category of each item by its latest review."""
    if "item" not in reviews.group:
        return np.empty(0, np.int32)
    found = np.full(len(reviews.names["item"]), -1, np.int32)
    if "category" in reviews.group:
        item, category = reviews.group["item"], reviews.group["category"]
        known = (item >= 0) & (category >= 0)
        found[item[known]] = category[known]
    return found
