"""When is she next active at all, and is she lost?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Instants, Ints, Kinds
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.kernel import kernel
from whenbuy.core.keys import Entity
from whenbuy.core.lapse import own_days
from whenbuy.questions.asked import people

ACTS: Final = (
    "view", "search", "favourite", "cart", "purchase", "review", "opened", "clicked", "redeemed", "subscribe", "enquiry",
)  # fmt: skip
"""What a customer does herself. A message shown to her is no act of hers, and a refund or an unsubscription is a step out."""


@dataclass(frozen=True, slots=True)
class NextActivity:
    """Days from the cutoff to the next act of any of some kinds. Its survival is what churn is read from.

    Observed where an act fell into the window; else censored at the window's end or, if that comes first, where the log stops being
    complete.

    Parameters
    ----------
    horizon_days
        Length of the window.
    kinds
        The kinds of event that count: by default all that a customer does herself.
    """

    horizon_days: float
    kinds: tuple[str, ...] = ACTS
    name: str = "activity"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the days to the next act, or the days without one (n)."""
        first, reach = first_of(future, self.kinds), np.maximum(future.ripe, past.keys.cutoff)
        observed = first < reach
        return Labels((np.where(observed, first, reach) - past.keys.cutoff) / DAY, observed, reach)


def first_of(future: Future, kinds: tuple[str, ...]) -> Instants:
    """Return the instant of the first event of any of some kinds in each window (n), the end of time where there is none."""
    never = np.iinfo(np.int64).max
    first = np.full(len(future), never)
    for kind in kinds:
        found = future.first(kind)
        first = np.minimum(first, np.where(found == MISSING, never, found))
    return first


@dataclass(frozen=True, slots=True)
class Churn:
    """Whether nothing is heard of her within three of her usual gaps (see ``core.lapse.own_days``): 1 or 0.

    Observed where her own horizon is not longer than the question's and has closed.

    Parameters
    ----------
    horizon_days
        Length of the window: the longest own horizon that is judged.
    longest_days
        The longest own horizon that is told; that of the window by default.
    kinds
        The kinds of event that count.
    """

    horizon_days: float
    longest_days: float = 0.0
    kinds: tuple[str, ...] = ACTS
    name: str = "churn"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 where her own horizon passed without an act, else 0 (n)."""
        cutoff = past.keys.cutoff
        days = own_days(usual_gap(past, self.kinds), self.longest_days or self.horizon_days)
        until = cutoff + np.round(days * DAY).astype(np.int64)
        gone = first_of(future, self.kinds) >= until
        return Labels(gone.astype(float), until <= future.ripe, np.maximum(np.minimum(future.ripe, until), cutoff))


def usual_gap(past: Past, kinds: tuple[str, ...] = ACTS) -> Floats:
    """Return the days between days on which each key was active, on average (n); NaN where there were fewer than two.

    A day is a stretch of 24 hours from the first act on; so many visits of one day count as one.
    """
    log = past._history.log
    acts = np.zeros(max(len(log.kinds), 1), np.bool_)
    acts[[log.code(kind) for kind in kinds if kind in log.kinds]] = True
    return gaps(np.minimum(log.time, log.known_at), log.kind, acts, past.start, past.stop, DAY)


@kernel
def gaps(instant: Instants, kinds: Kinds, acts: Bools, start: Ints, stop: Ints, day: int) -> Floats:
    """Return the mean gap between active days in each past, in days (n)."""
    found = np.full(len(start), np.nan)
    for i in range(len(start)):
        days, first, last = 0, 0, 0
        for row in range(start[i], stop[i]):
            if not acts[kinds[row]]:
                continue
            if days == 0:
                days, first, last = 1, instant[row], instant[row]
            elif instant[row] - last >= day:
                days, last = days + 1, instant[row]
        if days > 1:
            found[i] = (last - first) / day / (days - 1)
    return found
