"""How many orders will she place?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class OrderCount:
    """Number of orders within the horizon; observed only where the whole window has closed."""

    horizon_days: float
    name: str = "orders"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the number of orders in the window (n)."""
        return Labels(future.orders().astype(float), future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))
