"""What is due: each thing's own curve of being taken again, per customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Ranking, Shelf, Trails
from whenbuy.models.ranking.best import best_of_each
from whenbuy.models.ranking.reading import FIRST, answered, learned_from, require_first, seen_until, trails_of

_SHORTEST_DAYS: Final = 0.5
"""Gaps below this are read as this: a thing taken twice on one day is no habit."""


@dataclass(frozen=True, slots=True)
class DueItems:
    """The chance that she takes a thing again within the horizon, given how long ago she took it last: coffee when the coffee is due.

    The gaps between her purchases of one thing are gamma distributed (Herniter 1971, "A probabilistic market model of purchase timing"),
    with one shape for all and a mean of her own that is drawn to that of the thing, and this to that of all things. Whether a purchase is
    followed by another at all is a chance of the thing, which rises with each time that she came back to it. So with the gamma's F and the
    chance q, after r days the chance of the next h is q (F(r + h) - F(r)) / (1 - q F(r)).

    Parameters
    ----------
    horizon_days
        The length asked about.
    gaps, returns
        How many gaps of all, and how many purchases of all, a thing is lent; and she by the thing.
    first
        How many things a list has.
    """

    horizon_days: float = 14.0
    gaps: float = 2.0
    returns: float = 5.0
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        if not (self.horizon_days > 0 and self.gaps > 0 and self.returns > 0):
            raise SettingsError(f"Things are due by {self}.", "All of that lies above 0.", "Change it.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "due-items"

    def fit(self, train: Examples, valid: Examples | None = None) -> DueItemsModel:
        """Return the curves of all things.

        Raises
        ------
        NotEnoughDataError
            When nobody bought anything.
        """
        del valid
        trails = learned_from(train, self.name)
        own = visits(trails)
        things, gaps = len(trails.shelf), own.times - 1
        total, count = np.bincount(own.item, own.span_days, things), np.bincount(own.item, gaps, things)
        bought = np.bincount(own.item, own.times, things)
        mean = float(total.sum() / count.sum()) if count.sum() > 0 else self.horizon_days
        mean_days = (total + self.gaps * mean) / (count + self.gaps)
        share = (float(count.sum()) + 0.5) / (float(bought.sum()) + 1.0)
        again = (count + self.returns * share) / (bought + self.returns)
        return DueItemsModel(self, trails.shelf, _shape(own, mean_days), mean_days, again, seen_until(trails))


@dataclass(frozen=True, slots=True, eq=False)
class DueItemsModel:
    """The curves of all things.

    Parameters
    ----------
    shape
        Of the gamma distribution of a gap over its mean.
    mean_days
        The usual gap of each thing (k).
    again
        The chance that a purchase of it is followed by another (k).
    """

    settings: DueItems
    shelf: Shelf
    shape: float
    mean_days: Floats
    again: Floats
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def chance(self, own: Visits) -> Floats:
        """Return the chance that each pair of a key and its own thing comes again within the horizon (e)."""
        from scipy.special import gammainc

        lent, settings = self.settings.gaps, self.settings
        rate = self.shape / ((own.span_days + lent * self.mean_days[own.item]) / (own.times - 1 + lent))
        again = (self.again[own.item] * settings.returns + own.times - 1) / (settings.returns + own.times - 1)
        passed = gammainc(self.shape, own.recency_days * rate)
        soon = gammainc(self.shape, (own.recency_days + settings.horizon_days) * rate)
        return np.asarray(np.maximum(again * (soon - passed) / np.maximum(1 - again * passed, 1e-12), 1e-12))

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return each key's own things by the chance that they come again (n x m each)."""
        trails = trails_of(examples, self.shelf)
        own = visits(trails)
        return best_of_each(own.offsets, own.item, self.chance(own), len(self.shelf), self.settings.first)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


class Visits(NamedTuple):
    """Of each key and each thing that it bought: how many times and when.

    Parameters
    ----------
    offsets
        The things of key i are ``offsets[i] : offsets[i + 1]``.
    item
        Which thing (e).
    times
        In how many orders (e).
    span_days, recency_days
        Days from the first to the last of them, and from there to the moment of reading (e).
    """

    offsets: Ints
    item: Codes
    times: Ints
    span_days: Floats
    recency_days: Floats


def visits(trails: Trails) -> Visits:
    """Return the purchases of each key by thing; mere looks do not count."""
    return Visits(*_visits(trails.offsets, trails.item, trails.time, trails.order, trails.strength, trails.at, len(trails.shelf)))


def _shape(own: Visits, mean_days: Floats) -> float:
    """Return the shape of a gamma distribution with mean 1 that fits gaps over their usual length, by their mean and logarithm.

    The closed form is that of Minka (2002), "Estimating a Gamma distribution", eq. 11. Only the mean gap of each pair is looked at, so
    those of more gaps count more.
    """
    many = own.times > 1
    gaps = own.times[many] - 1.0
    if not gaps.sum() > 1:
        return 1.0
    ratio = np.maximum(own.span_days[many] / gaps, _SHORTEST_DAYS) / np.maximum(mean_days[own.item[many]], _SHORTEST_DAYS)
    s = float(np.log(np.average(ratio, weights=gaps)) - np.average(np.log(ratio), weights=gaps))
    return float(np.clip((3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s), 0.5, 20.0)) if s > 1e-9 else 20.0


@kernel
def _visits(
    offsets: Ints, item: Codes, time: Instants, order: Codes, strength: Singles, at: Instants, things: int
) -> tuple[Ints, Codes, Ints, Floats, Floats]:
    place, number = np.full(things, -1, np.int64), np.zeros(things, np.int64)
    out = np.zeros(len(offsets), np.int64)
    met, times = np.empty(len(item), np.int32), np.zeros(len(item), np.int64)
    first, last = np.zeros(len(item), np.int64), np.zeros(len(item), np.int64)
    held = 0
    for i in range(len(offsets) - 1):
        base = held
        for step in range(offsets[i], offsets[i + 1]):
            if strength[step] < 1.0:
                continue
            thing = item[step]
            if place[thing] < base:
                place[thing], number[thing] = held, -1
                met[held], first[held] = thing, time[step]
                last[held] = time[step]
                held += 1
            e = place[thing]
            if number[thing] != order[step]:
                times[e] += 1
                number[thing] = order[step]
            last[e] = max(last[e], time[step])
        out[i + 1] = held
    span, recency = np.empty(held), np.empty(held)
    for i in range(len(offsets) - 1):
        for e in range(out[i], out[i + 1]):
            span[e], recency[e] = (last[e] - first[e]) / DAY, max(at[i] - last[e], 0) / DAY
    return out, met[:held].copy(), times[:held].copy(), span, recency


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (DueItems, DueItemsModel)}
"""What a stored model of this file may be made of."""
