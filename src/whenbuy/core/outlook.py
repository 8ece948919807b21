"""An outlook: every answer that the data supports, for the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import Amount, Forecast, TimeToEvent, instants
from whenbuy.core.keys import Keys

VALUE_DAYS = 365.0
"""The length over which customer lifetime value is counted: one year, undiscounted."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """All answers about the same keys.

    Parameters
    ----------
    keys
        Who was asked (n).
    answers
        Forecast by question: ``purchase`` (TimeToEvent) always, ``amount`` (Amount of the next order) where the log has amounts.
    horizons
        The horizons asked about, in days.
    """

    keys: Keys
    answers: Mapping[str, Forecast]
    horizons: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.answers.get("purchase"), TimeToEvent):
            raise WhenbuyError("An outlook was made without the curve of the next purchase.")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def purchase(self) -> TimeToEvent:
        """The curve of the next purchase."""
        answer = self.answers["purchase"]
        assert isinstance(answer, TimeToEvent)
        return answer

    @property
    def amount(self) -> Amount | None:
        """The amount of the next order, where the log has amounts."""
        answer = self.answers.get("amount")
        return answer if isinstance(answer, Amount) else None

    def take(self, rows: slice | Ints) -> Outlook:
        """Return the outlook of some of the keys."""
        return Outlook(self.keys.take(rows), {name: answer.take(rows) for name, answer in self.answers.items()}, self.horizons)

    def frame(self) -> pl.DataFrame:
        """Return one row per key.

        ``user_id``; ``as_of``; ``p_purchase_7d`` … one per horizon: P(buys within it); ``next_purchase_p10``, ``_p50``, ``_p90``:
        the instant by which the next purchase comes with that probability, null beyond the grid; ``amount_mean``, ``amount_p50``:
        amount of the next order; ``expected_orders``: orders within the longest horizon; ``clv``: expected spend within a year
        (null without amounts); ``top_category``: null until a category model answers; ``model``.
        """
        curves, amount = self.purchase, self.amount
        unknown = pl.Series([None] * len(self), dtype=pl.Float64)
        return pl.DataFrame(
            {"user_id": self.keys.ids(), "as_of": instants(self.keys.cutoff)}
            | {f"p_purchase_{days:g}d": curves.probability(days) for days in self.horizons}
            | {f"next_purchase_p{100 * level:.0f}": self._moment(curves.quantile(level)) for level in (0.1, 0.5, 0.9)}
            | {
                "amount_mean": unknown if amount is None else amount.mean,
                "amount_p50": unknown if amount is None else amount.quantile(0.5),
                "expected_orders": curves.count_at(max(self.horizons)),
                "clv": unknown if amount is None else amount.mean * curves.count_at(VALUE_DAYS),
                "top_category": pl.Series([None] * len(self), dtype=pl.String),
                "model": pl.Series([curves.model] * len(self), dtype=pl.String),
            }
        )

    def curve(self, user: str) -> TimeToEvent:
        """Return the purchase curve of one user.

        Raises
        ------
        NotFoundError
            When the user was not asked about.
        """
        return self.purchase.curve(user)

    def plot(self) -> Any:
        """Return a chart of the purchase curves (at most 20 keys are drawn)."""
        return self.purchase.plot()

    def _moment(self, days: Floats) -> pl.Series:
        known = np.isfinite(days)
        moment = self.keys.cutoff + np.round(np.where(known, days, 0) * DAY).astype(np.int64)
        return instants(moment).set(pl.Series(~known), None)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()

    def __repr__(self) -> str:
        return f"Outlook({len(self)} keys, answers={list(self.answers)})"
