"""Floors: the simplest answers to "when", which everything else must beat.

The base rate and Kaplan-Meier by strata learn from labels; the Poisson rate learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_known, refuse_leak, require_ripe

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
    """Curves by stratum: row i of ``survival`` and ``mean_count`` for values in [edges[i - 1], edges[i]), the last row for everybody.

    ``tally`` is what they were made of; without it nothing can be added.
    """

    name: str
    column: str
    edges: Floats
    survival: Floats
    mean_count: Floats
    grid_days: Floats
    known_until: int
    tally: Tally | None = None

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it."""
        return self.tally is not None

    def update(self, later: Examples) -> KaplanMeierModel:
        """Return the curves with what happened since added to the tally; strata stay where they are.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When nobody was watched since.
        """
        label = later.label("purchase")
        refuse_known(self.known_until, later, "purchase")
        found = Tally.of(later, self.column, self.edges, self.grid_days, self.known_until)
        require_ripe(int(found.at_risk.any()), label, "purchase")
        tally = found if self.tally is None else self.tally.plus(found)
        survival, count = tally.curves(self.grid_days)
        return replace(self, survival=survival, mean_count=count, known_until=_until(later), tally=tally)

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


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What curves are made of: how many waited, to how many it came, and what they ordered, by stratum; everybody in the last row.

    Parameters
    ----------
    at_risk, came
        By stretch between the days of the grid: the weight of those who waited at its start and were watched to its end, and of those of
        them to whom it came in it (s x g).
    orders, days
        Orders in whole windows and the days of these windows (s each).
    """

    at_risk: Floats
    came: Floats
    orders: Floats
    days: Floats

    @classmethod
    def of(cls, examples: Examples, column: str, edges: Floats, grid_days: Floats, since: int = 0) -> Tally:
        """Return the tally of examples; of each window only the stretches that began at or after an instant count."""
        label, weight, cutoff = examples.label("purchase"), _weights(examples), examples.keys.cutoff
        stratum, strata = _strata(examples, column, edges)
        entry, watched = (since - cutoff) / DAY, (label.end - cutoff) / DAY
        at_risk, came = np.zeros((strata + 1, len(grid_days))), np.zeros((strata + 1, len(grid_days)))
        for place, (start, end) in enumerate(pairwise([0.0, *grid_days.tolist()])):
            rows = np.flatnonzero((entry <= start) & (label.value >= start) & (watched >= end))
            happened = rows[label.observed[rows] & (label.value[rows] < end)]
            at_risk[:, place], came[:, place] = _sums(stratum, rows, weight, strata), _sums(stratum, happened, weight, strata)
        orders, days = np.zeros(strata + 1), np.zeros(strata + 1)
        if "orders" in examples.labels:
            label = examples.labels["orders"]
            rows = np.flatnonzero(label.observed & (label.end > since))
            orders = _sums(stratum, rows, weight * label.value, strata)
            days = _sums(stratum, rows, weight * (label.end - cutoff) / DAY, strata)
        return cls(at_risk, came, orders, days)

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(self.at_risk + other.at_risk, self.came + other.came, self.orders + other.orders, self.days + other.days)

    def explaining(self, survival: Floats) -> Tally:
        """Return the tally whose curves are those given (s x g): Kaplan-Meier sees those who left inside of a stretch, a tally does not."""
        before = np.hstack([np.ones((len(survival), 1)), survival[:, :-1]])
        share = np.divide(survival, before, out=np.ones_like(survival), where=before > 0)
        some = self.came.sum(axis=1, keepdims=True) > 0  # where nothing came the curve is everybody's, and explains nothing
        return replace(self, came=np.where(some, self.at_risk * (1 - share), 0.0))

    def curves(self, grid_days: Floats) -> tuple[Floats, Floats]:
        """Return survival and mean count on the grid (s x g each); a stratum to which nothing came has everybody's.

        Beyond the last stretch that somebody was watched for, the mean hazard continues.
        """
        own = np.where(self.came.sum(axis=1) > 0, np.arange(len(self.came)), len(self.came) - 1)
        at_risk, came = self.at_risk[own], self.came[own]
        stays = 1 - np.divide(came, at_risk, out=np.zeros_like(came), where=at_risk > 0)
        survival = np.cumprod(np.clip(stays, 0.0, 1.0), axis=1)
        for row, seen in enumerate(at_risk > 0):
            last = int(np.flatnonzero(seen).max(initial=0))
            survival[row, last + 1 :] = survival[row, last] ** (grid_days[last + 1 :] / grid_days[last])
        rate = np.divide(self.orders, self.days, out=np.zeros(len(own)), where=self.days > 0)[own]
        return survival, rate[:, None] * grid_days


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

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: there is nothing to learn, so they do it no harm."""
        return True

    def update(self, later: Examples) -> PoissonRateModel:
        """Return the same model, which now knows of the last cutoff of the later examples.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When there is no later example.
        """
        label = later.label("purchase")
        refuse_known(self.known_until, later, "purchase")
        require_ripe(len(later), label, "purchase")
        return replace(self, known_until=max(self.known_until, int(later.keys.cutoff.max())))

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
    weight, (stratum, strata) = _weights(train), _strata(train, column, edges)
    everybody = np.ones(len(train), bool)
    survival, count = [], []
    for group in [*(stratum == i for i in range(strata)), everybody]:
        part = group if (group & label.observed).any() else everybody
        survival.append(product_limit(label.value[part], label.observed[part], weight[part], days))
        count.append(_orders_per_day(train, part, weight) * days)
    tally = Tally.of(train, column, edges, days).explaining(np.array(survival))
    return KaplanMeierModel(name, column, edges, np.array(survival), np.array(count), days, _until(train), tally)


def _weights(examples: Examples) -> Floats:
    return np.ones(len(examples)) if examples.weight is None else examples.weight


def _strata(examples: Examples, column: str, edges: Floats) -> tuple[Ints, int]:
    """Return the stratum of each row (n; -1 where its column is empty) and how many there are; none without a column."""
    if not column:
        return np.full(len(examples), -1, np.int64), 0
    value = examples.table.column(column)
    return np.where(np.isfinite(value), np.searchsorted(edges, value, side="right"), -1).astype(np.int64), len(edges) + 1


def _sums(stratum: Ints, rows: Ints, values: Floats, strata: int) -> Floats:
    """Return the sum of values over some rows by stratum, and over all of them behind (s + 1)."""
    return np.append(np.bincount(stratum[rows] + 1, values[rows], strata + 1)[1:], values[rows].sum())


def _until(examples: Examples) -> int:
    """Return the end of the last window."""
    return max(int(examples.labels[question].end.max()) for question in ("purchase", "orders") if question in examples.labels)


def _orders_per_day(train: Examples, part: Bools, weight: Floats) -> float:
    """Return the orders per day in the whole windows of some of the rows; 0 where no window was whole, so that 1 - survival stands in."""
    if "orders" not in train.labels:
        return 0.0
    label = train.labels["orders"]
    whole = part & label.observed
    days = (label.end - train.keys.cutoff)[whole] / DAY
    watched = float(weight[whole] @ days)
    return float(weight[whole] @ label.value[whole]) / watched if watched > 0 else 0.0


TYPES: Mapping[str, type] = {
    kind.__name__: kind for kind in (BaseRate, KaplanMeier, KaplanMeierModel, Tally, PoissonRate, PoissonRateModel)
}
"""What a stored model of this file may be made of."""
