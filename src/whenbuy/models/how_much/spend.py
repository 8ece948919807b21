"""What is spent, or bought, within a horizon, the simple ways: at the rate of the last days, or as orders times the amount of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.core.learner import Learner, Model, refuse_leak
from whenbuy.models.how_much.boosted_amount import amounts_that_came
from whenbuy.models.how_much.gamma_gamma import LEVELS
from whenbuy.models.how_much.ladder import Ladder

SPEND: Final = "spend"
"""The labels that are learned from."""
_ROWS: Final = 100_000
"""Rows from which quantiles are learned, at most."""


@dataclass(frozen=True, slots=True)
class SpendRate:
    """Everybody goes on spending, or buying units, at the rate of her last days: the floor.

    Quantiles are those of what came to whom about as much was expected.

    Parameters
    ----------
    window_days
        Length of the window; the table must hold the column ``<question>_<window_days>d``.
    levels
        The quantiles that the forecast holds, rising.
    question
        Whose labels are learned from: ``spend`` or ``quantity``.
    """

    window_days: float = 84.0
    levels: tuple[float, ...] = LEVELS
    question: str = SPEND

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"{self.question}-rate-{self.window_days:g}d"

    def fit(self, train: Examples, valid: Examples | None = None) -> SpendRateModel:
        """Return the quantiles around the rate, and the horizon of the labels; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no window that has closed brought anything.
        ColumnError
            When the table has no such column.
        """
        del valid
        rows, amount, weight = amounts_that_came(train, self.question, _ROWS, 0)
        column, share = f"{self.question}_{self.window_days:g}d", window_of(train, self.question) / self.window_days
        expected = _kept_up(train.take(rows), column, share)
        ladder = Ladder.learn(np.nan_to_num(expected), amount, weight, np.array(self.levels, float))
        until = int(train.label(self.question).end.max())
        return SpendRateModel(self.name, column, share, float(weight @ amount / weight.sum()), ladder, until)


@dataclass(frozen=True, slots=True, eq=False)
class SpendRateModel:
    """The share of what ``column`` holds that is expected again, and ``centre`` for those of whom nothing is known."""

    name: str
    column: str
    share: float
    centre: float
    ladder: Ladder
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return mean and quantiles of each key; somebody of whom nothing is known gets those of all training rows.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        mean = _kept_up(examples, self.column, self.share)
        return _amount(examples, mean, self.centre, self.ladder, self.name, in_sample)


@dataclass(frozen=True, slots=True)
class CountTimesAmount:
    """Spend as the expected number of orders times the expected amount of the next one.

    It is a little too much where those who come often bring less each time. Quantiles are those of what came to whom about as much was
    expected.

    Parameters
    ----------
    orders, amount
        Who learns the two factors.
    levels
        The quantiles that the forecast holds, rising.
    """

    orders: Learner[TimeToEvent]
    amount: Learner[Amount]
    levels: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"{self.orders.name} x {self.amount.name}"

    def fit(self, train: Examples, valid: Examples | None = None) -> CountTimesAmountModel:
        """Return the two models, the horizon of the labels and the quantiles around the product. Raises what the two learners raise.

        Raises
        ------
        NotEnoughDataError
            When no window that has closed brought anything.
        """
        rows, amount, weight = amounts_that_came(train, SPEND, _ROWS, 0)
        centre, days = float(weight @ amount / weight.sum()), window_of(train)
        orders, each = self.orders.fit(train, valid), self.amount.fit(train, valid)
        expected = _product(orders, each, days, train.take(rows), in_sample=True)
        ladder = Ladder.learn(expected, amount, weight, np.array(self.levels, float))
        until = max(orders.known_until, each.known_until, int(train.label(SPEND).end.max()))
        return CountTimesAmountModel(self.name, orders, each, days, centre, ladder, until)


@dataclass(frozen=True, slots=True, eq=False)
class CountTimesAmountModel:
    """Two models whose product is spend within ``days``, and ``centre`` for those of whom nothing is known."""

    name: str
    orders: Model[TimeToEvent]
    amount: Model[Amount]
    days: float
    centre: float
    ladder: Ladder
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return mean and quantiles of each key; somebody of whom nothing is known gets those of all training rows.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        mean = _product(self.orders, self.amount, self.days, examples, in_sample=in_sample)
        mean[np.isnan(examples.table.column("event_recency_days"))] = np.nan
        return _amount(examples, mean, self.centre, self.ladder, self.name, in_sample)


def window_of(train: Examples, question: str = SPEND) -> float:
    """Return the length of the closed windows of a question, in days.

    Raises
    ------
    NotEnoughDataError
        When none has closed.
    """
    label = train.label(question)
    if not label.observed.any():
        raise NotEnoughDataError(
            f"None of {len(label)} windows of {question} has closed.",
            "At least one is needed.",
            "Use a shorter horizon or a longer history.",
        )
    return float(np.median((label.end - train.keys.cutoff)[label.observed])) / DAY


def _kept_up(examples: Examples, column: str, share: float) -> Floats:
    """Return a share of what a column holds (n), NaN where nothing is known of a key."""
    spent = np.maximum(examples.table.column(column), 0.0) * share
    return np.where(np.isnan(examples.table.column("event_recency_days")), np.nan, spent)


def _product(orders: Model[TimeToEvent], amount: Model[Amount], days: float, examples: Examples, *, in_sample: bool) -> Floats:
    count, each = (model.predict(examples, in_sample=in_sample) for model in (orders, amount))
    assert isinstance(count, TimeToEvent) and isinstance(each, Amount)
    return np.maximum(count.count_at(days) * each.mean, 0.0)


def _amount(examples: Examples, mean: Floats, centre: float, ladder: Ladder, name: str, in_sample: bool) -> Amount:
    """Return means with their quantiles; where the mean is NaN, those of all training rows."""
    strangers = np.isnan(mean)
    quantiles = ladder.read(np.where(strangers, 0.0, mean))
    quantiles[strangers] = ladder.everybody
    return Amount(examples.keys, np.where(strangers, centre, mean), ladder.levels, quantiles, name, in_sample=in_sample)


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (SpendRate, SpendRateModel, CountTimesAmount, CountTimesAmountModel)}
"""What a stored model of this file may be made of."""
