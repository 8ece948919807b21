"""When is she next active at all?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools, Instants
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
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
