"""How many units will she buy within the horizon?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class Quantity:
    """Units bought within the horizon, over all orders and items together, 0 where none came.

    Observed only where the whole window has closed. Lines whose quantity is unknown count as 0.
    """

    horizon_days: float
    name: str = "quantity"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the units of all orders in the window (n); where it has not closed, what is known so far."""
        bought = future.total("quantity", "purchase")
        return Labels(bought, future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))
