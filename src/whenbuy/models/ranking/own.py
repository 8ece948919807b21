"""Her own things: what she took often and lately."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Ranking, Shelf
from whenbuy.models.ranking.best import write_best
from whenbuy.models.ranking.reading import FIRST, answered, learned_from, require_first, seen_until, trails_of


@dataclass(frozen=True, slots=True)
class OwnItems:
    """The things that a key met itself: how often, each time counting less the longer ago it was.

    Without half-lives it is the personal top list of Li et al. (2023), "A Next Basket Recommendation Reality Check"; filled up with what is
    popular, as every list is, their personal and global one.

    Parameters
    ----------
    halflife_days, halflife_orders
        A step counts half after so many days, and half after so many orders.
    first
        How many things a list has.
    """

    halflife_days: float = 60.0
    halflife_orders: float = 8.0
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        if not (self.halflife_days > 0 and self.halflife_orders > 0):
            raise SettingsError(f"The half-lives are {self.halflife_days} days and {self.halflife_orders} orders.", "They lie above 0.", "")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "own-frequency" if math.isinf(self.halflife_days) and math.isinf(self.halflife_orders) else "own-items"

    def fit(self, train: Examples, valid: Examples | None = None) -> OwnItemsModel:
        """Return the settings with the shelf: what is her own is read when it is asked for.

        Raises
        ------
        NotEnoughDataError
            When nobody met anything.
        """
        del valid
        trails = learned_from(train, self.name)
        return OwnItemsModel(self, trails.shelf, seen_until(trails))


@dataclass(frozen=True, slots=True, eq=False)
class OwnItemsModel:
    """Her own trail decides."""

    settings: OwnItems
    shelf: Shelf
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return each key's own things (n x m each)."""
        trails, settings = trails_of(examples, self.shelf), self.settings
        speed = math.log(2.0) / settings.halflife_days, math.log(2.0) / settings.halflife_orders
        return own_items(
            trails.offsets, trails.item, trails.time, trails.order, trails.strength, trails.at, *speed, len(self.shelf), settings.first
        )

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


@kernel
def own_items(
    offsets: Ints, item: Codes, time: Instants, order: Codes, strength: Singles, at: Instants, per_day: float, per_order: float,
    things: int, most: int,
) -> tuple[Codes, Floats]:  # fmt: skip
    """Return the things of each trail with the greatest sum of strength * exp(-per_day * days ago - per_order * orders ago)."""
    n = len(offsets) - 1
    found, worth = np.empty((n, most), np.int32), np.empty((n, most))
    score, touched = np.zeros(things), np.empty(things, np.int64)
    for i in range(n):
        count = 0
        for step in range(offsets[i], offsets[i + 1]):
            thing = item[step]
            if score[thing] == 0.0:
                touched[count] = thing
                count += 1
            days, orders = max(at[i] - time[step], 0) / DAY, order[offsets[i + 1] - 1] - order[step]
            score[thing] += max(strength[step] * np.exp(-days * per_day - orders * per_order), 1e-300)
        write_best(score, touched, count, found[i], worth[i])
    return found, worth


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (OwnItems, OwnItemsModel)}
"""What a stored model of this file may be made of."""
