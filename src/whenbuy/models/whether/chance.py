"""Whether something happens: chances learned from labels of 0 and 1, whatever they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Probability
from whenbuy.core.learner import refuse_known, refuse_leak, require_ripe
from whenbuy.models.fitting.bends import Bends, finite, require_features
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest

_ALIKE: Final = 0.9
"""Terms with a correlation above this are not crossed both."""
_WIDEST: Final = 600
"""The most terms of a logistic regression, crossings included: it bounds time and memory."""
_BLOCK: Final = 1 << 14
_SEEN: Final = "event_recency_days"
"""The feature that is unknown for those of whom nothing is known, where a table has it."""


@dataclass(frozen=True, slots=True)
class BaseChance:
    """The share of the training rows for which it came true, for everybody: the floor.

    Half a case of each kind is lent (Jeffreys), so that what never happened is not impossible.

    Parameters
    ----------
    question
        Whose label is read: 0 or 1.
    """

    question: str

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "base-chance"

    def fit(self, train: Examples, valid: Examples | None = None) -> BaseChanceModel:
        """Return the share; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen.
        """
        del valid
        cases = _Cases.of(train, self.question)
        return BaseChanceModel(cases.base, cases.known_until, self.question, float(cases.weight.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class BaseChanceModel:
    """One chance for everybody, from rows of so much ``weight``."""

    chance: float
    known_until: int
    question: str = ""
    weight: float = 0.0

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it."""
        return self.weight > 0

    def update(self, later: Examples) -> BaseChanceModel:
        """Return the share of the earlier and the later rows together.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``.
        ImmatureError
            When no window has closed since.
        """
        label = later.label(self.question)
        refuse_known(self.known_until, later, self.question)
        require_ripe(int(label.observed.sum()), label, self.question)
        cases = _Cases.of(later, self.question)
        weight = self.weight + float(cases.weight.sum())
        chance = (self.chance * (self.weight + 1) + float(cases.weight @ cases.came)) / (weight + 1)
        return replace(self, chance=chance, known_until=cases.known_until, weight=weight)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "base-chance"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Probability:
        """Return the chance of each key."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        chance = np.full(len(examples), self.chance)
        return Probability(examples.keys, chance, self.name, _strangers(examples.table), in_sample)


@dataclass(frozen=True, slots=True)
class LogisticChance:
    """A ridge logistic regression on terms that can bend, some of them crossed with all others.

    Every feature enters as a logarithm that keeps the sign, with hinges at its quantiles, a flag for its commonest value where many rows
    share it (such as 0) and a flag for a gap. Which terms are crossed is learned: those most correlated with the label. All terms are
    standardised and clipped to what training has seen, so that no single row can answer with certainty.

    Parameters
    ----------
    question
        Whose label is read: 0 or 1.
    crossed
        How many terms are multiplied with all others; 0 gives a model that adds up. Fewer where there are very many terms.
    ridge
        Strength of the L2 penalty, times the root of the number of rows.
    most
        Rows above this number are sampled, those of the rarer kind the least.
    seed
        Chooses the sample where one is taken.
    """

    question: str
    crossed: int = 2
    ridge: float = 1.0
    most: int = 30_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crossed < 0 or not self.ridge > 0 or self.most < 2:
            raise SettingsError(
                f"A logistic regression has crossed={self.crossed}, ridge={self.ridge} and most={self.most}.",
                "Crossings are 0 or more, the ridge is above 0, rows are 2 or more.",
                "Leave out what should be as usual.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "logistic-chance" if self.crossed else "additive-chance"

    def fit(self, train: Examples, valid: Examples | None = None) -> LogisticChanceModel:
        """Return the weights of the terms; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When the labels seen are all 0 or all 1, or there is none.
        """
        del valid
        cases = _Cases.of(train, self.question).both()
        rows, weight = _sample(cases, self.most, self.seed)
        table, came = train.table.take(cases.rows[rows]), cases.came[rows]
        bends = Bends.of(table)
        crossings = np.empty(0, np.int64)
        plain = bends.matrix(table)
        if self.crossed:
            most = min(self.crossed, _WIDEST // max(plain.shape[1], 1) - 1)
            crossings = _strongest(plain, came, weight, most)
        weights, intercept = self._weights(_crossed(plain, crossings), came, weight)
        return LogisticChanceModel(self, bends, crossings, weights, intercept, cases.base, cases.known_until)

    def _weights(self, matrix: Floats, came: Bools, weight: Floats) -> tuple[Floats, float]:
        """Return one weight per term and the intercept."""
        from sklearn.linear_model import LogisticRegression

        centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
        if not (spread > 1e-9).any():
            share = float(weight @ came / weight.sum())
            return np.zeros(matrix.shape[1]), float(np.log(share / (1 - share)))
        spread = np.where(spread > 1e-9, spread, 1.0)
        learner = LogisticRegression(C=1.0 / (self.ridge * np.sqrt(len(came))), solver="newton-cholesky", max_iter=100, tol=1e-6)
        fitted = learner.fit((matrix - centre) / spread, came, sample_weight=weight)
        weights = fitted.coef_[0] / spread
        return weights, float(fitted.intercept_[0] - weights @ centre)


@dataclass(frozen=True, slots=True, eq=False)
class LogisticChanceModel:
    """A fitted logistic regression: one weight per term, and which terms are crossed with all others."""

    settings: LogisticChance
    bends: Bends
    crossings: Ints
    weights: Floats
    intercept: float
    base: float
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Probability:
        """Return the chance of each key; of whom nothing is known gets the base rate, marked ``prior``."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        score = np.empty(len(examples))
        for start in range(0, len(examples), _BLOCK):
            rows = slice(start, start + _BLOCK)
            matrix = _crossed(self.bends.matrix(examples.table.take(rows)), self.crossings)
            terms = np.ascontiguousarray(matrix * self.weights)
            score[rows] = terms.sum(axis=1) + self.intercept  # row by row, no BLAS: its bits do not depend on the other rows
        return _answer(examples, 1 / (1 + np.exp(-score)), self.base, self.name, in_sample)


