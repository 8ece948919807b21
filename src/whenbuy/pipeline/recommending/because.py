"""Because: why a thing is recommended to her, in words."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import DAY, Codes
from whenbuy.core.ranking import Trails
from whenbuy.models.ranking.due import DueItemsModel, Visits, visits
from whenbuy.models.ranking.item_item import ItemItemModel

_STEPS = 50
"""So many of her latest steps are looked at for what leads to a thing."""
_OTHERS = "many buy it these days"


def because(trail: Trails, items: Codes, near: ItemItemModel, due: DueItemsModel) -> tuple[str, ...]:
    """Return for each thing of its shelf the strongest reason that her own trail (of one key) gives for it; else what others do.

    Her own purchases come first, then what she looked at, then what stands near her own things, then the kind of thing.
    """
    own, lately = visits(trail), np.unique(trail.item[-_STEPS:]).tolist()
    return tuple(
        _own(trail, item, own, due) or _near(trail, item, lately, near) or _kind(trail, item) or _OTHERS for item in items.tolist()
    )


def _own(trail: Trails, item: int, own: Visits, due: DueItemsModel) -> str:
    """Return what she did with the thing herself; nothing where she did not meet it."""
    steps = np.flatnonzero(trail.item == item)
    if not len(steps):
        return ""
    bought = steps[trail.strength[steps] >= 1]
    if not len(bought):
        return f"because she looked at it {_ago(trail, int(steps[-1]))}"
    place = int(np.flatnonzero(own.item == item)[0])
    said = f"because she bought it {_ago(trail, int(bought[-1]))}"
    if own.times[place] > 1:
        return f"{said}, usual gap {_days(own.span_days[place] / (own.times[place] - 1))}"
    return f"{said}; others come back to it after {_days(due.mean_days[item])}" if due.again[item] > 0 else said


def _near(trail: Trails, item: int, lately: list[int], near: ItemItemModel) -> str:
    """Return which of her latest things leads to the thing; nothing where none does."""
    force = {one: near.between(one, item) for one in lately}
    best = max(force, key=lambda one: (force[one], one), default=-1)
    if best < 0 or force[best] <= 0:
        return ""
    last = int(np.flatnonzero(trail.item == best)[-1])
    verb = "bought" if trail.strength[last] >= 1 else "looked at"
    return f"often {verb} with {trail.shelf.names.ids[best]}, which she {verb} {_ago(trail, last)}"


def _kind(trail: Trails, item: int) -> str:
    for name, codes in trail.shelf.attributes.items():
        if codes[item] >= 0 and len(trail.item):
            share = float(trail.strength[codes[trail.item] == codes[item]].sum() / trail.strength.sum())
            if share > 0:
                return f"{100 * share:.0f} % of what she takes is of the {name} {trail.shelf.words[name].ids[int(codes[item])]}"
    return ""


def _ago(trail: Trails, step: int) -> str:
    days = (int(trail.at[0]) - int(trail.time[step])) / DAY
    return "today" if days < 1 else f"{_days(days)} ago"


def _days(days: float) -> str:
    whole = max(round(float(days)), 1)
    return f"{whole} day" if whole == 1 else f"{whole} days"
