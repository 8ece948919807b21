"""Audiences for advertising: what an impression or a click is worth at each customer, and how a budget is spent evenly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError


def bids(
    user_id: pl.Series, extra_orders: Floats, margin: Floats, click: Floats, *, given: Floats | None = None, keep: float = 0.0
) -> pl.DataFrame:  # fmt: skip
    """Return what may be bid for each customer, the highest first; whom an advertisement does not move is left out.

    Where the highest bid wins and the second highest is paid, bidding the value is best (Vickrey 1961); the value of an impression is
    the margin of the orders that it adds, so who buys anyway is worth nothing here.

    Parameters
    ----------
    user_id
        Who (n).
    extra_orders
        Orders that one impression adds (n).
    margin
        What an order earns (n).
    click
        P(she clicks on an impression) (n).
    given
        What the advertised offer is expected to cost per impression, where it is redeemed (n); nothing without an offer.
    keep
        Share of the value that must remain as profit, in [0, 1).

    Returns
    -------
    DataFrame
        user_id; value and bid of an impression; bid_click: the same per click, null where she never clicks.
    """
    if not 0 <= keep < 1:
        raise UsageError(f"{keep:g} of the value was to remain as profit.", "It is a share from 0 on and below 1.", "Change it.")
    value = extra_orders * margin - (0.0 if given is None else given)
    table = pl.DataFrame({"user_id": user_id, "value": value, "bid": value * (1 - keep), "click": click})
    per_click = pl.when(pl.col("click") > 0).then(pl.col("bid") / pl.col("click"))
    return (
        table.filter(pl.col("value") > 0)
        .with_columns(per_click.alias("bid_click"))
        .drop("click")
        .sort("bid", descending=True, maintain_order=True)
    )


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a budget is spread over time: every bid is divided by 1 + ``pressure``, which rises where money goes too fast.

    Adaptive pacing (Balseiro and Gur 2019, algorithm 1): after each period the pressure moves by ``step`` times what was spent beyond that
    period's share of what was left, in units of that share. Nothing is bid beyond what is left.

    Parameters
    ----------
    budget
        For all periods.
    periods
        How many there are.
    step
        How fast it adapts.
    pressure
        Now, from 0 on.
    spent, past
        What was spent, and in how many periods.
    """

    budget: float
    periods: int
    step: float = 0.2
    pressure: float = 0.0
    spent: float = 0.0
    past: int = 0

    def __post_init__(self) -> None:
        if self.budget < 0 or self.periods < 1 or self.step <= 0 or self.pressure < 0:
            raise UsageError(
                f"A budget of {self.budget:g} over {self.periods} periods was to be paced in steps of {self.step:g}.",
                "The budget is at least 0, periods and steps are above 0.", "Change the numbers.",
            )  # fmt: skip

    @property
    def left(self) -> float:
        """What may still be spent."""
        return max(0.0, self.budget - self.spent)

    def bid(self, value: Floats) -> Floats:
        """Return what is bid for each impression (n) now; none is dearer than what is left."""
        return np.minimum(value / (1 + self.pressure), self.left)

    def after(self, spent: float) -> Pacing:
        """Return the pacing after a period in which so much was spent."""
        share = self.left / max(self.periods - self.past, 1)
        moved = self.pressure + self.step * (spent - share) / share if share > 0 else self.pressure
        return replace(self, pressure=max(0.0, moved), spent=self.spent + spent, past=self.past + 1)
