"""Trends: how much everybody wanted each thing lately, as of the beginning of a day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Instants, Singles
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import Past
from whenbuy.core.kernel import kernel
from whenbuy.core.log import EventLog
from whenbuy.core.ranking import Shelf, Trends, place_on
from whenbuy.features.trails import STRENGTHS

HALFLIVES_DAYS: Final = (1.0, 4.0, 14.0, 60.0)


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """How much each thing was wanted lately, as a block of trends: from what was known before the key's own day began.

    Events without a user count as well. The rates of a day are kept, so that who is asked next on that day is answered at once.

    Parameters
    ----------
    shelf
        The things.
    halflives_days
        An event counts half after so many days; rising.
    strengths
        The kinds of event that count, and how much each.
    column
        The column of names that tells the thing. In a log without it nothing was wanted.

    Raises
    ------
    SettingsError
        When the half-lives do not rise from above 0.
    """

    shelf: Shelf
    halflives_days: tuple[float, ...] = HALFLIVES_DAYS
    strengths: Mapping[str, float] = field(default_factory=lambda: STRENGTHS)
    column: str = "item_id"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip((0.0, *self.halflives_days), self.halflives_days, strict=False))
        if not self.halflives_days or not rising or not math.isfinite(self.halflives_days[-1]):
            raise SettingsError(
                f"The half-lives are {self.halflives_days} days.", "They must rise from above 0.", "Use such as (1, 4, 14)."
            )

    def block(self, past: Past) -> Trends:
        """Return the trends of each key (n)."""
        moments, place = np.unique(past.keys.cutoff, return_inverse=True)
        days, row = np.unique(_midnights(past._history.clock, tuple(moments.tolist())), return_inverse=True)
        return Trends(self.shelf, row[place].astype(np.int64), self.halflives_days, _kept(self, past._history.log, tuple(days.tolist())))


@lru_cache(maxsize=16)
def _midnights(clock: Clock, moments: tuple[int, ...]) -> Instants:
    """Return the beginning of the local day in which each moment lies (n); kept for the next time."""
    return clock.midnight_before(np.array(moments, np.int64))


@lru_cache(maxsize=4)
def _kept(trend: Trend, log: EventLog, days: tuple[int, ...]) -> Singles:
    """Return the rates of each day (days x k x h)."""
    held = log.columns.get(trend.column)
    if held is None or held.dictionary is None or not len(log):
        return np.zeros((len(days), len(trend.shelf), len(trend.halflives_days)), np.float32)
    strength = np.array([trend.strengths.get(kind, 0.0) for kind in log.kinds])[log.kind]
    item = place_on(trend.shelf.names, held.dictionary)[held.values]
    rows = np.flatnonzero((item >= 0) & (strength > 0) & (log.known_at < (days[-1] if days else 0)))
    rows = rows[np.argsort(log.known_at[rows], kind="stable")]
    speed = math.log(2.0) / np.array(trend.halflives_days)
    return _rates(item[rows], log.known_at[rows], strength[rows], np.array(days, np.int64), speed, len(trend.shelf))


@kernel
def _rates(item: Codes, known_at: Instants, strength: Floats, days: Instants, speed: Floats, things: int) -> Singles:
    """Return sum of strength * speed * exp(-speed * days since) over the events before each day; events and days rise."""
    out = np.zeros((len(days), things, len(speed)), np.float32)
    state, last = np.zeros((things, len(speed))), np.zeros(things, np.int64)
    event = 0
    for day in range(len(days)):
        while event < len(item) and known_at[event] < days[day]:
            thing = item[event]
            passed = (known_at[event] - last[thing]) / DAY
            for h in range(len(speed)):
                state[thing, h] = state[thing, h] * np.exp(-passed * speed[h]) + strength[event]
            last[thing] = known_at[event]
            event += 1
        for thing in range(things):
            passed = (days[day] - last[thing]) / DAY
            for h in range(len(speed)):
                if state[thing, h] > 0:
                    out[day, thing, h] = state[thing, h] * np.exp(-passed * speed[h]) * speed[h]
    return out
