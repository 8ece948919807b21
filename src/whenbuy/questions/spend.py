"""How much will she spend within the horizon?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class Spend:
    """Amount of all orders within the horizon together, in the shop's currency, 0 where none came.

    Observed only where the whole window has closed. Orders whose amount is unknown count as 0.
    """

    horizon_days: float
    name: str = "spend"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the amount of all orders in the window (n); where it has not closed, what is known so far."""
        spent = future.total("amount", "purchase")
        return Labels(spent, future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))
