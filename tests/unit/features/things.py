"""Random logs whose events are about things."""

from dataclasses import replace

import numpy as np

from tests.unit.core.logs import make
from whenbuy.core.arrays import MISSING
from whenbuy.core.log import Column, Dictionary

THINGS = ("i0", "i1", "i2", "i3", "i4")


def things(events, **options):
    """The history of some rows with a thing for each event, told by its amount; some have none."""
    history = make(events, **options)
    amount = history.log.columns["amount"].values
    code = np.where(amount == MISSING, -1, amount % (len(THINGS) + 1) - 1).astype(np.int32)
    kind = np.where(code >= 0, code % 2, -1).astype(np.int32)
    columns = {"item_id": Column(code, Dictionary.of(THINGS)), "category": Column(kind, Dictionary.of(("even", "odd")))}
    return replace(history, log=replace(history.log, columns={**history.log.columns, **columns}))
