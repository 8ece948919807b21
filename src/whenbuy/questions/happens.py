"""Will something happen: a coupon redeemed, a review written, a message clicked?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import MISSING, Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class Happens:
    """Whether an event of a kind comes within the horizon: 1 or 0, observed only where the whole window has closed.

    One seen in a window that is still open says nothing yet: those who answer fast would look like everybody.

    Parameters
    ----------
    horizon_days
        Length of the window.
    kind
        The kind of event, such as ``redeemed``, ``review``, ``clicked`` or ``enquiry``.
    name
        The name of the question; the kind's by default.
    """

    horizon_days: float
    kind: str
    name: str = ""
    entity: Entity = "user"

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.kind)

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 where such an event lies in the window, else 0 (n)."""
        came = future.first(self.kind) != MISSING
        return Labels(came.astype(float), future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))
