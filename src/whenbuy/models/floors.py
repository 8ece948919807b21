"""Floors: the simplest answers to "when", which everything else must beat.

The base rate and Kaplan-Meier by strata learn from labels; the Poisson rate learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak

HALF_AN_ORDER: Final = 0.5
"""Orders that everybody is lent, so that who bought nothing lately does not count as gone for ever."""


@dataclass(frozen=True, slots=True)
class BaseRate:
    """One curve for everybody: Kaplan-Meier over all training labels. It is also the prior for strangers.

    Parameters
    ----------
    grid_days
        The days at which the curve is given, rising.
    """

    grid_days: tuple[float, ...]

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "base-rate"

    def fit(self, train: Examples, valid: Examples | None = None) -> KaplanMeierModel:
        """Return the pooled curve; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no training label saw a purchase.
        """
        del valid
        return _learn(train, self.name, "", np.empty(0), np.array(self.grid_days, float))


@dataclass(frozen=True, slots=True)
class KaplanMeier:
    """One curve for each stratum of customers: Kaplan-Meier (1958) over the training labels of those alike in one column.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    column
        The column by which customers are told apart, such as recency_days or frequency.
    strata
        How many strata of about equal size; fewer where the column has few distinct values.
    """

    grid_days: tuple[float, ...]
    column: str = "recency_days"
    strata: int = 5

    def __post_init__(self) -> None:
        if self.strata < 1:
            raise UsageError(f"{self.strata} strata were asked for.", "At least one is needed.", "Set strata to 1 or more.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"kaplan-meier-{self.column.removesuffix('_days')}"

    def fit(self, train: Examples, valid: Examples | None = None) -> KaplanMeierModel:
        """Return the curve of each stratum; a stratum without any purchase gets the pooled curve. ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no training label saw a purchase.
        ColumnError
            When the table has no such column.
        """
        del valid
        found = train.table.column(self.column)
        known = found[np.isfinite(found)]
        inner = np.arange(1, self.strata) / self.strata
        edges = np.unique(np.quantile(known, inner, method="higher")) if len(known) else np.empty(0)
        return _learn(train, self.name, self.column, edges, np.array(self.grid_days, float))


@dataclass(frozen=True, slots=True, eq=False)
class KaplanMeierModel:
    """Curves by stratum: row i of ``survival`` and ``mean_count`` for values in [edges[i - 1], edges[i]), the last row for everybody."""

    name: str
    column: str
    edges: Floats
    survival: Floats
    mean_count: Floats
    grid_days: Floats
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key's stratum; a key whose column is empty gets the pooled curve, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        value = examples.table.column(self.column or "tenure_days")
        stranger = ~np.isfinite(value)
        row = np.where(stranger | (not self.column), len(self.survival) - 1, np.searchsorted(self.edges, value, side="right"))
        return TimeToEvent.of(
            examples.keys, self.grid_days, self.survival[row], self.mean_count[row], self.name, prior=stranger, in_sample=in_sample
        )


@dataclass(frozen=True, slots=True)
class PoissonRate:
    """Everybody keeps buying at the rate of the last days: (orders + prior_orders) / window_days orders a day.

    This is the floor named "rate" on Complete Journey. The window's full length is the divisor for newcomers too: dividing by their shorter
    tenure was measured and loses both order and calibration there.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    window_days
        Length of the window; the table must hold the column ``orders_<window_days>d``.
    prior_orders
        Orders lent to everybody, so that nobody's rate is 0.
    """

    grid_days: tuple[float, ...]
    window_days: float = 84.0
    prior_orders: float = HALF_AN_ORDER

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"rate-{self.window_days:g}d"

    def fit(self, train: Examples, valid: Examples | None = None) -> PoissonRateModel:
        """Return the same settings as a model: nothing is learned, neither from ``train`` nor from ``valid``."""
        del valid
        known_until = int(train.keys.cutoff.max()) if len(train) else 0
        return PoissonRateModel(self.name, self.window_days, self.prior_orders, np.array(self.grid_days, float), known_until)


@dataclass(frozen=True, slots=True, eq=False)
class PoissonRateModel:
    """A Poisson process at each customer's own recent rate."""

    name: str
    window_days: float
    prior_orders: float
    grid_days: Floats
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return 1 - exp(-rate t) and rate t of each key; a stranger has the rate of the prior orders, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        orders = examples.table.column(f"orders_{self.window_days:g}d")
        seen = examples.table.column("event_recency_days") if "event_recency_days" in examples.table.names else orders
        stranger = ~(np.isfinite(orders) & np.isfinite(seen))
        rate = (np.where(stranger, 0.0, np.maximum(orders, 0.0)) + self.prior_orders) / self.window_days
        count = rate[:, None] * self.grid_days
        return TimeToEvent.of(examples.keys, self.grid_days, np.exp(-count), count, self.name, prior=stranger, in_sample=in_sample)


