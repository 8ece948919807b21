"""From thing to thing: what is met together, and what comes after what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Ranking, Shelf
from whenbuy.models.ranking.best import write_best
from whenbuy.models.ranking.reading import (
    FIRST,
    age_days,
    answered,
    learned_from,
    require_first,
    seen_until,
    steps_by_item,
    trails_of,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItemItem:
    """What is met near each thing (Linden et al. 2003, "Item-to-item collaborative filtering"), pairs of a thing with itself among it.

    A pair counts less the more orders lie between its two steps and the longer ago it was. A key's score of a thing is the sum over its
    own latest steps, the latest counting most.

    Parameters
    ----------
    reach
        How many orders apart two steps may be and still make a pair; 0 for things of one order alone.
    decay
        What is left of a pair's weight per order between, from the second on.
    together, back
        What a pair within one order counts, and one in which the thing came before instead of after.
    even
        How strongly what stands near many things is held back: pairs are divided by the number of steps to the thing, to this power.
    halflife_days
        A pair counts half after so many days; everything alike, where it is infinite.
    recent
        What is left of the weight of a key's own steps per order before its latest.
    steps
        How many of a key's latest steps speak.
    keep
        How many things are kept for each thing.
    first
        How many things a list has.
    """

    reach: int = 6
    decay: float = 0.7
    together: float = 1.0
    back: float = 0.7
    even: float = 0.5
    halflife_days: float = 60.0
    recent: float = 0.7
    steps: int = 50
    keep: int = 100
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        shares = (self.decay, self.together, self.back, self.even, self.recent)
        if self.reach < 0 or self.steps < 1 or self.keep < 1 or not all(0 <= share <= 1 for share in shares) or not self.halflife_days > 0:
            raise SettingsError(f"Things were to lead to things by {self}.", "Shares lie between 0 and 1, counts from 1.", "Change them.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "item-item" if self.steps > 1 else "after-the-last"

    def fit(self, train: Examples, valid: Examples | None = None) -> ItemItemModel:
        """Return what stands near each thing.

        Raises
        ------
        NotEnoughDataError
            When nobody met anything.
        """
        del valid
        trails = learned_from(train, self.name)
        moment, things = seen_until(trails), len(trails.shelf)
        speed = math.log(2.0) / self.halflife_days
        worth = trails.strength.astype(np.float64) * np.exp(-age_days(trails, moment) * speed)
        starts, steps = steps_by_item(trails.item, things)
        offsets, near, weight = near_things(
            trails.offsets, trails.item, trails.order, worth, starts, steps, self.reach, self.decay, self.together, self.back, self.even,
            self.keep,
        )  # fmt: skip
        return ItemItemModel(self, trails.shelf, offsets, near, weight, moment)


@dataclass(frozen=True, slots=True, eq=False)
class ItemItemModel:
    """What stands near each thing: the things near thing i are ``near[offsets[i] : offsets[i + 1]]``, with their weight."""

    settings: ItemItem
    shelf: Shelf
    offsets: Ints
    near: Codes
    weight: Singles
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things near each key's own (n x m each)."""
        trails, settings = trails_of(examples, self.shelf), self.settings
        return led_to(
            self.offsets, self.near, self.weight, trails.offsets, trails.item, trails.order, trails.strength, settings.recent,
            settings.steps, len(self.shelf), settings.first,
        )  # fmt: skip

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)

    def between(self, one: int, other: int) -> float:
        """Return how strongly one thing leads to another, 0 where it does not."""
        part = slice(int(self.offsets[one]), int(self.offsets[one + 1]))
        return float(self.weight[part][self.near[part] == other].sum())


@kernel
def near_things(
    offsets: Ints, item: Codes, order: Codes, worth: Floats, starts: Ints, steps: Ints, reach: int, decay: float, together: float,
    back: float, even: float, keep: int,
) -> tuple[Ints, Codes, Singles]:  # fmt: skip
    """Return the things near each thing: offsets, which, how strongly.

    A pair weighs ``worth`` of its later step, times ``together`` within an order, ``decay`` to the power of the orders between them less
    one, and ``back`` for a thing that came before.
    """
    things = len(starts) - 1
    owner = np.empty(len(item), np.int64)
    for i in range(len(offsets) - 1):
        owner[offsets[i] : offsets[i + 1]] = i
    power = np.ones(reach + 2)
    power[0] = together
    for d in range(2, reach + 2):
        power[d] = power[d - 1] * decay
    score, touched = np.zeros(things), np.empty(things, np.int64)
    row_item, row_score = np.empty(keep, np.int32), np.empty(keep)
    out = np.zeros(things + 1, np.int64)
    near, weight, held = np.empty(1024, np.int32), np.empty(1024, np.float32), 0
    for thing in range(things):
        count = 0
        for place in range(starts[thing], starts[thing + 1]):
            step = steps[place]
            lo, hi = offsets[owner[step]], offsets[owner[step] + 1]
            count = _around(item, order, worth, step, lo, hi, 1, power, 1.0, score, touched, count)
            count = _around(item, order, worth, step, lo, hi, -1, power, back, score, touched, count)
        write_best(score, touched, count, row_item, row_score)
        total = max(starts[thing + 1] - starts[thing], 1) ** even
        while len(near) < held + keep:
            near, weight = np.append(near, np.empty(len(near), np.int32)), np.append(weight, np.empty(len(weight), np.float32))
        for j in range(keep):
            if row_item[j] < 0:
                break
            near[held], weight[held] = row_item[j], row_score[j] / total
            held += 1
        out[thing + 1] = held
    return out, near[:held].copy(), weight[:held].copy()


@kernel
def _around(
    item: Codes, order: Codes, worth: Floats, step: int, lo: int, hi: int, way: int, power: Floats, share: float, score: Floats,
    touched: Ints, count: int,
) -> int:  # fmt: skip
    """Add the pairs of a step with those that follow it (way 1) or come before it (-1); return how many things were touched.

    A pair within one order counts ``power[0]`` both ways; a thing pairs with itself forwards only, and not within one order.
    """
    other = step + way
    while lo <= other < hi:
        apart = abs(order[other] - order[step])
        if apart >= len(power) - 1:
            break
        to, w = item[other], power[apart] * worth[max(step, other)] * (share if apart > 0 else 1.0)
        other += way
        if w <= 0.0 or (to == item[step] and (apart == 0 or way < 0)):
            continue
        if score[to] == 0.0:
            touched[count] = to
            count += 1
        score[to] += w
    return count


@kernel
def led_to(
    near_offsets: Ints, near: Codes, weight: Singles, offsets: Ints, item: Codes, order: Codes, strength: Singles, recent: float,
    steps: int, things: int, most: int,
) -> tuple[Codes, Floats]:  # fmt: skip
    """Return the things to which the latest steps of each trail lead most strongly."""
    n = len(offsets) - 1
    found, worth = np.empty((n, most), np.int32), np.empty((n, most))
    score, touched = np.zeros(things), np.empty(things, np.int64)
    for i in range(n):
        count, end = 0, offsets[i + 1]
        for step in range(max(offsets[i], end - steps), end):
            w = strength[step] * recent ** (order[end - 1] - order[step])
            for place in range(near_offsets[item[step]], near_offsets[item[step] + 1]):
                to = near[place]
                if score[to] == 0.0:
                    touched[count] = to
                    count += 1
                score[to] += max(w * weight[place], 1e-300)
        write_best(score, touched, count, found[i], worth[i])
    return found, worth


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (ItemItem, ItemItemModel)}
"""What a stored model of this file may be made of."""
