"""The days ahead as the shop tells them: offers that run or are announced quicken the customers' curves on their days."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.clock import Clock
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.kernel import kernel
from whenbuy.core.profile import Profile
from whenbuy.models.series.promoted import Promoted, signals

_KEPT: Final = 64
"""So many days stay in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """By how much offers make the days ahead differ from a usual one, as the shop had told by the start of the day on which a past is read.

    Models learn from days with offers and days without, and say what a usual day brings. What an offer does to the orders of the whole
    shop is learned from its past ones; every customer's hazard and expected orders are scaled alike.

    Parameters
    ----------
    promoted
        What past offers did.
    offers
        The shop's offers; none where it has none.
    clock
        The zone of its days.
    """

    promoted: Promoted
    offers: Profile | None
    clock: Clock
    _days: dict[tuple[int, int], tuple[Floats, Floats]] = field(default_factory=dict, init=False)
    _today: list[tuple[int, int, Floats, Floats]] = field(default_factory=list, init=False)

    def apply(self, curves: TimeToEvent) -> TimeToEvent:
        """Return the curves with the hazard and the orders of every bin times its factor; the keys' cutoffs are when pasts were read."""
        read_at, found = curves.keys.cutoff, (np.empty(curves.survival.shape), np.empty(curves.survival.shape))
        today = self.clock.days(read_at)
        for day in np.unique(today):
            mine = np.flatnonzero(today == day)
            survival, count = (np.ascontiguousarray(part[mine]) for part in (curves.survival, curves.mean_count))
            place, passed = self._passed(int(day), curves.grid_days)
            found[0][mine], found[1][mine] = dated(survival, count, read_at[mine] / DAY, place, passed, curves.grid_days)
        return TimeToEvent.of(curves.keys, curves.grid_days, *found, curves.model, prior=curves.prior, in_sample=curves.in_sample)

    def one(self, survival: Floats, count: Floats, read_at: int, grid_days: Floats) -> tuple[Floats, Floats]:
        """Return the survival and the orders of one curve (g each) as ``apply`` has them."""
        held = self._today[0] if self._today else None
        if held is None or not held[0] <= read_at < held[1]:
            day = int(self.clock.days(np.array([read_at]))[0])
            begin, end = self.clock.midnights(np.array([day, day + 1])).tolist()
            self._today[:] = [held := (begin, end, *self._passed(day, grid_days))]
        _, _, place, passed = held
        return dated_one(survival, count, read_at / DAY, place, passed, grid_days)

    def _passed(self, today: int, grid_days: Floats) -> tuple[Floats, Floats]:
        """Return the midnights from a local day on (in days), and the sum of the factors of the time since the first of them."""
        days = int(np.ceil(grid_days[-1])) + 2
        if (today, days) not in self._days:
            midnights = self.clock.midnights(np.arange(today, today + days + 1, dtype=np.int64))
            factor = self.promoted.factors(signals(self.offers, int(midnights[0]), midnights[:-1]))
            if len(self._days) >= _KEPT:
                self._days.clear()
            place = midnights / DAY
            self._days[today, days] = place, np.concatenate([[0.0], np.cumsum(factor * np.diff(place))])
        return self._days[today, days]


@kernel
def dated(
    survival: Floats, count: Floats, read_at: Floats, place: Floats, passed: Floats, grid_days: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return survival and expected orders (n x g each) with the hazard and the orders of every bin times the mean factor of its time.

    Parameters
    ----------
    survival, count
        As on usual days (n x g each).
    read_at
        Where each curve begins, in days (n), on the day that begins at the first midnight.
    place, passed
        Midnights in days, and the sum of the factors of the time since the first (m each), as far as the grid reaches.
    grid_days
        The days of the grid (g).
    """
    alive, orders = np.empty(survival.shape), np.empty(survival.shape)
    for i in range(len(survival)):
        _date(survival[i], count[i], read_at[i], place, passed, grid_days, alive[i], orders[i])
    return alive, orders


@kernel
def dated_one(
    survival: Floats, count: Floats, read_at: float, place: Floats, passed: Floats, grid_days: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return one curve and its expected orders (g each) as ``dated`` has them."""
    alive, orders = np.empty(survival.shape), np.empty(survival.shape)
    _date(survival, count, read_at, place, passed, grid_days, alive, orders)
    return alive, orders


@kernel
def _date(
    survival: Floats, count: Floats, read_at: float, place: Floats, passed: Floats, grid_days: Floats, alive: Floats, orders: Floats
) -> None:  # fmt: skip
    day, edge = 0, read_at
    before = (edge - place[0]) * (passed[1] / (place[1] - place[0]))
    fallen, told, hazard, expected = 0.0, 0.0, 0.0, 0.0
    for k in range(len(grid_days)):
        end = read_at + grid_days[k]
        while day < len(place) - 2 and place[day + 1] <= end:
            day += 1
        whole = passed[day] + (end - place[day]) * ((passed[day + 1] - passed[day]) / (place[day + 1] - place[day]))
        factor = (whole - before) / (end - edge)
        now = -np.log(max(survival[k], 1e-300))
        hazard += (now - fallen) * factor
        expected += (count[k] - told) * factor
        alive[k], orders[k] = np.exp(-hazard), expected
        before, edge, fallen, told = whole, end, now, count[k]
