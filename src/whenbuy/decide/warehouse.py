"""A simulated warehouse: what a way of ordering would have cost against a demand that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError
from whenbuy.decide.stock import StockRule

Policy = Callable[[int, Floats], Floats]
"""From the day (from 0) and what is on hand and on order (n) to what to order (n)."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """What things cost, and how long they take.

    Parameters
    ----------
    lead_days, review_days
        Whole days from an order to the shelf, and between two chances to order.
    holding
        Cost of a unit that lies in the shelf at the end of a day.
    shortage
        Cost of a unit that is asked for and not there; it is not asked for again.
    """

    lead_days: int = 7
    review_days: int = 7
    holding: float = 1.0
    shortage: float = 20.0

    def __post_init__(self) -> None:
        if self.lead_days < 0 or self.review_days < 1 or self.holding <= 0 or self.shortage <= 0:
            raise UsageError(
                f"A warehouse with {self.lead_days} and {self.review_days} days and costs of {self.holding:g} and {self.shortage:g}.",
                "Lead times are from 0 days, reviews from 1 day on, costs above 0.", "Change them.",
            )  # fmt: skip

    @property
    def rule(self) -> StockRule:
        """The rule that costs least here, by what the last unit of an order costs and saves.

        It lies in the shelf from one delivery to the next, whether it is sold at the end of that time or not. So a unit too many costs the
        holding of a review period, and a unit too few a shortage less that holding: the newsvendor's two costs (Arrow et al. 1951).

        Raises
        ------
        UsageError
            When a shortage costs no more than holding a unit for a review period: then nothing should be in the shelf.
        """
        over = self.holding * self.review_days
        return StockRule(self.lead_days, self.review_days, None, over=over, under=self.shortage - over)


@dataclass(frozen=True, slots=True, eq=False)
class Books:
    """What a way of ordering came to, per item.

    Parameters
    ----------
    held, short, ordered
        Unit-days in the shelf, units asked for in vain, units ordered (n each), over the days that count.
    cost
        Holding and shortage together (n).
    """

    held: Floats
    short: Floats
    ordered: Floats
    cost: Floats


def run(warehouse: Warehouse, demand: Floats, policy: Policy, start: Floats, *, counts_from: int = 0) -> Books:
    """Return what a policy costs against a known daily demand (n x days).

    Each day: what was ordered ``lead_days`` ago arrives; on review days the policy orders; then customers come, and what is not there is
    lost. ``start`` is what is on hand at the beginning (n). Costs before day ``counts_from`` are left out.
    """
    n, days = demand.shape
    if len(start) != n or (demand < 0).any() or (start < 0).any():
        raise UsageError("A warehouse was given a negative demand or stock, or shapes that differ.", "Units are counted from 0 on.")
    on_hand = start.astype(np.float64).copy()
    arriving = np.zeros((n, days + warehouse.lead_days + 1))
    held, short, ordered = np.zeros(n), np.zeros(n), np.zeros(n)
    for day in range(days):
        if day % warehouse.review_days == 0:
            on_its_way = arriving[:, day:].sum(axis=1)
            order = np.maximum(policy(day, on_hand + on_its_way), 0.0)
            arriving[:, day + warehouse.lead_days] += order
            ordered += order * (day >= counts_from)
        on_hand += arriving[:, day]
        sold = np.minimum(on_hand, demand[:, day])
        on_hand -= sold
        if day >= counts_from:
            held += on_hand
            short += demand[:, day] - sold
    return Books(held, short, ordered, warehouse.holding * held + warehouse.shortage * short)
