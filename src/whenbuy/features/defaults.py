"""The features that a shop gets when it declares none."""

from __future__ import annotations

from typing import Final

from whenbuy.core.log import KINDS, EventLog
from whenbuy.features.builder import Feature
from whenbuy.features.calendar import Calendar, Weekdays
from whenbuy.features.folds import BigOrder, Decayed, FirstOrder, Gaps, LastOrder, Recency, Tenure
from whenbuy.features.spec import Features
from whenbuy.features.totals import Count, Frequency, Mean, Orders, Over, Rate, Sum

_ORDERS: Final = ("7d", "14d", "28d", "56d", "84d", "365d")
_AMOUNTS: Final = ("28d", "84d", "365d")
_OTHERS: Final = ("7d", "28d", "84d")
_HALFLIVES: Final = (4, 8, 16, 32, 64, 128)
_SPEND_HALFLIVES: Final = (4, 16, 64)
_MOST_KINDS: Final = 16


def default_features(log: EventLog) -> Features:
    """Return a spec for the kinds and columns that a log has.

    Always: ``recency_days``, ``frequency``, ``tenure_days`` (of orders), ``event_recency_days``, ``event_tenure_days``, ``orders_7d`` …
    ``orders_365d``, ``orders_decay_4d`` … ``orders_decay_128d`` (orders per day), ``gap_mean_days``, ``gap_deviation_days``,
    ``gap_last_days``, ``weekday_sin``, ``weekday_cos``. With amounts: ``first_amount``, ``last_amount``, ``mean_amount`` (per order),
    ``spend_28d`` … ``spend_365d``. With unit prices: their mean, the user's price level. For each further kind (16 at most: those that
    have a meaning, then by name, whatever their order in the log): its count in 7, 28 and 84 days and the days since the last one; for
    views also the orders per view.
    """
    spec: list[Feature] = [
        Recency("purchase", name="recency_days"),
        Frequency(),
        Tenure("purchase", name="tenure_days"),
        Recency(),
        Tenure(),
        *(Orders(window) for window in _ORDERS),
        *(Decayed("purchase", halflife, name=f"orders_decay_{halflife}d") for halflife in _HALFLIVES),
        Gaps("mean", name="gap_mean_days"),
        Gaps("deviation", name="gap_deviation_days"),
        Gaps("last", name="gap_last_days"),
        Calendar("weekday_sin"),
        Calendar("weekday_cos"),
    ]
    if "amount" in log.columns:
        spec += [FirstOrder("amount", name="first_amount"), LastOrder("amount", name="last_amount")]
        spec += [Rate(Sum("amount"), Orders(), name="mean_amount")]
        spec += [Sum("amount", window=window, name=f"spend_{window}") for window in _AMOUNTS]
    if "unit_price" in log.columns:
        spec.append(Mean("unit_price", name="unit_price_mean"))
    others = sorted((kind for kind in log.seen() if kind != "purchase"), key=_rank)[:_MOST_KINDS]
    for kind in others:
        spec += [*(Count(kind, window) for window in _OTHERS), Count(kind, name=f"{kind}_count"), Recency(kind)]
    if "view" in others:
        spec.append(Rate(Orders("84d"), Count("view", "84d"), name="orders_per_view_84d"))
    return Features(tuple(spec))


def rhythm_features(log: EventLog) -> tuple[Feature, ...]:
    """Return what tells on which day a customer comes, beside the default features.

    Always: her decayed rate of orders on each weekday from today on (seven columns). With amounts: decayed spend per day at 4, 16 and 64
    days, what the short ones are of the long one (the stock at home), the days since her last big order and the share of big ones.
    """
    spec: list[Feature] = [Weekdays(Decayed("purchase", 64, name="orders_decay_64d"))]
    if "amount" in log.columns:
        spec += [Decayed("purchase", halflife, "amount", name=f"spend_decay_{halflife}d") for halflife in _SPEND_HALFLIVES]
        spec += [Over(f"spend_decay_{halflife}d", "spend_decay_64d") for halflife in _SPEND_HALFLIVES[:-1]]
        spec += [BigOrder("recency"), BigOrder("share")]
    return tuple(spec)


def _rank(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind), "") if kind in KINDS else (len(KINDS), kind)
