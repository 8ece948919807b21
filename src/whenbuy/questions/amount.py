"""How much will she spend on her next order?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class NextAmount:
    """Amount of the next order, in the shop's currency; observed only where one came within the horizon.

    The answer is conditional on buying, so spend in a window is the expected number of orders times this amount.
    """

    horizon_days: float
    name: str = "amount"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the amount of the first order in the window (n), 0 where none was observed, or its amount is unknown."""
        first, amount, reach = future.first("purchase"), future.first_order("amount"), np.maximum(future.ripe, past.keys.cutoff)
        observed = (first < reach) & np.isfinite(amount)
        return Labels(np.where(observed, amount, 0.0), observed, reach)
