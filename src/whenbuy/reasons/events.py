"""Which of a customer's events mattered: how far each moves her forecast, in figures and in words that agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.text import label
from whenbuy.reasons.sizes import decimals, sized, something, unit

SHOWN: Final = ("category", "item_id", "brand", "offer_id", "channel")
"""The first of these columns that an event fills says what it was about."""
_NAMED: Final = 2
"""So many different names of one event are spoken."""
_DAY: Final = "1 day ago"


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The latest events of one customer and what each does to her forecast.

    An event's size is her forecast less what it would be had that event never been, all others staying where they are in time: two
    forecasts of the whole model, nothing approximated. Two events that say the same are each dispensable, so sizes need not add up.

    Parameters
    ----------
    kind
        What she did (e), the latest last.
    of
        The names of what it was about (e), none where the log does not tell.
    days_ago
        Days from each event to the moment of the forecast (e).
    points
        By how many percentage points the event raises the chance (e); below 0 where it lowers it.
    """

    kind: tuple[str, ...]
    of: tuple[tuple[str, ...], ...]
    days_ago: Floats
    points: Floats

    def __post_init__(self) -> None:
        if not len(self.kind) == len(self.of) == len(self.days_ago) == len(self.points):
            raise WhenbuyError("Events were told by parts of different lengths.")

    def __len__(self) -> int:
        return len(self.kind)

    def strongest(self) -> tuple[int, ...]:
        """Return the places of the events, the one that moves the forecast most first, of equals the later one."""
        return tuple(int(place) for place in np.lexsort((self.days_ago, -np.abs(self.points))))

    def words(self, place: int) -> str:
        """Return one event as one speaks of it, such as "the purchase of coffee 12 days ago"."""
        names = self.of[place]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        about = f" of {', '.join(label(name) for name in names[:_NAMED])}{more}" if names else ""
        return f"the {label(self.kind[place])}{about} {_ago(float(self.days_ago[place]))}"

    def sentence(self, top: int = 3) -> str:
        """Return the events that matter most in words, such as "the purchase of coffee 12 days ago: −8 points; the view of tea today: +1".

        Those that round to nothing are left out; empty where none is left.
        """
        order = self.strongest()[:top]
        places = decimals(float(self.points[order[0]])) if order else 0
        told = [(self.words(place), sized(float(self.points[place]), places)) for place in order]
        spoken = [(words, size) for words, size in told if something(size)]
        return "; ".join(f"{words}: {size}{'' if place else f' {unit(size)}'}" for place, (words, size) in enumerate(spoken))

    def frame(self) -> pl.DataFrame:
        """Return one row per event, the strongest first: ``event`` in words, ``kind``, ``of``, ``days_ago``, ``points``."""
        order = self.strongest()
        told: dict[str, Sequence[object]] = {
            "event": [self.words(place) for place in order],
            "kind": [self.kind[place] for place in order],
            "of": [list(self.of[place]) for place in order],
            "days_ago": [float(self.days_ago[place]) for place in order],
            "points": [float(self.points[place]) for place in order],
        }
        schema: dict[str, pl.DataType | type[pl.DataType]] = {
            "event": pl.String, "kind": pl.String, "of": pl.List(pl.String), "days_ago": pl.Float64, "points": pl.Float64
        }  # fmt: skip
        return pl.DataFrame(told, schema)


def _ago(days: float) -> str:
    whole = round(days)
    return "today" if days < 1 else _DAY if whole == 1 else f"{whole} days ago"


def spoken(names: Sequence[str | None]) -> tuple[str, ...]:
    """Return the different names among those of an event's lines, in their order."""
    return tuple(dict.fromkeys(name for name in names if name))
