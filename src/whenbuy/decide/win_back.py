"""Win-back: customers who are lapsing, by what would be lost with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import TimeToEvent


@dataclass(frozen=True, slots=True)
class WinBack:
    """How lapsing customers are found.

    Parameters
    ----------
    horizon_days
        Over how many days orders are compared.
    fallen_to
        Who is expected to place at most this share of her usual orders is lapsing.
    least_orders
        Whoever has placed fewer orders has no habit yet that could lapse.
    """

    horizon_days: float = 28.0
    fallen_to: float = 0.5
    least_orders: int = 2

    def __post_init__(self) -> None:
        if self.horizon_days <= 0 or not 0 < self.fallen_to < 1 or self.least_orders < 1:
            raise UsageError(
                f"Lapsing was asked for with {self.horizon_days:g} days, a share of {self.fallen_to:g} and {self.least_orders} orders.",
                "Days and orders are above 0, the share lies between 0 and 1.", "Change the numbers.",
            )  # fmt: skip

    def find(self, curves: TimeToEvent, orders: Floats, tenure_days: Floats, margin: Floats) -> pl.DataFrame:
        """Return the lapsing customers, by what is lost with them.

        Her usual pace is the mean of her own and everybody's, weighed as a gamma prior of ``least_orders`` orders would (Fader et al.
        2005, s. 3 use the same shrinkage), so that two quick orders make no habit.

        Parameters
        ----------
        curves
            The purchase curves without any offer (n).
        orders, tenure_days
            How many orders each has placed, in how many days since the first (n each).
        margin
            What an order of each earns (n).

        Returns
        -------
        DataFrame
            user_id; usual_orders and expected_orders within the horizon; lost_orders; at_stake (their margin); reason.
        """
        known = tenure_days > 0
        overall = float(orders[known].sum() / tenure_days[known].sum()) if known.any() else 0.0
        prior_days = self.least_orders / max(overall, 1e-9)
        usual = (orders + self.least_orders) / (np.maximum(tenure_days, 0.0) + prior_days) * self.horizon_days
        expected = curves.count_at(self.horizon_days)
        lapsing = (orders >= self.least_orders) & (expected <= self.fallen_to * usual)
        rows = np.flatnonzero(lapsing)
        lost = usual - expected
        rows = rows[np.argsort(-(lost * margin)[rows], kind="stable")]
        table = pl.DataFrame(
            {
                "user_id": curves.keys.ids().gather(rows), "usual_orders": usual[rows], "expected_orders": expected[rows],
                "lost_orders": lost[rows], "at_stake": (lost * margin)[rows],
            }
        )  # fmt: skip
        said = pl.format(
            "Usually {} orders in {} days, now {} are expected.", pl.col("usual_orders").round(2), pl.lit(f"{self.horizon_days:g}"),
            pl.col("expected_orders").round(2),
        )  # fmt: skip
        return table.with_columns(said.alias("reason"))