def product_limit(value: Floats, observed: Bools, weight: Floats, days: Floats) -> Floats:
    """Return the Kaplan-Meier estimate of P(no event within each of ``days``) (g).

    Windows are half-open, as everywhere in whenbuy: an event ``value`` days after the cutoff lies within d days when value < d, and who is
    censored at c days was watched on [0, c) only, so she is not at risk of an event at c itself. Without ties between events and
    censorings this is the textbook's estimate, read from the left. Beyond the longest time watched the mean hazard continues.

    Parameters
    ----------
    value, observed, weight
        Days to the event or to the censoring, whether it came, and how much the row counts (n each).
    days
        Where to read the curve (g).
    """
    moments, which = np.unique(value[observed], return_inverse=True)
    events = np.bincount(which, weights=weight[observed], minlength=len(moments))
    waiting = _weight_from(value[observed], weight[observed], moments, "left")
    at_risk = waiting + _weight_from(value[~observed], weight[~observed], moments, "right")
    steps = np.concatenate([[1.0], np.cumprod(np.maximum(1 - events / at_risk, 0.0))])
    watched = float(value.max())
    curve = steps[np.searchsorted(moments, days, side="left")]
    longer = np.maximum(days / max(watched, 1e-12), 1.0)
    return np.where(days > watched, steps[-1] ** longer, curve)


def _weight_from(value: Floats, weight: Floats, moments: Floats, side: Literal["left", "right"]) -> Floats:
    """Return the weight of the rows at or after each moment (side left), or strictly after it (side right)."""
    order = np.argsort(value, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weight[order])])
    place = np.searchsorted(value[order], moments, side=side)
    return np.asarray(before[-1] - before[place])


def _learn(train: Examples, name: str, column: str, edges: Floats, days: Floats) -> KaplanMeierModel:
    label = train.label("purchase")
    if not label.observed.any():
        raise NotEnoughDataError(
            f"None of {len(label)} training labels saw a purchase.",
            "A base rate needs at least one.",
            "Use a longer horizon or a longer history.",
        )
    weight = np.ones(len(train)) if train.weight is None else train.weight
    everybody = np.ones(len(train), bool)
    stratum = np.searchsorted(edges, train.table.column(column), side="right") if column else np.zeros(len(train), np.int64)
    known = np.isfinite(train.table.column(column)) if column else everybody
    groups = [known & (stratum == i) for i in range(len(edges) + 1)] if column else []
    survival, count = [], []
    for group in [*groups, everybody]:
        part = group if (group & label.observed).any() else everybody
        survival.append(product_limit(label.value[part], label.observed[part], weight[part], days))
        count.append(_orders_per_day(train, part, weight) * days)
    until = [int(train.labels[question].end.max()) for question in ("purchase", "orders") if question in train.labels]
    return KaplanMeierModel(name, column, edges, np.array(survival), np.array(count), days, max(until))


def _orders_per_day(train: Examples, part: Bools, weight: Floats) -> float:
    """Return the orders per day in the whole windows of some of the rows; 0 where no window was whole, so that 1 - survival stands in."""
    if "orders" not in train.labels:
        return 0.0
    label = train.labels["orders"]
    whole = part & label.observed
    days = (label.end - train.keys.cutoff)[whole] / DAY
    watched = float(weight[whole] @ days)
    return float(weight[whole] @ label.value[whole]) / watched if watched > 0 else 0.0


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (BaseRate, KaplanMeier, KaplanMeierModel, PoissonRate, PoissonRateModel)}
"""What a stored model of this file may be made of."""
