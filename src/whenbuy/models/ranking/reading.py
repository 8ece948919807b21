"""What rankers share: what they read of examples, how lists are filled up, and how an answer is made."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Codes, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.learner import refuse_leak
from whenbuy.core.log import Dictionary
from whenbuy.core.ranking import Ranking, Shelf, Trails, Trends, place_on
from whenbuy.models.ranking.best import best_of

TRAILS: Final = "trails"
"""The block of examples that tells what each key met."""
TRENDS: Final = "trends"
"""The block of examples that tells what everybody wanted lately."""
FIRST: Final = 100
"""So many things a list has unless a learner is asked for more or fewer."""


class Voice(Protocol):
    """A learned ranker, as others hear it."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def shelf(self) -> Shelf:
        """The things that it can name."""

    @property
    def known_until(self) -> int:
        """The instant up to which it knows what happened."""

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things for which it finds something and how strongly (n x m each), the best first, -1 and NaN behind them."""


def trails_of(examples: Examples, shelf: Shelf) -> Trails:
    """Return what each key met of a shelf; steps to things that do not stand on it are left out.

    Where the same things were stored twice the trails are returned as they are: their places on both shelves are the same.
    """
    trails = examples.block(TRAILS, Trails)
    if trails.shelf is shelf or _same(trails.shelf.names, shelf.names):
        return trails
    item = place_on(shelf.names, trails.shelf.names)[trails.item]
    stays = item >= 0
    offsets = np.concatenate([[0], np.cumsum(stays)])[trails.offsets].astype(np.int64)
    parts = (trails.time[stays], trails.order[stays], trails.strength[stays], trails.at)
    return Trails(shelf, offsets, item[stays], *parts)


def trends_of(examples: Examples, shelf: Shelf) -> tuple[Ints, Singles]:
    """Return the day of each key (n) and the rates of the things of a shelf on each day (days x k x h)."""
    trends = examples.block(TRENDS, Trends)
    return trends.row, trends.rate if trends.shelf is shelf else _placed(trends, shelf)


def _placed(trends: Trends, shelf: Shelf) -> Singles:
    """Return the rates of the things of another shelf."""
    if _same(trends.shelf.names, shelf.names):
        return trends.rate  # the same things, stored twice
    place = place_on(trends.shelf.names, shelf.names)[:-1]
    return np.where((place >= 0)[None, :, None], trends.rate[:, np.maximum(place, 0)], np.float32(0))


@lru_cache(maxsize=16)
def _same(names: Dictionary, others: Dictionary) -> bool:
    return names.ids.equals(others.ids)


@lru_cache(maxsize=16)
def log_prices(shelf: Shelf) -> Singles:
    """Return the logarithm of the price of each thing (k), NaN where none is known; kept for the next time."""
    price = shelf.price if len(shelf.price) else np.zeros(len(shelf), np.float32)
    return np.log(np.where(price > 0, price, np.nan)).astype(np.float32)


def learned_from(examples: Examples, name: str) -> Trails:
    """Return the trails to learn from.

    Raises
    ------
    NotEnoughDataError
        When nobody met anything.
    """
    trails = examples.block(TRAILS, Trails)
    if not len(trails.item):
        raise NotEnoughDataError(
            f"{len(trails):,} customers met nothing that stands on the shelf, so {name} has nothing to learn from.",
            "A ranking is learned from what customers met.", "Give a longer log, or look whether its items have names.",
        )  # fmt: skip
    return trails


def seen_until(trails: Trails) -> int:
    """Return the instant up to which these trails tell what happened."""
    return int(trails.at.max(initial=0))


def require_first(name: str, first: int) -> None:
    """Raise UsageError when a ranker is asked for lists without a place."""
    if first < 1:
        raise UsageError(f"{name} was asked for lists of {first} things.", "A list has one at least.", "Ask for more.")


def answered(voice: Voice, examples: Examples, first: int, *, in_sample: bool) -> Ranking:
    """Return what a voice says, each list filled up with what everybody wanted lately; strangers are marked ``prior``."""
    refuse_leak(voice.known_until, examples.keys, in_sample=in_sample)
    item, score = voice.speak(examples)
    item, score = item[:, :first].copy(), score[:, :first].copy()
    row, rate = trends_of(examples, voice.shelf)
    _fill(item, score, row, *usual(row, rate, rate.shape[2] // 2, item.shape[1]))
    return Ranking(examples.keys, voice.shelf.names, item, score, voice.name, strangers(trails_of(examples, voice.shelf)), in_sample)


def strangers(trails: Trails) -> Bools:
    """Return of whom nothing is known (n)."""
    return np.asarray(np.diff(trails.offsets) == 0)


def usual(row: Ints, rate: Singles, halflife: int, most: int) -> tuple[Codes, Floats]:
    """Return what everybody wanted most lately on each day that some key stands at (days x m each), the best first."""
    item, score = np.full((len(rate), most), -1, np.int32), np.full((len(rate), most), np.nan)
    held = _Held(rate)
    for day in np.unique(row).tolist():
        item[day], score[day] = _wanted(held, day, halflife, most)
    return item, score


class _Held:
    """Rates that are known by themselves, not by their numbers: those of a day are kept, so the next who asks finds them again."""

    __slots__ = ("rate",)

    def __init__(self, rate: Singles) -> None:
        self.rate = rate

    def __hash__(self) -> int:
        return id(self.rate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.rate is other.rate


@lru_cache(maxsize=16)
def _wanted(held: _Held, day: int, halflife: int, most: int) -> tuple[Codes, Floats]:
    """Return what everybody wanted most on a day (m each); kept for the next time."""
    item, score = np.full(most, -1, np.int32), np.full(most, np.nan)
    best_of(held.rate[day, :, halflife].astype(np.float64), item, score)
    return item, score


@kernel
def _fill(item: Codes, score: Floats, row: Ints, usual_item: Codes, usual_score: Floats) -> None:
    """Write the usual things behind the end of each list, each at most once; their scores lie below those before them."""
    n, most = item.shape
    for i in range(n):
        length = 0
        while length < most and item[i, length] >= 0:
            length += 1
        if length == most:
            continue
        floor = score[i, length - 1] if length else np.inf
        held = set(item[i, :length])
        for j in range(usual_item.shape[1]):
            thing = usual_item[row[i], j]
            if thing < 0 or length == most:
                break
            if thing in held:
                continue
            worth = usual_score[row[i], j]
            item[i, length], score[i, length] = thing, worth if floor == np.inf else floor - 1.0 + worth / (usual_score[row[i], 0] + 1.0)
            length += 1


@kernel
def steps_by_item(item: Codes, things: int) -> tuple[Ints, Ints]:
    """Return the steps that lead to each thing, in their order: those of thing i are ``steps[offsets[i] : offsets[i + 1]]``."""
    offsets = np.zeros(things + 1, np.int64)
    for i in range(len(item)):
        offsets[item[i] + 1] += 1
    for i in range(things):
        offsets[i + 1] += offsets[i]
    place, steps = offsets[:-1].copy(), np.empty(len(item), np.int64)
    for i in range(len(item)):
        steps[place[item[i]]] = i
        place[item[i]] += 1
    return offsets, steps


def age_days(trails: Trails, moment: int) -> Floats:
    """Return how many days before a moment each step was made (t), 0 for later ones."""
    return np.maximum(moment - trails.time, 0) / DAY
