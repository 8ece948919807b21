"""Neighbours: what those took who met the same things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Ranking, Shelf, Trails
from whenbuy.models.ranking.best import write_best
from whenbuy.models.ranking.reading import FIRST, age_days, answered, learned_from, require_first, seen_until, trails_of


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The trails most like a key's own, and what stands on them near what both met.

    Trails are sessions where sessions are asked about, customers where customers are. Alike are trails that share things, the key's latest
    ones and the rarer ones counting more; of the most alike ones things near the latest shared one speak most (Ludewig and Jannach 2018,
    "Evaluation of session-based recommendation algorithms", s. 3.3; Garg et al. 2019, "Sequence and time aware neighborhood").

    Parameters
    ----------
    count
        How many neighbours speak.
    looked_at
        Of those who met a thing, so many are looked at, the latest ones.
    recent
        What is left of the weight of a key's own steps, per step before its latest.
    near
        What is left of the word for a thing, per step between it and the shared one.
    back
        What a thing counts that came before the shared one.
    even
        How strongly long trails are held back: likeness is divided by their length, to this power.
    halflife_days
        A trail counts half when it ended so many days ago.
    steps
        How many of a key's latest steps are compared.
    first
        How many things a list has.
    """

    count: int = 300
    looked_at: int = 2000
    recent: float = 0.7
    near: float = 0.75
    back: float = 0.7
    even: float = 0.3
    halflife_days: float = 60.0
    steps: int = 50
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        shares, counts = (self.recent, self.near, self.back, self.even), (self.count, self.looked_at, self.steps)
        if min(counts) < 1 or not all(0 <= share <= 1 for share in shares) or not self.halflife_days > 0:
            raise SettingsError(f"Neighbours were to speak by {self}.", "Shares lie between 0 and 1, counts from 1.", "Change them.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "neighbours"

    def fit(self, train: Examples, valid: Examples | None = None) -> NeighboursModel:
        """Return the trails, found by the things on them.

        Raises
        ------
        NotEnoughDataError
            When nobody met anything.
        """
        del valid
        trails = learned_from(train, self.name)
        moment = seen_until(trails)
        length = np.diff(trails.offsets)
        filled = np.flatnonzero(length)
        last = np.zeros(len(length))
        last[filled] = age_days(trails, moment)[trails.offsets[filled + 1] - 1]
        order = filled[np.argsort(-last[filled], kind="stable")]
        kept: Trails = trails.take(order)
        owner = np.repeat(np.arange(len(order)), length[order])
        place = np.lexsort((owner, kept.item))
        thing, trail = kept.item[place], owner[place]
        once: Bools = np.append(True, (thing[1:] != thing[:-1]) | (trail[1:] != trail[:-1]))
        thing, trail = thing[once], trail[once]
        starts = np.searchsorted(thing, np.arange(len(trails.shelf) + 1)).astype(np.int64)
        rare = np.log((len(order) + 1.0) / np.maximum(np.diff(starts), 1))
        weight = np.exp(-last[order] * math.log(2.0) / self.halflife_days) / length[order] ** self.even
        return NeighboursModel(
            self, trails.shelf, kept.offsets, kept.item, starts, trail.astype(np.int32), rare.astype(np.float32), weight.astype(np.float32),
            moment,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class NeighboursModel:
    """The trails, the latest last, and by which of them each thing was met.

    Parameters
    ----------
    offsets, item
        The things on trail i are ``item[offsets[i] : offsets[i + 1]]``.
    starts, trail
        Thing j was met on the trails ``trail[starts[j] : starts[j + 1]]``.
    rare, weight
        What a shared thing counts (k), and what a trail counts (trails).
    """

    settings: Neighbours
    shelf: Shelf
    offsets: Ints
    item: Codes
    starts: Ints
    trail: Codes
    rare: Singles
    weight: Singles
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things for which each key's neighbours speak (n x m each)."""
        trails, asked = trails_of(examples, self.shelf), self.settings
        crowd = Crowd(self.offsets, self.item, self.starts, self.trail, self.rare, self.weight)
        shares, counts = (asked.recent, asked.near, asked.back), (asked.count, asked.looked_at, asked.steps)
        return told_by_neighbours(crowd, trails.offsets, trails.item, shares, counts, asked.first)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


class Crowd(NamedTuple):
    """The parts of the model as the kernels want them."""

    offsets: Ints
    item: Codes
    starts: Ints
    trail: Codes
    rare: Singles
    weight: Singles


@kernel
def told_by_neighbours(
    crowd: Crowd, asked: Ints, met: Codes, shares: tuple[float, float, float], counts: tuple[int, int, int], most: int
) -> tuple[Codes, Floats]:
    """Return the things that stand near the latest shared one on the trails most alike, weighed by the likeness.

    ``shares`` are recent, near and back of the settings, ``counts`` count, looked_at and steps.
    """
    recent, near, back = shares
    neighbours, looked_at, steps = counts
    n, things, trails = len(asked) - 1, len(crowd.starts) - 1, len(crowd.offsets) - 1
    found, worth = np.empty((n, most), np.int32), np.empty((n, most))
    score, touched = np.zeros(things), np.empty(things, np.int64)
    alike, seen = np.zeros(trails), np.empty(trails, np.int64)
    latest = np.full(things, -1, np.int64)
    who, how = np.empty(neighbours, np.int32), np.empty(neighbours)
    for i in range(n):
        begin, end = max(asked[i], asked[i + 1] - steps), asked[i + 1]
        count = _compare(crowd, met, begin, end, recent, looked_at, latest, alike, seen)
        write_best(alike, seen, count, who, how)
        count = 0
        for rank in range(neighbours):
            if who[rank] < 0:
                break
            count = _hear(crowd, who[rank], how[rank], near, back, latest, score, touched, count)
        write_best(score, touched, count, found[i], worth[i])
        for step in range(begin, end):
            latest[met[step]] = -1
    return found, worth


@kernel
def _compare(crowd: Crowd, met: Codes, begin: int, end: int, recent: float, looked_at: int, latest: Ints, alike: Floats, seen: Ints) -> int:
    """Write how alike each trail is to some steps, and at which of them each thing was met last; return how many trails were seen."""
    count = 0
    for step in range(end - 1, begin - 1, -1):
        thing = met[step]
        if latest[thing] >= 0:
            continue
        latest[thing] = step
        w = recent ** (end - 1 - step) * crowd.rare[thing]
        for place in range(max(crowd.starts[thing], crowd.starts[thing + 1] - looked_at), crowd.starts[thing + 1]):
            other = crowd.trail[place]
            if alike[other] == 0.0:
                seen[count] = other
                count += 1
            alike[other] += max(w * crowd.weight[other], 1e-300)
    return count


@kernel
def _hear(crowd: Crowd, who: int, how: float, near: float, back: float, latest: Ints, score: Floats, touched: Ints, count: int) -> int:
    """Add what one trail says: the things near the one that the key met last; return how many things were touched."""
    lo, hi = crowd.offsets[who], crowd.offsets[who + 1]
    shared, best = lo, -1
    for place in range(lo, hi):
        if latest[crowd.item[place]] >= max(best, 0):
            best, shared = latest[crowd.item[place]], place
    for place in range(lo, hi):
        if place == shared:
            continue
        thing = crowd.item[place]
        if score[thing] == 0.0:
            touched[count] = thing
            count += 1
        score[thing] += max(how * near ** (abs(place - shared) - 1) * (back if place < shared else 1.0), 1e-300)
    return count


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Neighbours, NeighboursModel)}
"""What a stored model of this file may be made of."""
