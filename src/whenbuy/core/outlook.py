"""An outlook: every answer that the data supports, for the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.card import ROWS, card, percent
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import Amount, Classes, Forecast, Probability, TimeToEvent, instants
from whenbuy.core.keys import Keys
from whenbuy.core.lapse import FIXED_DAYS, Lapse
from whenbuy.core.number import Number

_USUAL = ("purchase", "amount", "classes", "spend", "quantity", "redemption")
"""Answers whose columns are always there, or only with ``further``; those of all others are there where they were asked for."""
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
        Forecast by question: ``purchase`` (TimeToEvent) always; where the log can teach them ``amount`` (Amount of the next order),
        ``spend`` and ``quantity`` (Amount, of all orders within a window: money and units), ``classes`` (Classes) and ``redemption``
        (Probability).
    horizons
        The horizons asked about, in days.
    windows
        Over how many days the answers look that look over one window.
    """

    keys: Keys
    answers: Mapping[str, Forecast]
    horizons: tuple[float, ...]
    windows: Mapping[str, float] = field(default_factory=dict)

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
        return replace(self, keys=self.keys.take(rows), answers={name: answer.take(rows) for name, answer in self.answers.items()})

    def frame(self, *, further: bool = False) -> pl.DataFrame:
        """Return one row per key.

        ``user_id``; ``as_of``; ``p_purchase_7d`` … one per horizon: P(buys within it); ``next_purchase_p10``, ``_p50``, ``_p90``:
        the instant by which the next purchase comes with that probability, null beyond the grid; ``amount_mean``, ``amount_p50``:
        amount of the next order; ``expected_orders``: orders within the longest horizon; ``clv``: expected spend within a year
        (null without amounts); ``top_category``: the category from which she most probably buys (null without categories); ``model``.
        With ``further``, behind them, where there are such answers: ``spend_mean_7d``, ``spend_p50_7d``: spend within that window;
        ``quantity_mean_7d``, ``quantity_p50_7d``: units bought within it;
        ``p_redemption_14d``: the chance that she redeems an offer within it.

        What was asked for by name stands behind ``model``. Curves of another event: ``p_activity_7d`` … and ``next_activity_p10`` …;
        churn: ``p_churn``, the chance that she does nothing for ``churn_days``, which are her own, and ``p_churn_28d`` … the same for
        fixed days as far as the curve reaches; numbers: ``visits_mean_28d``, ``visits_p10_28d``, ``visits_p90_28d``; amounts of the next
        event: ``dwell_mean``, ``dwell_p50``; chances of a window: ``p_clicked_28d``; classes: ``top_viewed``. ``p_in_session`` is 0 for
        who is on no visit. With ``response`` and ``conversion`` ``value_per_message``: P(click) x P(buys | click) x the order's amount.
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
                "top_category": self._top_category(),
                "model": pl.Series([curves.model] * len(self), dtype=pl.String),
            }
            | self._asked()
            | (self._further() if further else {})
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

    def _asked(self) -> dict[str, Any]:
        """Return the columns of the answers that were asked for by name."""
        columns: dict[str, Any] = {}
        for name, answer in self.answers.items():
            if name not in _USUAL:
                columns |= self._columns(name, answer)
        response, conversion = (self.answers.get(name) for name in ("response", "conversion"))
        if isinstance(response, Probability) and isinstance(conversion, Probability) and self.amount is not None:
            columns["value_per_message"] = response.chance * conversion.chance * self.amount.mean
        return columns

    def _columns(self, name: str, answer: Forecast) -> dict[str, Any]:
        window = f"_{self.windows[name]:g}d" if name in self.windows else ""
        if isinstance(answer, TimeToEvent):
            levels: dict[str, Any] = {f"next_{name}_p{100 * level:.0f}": self._moment(answer.quantile(level)) for level in (0.1, 0.5, 0.9)}
            return {f"p_{name}_{days:g}d": answer.probability(days) for days in self.horizons} | levels
        if isinstance(answer, Lapse):
            return {f"p_{name}": answer.chance, f"{name}_days": answer.days} | self._lost(name)
        if isinstance(answer, Probability):
            return {f"p_{name}{window}": answer.chance}
        if isinstance(answer, Amount):
            return {f"{name}_mean{window}": answer.mean, f"{name}_p50{window}": answer.quantile(0.5)}
        if isinstance(answer, Number):
            levels = {f"{name}_p{100 * level:.0f}{window}": answer.quantile(level) for level in (0.1, 0.9)}
            return {f"{name}_mean{window}": answer.mean} | levels
        return {f"top_{name}": self._top(name)} if isinstance(answer, Classes) else {}

    def _lost(self, name: str) -> dict[str, Floats]:
        """Return the chances that nothing is heard of her for days that are the same for everybody, as far as the curve reaches."""
        activity = self.answers.get("activity")
        if not isinstance(activity, TimeToEvent):
            return {}
        return {f"p_{name}_{days:g}d": activity.survival_at(days) for days in FIXED_DAYS if days <= activity.grid_days[-1]}

    def _top_category(self) -> pl.Series:
        return self._top("classes")

    def _top(self, name: str) -> pl.Series:
        """Return the likeliest class of each key."""
        answer = self.answers.get(name)
        if not isinstance(answer, Classes) or not len(self):
            return pl.Series([None] * len(self), dtype=pl.String)
        return pl.Series(list(answer.classes), dtype=pl.String).gather(answer.top(1)[:, 0])

    def _further(self) -> dict[str, Floats]:
        """Return the columns of the answers that look over one window."""
        columns: dict[str, Floats] = {}
        for name, days in self.windows.items():
            answer = self.answers.get(name) if name in _USUAL else None
            if isinstance(answer, Amount):
                columns |= {f"{name}_mean_{days:g}d": answer.mean, f"{name}_p50_{days:g}d": answer.quantile(0.5)}
            elif isinstance(answer, Probability):
                columns[f"p_{name}_{days:g}d"] = answer.chance
        return columns

    def _moment(self, days: Floats) -> pl.Series:
        known = np.isfinite(days)
        moment = self.keys.cutoff + np.round(np.where(known, days, 0) * DAY).astype(np.int64)
        return instants(moment).set(pl.Series(~known), None)

    def _repr_html_(self) -> str:
        n, days = len(self), sorted(self.horizons)
        middle = days[len(days) // 2] if days else 28.0
        worth = self.purchase.probability(middle) if self.amount is None else self.purchase.count_at(middle) * self.amount.mean
        some = self.take(np.argsort(-worth, kind="stable")[:ROWS].astype(np.int64))
        buyers, orders = self.purchase.probability(middle).sum(), self.purchase.count_at(middle).sum()
        words = f"About {buyers:,.0f} of {n:,} customers will buy within {middle:g} days, placing some {orders:,.0f} orders"
        words += "." if self.amount is None else f" worth about {float(f'{worth.sum():.3g}'):,.10g}."
        most = "chance to buy" if self.amount is None else "expected spend"
        note = f"Those with the highest {most} in {middle:g} days; frame() has everybody."
        return card("Outlook", words, some._short(days), chart=some.plot() if n else None, note=note)

    def _short(self, days: Sequence[float]) -> pl.DataFrame:
        """Return a row per key with little else than a person needs to act."""
        frame = self.frame()
        columns: dict[str, Any] = {"customer": frame["user_id"]}
        columns |= {f"buys ≤ {each:g} d": [percent(p) for p in frame[f"p_purchase_{each:g}d"]] for each in days}
        levels = {"expected (UTC)": "p50", "from": "p10", "to": "p90"}
        columns |= {name: frame[f"next_purchase_{level}"].dt.date() for name, level in levels.items()}
        columns |= {} if self.amount is None else {"amount": frame["amount_mean"]}
        columns |= {} if frame["top_category"].null_count() == len(frame) else {"likeliest category": frame["top_category"]}
        return pl.DataFrame(columns)

    def __repr__(self) -> str:
        return f"Outlook({len(self)} keys, answers={list(self.answers)})"