@dataclass(frozen=True, slots=True)
class TreesChance:
    """Boosted trees or a forest on the features as they are; a gap is a value like any other.

    Parameters
    ----------
    question
        Whose label is read: 0 or 1.
    grow
        How the trees are grown: ``Boosting`` or ``Forest``, of the objective ``binary``.
    """

    question: str
    grow: Boosting | Forest = Boosting()

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"{type(self.grow).__name__.lower()}-chance"

    def fit(self, train: Examples, valid: Examples | None = None) -> TreesChanceModel:
        """Return the trees; where validation rows with both kinds of label are given, boosting stops by them.

        Raises
        ------
        NotEnoughDataError
            When the labels seen are all 0 or all 1, or there is none.
        """
        cases = _Cases.of(train, self.question).both()
        values = finite(train.table.values[cases.rows])
        trees = self.grow.grow(values, cases.came.astype(np.float64), cases.weight, None, self._stopping(valid))
        seen = cases.known_until if valid is None else max(cases.known_until, int(valid.label(self.question).end.max(initial=0)))
        return TreesChanceModel(self.name, train.table.names, trees, cases.base, seen)

    def _stopping(self, valid: Examples | None) -> tuple[npt.NDArray[np.floating], Floats, Floats | None, None] | None:
        if valid is None or not valid.label(self.question).observed.any():
            return None
        cases = _Cases.of(valid, self.question)
        if not 0 < cases.came.sum() < len(cases):
            return None
        return finite(valid.table.values[cases.rows]), cases.came.astype(np.float64), cases.weight, None


@dataclass(frozen=True, slots=True, eq=False)
class TreesChanceModel:
    """Grown trees and the features that they ask about."""

    name: str
    features: tuple[str, ...]
    trees: Trees
    base: float
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Probability:
        """Return the chance of each key; of whom nothing is known gets the base rate, marked ``prior``."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        require_features(self.features, examples.table)
        return _answer(examples, self.trees.predict(finite(examples.table.values)), self.base, self.name, in_sample)

    def contributions(self, examples: Examples) -> Floats:
        """Return how much each feature moves each key's raw score (n x f + 1; the last column is the score of all)."""
        require_features(self.features, examples.table)
        return self.trees.contributions(finite(examples.table.values))


