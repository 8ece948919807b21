"""Rates of each class, everybody's and each customer's own drawn towards it: the floors, and inputs of the class model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import ColumnError, NotEnoughDataError, WhenbuyError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Classes
from whenbuy.core.learner import refuse_known, refuse_leak, require_ripe

BLOCK: Final = "interactions"
"""The block that tells what each key did with each class."""
_LENT_WEEKS: Final = tuple(2.0**k for k in range(8))
_SEEN: Final = "event_recency_days"


@dataclass(frozen=True, slots=True)
class ClassRate:
    """The share of the training rows that bought from each class, for everybody: the floor.

    Half a case of each kind is lent (Jeffreys), so that a class that nobody bought from is not impossible.

    Parameters
    ----------
    horizon_days
        The length asked about.
    question
        Whose labels are read (n x k).
    """

    horizon_days: float
    question: str = "classes"

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "class-rate"

    def fit(self, train: Examples, valid: Examples | None = None) -> ClassRateModel:
        """Return the share of each class; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, or nobody bought from any class.
        """
        del valid
        cases = ClassCases.of(train, self.question)
        return ClassRateModel(
            self.name, cases.classes, cases.told.classes, cases.base, None, self.horizon_days, cases.known_until, self.question,
            float(cases.weight.sum()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnClassRate:
    """Each customer's own weekly rate of each class, drawn towards everybody's as if she had been watched for some more weeks at that rate.

    P = 1 - exp(-rate * horizon), a Poisson process at the mean of a gamma posterior (Gelman et al. 2013, section 2.6). How many weeks are
    lent is learned: the power of 2 with the least log-loss on the training labels.

    Parameters
    ----------
    horizon_days
        The length asked about.
    question
        Whose labels are read (n x k).
    """

    horizon_days: float
    question: str = "classes"

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "own-class-rate"

    def fit(self, train: Examples, valid: Examples | None = None) -> ClassRateModel:
        """Return the rates of each class and the number of lent weeks; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, or nobody bought from any class.
        """
        del valid
        cases = ClassCases.of(train, self.question)
        rates = Shrunk.learn(cases, self.horizon_days)
        return ClassRateModel(self.name, cases.classes, cases.told.classes, cases.base, rates, self.horizon_days, cases.known_until)


@dataclass(frozen=True, slots=True, eq=False)
class ClassRateModel:
    """The share of each class (k), and how own rates are drawn towards it; ``rates`` is None where everybody gets the share.

    ``told`` names the classes of the interactions that it learned from (m), first those that it answers for. The share rests on rows of so
    much ``weight``; 0 where it stays as it is.
    """

    name: str
    classes: tuple[str, ...]
    told: tuple[str, ...]
    base: Floats
    rates: Shrunk | None
    horizon_days: float
    known_until: int
    question: str = ""
    weight: float = 0.0

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: the shares add up, how own rates are drawn towards them is learned at once."""
        return self.weight > 0

    def update(self, later: Examples) -> ClassRateModel:
        """Return the shares of the earlier and the later rows together.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When no window has closed since.
        """
        label = later.label(self.question)
        refuse_known(self.known_until, later, self.question)
        rows = np.flatnonzero(label.observed)
        require_ripe(len(rows), label, self.question)
        counts = np.ones(len(rows)) if later.weight is None else later.weight[rows]
        weight = self.weight + float(counts.sum())
        base = (self.base * (self.weight + 1) + counts @ (label.value[rows] > 0)) / (weight + 1)
        return replace(self, base=base, known_until=int(label.end.max()), weight=weight)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and class; of whom nothing is known gets the share of each class, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the examples tell nothing of a class that the model learned.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        chance, unknown = np.broadcast_to(self.base, (len(examples), len(self.classes))), strangers(examples.table)
        if self.rates is not None:
            told = aligned(examples.block(BLOCK, Interactions), self.told)
            own = self.rates.chance(told, examples.table, self.horizon_days)[:, : len(self.classes)]
            chance = np.where(unknown[:, None], chance, own)
        return Classes(examples.keys, self.classes, chance, self.horizon_days, self.name, unknown, in_sample)


