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
_LENT_VISITS: Final = 2.0
_LENT_MESSAGES: Final = 4.0
"""So many visits at the usual rate, and messages of which the usual share is opened, are lent to everybody's own."""
_AHEAD_DAYS: Final = 28.0
_PROMPTED: Final = ("visits", "shown_count", "opened_count", "shown_count_28d", "event_tenure_days")


@dataclass(frozen=True, slots=True)
class LastAct:
    """Adds the silence since her last act, in days and in acts missed, and how long after it other events came: a preparation.

    ``act_recency_days``: the shortest of the silences of kinds that a customer does herself. ``acts_missed``: that silence times her acts
    per day in the 84 days up to her last act, shrunk towards what is usual. ``<kind>_since_act_days`` for every other kind: how many days
    after her last act the latest event of it came; negative where she acted since. A row of which nothing is known gets gaps.

    Where the table tells of visits and of messages, the logarithm of the chance that somebody who is still a customer makes no visit and
    opens no message, since her last act and in the next 28 days: ``silent_visits_log``, ``silent_messages_log``, ``ahead_visits_log``,
    ``ahead_messages_log`` and their sums ``silent_log`` and ``ahead_log``. Visits come at a gamma rate, messages are opened with a beta
    chance (the predictive chances of Fader, Hardie and Lee 2005, "Counting your customers the easy way", without the leaving).

    Parameters
    ----------
    acts
        The kinds that a customer does herself, beside purchases.
    """

    acts: tuple[str, ...] = _ACTS

    def fit(self, table: Table) -> FittedLastAct:
        """Return what is usual among these rows."""
        acts, days = _often(table, self.acts)
        usual = float(acts.sum() / max(days.sum(), 1.0))
        if not set(_PROMPTED) <= set(table.names):
            return FittedLastAct(self, usual)
        visits, shown, opened = (float(np.nansum(table.column(name))) for name in _PROMPTED[:3])
        watched = np.nan_to_num(table.column("event_tenure_days") - _silence(table, self.acts))
        return FittedLastAct(self, usual, visits / max(float(watched.sum()), 1.0), opened / max(shown, 1.0))


@dataclass(frozen=True, slots=True)
class FittedLastAct:
    """What is usual in the training rows: acts per day, visits per day until the last act, the share of messages that is opened."""

    settings: LastAct
    usual: float
    visits: float = 0.0
    opened: float = 0.0

    def apply(self, table: Table) -> Table:
        """Return the table with these columns beside it."""
        acts = self.settings.acts
        silence = _silence(table, acts)
        count, days = _often(table, acts)
        watched = np.maximum(days - np.nan_to_num(silence), 0.0)
        rate = (count + _LENT) / (watched + _LENT / max(self.usual, 1e-6))
        columns: dict[str, Floats] = {"act_recency_days": silence, "acts_missed": silence * rate}
        for name in table.names:
            kind = name.removesuffix(_ENDING)
            if name.endswith(_ENDING) and kind not in (*acts, _ANY) and kind != name and not kind.startswith(("day", "act")):
                columns[f"{kind}_since_act_days"] = silence - table.column(name)
        if set(_PROMPTED) <= set(table.names) and 0 < self.opened < 1 and self.visits > 0:
            columns |= self._quiet(table, silence)
        values = np.clip(np.stack(list(columns.values()), axis=1), -_FARTHEST, _FARTHEST)
        return table.beside(Table(tuple(columns), values.astype(np.float32)))

    def _quiet(self, table: Table, silence: Floats) -> dict[str, Floats]:
        """Return the logarithms of the chances of no visit and no message opened, since the last act and ahead."""
        from scipy.special import betaln

        visits, shown, opened, lately, tenure = (np.nan_to_num(table.column(name)) for name in _PROMPTED)
        watched, lent = np.maximum(tenure - np.nan_to_num(silence), 0.0), _LENT_VISITS / self.visits
        ignored = silence * shown / np.maximum(tenure, 1.0)
        first, second = _LENT_MESSAGES * self.opened + opened, _LENT_MESSAGES * (1 - self.opened)
        before, now = second + np.maximum(shown - np.nan_to_num(ignored) - opened, 0.0), second + np.maximum(shown - opened, 0.0)
        soon = _AHEAD_DAYS * lately / np.clip(tenure, 1.0, _AHEAD_DAYS)
        power, begun = _LENT_VISITS + visits, np.log(lent + watched)
        found = {
            "silent_visits_log": power * (begun - np.log(lent + watched + silence)),
            "silent_messages_log": betaln(first, before + ignored) - betaln(first, before),
            "ahead_visits_log": power * (begun - np.log(lent + watched + _AHEAD_DAYS)),
            "ahead_messages_log": betaln(first, now + soon) - betaln(first, now),
        }
        sums = {f"{when}_log": found[f"{when}_visits_log"] + found[f"{when}_messages_log"] for when in ("silent", "ahead")}
        return {name: np.where(np.isnan(silence), np.nan, part) for name, part in (found | sums).items()}


def _silence(table: Table, acts: tuple[str, ...]) -> Floats:
    """Return the days since the last act of each row (n), NaN where none is known."""
    silence = np.full(len(table), np.inf)
    for name in (_PURCHASE, *(f"{kind}{_ENDING}" for kind in acts)):
        if name in table.names:
            silence = np.fmin(silence, table.column(name))
    return np.where(np.isinf(silence), np.nan, silence)


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
