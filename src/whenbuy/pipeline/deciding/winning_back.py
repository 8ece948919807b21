"""Win-back: who is lapsing, what is lost with her, and which offer would save most of it."""

from __future__ import annotations

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.decide.win_back import WinBack
from whenbuy.features import Features
from whenbuy.features.folds import Tenure
from whenbuy.features.totals import Orders
from whenbuy.pipeline.deciding.planning import Planned, amount_of


def lapsing(history: History, outlook: Outlook, curves: TimeToEvent, margin: float, rule: WinBack) -> tuple[Ints, pl.DataFrame]:
    """Return who is lapsing (positions, by what is lost with them), and what ``WinBack.find`` says of them.

    Parameters
    ----------
    history
        The shop's log.
    outlook
        The forecast of everybody (n).
    curves
        What they would do if nothing were sent (n).
    margin
        Share of an order's amount that is earned.
    rule
        Who counts as lapsing.
    """
    past = history.before(outlook.keys)
    values = np.nan_to_num(Features((Orders(), Tenure("purchase"))).table(past).values.astype(float))
    found = rule.find(curves, values[:, 0], values[:, 1], amount_of(outlook).mean * margin)
    places = pl.DataFrame({"user_id": outlook.keys.ids(), "row": np.arange(len(outlook))})
    rows = found.select("user_id").join(places, on="user_id", how="left", maintain_order="left")["row"].to_numpy()
    return rows.astype(np.int64), found


def with_offers(found: pl.DataFrame, planned: Planned | None) -> pl.DataFrame:
    """Return the lapsing customers with what each is sent.

    Further columns: offer_id, channel, send_at (null: nothing is sent), saved (margin of the orders that the offer brings back), cost,
    expected_gain (saved less cost), held_out, propensity, why.
    """
    if planned is None:
        return found
    told = planned.plan.decisions.frame().select(
        "user_id", "offer_id", "channel", "send_at", (pl.col("expected_gain") + pl.col("cost")).alias("saved"), "cost", "expected_gain",
        "held_out", "propensity", pl.col("reason").alias("why"),
    )  # fmt: skip
    return found.join(told, on="user_id", how="left", maintain_order="left")
