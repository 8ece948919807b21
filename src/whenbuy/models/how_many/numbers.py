"""How many visits come: the rate of her last weeks as a Poisson number, and boosted means with a dispersion of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.learner import refuse_leak
from whenbuy.core.number import Number, log_chances
from whenbuy.models.fitting.log_line import LogLine
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import read_columns
from whenbuy.models.wrapping.recast import with_block

BLOCK: Final = "visits"
"""The block that tells of past visits."""
_SEEN: Final = "event_recency_days"
_LENT: Final = 0.5
"""Visits lent to everybody, so that nobody's rate is 0."""
_FARTHEST: Final = 30.0
_HELD: Final = 5
"""One user in so many is held back while the dispersion is learned."""
_GROUPS: Final = 5
_FEWEST: Final = 200
"""Rows that the dispersion of a group rests on, at least."""
_DISPERSIONS: Final = (1e-6, 50.0)


@dataclass(frozen=True, slots=True)
class VisitRate:
    """Everybody keeps coming at the rate of her last days, a Poisson number: the floor.

    Parameters
    ----------
    question
        Whose labels say how long the window is.
    window_days
        Days over which past visits are counted; the block must hold ``visits_<window_days>d``.
    """

    question: str = "visits"
    window_days: float = 84.0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"{self.question}-rate-{self.window_days:g}d"

    def fit(self, train: Examples, valid: Examples | None = None) -> VisitRateModel:
        """Return the length of the windows; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no window has closed.
        """
        del valid
        days = _days(train, self.question)
        until = int(train.label(self.question).end.max())
        return VisitRateModel(self.name, f"visits_{self.window_days:g}d", days / self.window_days, until)


