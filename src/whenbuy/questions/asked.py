"""Who is asked: everybody who has been seen, except those known to be no customers."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.history import Past

BOT = "bot"
"""The kind of event with which cleaning records its verdict that a user is a machine, known from its own instant on."""


def people(past: Past) -> Bools:
    """Return which keys are people known before their cutoff (n): seen at least once, and not yet found to be a bot."""
    seen, bots = past.count(), past.count(BOT)
    return np.asarray((seen > 0) & (bots == 0))
