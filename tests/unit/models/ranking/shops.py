"""Examples of rankings from small logs."""

from functools import cache

import numpy as np

from tests.unit.features.things import things
from whenbuy.core.arrays import DAY
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.questions.items import NextItems

DAYS = 120


@cache
def shop(users=60, seed=0):
    """A shop of five things: i0 is bought by all, i1 every ten days by every second customer, i2 leads to i3."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(users):
        for day in range(user % 7, DAYS, 5):
            bought = [0] if rng.random() < 0.5 else []
            bought += [1] if user % 2 and (day - user % 7) % 10 == 0 else []
            bought += [2, 3] if rng.random() < 0.2 else []
            bought += [4] if rng.random() < 0.05 else []
            rows += [(user, day * DAY, 0, 1, item + 1, int(place == 0)) for place, item in enumerate(bought)]
            rows += [(user, day * DAY + DAY // 2, 0, 0, int(rng.integers(1, 6)), 1)]
    return things(rows, users=users, late=False, end=DAYS * DAY)


def asked(history=None, as_of=90, horizon=10.0, users=None, shelf=None):
    """Examples as of a day, with what was taken after it."""
    history = shop() if history is None else history
    asking = Asking.of(history.cut(as_of * DAY) if shelf is None else shelf)
    return asking.examples(history, history.keys(users, as_of * DAY), NextItems(horizon))