@dataclass(frozen=True, slots=True, eq=False)
class VisitRateModel:
    """The share of what ``column`` holds that is expected again."""

    name: str
    column: str
    share: float
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Number:
        """Return the Poisson number of each key; of whom nothing is known has the lent visits, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        table = with_block(examples, BLOCK).table
        strange = np.isnan(table.column(_SEEN))
        came = np.where(strange, 0.0, np.nan_to_num(table.column(self.column)))
        mean = (np.maximum(came, 0.0) + _LENT) * self.share
        return Number(examples.keys, mean, np.zeros(len(mean)), self.name, strange, in_sample)


@dataclass(frozen=True, slots=True)
class BoostedNumber:
    """A negative binomial number: a boosted Poisson mean, and a dispersion by how many are expected.

    The mean starts from a log-linear model of all features. The dispersion has greatest likelihood among users of whom the mean had not
    learned, in groups of about equal means, so that it says how far off the means are for others than those that taught them.

    Parameters
    ----------
    question
        Whose labels are learned from.
    grow
        How the trees of the mean are grown.
    max_rows
        Rows above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    question: str = "visits"
    grow: Boosting = Boosting("poisson", trees=120, learning_rate=0.05, leaves=15, min_leaf=100)
    max_rows: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.grow.objective != "poisson" or self.max_rows < 1:
            raise UsageError(
                f"Numbers were to be learned by {self.grow.objective} trees from at most {self.max_rows} rows.",
                "They are learned by poisson trees, from at least one row.",
                "Change the settings.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"boosted-{self.question}"

    def fit(self, train: Examples, valid: Examples | None = None) -> BoostedNumberModel:
        """Return what the numbers in the closed windows teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no closed window holds any.
        """
        del valid
        label, until = train.label(self.question), int(train.label(self.question).end.max(initial=0))
        rows = np.flatnonzero(label.observed)
        if len(rows) > self.max_rows:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, self.max_rows, replace=False))
        if not label.value[rows].sum() > 0:
            raise NotEnoughDataError(
                f"The {len(rows):,} closed windows of {len(label):,} training labels of {self.question!r} hold none.",
                "How many come is learned from windows in which some came.",
                "Use a longer horizon or a longer history.",
            )
        some = with_block(train.take(rows), BLOCK)
        held = np.isin(some.keys.code % _HELD, 0)
        first = self._mean(some.take(np.flatnonzero(~held))) if 0 < held.sum() < len(held) and _any(some, self.question, ~held) else None
        mean = self._mean(some)
        judged = some.take(np.flatnonzero(held)) if first is not None else some
        centres, dispersions = _dispersions((first or mean).read(judged), judged.label(self.question).value)
        return BoostedNumberModel(self.name, mean, centres, dispersions, mean.usual, until)

    def _mean(self, some: Examples) -> BoostedMean:
        came = some.label(self.question).value
        weight = np.ones(len(some)) if some.weight is None else some.weight
        line = LogLine.learn(some.table, came, weight, 1.0)
        start = line.raw(some.table)
        offset = float(np.log(weight @ came / (weight @ np.exp(start))))
        trees = self.grow.grow(Binned.of(some.table.values), came, weight, start=start + offset)
        return BoostedMean(some.table.names, line, offset, trees, float(weight @ came / weight.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class BoostedMean:
    """A boosted mean: a line, what is added to it, and the trees; ``usual`` is the mean of all rows."""

    columns: tuple[str, ...]
    line: LogLine
    offset: float
    trees: Trees
    usual: float

    def read(self, examples: Examples) -> Floats:
        """Return the mean of each key whose table has the columns (n)."""
        raw = self.line.raw(examples.table) + self.offset + self.trees.raw(read_columns(examples.table, self.columns))
        return np.asarray(np.exp(np.clip(raw, -_FARTHEST, _FARTHEST)))


@dataclass(frozen=True, slots=True, eq=False)
class BoostedNumberModel:
    """A boosted mean, and the dispersion at some means (g each), straight between their logarithms."""

    name: str
    mean: BoostedMean
    centres: Floats
    dispersions: Floats
    usual: float
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Number:
        """Return the number of each key; of whom nothing is known gets the mean of all, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the model reads.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        some = with_block(examples, BLOCK)
        strange = np.isnan(some.table.column(_SEEN))
        mean = np.where(strange, self.usual, self.mean.read(some))
        spread = np.exp(np.interp(np.log(mean), np.log(self.centres), np.log(self.dispersions)))
        return Number(examples.keys, mean, np.where(strange, self.dispersions.max(), spread), self.name, strange, in_sample)


def _any(some: Examples, question: str, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
    return bool(some.label(question).value[rows].sum() > 0)


def _dispersions(mean: Floats, came: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the dispersion of greatest likelihood of groups of rows with about equal means, rising (g each)."""
    from scipy.optimize import minimize_scalar

    order = np.argsort(mean, kind="stable")
    groups = np.array_split(order, max(1, min(_GROUPS, len(order) // _FEWEST)))
    low, high = np.log(_DISPERSIONS)

    def best(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        def loss(at: float) -> float:
            return -float(log_chances(came[rows], mean[rows], np.full(len(rows), np.exp(at))).mean())

        return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-3}).x))

    centres = np.array([float(mean[rows].mean()) for rows in groups])
    kept = np.concatenate([[True], np.diff(centres) > 0])
    return centres[kept], np.array([best(rows) for rows in groups])[kept]


def _days(train: Examples, question: str) -> float:
    """Return the length of the closed windows in days."""
    label = train.label(question)
    if not label.observed.any():
        raise NotEnoughDataError(
            f"None of {len(label):,} windows of {question} has closed.", "At least one is needed.", "Use a shorter horizon or a longer log."
        )
    return float(np.median((label.end - train.keys.cutoff)[label.observed])) / DAY


TYPES: Final[Mapping[str, type]] = {
    kind.__name__: kind for kind in (VisitRate, VisitRateModel, BoostedNumber, BoostedNumberModel, BoostedMean)
}
"""What a stored model of this file may be made of."""
