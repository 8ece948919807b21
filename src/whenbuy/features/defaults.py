"""The features that a shop gets when it declares none."""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.clock import Clock
from whenbuy.core.log import KINDS, ORDERS, SCALES, EventLog
from whenbuy.features.builder import Feature
from whenbuy.features.calendar import Calendar, Weekdays
from whenbuy.features.folds import BigOrder, Decayed, FirstOrder, Gaps, LastOrder, Recency, Tenure
from whenbuy.features.local import DATE, part_of
from whenbuy.features.spec import Features
from whenbuy.features.totals import Count, Frequency, Mean, Orders, Over, Rate, Sum

_ORDERS: Final = ("7d", "14d", "28d", "56d", "84d", "365d")
_AMOUNTS: Final = ("28d", "84d", "365d")
_OTHERS: Final = ("7d", "28d", "84d")
_HALFLIVES: Final = (4, 8, 16, 32, 64, 128)
_SPEND_HALFLIVES: Final = (4, 16, 64)
_DAY_HALFLIVES: Final = (2, 4, 8, 16, 28, 32, 64, 128)
_MOST_KINDS: Final = 16
_RIDING: Final = ("84d", "365d")
_MOST_RIDING: Final = 4
_SHARED: Final = 0.02
"""When more of the orders than this come on a day on which their user had ordered already, days tell more than orders."""


def default_features(log: EventLog) -> Features:
    """Return a spec for the kinds and columns that a log has.

    Always: ``recency_days``, ``frequency``, ``tenure_days`` (of orders), ``event_recency_days``, ``event_tenure_days``, ``orders_7d`` …
    ``orders_365d``, ``orders_decay_4d`` … ``orders_decay_128d`` (orders per day), ``gap_mean_days``, ``gap_deviation_days``,
    ``gap_last_days``, ``weekday_sin``, ``weekday_cos``. With amounts: ``first_amount``, ``last_amount``, ``mean_amount`` (per order),
    ``spend_28d`` … ``spend_365d``. With quantities: ``quantity_84d``, the units of her purchases. For further columns of real numbers,
    such as discounts (the first 4 by name): their sum over the purchases of 84 and 365 days. With unit prices: their mean, the user's
    price level. For each further kind (16 at most: those that have a meaning, then by name, whatever their order in the log): its count
    in 7, 28 and 84 days and the days since the last one; for views also the orders per view.
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
    if "quantity" in log.columns:
        spec.append(Sum("quantity", window="84d", name="quantity_84d"))
    if "unit_price" in log.columns:
        spec.append(Mean("unit_price", name="unit_price_mean"))
    riding = sorted(name for name, held in log.columns.items() if held.dictionary is None and held.scale > 1 and name not in SCALES)
    spec += [Sum(name, window=window) for name in riding[:_MOST_RIDING] for window in _RIDING]
    others = sorted((kind for kind in log.seen() if kind != "purchase"), key=_rank)[:_MOST_KINDS]
    for kind in others:
        spec += [*(Count(kind, window) for window in _OTHERS), Count(kind, name=f"{kind}_count"), Recency(kind)]
    if "view" in others:
        spec.append(Rate(Orders("84d"), Count("view", "84d"), name="orders_per_view_84d"))
    return Features(tuple(spec))


def rhythm_features(log: EventLog, clock: Clock | None = None) -> tuple[Feature, ...]:
    """Return what tells on which day a customer comes, beside the default features.

    Always: her decayed rate of orders on each weekday from today on (seven columns). Where orders share days (more than one in fifty comes
    on a day on which its user had ordered already, by the shop's clock), order days instead, each counted once however many orders it
    brought: ``days_decay_2d`` … ``days_decay_128d`` (per day), those of 28 and 64 days by weekday too, ``day_gap_mean_days``,
    ``day_gap_deviation_days``, ``day_gap_last_days``, ``day_recency_days`` and ``day_frequency`` (the first one starts the clock). With
    amounts: decayed spend per day at 4, 16 and 64 days, what the short ones are of the long one (the stock at home), the days since her
    last big order and the share of big ones.
    """
    spec: list[Feature] = _days() if _share_of_second_orders(log, clock or Clock()) > _SHARED else [_by_weekday(64)]
    if "amount" in log.columns:
        spec += [Decayed("purchase", halflife, "amount", name=f"spend_decay_{halflife}d") for halflife in _SPEND_HALFLIVES]
        spec += [Over(f"spend_decay_{halflife}d", "spend_decay_64d") for halflife in _SPEND_HALFLIVES[:-1]]
        spec += [BigOrder("recency"), BigOrder("share")]
    return tuple(spec)


def _by_weekday(halflife: int, *, once_a_day: bool = False) -> Feature:
    return Weekdays(Decayed("purchase", halflife, once_a_day=once_a_day, name=f"{'days' if once_a_day else 'orders'}_decay_{halflife}d"))


def _days() -> list[Feature]:
    return [
        *(Decayed("purchase", halflife, once_a_day=True, name=f"days_decay_{halflife}d") for halflife in _DAY_HALFLIVES),
        *(_by_weekday(halflife, once_a_day=True) for halflife in (28, 64)),
        Gaps("mean", once_a_day=True, name="day_gap_mean_days"),
        Gaps("deviation", once_a_day=True, name="day_gap_deviation_days"),
        Gaps("last", once_a_day=True, name="day_gap_last_days"),
        Gaps("open", once_a_day=True, name="day_recency_days"),
        Gaps("number", once_a_day=True, name="day_frequency"),
    ]


def _share_of_second_orders(log: EventLog, clock: Clock) -> float:
    """Return the share of the orders that come on a day on which their user had one already; 0 where there is none."""
    heads = log.kind[: log.offsets[-1]] == log.code("purchase")
    if ORDERS in log.columns:
        heads &= log.columns[ORDERS].values[: log.offsets[-1]] != 0
    rows = np.flatnonzero(heads)
    if not len(rows):
        return 0.0
    user = np.searchsorted(log.offsets, rows, side="right") - 1
    day = part_of(DATE, np.minimum(log.time[rows], log.known_at[rows]), clock)
    span = int(np.ptp(day)) + 1
    return 1 - len(np.unique(user * span + day - day.min())) / len(rows)


def _rank(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind), "") if kind in KINDS else (len(KINDS), kind)
