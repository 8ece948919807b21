"""What follows: is the next message clicked, is something bought after a click?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Bools
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, Past
from whenbuy.core.keys import Entity
from whenbuy.questions.asked import people


@dataclass(frozen=True, slots=True)
class Follows:
    """Whether an event of a kind comes soon after the next event of another kind: 1 or 0.

    Observed where the other came early enough in the window for what follows to be seen whole. So the answer is conditional on it: the
    chance of a click on a message, given that one is shown.

    Parameters
    ----------
    horizon_days
        Length of the window.
    after
        The kind that comes first, such as ``shown``.
    kind
        The kind that may follow, such as ``clicked``.
    name
        The name of the question.
    soon_days
        How soon it must follow.
    """

    horizon_days: float
    after: str
    kind: str
    name: str
    soon_days: float = 7.0
    entity: Entity = "user"

    def __post_init__(self) -> None:
        if not self.soon_days > 0:
            raise SettingsError(f"What follows within {self.soon_days} days was asked for.", "Days are above 0.", "Use such as 7.")

    def population(self, past: Past) -> Bools:
        """Return which keys are asked (n)."""
        return people(past)

    def label(self, past: Past, future: Future) -> Labels:
        """Return 1 where it follows, else 0 (n)."""
        first, soon = future.first(self.after), round(min(self.soon_days, self.horizon_days / 2) * DAY)
        came = first != MISSING
        start = np.where(came, first, future.start)
        follows = Future(future.keys, future._history, start, start + soon).first(self.kind) != MISSING
        observed = came & (start + soon <= future.ripe)
        return Labels((follows & came).astype(float), observed, np.maximum(future.ripe, past.keys.cutoff))
