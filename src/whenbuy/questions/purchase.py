"""When does she buy next?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class NextPurchase:
    """Days from the cutoff to the next purchase.

    The label is observed where a purchase fell into the window; else it is censored at the window's end or, if that comes first, where the
    log stops being complete. A censored row is kept: dropping it would make buyers look faster than they are.
    """

    horizon_days: float
    name: str = "purchase"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the days to the next purchase, or the days without one (n)."""
        first, reach = future.first("purchase"), np.maximum(future.ripe, past.keys.cutoff)
        observed = (first != MISSING) & (first < reach)
        days = (np.where(observed, first, reach) - past.keys.cutoff) / DAY
        return Labels(days, observed, reach)
