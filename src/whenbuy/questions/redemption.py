"""Will she redeem a coupon?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import MISSING, Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class Redemption:
    """Whether she answers an offer within the horizon: 1 or 0, observed only where the whole window has closed.

    A redemption seen in a window that is still open says nothing yet: those who redeem fast would look like everybody.

    Parameters
    ----------
    horizon_days
        Length of the window.
    kind
        The kind of event that is the answer: ``redeemed``, or ``opened`` or ``clicked``.
    """

    horizon_days: float
    kind: str = "redeemed"
    name: str = "redemption"
    entity: Entity = "user"

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 where such an event lies in the window, else 0 (n)."""
        came = future.first(self.kind) != MISSING
        return Labels(came.astype(float), future.ripe == future.end, np.maximum(future.ripe, past.keys.cutoff))