def _crossed(plain: Floats, crossings: Ints) -> Floats:
    """Return the terms, and behind them all terms times each of the crossed ones."""
    return np.hstack([plain, *(plain * plain[:, [place]] for place in crossings)])


def _strongest(plain: Floats, came: Bools, weight: Floats, most: int) -> Ints:
    """Return the terms most correlated with the label, no two of them alike."""
    share = weight / weight.sum()
    centred = plain - share @ plain
    spread = np.sqrt(share @ centred**2)
    alive = np.flatnonzero(spread > 1e-9)
    standard = centred[:, alive] / spread[alive]
    force = np.abs((share * (came - share @ came)) @ standard)
    found: list[int] = []
    for place in np.argsort(-force, kind="stable"):
        if len(found) >= most:
            break
        if all(abs(share @ (standard[:, place] * standard[:, other])) < _ALIKE for other in found):
            found.append(int(place))
    return alive[found].astype(np.int64)


# ----------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    """The rows whose label was seen: their numbers, what came true, and how much each counts."""

    question: str
    rows: Ints
    came: Bools
    weight: Floats
    known_until: int

    @classmethod
    def of(cls, train: Examples, question: str) -> _Cases:
        label = train.label(question)
        rows = np.flatnonzero(label.observed).astype(np.int64)
        weight = np.ones(len(train)) if train.weight is None else train.weight
        rows = rows[weight[rows] > 0]
        if not len(rows):
            raise NotEnoughDataError(
                f"Of {len(train):,} training examples, none has a seen label of {question!r}.",
                "A chance is learned from rows of which it is known what came true.",
                "Learn from earlier cutoffs, or give a longer log.",
            )
        return cls(question, rows, label.value[rows] > 0, weight[rows].astype(np.float64), int(label.end.max()))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def base(self) -> float:
        """The share that came true, with half a case of each kind lent."""
        return float((self.weight @ self.came + 0.5) / (self.weight.sum() + 1))

    def both(self) -> _Cases:
        """Return the cases, if both kinds of label are among them."""
        if not 0 < self.came.sum() < len(self):
            raise NotEnoughDataError(
                f"Of {len(self):,} training labels of {self.question!r}, {int(self.came.sum()):,} came true.",
                "Telling who from who needs some that came true and some that did not.",
                "Give more data, or check what the label counts.",
            )
        return self


def _answer(examples: Examples, chance: Floats, base: float, name: str, in_sample: bool) -> Probability:
    strangers = _strangers(examples.table)
    return Probability(examples.keys, np.where(strangers, base, chance), name, strangers, in_sample)


def _strangers(table: Table) -> Bools:
    """Return of whom nothing is known (n)."""
    if _SEEN in table.names:
        return np.isnan(table.column(_SEEN))
    return np.asarray(np.isnan(table.values).all(axis=1) & bool(table.names))


def _sample(cases: _Cases, most: int, seed: int) -> tuple[Ints, Floats]:
    """Return at most ``most`` of the cases (rising), at most half of them of the rarer kind, and weights that stand for those left out."""
    if len(cases) <= most:
        return np.arange(len(cases), dtype=np.int64), cases.weight
    rng, kinds = np.random.default_rng(seed), sorted((np.flatnonzero(cases.came == kind) for kind in (True, False)), key=len)
    taken, weight, left = [], cases.weight.copy(), most
    for place, rows in enumerate(kinds):
        size = min(len(rows), left if place else most // 2)
        part = np.sort(rng.choice(rows, size, replace=False))
        weight[part] *= cases.weight[rows].sum() / cases.weight[part].sum()
        taken.append(part)
        left -= size
    found = np.sort(np.concatenate(taken)).astype(np.int64)
    return found, weight[found]


TYPES: Final[Mapping[str, type]] = {
    **TREES,
    **{
        kind.__name__: kind
        for kind in (BaseChance, BaseChanceModel, LogisticChance, LogisticChanceModel, TreesChance, TreesChanceModel, Bends)
    },
}
"""What a stored model of this file may be made of."""
