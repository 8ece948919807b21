"""How much, by boosted trees: the amount of the next order, or all that is spent within a horizon.

The mean and the median are different answers, so they are learned apart: the mean by trees with the Tweedie loss on a log-linear model of
all features, the median by trees with the absolute loss on the cube root of the amount (which makes amounts about symmetric: Wilson &
Hilferty 1931), from that of the mean. The other quantiles are read from a ladder: what came to those of whom about as much was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Amount
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.log_line import LogLine
from whenbuy.models.how_much.gamma_gamma import LEVELS
from whenbuy.models.how_much.ladder import Ladder, without_crossings
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import read_columns

_FARTHEST: Final = 30.0
"""No logarithm of a mean strays farther than this from that of the mean of all."""


@dataclass(frozen=True, slots=True)
class BoostedAmount:
    """Boosted mean and median of an amount, with the quantiles around them.

    Amounts below 0 count as 0.

    Parameters
    ----------
    question
        Whose labels are learned from: ``amount`` (of the next order) or ``spend`` (within a horizon).
    line
        Whether the trees of the mean start from a log-linear model of all features. It pays where customers have many orders; where a
        cohort has hardly begun it goes far astray, and trees alone do not.
    mean, median
        How the trees are grown.
    levels
        The quantiles that the forecast holds, rising; the median must be one of them.
    max_rows
        Rows above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    question: str = "amount"
    line: bool = True
    mean: Boosting = Boosting("tweedie", trees=100)
    median: Boosting = Boosting("l1", trees=60, learning_rate=0.08, leaves=63)
    levels: tuple[float, ...] = LEVELS
    max_rows: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        if 0.5 not in self.levels or self.mean.objective != "tweedie" or self.median.objective != "l1" or self.max_rows < 1:
            raise UsageError(
                f"Boosted amounts were asked for at the levels {self.levels} with {self.mean.objective} and {self.median.objective} trees.",
                "The median is one of the levels, the mean is learned by tweedie and the median by l1, from at least one row.",
                "Change the settings.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"boosted-{self.question}" + ("" if self.line else "-trees")

    def fit(self, train: Examples, valid: Examples | None = None) -> BoostedAmountModel:
        """Return what the amounts that came teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no amount came, or none above 0.
        """
        del valid
        rows, amount, weight = amounts_that_came(train, self.question, self.max_rows, self.seed)
        unit = float(weight @ amount / weight.sum())
        table, binned, amount = train.table.take(rows), Binned.of(train.table.values).take(rows), amount / unit
        line = LogLine.learn(table, amount, weight, self.mean.power) if self.line else None
        start = None if line is None else line.raw(table)
        trees = self.mean.grow(binned, amount, weight, start=start)
        raw = _bounded(trees.raw(table.values) + (0.0 if start is None else start))
        root, roots = np.exp(raw / 3), np.cbrt(amount)
        share = float(np.quantile(roots / root, 0.5, weights=weight, method="inverted_cdf"))
        medians = self.median.grow(binned, roots, weight, start=share * root)
        ladder = Ladder.learn(np.exp(raw), amount, weight, np.array(self.levels, float))
        until = int(train.label(self.question).end.max())
        return BoostedAmountModel(self.name, table.names, unit, line, trees, share, medians, ladder, until)


@dataclass(frozen=True, slots=True, eq=False)
class BoostedAmountModel:
    """Boosted mean and median.

    Parameters
    ----------
    columns
        The features that the trees read.
    unit
        The mean amount in training, in the shop's currency; everything else is in units of it.
    line
        Where the trees of the mean start, if anywhere.
    trees
        Of the logarithm of the mean.
    share
        The cube root of the median starts at this times that of the mean.
    medians
        Trees of the cube root of the median.
    ladder
        The other quantiles, by the mean.
    """

    name: str
    columns: tuple[str, ...]
    unit: float
    line: LogLine | None
    trees: Trees
    share: float
    medians: Trees
    ladder: Ladder
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return mean and quantiles of each key; somebody of whom nothing is known gets those of all training rows.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the model reads.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        values = read_columns(examples.table, self.columns)
        raw = self._raw(examples.table, values)
        mean, levels = np.exp(raw), self.ladder.levels
        quantiles = self.ladder.read(mean)
        quantiles[:, levels == 0.5] = np.maximum(self.share * np.exp(raw / 3) + self.medians.raw(values), 0.0)[:, None] ** 3
        quantiles = without_crossings(levels, quantiles)
        strangers = np.isnan(examples.table.column("event_recency_days"))
        mean[strangers], quantiles[strangers] = 1.0, self.ladder.everybody
        return Amount(examples.keys, mean * self.unit, levels, quantiles * self.unit, self.name, in_sample=in_sample)

    def _raw(self, table: Table, values: Singles) -> Floats:
        return _bounded(self.trees.raw(values) + (0.0 if self.line is None else self.line.raw(table)))


def amounts_that_came(train: Examples, question: str, most: int, seed: int) -> tuple[Ints, Floats, Floats]:
    """Return the rows whose amount is known (a sample of ``most`` of them where there are more), the amounts and their weights.

    Amounts below 0 are returned as 0.

    Raises
    ------
    NotEnoughDataError
        When none is above 0.
    """
    label = train.label(question)
    rows = np.flatnonzero(label.observed & np.isfinite(label.value))
    weight = np.ones(len(train)) if train.weight is None else train.weight
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    amount = np.maximum(label.value[rows], 0.0)
    if not weight[rows] @ amount > 0:
        raise NotEnoughDataError(
            f"{len(rows)} of {len(label)} training labels of {question!r} are known; none of them is above 0.",
            "A forecast of amounts needs orders that bring something.",
            "Use a longer horizon or a longer history, or check the column of amounts.",
        )
    return rows, amount, weight[rows]


def _bounded(raw: Floats) -> Floats:
    return np.clip(raw, -_FARTHEST, _FARTHEST)


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (BoostedAmount, BoostedAmountModel)}
"""What a stored model of this file may be made of."""
