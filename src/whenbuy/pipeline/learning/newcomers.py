"""Newcomers: what people with attributes but without an event are answered by."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.models.when.attribute_prior import AttributePrior


def newcomers(history: History, examples: Examples) -> AttributePrior:
    """Return how often people with each attribute order, from the orders in the whole windows of labelled examples.

    The attributes of each person are those of her last example: what was true before its cutoff.
    """
    label, code = examples.label("orders"), examples.keys.code
    rows = np.flatnonzero(label.observed)
    users, place = np.unique(code[rows], return_inverse=True)
    days = np.bincount(place, (label.end - examples.keys.cutoff)[rows] / DAY, len(users))
    orders = np.bincount(place, label.value[rows], len(users))
    last = np.zeros(len(users), np.int64)
    np.maximum.at(last, place, examples.keys.cutoff[rows])
    at = np.flatnonzero(examples.keys.cutoff[rows] == last[place])
    asked = examples.keys.take(rows[at])
    return AttributePrior.learn(history.before(asked).attributes(), (orders / np.maximum(days, 1e-9))[place[at]])
