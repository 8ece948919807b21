"""Features of a past: a declarative spec, and three engines that give the same bits.

A feature is declared once, as frozen data::

    from whenbuy import features as f

    spec = f.Features((
        f.Recency("purchase", name="recency_days"),
        f.Orders("28d"),                                             # orders_28d
        f.Sum("amount", window="28d", name="spend_28d"),
        f.Share(("category", "MEAT"), window="12w"),                  # purchase_share_category_MEAT_12w
        f.Rate(f.Count("click", "30d"), f.Count("shown", "30d"), name="click_rate_30d"),
        f.Rate(f.Orders("30d"), f.Sum("dwell_s", "view", "30d"), name="orders_per_dwell_s_30d"),
        f.Decayed("view", halflife_days=8),
        f.Calendar("weekday_sin"),
        f.Weekdays(f.Decayed("purchase", halflife_days=64)),          # seven columns, from today's weekday on
    ))
    table = spec.table(history.before(keys))

The spec is what a model stores (``TYPES`` lists its classes for the codec); it is compiled for each log that it meets. `sweep` answers
millions of keys, `seek` a few anywhere, `Live` one event or one user at a time. A shop's own feature is a frozen dataclass with a ``name``
and a method ``measure(self, to: Builder)`` that says which counts, sums, squares and folds it needs and how they are read; all three
engines then run it.

Beside the table stand blocks: ``LatestEvents().block(past)`` is the latest events of each key as tokens, ``Met("item_id").block(past)`` the
sparse matrix of keys and items, ``Daily("purchase").block(history, keys)`` the series of items, categories or the shop by day.

What counts, in every engine: the events known strictly before the cutoff, each at ``min(time, known_at)``; windows are [at - length, at)
before the instant ``at`` of reading. Of a user with more than 4,096 known events only the newest 4,096 in the order of time keep their
exact instant; the older ones count from the start of their UTC day. Totals are integers until they are read; decayed rates are folded in
the order of knowledge.
"""

from __future__ import annotations

from typing import Final

from whenbuy.features.active_days import ActiveDays
from whenbuy.features.acts import LatestActs
from whenbuy.features.builder import Builder, Feature
from whenbuy.features.calendar import Calendar, Holiday, Payday, Weekdays
from whenbuy.features.defaults import default_features, rhythm_features
from whenbuy.features.folds import BigOrder, Context, Decayed, First, FirstOrder, Gaps, Last, LastOrder, Recency, Tenure
from whenbuy.features.interactions import ByClass, most_bought
from whenbuy.features.live import Live
from whenbuy.features.offers import Offers
from whenbuy.features.pairs import Met
from whenbuy.features.program import Program
from whenbuy.features.seek import seek
from whenbuy.features.sequences import LatestEvents
from whenbuy.features.series import Daily, everything
from whenbuy.features.spec import Features
from whenbuy.features.sweep import sweep
from whenbuy.features.totals import Count, Deviation, Frequency, Mean, Orders, Over, Rate, Share, Sum

__all__ = [
    "TYPES",
    "ActiveDays",
    "BigOrder",
    "Builder",
    "ByClass",
    "Calendar",
    "Context",
    "Count",
    "Daily",
    "Decayed",
    "Deviation",
    "Feature",
    "Features",
    "First",
    "FirstOrder",
    "Frequency",
    "Gaps",
    "Holiday",
    "Last",
    "LastOrder",
    "LatestActs",
    "LatestEvents",
    "Live",
    "Mean",
    "Met",
    "Offers",
    "Orders",
    "Over",
    "Payday",
    "Program",
    "Rate",
    "Recency",
    "Share",
    "Sum",
    "Tenure",
    "Weekdays",
    "default_features",
    "everything",
    "most_bought",
    "rhythm_features",
    "seek",
    "sweep",
]  # fmt: skip

TYPES: Final[dict[str, type]] = {
    made.__name__: made
    for made in (
        ActiveDays, BigOrder, ByClass, Calendar, Context, Count, Daily, Decayed, Deviation, Features, First, FirstOrder, Frequency, Gaps,
        Holiday, Last, LastOrder, LatestActs, LatestEvents, Mean, Met, Offers, Orders, Over, Payday, Rate, Recency, Share, Sum, Tenure,
        Weekdays,
    )
}  # fmt: skip
"""The classes of a spec, and of the settings of blocks, by name, for the codec."""
