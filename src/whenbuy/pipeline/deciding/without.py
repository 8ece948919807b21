"""The forecast without action: what each customer would do if nothing were sent to her from a moment on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools
from whenbuy.core.forecast import TimeToEvent, instants
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.deciding.effects import OfferEffects, running

CHUNK = 20_000
"""For how many customers effects lie in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class WithoutAction:
    """Purchase curves if nothing is sent any more, beside those as usual.

    Parameters
    ----------
    curves
        If nothing is sent from the cutoff on (n). An offer sent before goes on working: ``running`` says at whom.
    usual
        As usual (n): with offers as they were sent in the past.
    running
        Which offers may still be at work: user_id, offer_id, shown_at, days_ago; a row each.
    horizons
        The horizons asked about, in days.
    """

    curves: TimeToEvent
    usual: TimeToEvent
    running: pl.DataFrame
    horizons: tuple[float, ...]

    @property
    def touched(self) -> Bools:
        """At whom an offer may still be at work (n)."""
        return self.curves.keys.ids().is_in(self.running["user_id"].unique().to_list()).to_numpy()

    def frame(self) -> pl.DataFrame:
        """Return one row per customer.

        ``user_id``; ``as_of``; ``p_purchase_7d`` … one per horizon: P(buys within it) if nothing is sent; ``expected_orders`` within the
        longest horizon; ``p_as_usual_28d``: P(buys within the longest horizon) with offers as they were sent in the past; ``running``:
        the offers that may still be at work, with the days since each was shown (null: none).
        """
        longest = max(self.horizons)
        names = self.running.sort("days_ago").with_columns(
            pl.format("{} ({} d)", "offer_id", pl.col("days_ago").round(0).cast(pl.Int64)).alias("running")
        )
        said = names.group_by("user_id", maintain_order=True).agg(pl.col("running").str.join(", "))
        table = pl.DataFrame(
            {"user_id": self.curves.keys.ids(), "as_of": instants(self.curves.keys.cutoff)}
            | {f"p_purchase_{days:g}d": self.curves.probability(days) for days in self.horizons}
            | {
                "expected_orders": self.curves.count_at(longest),
                f"p_as_usual_{longest:g}d": self.usual.probability(longest),
            }
        )
        return table.join(said, on="user_id", how="left", maintain_order="left")


def without_action(history: History, outlook: Outlook, effects: OfferEffects | None) -> WithoutAction:
    """Return the forecast without action of those of whom an outlook speaks.

    Parameters
    ----------
    history
        The shop's log.
    outlook
        The forecast as usual (n), all as of one moment.
    effects
        What the offers do; None where none was ever shown, so that what is usual is already without them.
    """
    keys = outlook.keys
    curves = outlook.purchase if effects is None else idle_curves(history, effects, keys)
    cutoff = int(keys.cutoff.max(initial=0))
    days = 28.0 if effects is None else float(effects.model.days[-1])
    mine = running(history, cutoff, days)
    mine = mine.filter(pl.col("user_id").is_in(keys.ids().to_list()))
    return WithoutAction(curves, outlook.purchase, mine, outlook.horizons)


def idle_curves(history: History, effects: OfferEffects, keys: Keys) -> TimeToEvent:
    """Return the curves if nothing is sent of many customers (n), all as of one moment."""
    ids, cutoff = keys.ids(), int(keys.cutoff.max(initial=0))
    parts = [effects.without_action(history, cutoff, ids[start : start + CHUNK].to_list()) for start in range(0, len(ids), CHUNK)]
    survival, count = (np.concatenate([getattr(part, name) for part in parts]) for name in ("survival", "mean_count"))
    prior = None if parts[0].prior is None else np.concatenate([np.asarray(part.prior) for part in parts])
    return TimeToEvent.of(keys, parts[0].grid_days, survival, count, parts[0].model, prior=prior)
