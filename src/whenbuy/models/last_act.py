"""How long she has done nothing herself, and what befell her since: columns that no feature of one kind of event tells.

Trees see one column at a time. What a customer does herself is spread over kinds (she looks, orders, opens a message, asks), and what
befalls her (a message sent, a late delivery) is no sign of her; the silence that matters is the one since the latest of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.examples import Table

_ACTS: Final = ("view", "search", "favourite", "cart", "review", "opened", "clicked", "redeemed", "subscribe", "enquiry")
_PURCHASE: Final = "recency_days"
_ENDING: Final = "_recency_days"
_ANY: Final = "event"
_WINDOW: Final = 84.0
_FARTHEST: Final = 1e6
"""No number is read as more."""
_LENT: Final = 1.0
"""So many acts at the usual rate are lent to everybody's own."""


@dataclass(frozen=True, slots=True)
class LastAct:
    """Adds the silence since her last act, in days and in acts missed, and how long after it other events came: a preparation.

    ``act_recency_days``: the shortest of the silences of kinds that a customer does herself. ``acts_missed``: that silence times her acts
    per day in the 84 days up to her last act, shrunk towards what is usual. ``<kind>_since_act_days`` for every other kind: how many days
    after her last act the latest event of it came; negative where she acted since. A row of which nothing is known gets gaps.

    Parameters
    ----------
    acts
        The kinds that a customer does herself, beside purchases.
    """

    acts: tuple[str, ...] = _ACTS

    def fit(self, table: Table) -> FittedLastAct:
        """Return the usual number of acts per day among these rows."""
        acts, days = _often(table, self.acts)
        return FittedLastAct(self, float(acts.sum() / max(days.sum(), 1.0)))


@dataclass(frozen=True, slots=True)
class FittedLastAct:
    """What is usual in the training rows: acts per day."""

    settings: LastAct
    usual: float

    def apply(self, table: Table) -> Table:
        """Return the table with these columns beside it."""
        acts = self.settings.acts
        own = [_PURCHASE, *(f"{kind}{_ENDING}" for kind in acts)]
        silence = np.full(len(table), np.inf)
        for name in own:
            if name in table.names:
                silence = np.fmin(silence, table.column(name))
        silence = np.where(np.isinf(silence), np.nan, silence)
        count, days = _often(table, acts)
        watched = np.maximum(days - np.nan_to_num(silence), 0.0)
        rate = (count + _LENT) / (watched + _LENT / max(self.usual, 1e-6))
        columns: dict[str, Floats] = {"act_recency_days": silence, "acts_missed": silence * rate}
        for name in table.names:
            kind = name.removesuffix(_ENDING)
            if name.endswith(_ENDING) and kind not in (*acts, _ANY) and kind != name and not kind.startswith(("day", "act")):
                columns[f"{kind}_since_act_days"] = silence - table.column(name)
        values = np.clip(np.stack(list(columns.values()), axis=1), -_FARTHEST, _FARTHEST)
        return table.beside(Table(tuple(columns), values.astype(np.float32)))


def _often(table: Table, acts: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Return how many acts each one made in the last 84 days, and over how many of these she was known (n each)."""
    count = np.zeros(len(table))
    for name in ("orders_84d", *(f"{kind}_count_84d" for kind in acts)):
        if name in table.names:
            count = count + np.nan_to_num(table.column(name))
    known = table.column("event_tenure_days") if "event_tenure_days" in table.names else np.full(len(table), _WINDOW)
    return count, np.minimum(np.nan_to_num(known), _WINDOW)


TYPES: Final[Mapping[str, type]] = {kind.__name__: kind for kind in (LastAct, FittedLastAct)}
"""What a stored model of this file may be made of."""