# ----------------------------------------------------------------------------------------------------------- what is learned


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """How each customer's own rates are drawn towards everybody's.

    Parameters
    ----------
    weekly
        Orders a week that hold each class that the interactions tell of, over all training rows (m).
    per_order
        The share of all orders that hold it (m).
    lent_weeks, lent_orders
        How long, and for how many orders, everybody is lent these rates.
    """

    weekly: Floats
    per_order: Floats
    lent_weeks: float
    lent_orders: float

    @classmethod
    def learn(cls, cases: ClassCases, horizon_days: float) -> Shrunk:
        """Return the rates of some training rows."""
        told, table, weight = cases.told, cases.table, cases.weight
        orders, weeks, total = _counts(told, table)
        watched, bought = max(float(weight @ weeks), 1.0), max(float(weight @ total), 1.0)
        held = (weight[:, None] * orders).sum(axis=0) + 0.5
        tried = [cls(held / watched, held / bought, lent, lent * bought / watched) for lent in _LENT_WEEKS]
        k = len(cases.classes)
        losses = [_log_loss(each.chance(told, table, horizon_days)[:, :k], cases.came, weight) for each in tried]
        return tried[int(np.argmin(losses))]

    def own_weekly(self, told: Interactions, table: Table) -> Floats:
        """Return each key's orders a week that hold each class (n x m)."""
        orders, weeks, _ = _counts(told, table)
        return np.asarray((orders + self.lent_weeks * self.weekly) / (weeks + self.lent_weeks)[:, None])

    def own_per_order(self, told: Interactions, table: Table) -> Floats:
        """Return the share of each key's orders that hold each class (n x m)."""
        orders, _, total = _counts(told, table)
        return np.asarray((orders + self.lent_orders * self.per_order) / (total + self.lent_orders)[:, None])

    def chance(self, told: Interactions, table: Table, horizon_days: float) -> Floats:
        """Return P(an order that holds the class within the horizon) at those rates (n x m)."""
        return -np.expm1(-self.own_weekly(told, table) * (horizon_days / 7.0))


@dataclass(frozen=True, slots=True, eq=False)
class ClassCases:
    """The training rows whose labels were seen: what is known of them, what came true (n x k), and how much each counts.

    The interactions may tell of more classes than were asked about: the first k of them are those of the labels.
    """

    classes: tuple[str, ...]
    rows: Ints
    told: Interactions
    table: Table
    came: Bools
    weight: Floats
    known_until: int

    @classmethod
    def of(cls, train: Examples, question: str) -> ClassCases:
        """Return the rows with seen labels.

        Raises
        ------
        NotEnoughDataError
            When there is none, or nobody bought from any class.
        """
        label, told = train.label(question), train.block(BLOCK, Interactions)
        weight = np.ones(len(train)) if train.weight is None else train.weight
        rows = np.flatnonzero(label.observed & (weight > 0)).astype(np.int64)
        came = label.value[rows] > 0
        if came.ndim != 2 or came.shape[1] > len(told.classes):
            raise WhenbuyError(f"Labels of shape {came.shape} were given with interactions of {len(told.classes)} classes.")
        classes = told.classes[: came.shape[1]]
        if not came.any():
            raise NotEnoughDataError(
                f"Of {len(train):,} training examples, {len(rows):,} have a seen label, and {int(came.sum()):,} purchases from the "
                f"{len(classes)} classes came.",
                "A chance of each class is learned from rows of which some bought from it.",
                "Give a longer log, or check the column of classes.",
            )
        until = int(label.end.max())
        whole = len(rows) == len(train)  # what is known of all classes is large: it is not copied without need
        told, table = (told, train.table) if whole else (told.take(rows), train.table.take(rows))
        return cls(classes, rows, told, table, came, weight[rows].astype(np.float64), until)

    @property
    def base(self) -> Floats:
        """The share that bought from each class (k), with half a case of each kind lent."""
        return np.asarray(((self.weight[:, None] * self.came).sum(axis=0) + 0.5) / (self.weight.sum() + 1))


def aligned(told: Interactions, classes: tuple[str, ...]) -> Interactions:
    """Return what is known of some classes, in their order.

    Raises
    ------
    ColumnError
        When it tells nothing of one of them.
    """
    if told.classes == classes:
        return told
    missing = [name for name in classes if name not in told.classes]
    if missing:
        raise ColumnError(
            f"The interactions tell nothing of the class {missing[0]!r}.", f"The model learned {len(classes)} classes.", "Name them all."
        )
    return Interactions(told.column, classes, told.names, told.values[:, [told.classes.index(name) for name in classes]])


def strangers(table: Table) -> Bools:
    """Return of whom nothing is known (n)."""
    return np.isnan(table.column(_SEEN if _SEEN in table.names else "tenure_days"))


def _counts(told: Interactions, table: Table) -> tuple[Floats, Floats, Floats]:
    """Return orders that hold each class (n x m), weeks since the first order and the number of all orders (n each)."""
    weeks, repeats = table.column("tenure_days") / 7.0, table.column("frequency")
    orders = told.feature("orders").astype(np.float64)
    total = np.maximum(np.where(np.isfinite(repeats), repeats + 1.0, 0.0), orders.max(axis=1, initial=0.0))
    return orders, np.where(np.isfinite(weeks), np.maximum(weeks, 0.0), 0.0), total


def _log_loss(chance: Floats, came: Bools, weight: Floats) -> float:
    told = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-(weight @ np.where(came, np.log(told), np.log1p(-told)).mean(axis=1)))


TYPES: Final = {kind.__name__: kind for kind in (ClassRate, OwnClassRate, ClassRateModel, Shrunk)}
"""What a stored model of this file may be made of."""
