"""Which rating will she give?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class NextRating:
    """Rating of her next review, in the log's own stars; observed only where she rated something within the horizon."""

    horizon_days: float
    name: str = "rating"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return the rating of the first review in the window (n), 0 where there was none, or none with a rating."""
        first, rating, reach = future.first("review"), future.first_order("rating", "review"), np.maximum(future.ripe, past.keys.cutoff)
        observed = (first < reach) & np.isfinite(rating)
        return Labels(np.where(observed, rating, 0.0), observed, reach)
