"""Personal shop time: for somebody on whom an offer works, the shop's time runs at a pace of her own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Instants, Ints
from whenbuy.ingest.simulated.calendar import ShopTime

_APART: Final = 100_000.0
"""Shop days between users in one sorted column: more than any calendar holds."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonalTime:
    """The shop time of each person: that of her clock, times her pace, which changes at steps.

    Parameters
    ----------
    time
        The clocks of the shop.
    clock
        Which clock is each person's (users).
    owner
        Whose each step is (s), rising; every person has a first one at 0 with pace 1. No steps at all: everybody's pace is 1.
    at, own, pace
        Shop days by the clock and by her own time at which a step begins, and the pace from then on (s each).
    """

    time: ShopTime
    clock: Ints
    owner: Ints
    at: Floats
    own: Floats
    pace: Floats

    @classmethod
    def plain(cls, time: ShopTime, clock: Ints) -> PersonalTime:
        """Return the time of people on whom no offer works."""
        none = np.empty(0)
        return cls(time, clock, np.empty(0, np.int64), none, none, none)

    def changed(self, user: Ints, instant: Instants, factor: Floats) -> PersonalTime:
        """Return the time with these changes (c) and no others: each multiplies a person's pace from an instant on."""
        if not len(user):
            return PersonalTime.plain(self.time, self.clock)
        people = np.arange(len(self.clock))
        owner = np.concatenate([people, user])
        at = np.concatenate([np.zeros(len(people)), self.time.of_instants(instant, self.clock[user])])
        change = np.concatenate([np.zeros(len(people)), np.log(factor)])
        order = np.lexsort((at, owner))
        owner, at, whole = owner[order], at[order], np.cumsum(change[order])
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        since = np.repeat(first, np.diff(np.append(first, len(owner))))
        pace = np.exp(whole - whole[since])  # whole is 0 at a first step but for those before it
        gained = np.concatenate([[0.0], np.cumsum(np.where(np.diff(owner) == 0, np.diff(at), 0.0) * pace[:-1])])
        return PersonalTime(self.time, self.clock, owner, at, gained - gained[since], pace)

    def of_instants(self, instants: Instants, user: Ints) -> Floats:
        """Return the own shop days of each user at each instant (shapes as numpy joins them)."""
        at = self.time.of_instants(instants, self.clock[user])
        if not len(self.owner):
            return at
        step = np.searchsorted(self.owner * _APART + self.at, user * _APART + at, side="right") - 1
        return np.asarray(self.own[step] + self.pace[step] * (at - self.at[step]))

    def instants(self, own: Floats, user: Ints) -> Instants:
        """Return the instants at which so many own shop days have passed (n)."""
        if not len(self.owner):
            return self.time.instants(own, self.clock[user])
        step = np.searchsorted(self.owner * _APART + self.own, user * _APART + own, side="right") - 1
        return self.time.instants(self.at[step] + (own - self.own[step]) / self.pace[step], self.clock[user])
