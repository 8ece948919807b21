"""How many orders, by boosted trees: the expected number in each stretch between horizons, added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.log_line import LogLine
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import joined, read_columns

ORDERS: Final = "orders"
"""The labels that are learned from: of this name, or of one that begins with it and an underscore."""
_FARTHEST: Final = 30.0
"""No logarithm of an expected number of orders is farther from 0 than this."""


@dataclass(frozen=True, slots=True)
class BoostedCount:
    """Boosted Poisson counts of the orders between 0 and the shortest horizon, between that and the next, and so on.

    The horizons are those of the labels ``orders``, ``orders_7d`` … that the training examples carry. What lies between two of them
    is spread evenly, and beyond the longest the last rate goes on: the curve suits horizons like those that were learned from, not years.
    Survival is exp(-count), the floor's: the curve of the next purchase is another answer.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    line
        Whether the trees start from a log-linear model of all features, learned at the shortest horizon.
    grow
        How the trees of each stretch are grown.
    max_rows
        Rows above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    grid_days: tuple[float, ...]
    line: bool = True
    grow: Boosting = Boosting("poisson", trees=40, learning_rate=0.08)
    max_rows: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.grow.objective != "poisson" or self.max_rows < 1:
            raise UsageError(
                f"Counts were to be learned by {self.grow.objective} trees from at most {self.max_rows} rows.",
                "They are learned by poisson trees, from at least one row.",
                "Change the settings.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "boosted-orders" + ("" if self.line else "-trees")

    def fit(self, train: Examples, valid: Examples | None = None) -> BoostedCountModel:
        """Return what the orders in the closed windows teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no closed window holds an order.
        """
        del valid
        weight = np.ones(len(train)) if train.weight is None else train.weight
        stretches = _stretches(train, weight * self._sampled(len(train)))
        if not stretches:
            raise NotEnoughDataError(
                f"The windows of {len(train):,} training examples that have closed hold no order.",
                "Counts are learned from orders.",
                "Use a longer horizon or a longer history.",
            )
        binned, first = Binned.of(train.table.values), stretches[0].rows
        line = LogLine.learn(train.table.take(first), stretches[0].orders, weight[first], 1.0) if self.line else None
        straight = np.zeros(len(train)) if line is None else line.raw(train.table)
        trees, offsets = [], []
        for stretch in stretches:
            start, counts = straight[stretch.rows], weight[stretch.rows]
            offset = float(np.log(counts @ stretch.orders / (counts @ np.exp(start))))
            trees.append(self.grow.grow(binned.take(stretch.rows), stretch.orders, counts, start=start + offset))
            offsets.append(offset)
        until = max(int(label.end.max()) for label in _labels(train).values())
        rate = np.cumsum([weight[one.rows] @ one.orders / weight[one.rows].sum() for one in stretches])
        days, grid = np.array([stretch.days for stretch in stretches]), np.array(self.grid_days, float)
        return BoostedCountModel(self.name, train.table.names, line, days, np.array(offsets), tuple(trees), rate, grid, until)

    def _sampled(self, count: int) -> Bools:
        """Return which of so many rows are learned from (n)."""
        chosen = np.ones(count, bool)
        if count > self.max_rows:
            chosen[np.random.default_rng(self.seed).choice(count, count - self.max_rows, replace=False)] = False
        return chosen


@dataclass(frozen=True, slots=True, eq=False)
class BoostedCountModel:
    """Boosted counts by stretch.

    Parameters
    ----------
    columns
        The features that the trees read.
    line
        Where all trees start, if anywhere.
    horizons
        Where each stretch ends, in days, rising (s).
    offset
        What is added to the line in each stretch (s).
    trees
        Of each stretch (s).
    everybody
        The mean count of all training rows by the end of each stretch (s): the answer for those of whom nothing is known.
    """

    name: str
    columns: tuple[str, ...]
    line: LogLine | None
    horizons: Floats
    offset: Floats
    trees: tuple[Trees, ...]
    everybody: Floats
    grid_days: Floats
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the expected count of each key along the grid; somebody of whom nothing is known gets the mean one, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the model reads.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        stranger = np.isnan(examples.table.column("event_recency_days"))
        counted = np.cumsum(self._counts(examples.table, read_columns(examples.table, self.columns)), axis=1)
        counted[stranger] = self.everybody
        count = joined(counted, self.horizons, self.grid_days)
        return TimeToEvent.of(examples.keys, self.grid_days, np.exp(-count), count, self.name, prior=stranger, in_sample=in_sample)

    def _counts(self, table: Table, values: Singles) -> Floats:
        """Return the expected orders of each stretch (n x s)."""
        straight = np.zeros(len(table)) if self.line is None else self.line.raw(table)
        raw = [straight + offset + trees.raw(values) for offset, trees in zip(self.offset, self.trees, strict=True)]
        return np.asarray(np.exp(np.clip(np.stack(raw, axis=1), -_FARTHEST, _FARTHEST)))


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """The orders between two horizons: where it ends, the rows whose window has closed by then (m), and how many came (m)."""

    days: float
    rows: Ints
    orders: Floats


def _labels(train: Examples) -> dict[str, Labels]:
    return {name: label for name, label in train.labels.items() if name == ORDERS or name.startswith(f"{ORDERS}_")}


def _stretches(train: Examples, weight: Floats) -> list[_Stretch]:
    """Return the stretches between the horizons of the labels, of rows that weigh something; one without an order is left to the next."""
    windows = []
    for label in _labels(train).values():
        if label.observed.any():
            windows.append((float(np.median((label.end - train.keys.cutoff)[label.observed])) / DAY, label))
    found: list[_Stretch] = []
    seen, counted = weight > 0, np.zeros(len(train))
    for days, label in sorted(windows, key=lambda window: window[0]):
        both, more = seen & label.observed, np.maximum(label.value - counted, 0.0)
        if weight[both] @ more[both] > 0:
            found.append(_Stretch(days, np.flatnonzero(both), more[both]))
            seen, counted = both, label.value
    return found


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (BoostedCount, BoostedCountModel)}
"""What a stored model of this file may be made of."""
