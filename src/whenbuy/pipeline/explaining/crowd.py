"""The customers of a shop at a moment, and the typical ones among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import EmptyError
from whenbuy.core.keys import Keys
from whenbuy.core.learner import refuse_leak
from whenbuy.pipeline.explaining.asking import Asking, Reading
from whenbuy.pipeline.learning.split import spread
from whenbuy.questions.asked import people

POOL: Final = 1000
"""So many customers of the shop, chosen by their names, stand for all."""


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The customers of a shop at a moment: those with whom others are compared.

    Parameters
    ----------
    as_of
        The moment.
    pool
        Customers who stand for all (n).
    reading
        What is read of them.
    chance
        Their forecasts (n).
    """

    as_of: int
    pool: Keys
    reading: Reading
    chance: Floats

    @classmethod
    def at(cls, asking: Asking, as_of: int) -> Crowd:
        """Return a shop's customers at a moment.

        Raises
        ------
        EmptyError
            When nobody was known by then.
        LeakError
            When the moment lies before what the model learned from.
        """
        history = asking.history
        keys = history.keys(None, as_of)
        keys = keys.take(np.flatnonzero(people(history.before(keys))))
        if not len(keys):
            raise EmptyError(
                f"Nobody was known by {history.clock.show(as_of)}.",
                "An explanation needs somebody to compare with.",
                "Ask as of a later date.",
            )
        refuse_leak(asking.model.known_until, keys, in_sample=False)
        if len(keys) > POOL:
            keys = keys.take(np.sort(np.argsort(spread(keys.ids()), kind="stable")[:POOL]))
        reading = asking.read(keys)
        return cls(as_of, keys, reading, asking.chance(reading.examples, reading.silence))

    def evenly(self, count: int) -> Ints:
        """Return so many rows of the pool, spread evenly over its forecasts: one from the middle of each of as many equal parts."""
        n, parts = len(self.pool), min(count, len(self.pool))
        places = np.floor((np.arange(parts) + 0.5) * n / parts).astype(np.int64)
        return np.argsort(self.chance, kind="stable")[places].astype(np.int64)
