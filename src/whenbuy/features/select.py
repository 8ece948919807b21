"""Selection: which features a learner sees, chosen on training rows by one of five rules, with a report of what was dropped and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import ColumnError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Examples, Table
from whenbuy.features.encode import silenced

Rule = Literal["variance", "mutual_information", "l1", "permutation", "recursive"]
_BINS: Final = 16
_SHUFFLES: Final = 5
_STEP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Select:
    """Keeps the features that a rule finds worth it. Several rules are several steps, one after the other.

    Parameters
    ----------
    question
        The question whose label the rule reads (``variance`` reads none).
    rule
        ``variance``: the score is the share of rows that differ from the feature's commonest value. ``mutual_information``: nats that the
        feature, in 16 equally filled bins and one for gaps, tells about the label, less what chance alone would tell (Miller 1955).
        ``l1``: the size of the weight in a linear or logistic regression with an L1 penalty on standardised features. ``permutation``:
        how much the loss on a held-out third of the users grows when the feature is shuffled, less one standard error (Breiman 2001,
        s. 10), for a model of boosted trees. ``recursive``: the weakest tenth by a ridge regression's weights goes, again and again; the
        score is the round in which a feature went.
    least
        Features with a score of at most this go; not used by ``recursive``.
    keep
        The most features that stay, the best ones; all by default (for ``recursive``: half of them).
    always
        Features that stay whatever their score.
    penalty
        Strength of the L1 penalty, times the root of the number of rows.
    most
        Rows above this number are sampled.
    seed
        Draws the sample, the held-out users and the shuffles.

    Raises
    ------
    SettingsError
        When there is no such rule, or nothing would be kept.
    """

    question: str = ""
    rule: Rule = "variance"
    least: float = 0.0
    keep: int | None = None
    always: tuple[str, ...] = ()
    penalty: float = 0.3
    most: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise SettingsError(f"There is no rule {self.rule!r}.", f"There are: {', '.join(get_args(Rule))}.", "Name one of these.")
        if self.rule != "variance" and not self.question:
            raise SettingsError(f"The rule {self.rule} was asked for without a question.", "It reads a label.", "Say question=….")
        if (self.keep is not None and self.keep < 1) or not self.penalty > 0 or self.most < 10:
            raise SettingsError(
                f"A selection has keep={self.keep}, penalty={self.penalty} and most={self.most}.",
                "One feature or more are kept, the penalty is above 0, rows are 10 or more.",
                "Leave out what should be as usual.",
            )

    def learn(self, train: Examples) -> tuple[Selection, Examples]:
        """Return which features stay, and the training examples with these alone. The best one always stays.

        Raises
        ------
        NotEnoughDataError
            When there is no row with a seen label, or all labels are the same.
        ColumnError
            When a feature that should stay is not there.
        """
        for name in self.always:
            train.table.column(name)
        if not train.table.names:
            fitted = Selection(self.rule, (), np.empty(0), np.empty(0, np.bool_), self.least)
            return fitted, train
        rows, answer = self._rows(train)
        values = train.table.values[rows].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        score = _RULES[self.rule](self, values, answer, train.keys.code[rows].astype(np.int64))
        fitted = Selection(self.rule, train.table.names, score, self._stays(train.table.names, score), self.least)
        return fitted, fitted.prepare(train)

    def _rows(self, train: Examples) -> tuple[Ints, Floats]:
        """Return the rows that the rule looks at, and their labels."""
        if self.rule == "variance":
            rows, answer = np.arange(len(train)), np.zeros(len(train))
        else:
            label = train.label(self.question)
            rows, answer = np.flatnonzero(label.observed), label.value
            if not len(rows) or np.ptp(answer[rows]) == 0:
                raise NotEnoughDataError(
                    f"Of {len(train):,} training examples, {len(rows):,} have a seen label of {self.question!r}, and all are the same.",
                    "A selection by what came true needs labels that differ.",
                    "Learn from more rows, or select by variance.",
                )
        if not len(rows):
            raise NotEnoughDataError("A selection was given no training row.", "It learns from one or more.", "Choose a later cutoff.")
        if len(rows) > self.most:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, self.most, replace=False))
        return rows.astype(np.int64), np.asarray(answer[rows], np.float64)

    def _stays(self, names: tuple[str, ...], score: Floats) -> Bools:
        order = np.argsort(-score, kind="stable")
        half = max(1, len(names) // 2) if self.rule == "recursive" else len(names)
        stays = np.zeros(len(names), np.bool_)
        stays[order[: self.keep or half]] = True
        if self.rule != "recursive":
            stays &= score > self.least
        stays[order[0]] |= not stays.any()
        return stays | np.isin(names, self.always)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which features stay, and why.

    Parameters
    ----------
    rule
        By which rule.
    names
        The features that there were (f).
    score
        The score of each (f).
    stays
        Whether it stays (f).
    least
        The score that had to be surpassed.
    """

    rule: str
    names: tuple[str, ...]
    score: Floats
    stays: Bools
    least: float

    @property
    def kept(self) -> tuple[str, ...]:
        """The features that stay."""
        return tuple(name for name, stays in zip(self.names, self.stays, strict=True) if stays)

    def apply(self, table: Table) -> Table:
        """Return the table with the features that stay.

        Raises
        ------
        ColumnError
            When the table has other features than those that were chosen from.
        """
        if table.names != self.names:
            absent = [name for name in self.names if name not in table.names] or ["none, but in another order or with others between"]
            need = f"A selection was made from {', '.join(self.names)}."
            raise ColumnError(f"The table lacks {', '.join(absent)}.", need, "Build the same features.")
        return Table(self.kept, table.values[:, self.stays])

    def prepare(self, examples: Examples) -> Examples:
        """Return the examples with the features that stay, in silence too."""
        return silenced(examples, lambda table, rows: self.apply(table))  # noqa: ARG005 - rows matter to encodings

    def frame(self) -> pl.DataFrame:
        """Return one row per feature, the best first: column, stays, rule, score."""
        frame = pl.DataFrame({"column": self.names, "stays": self.stays, "score": self.score}, schema_overrides={"column": pl.String})
        rule = pl.lit(self.rule, pl.String).alias("rule")
        return frame.select("column", "stays", rule, "score").sort("score", descending=True, maintain_order=True)

    def says(self) -> tuple[str, ...]:
        """Return in words what was dropped."""
        told = [f"{name} ({score:.3g})" for name, score, stays in zip(self.names, self.score, self.stays, strict=True) if not stays]
        if not told:
            return (f"{self.rule.replace('_', ' ')}: all {len(self.names)} features stay.",)
        return (f"{self.rule.replace('_', ' ')}: {len(told)} of {len(self.names)} features go: {', '.join(told)}.",)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


# ----------------------------------------------------------------------------------------------------------- rules


def _variance(select: Select, values: Floats, answer: Floats, user: Ints) -> Floats:
    """Return the share of rows that differ from the commonest value (a gap is a value)."""
    del select, answer, user
    return np.array([1 - np.unique(column, return_counts=True)[1].max() / len(column) for column in values.T])


def _mutual_information(select: Select, values: Floats, answer: Floats, user: Ints) -> Floats:
    """Return the nats that each feature tells about the label, less the bias of counting: (a - 1)(b - 1) / 2n (Miller 1955)."""
    del select, user
    labels = _binned(answer)
    return np.array([_information(_binned(column), labels) for column in values.T])


def _binned(column: Floats) -> Ints:
    """Return the bin of each row (n): its value where there are few, else equally filled bins; the last one for gaps."""
    known = column[~np.isnan(column)]
    values = np.unique(known)
    edges = values[1:] if len(values) <= _BINS else np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS))
    return np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, side="right")).astype(np.int64)


def _information(one: Ints, other: Ints) -> float:
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    n, width = len(a), int(b.max()) + 1
    both = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width) / n
    apart = both.sum(axis=1, keepdims=True) * both.sum(axis=0, keepdims=True)
    told = float((both[both > 0] * np.log(both[both > 0] / apart[both > 0])).sum())
    return told - float((both.shape[0] - 1) * (both.shape[1] - 1)) / (2 * n)


def _l1(select: Select, values: Floats, answer: Floats, user: Ints) -> Floats:
    """Return the size of each weight (with that of the feature's gaps) in a regression with an L1 penalty."""
    del user
    matrix, owner = _standard(values)
    if not len(owner):
        return np.zeros(values.shape[1])
    if _yes_or_no(answer):
        from sklearn.linear_model import LogisticRegression

        strength = select.penalty * np.sqrt(len(answer))
        model: Any = LogisticRegression(C=1 / strength, l1_ratio=1.0, solver="liblinear", random_state=select.seed, max_iter=300)
        weights = model.fit(matrix, answer).coef_[0]
    else:
        from sklearn.linear_model import Lasso

        strength = select.penalty * answer.std() / np.sqrt(len(answer))
        weights = Lasso(alpha=strength, max_iter=5000).fit(matrix, answer - answer.mean()).coef_
    return np.bincount(owner, np.abs(weights), minlength=values.shape[1]).astype(np.float64)


def _permutation(select: Select, values: Floats, answer: Floats, user: Ints) -> Floats:
    """Return the loss on held-out users that shuffling each feature adds: its mean less one standard error."""
    rng = np.random.default_rng(select.seed)
    users, back = np.unique(user, return_inverse=True)
    held = (rng.permutation(len(users)) % 3 == 0)[back]
    if not (held.any() and (~held).any() and np.ptp(answer[~held]) > 0):
        raise NotEnoughDataError(
            f"{len(answer):,} rows of {len(users):,} users are too few to hold some of them out.",
            "Permutation learns on two thirds of the users and shuffles in the others.",
            "Give more users, or select by mutual information.",
        )
    alive = np.flatnonzero([len(np.unique(column)) > 1 for column in values[~held].T])
    found = np.zeros(values.shape[1])
    if not len(alive):
        return found
    asked = values[np.ix_(held, alive)]
    loss = _held_out_loss(values[np.ix_(~held, alive)], answer[~held], answer[held], select.seed)
    before = loss(asked)
    for place, column in enumerate(alive):
        worse = np.empty(_SHUFFLES)
        for turn in range(_SHUFFLES):
            shuffled = asked.copy()
            shuffled[:, place] = rng.permutation(asked[:, place])
            worse[turn] = loss(shuffled) - before
        found[column] = worse.mean() - worse.std(ddof=1) / np.sqrt(_SHUFFLES)
    return found


def _held_out_loss(values: Floats, answer: Floats, held: Floats, seed: int) -> Callable[[Floats], float]:
    """Return the loss of a model of some rows as a function of the values of others, of which it is known what came true."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings = {"max_iter": 60, "max_leaf_nodes": 12, "early_stopping": False, "random_state": seed}
    if not _yes_or_no(np.concatenate([answer, held])):
        guesser = HistGradientBoostingRegressor(**settings).fit(values, answer)
        return lambda asked: float(np.mean((guesser.predict(asked) - held) ** 2))
    chooser = HistGradientBoostingClassifier(**settings).fit(values, answer > 0)

    def loss(asked: Floats) -> float:
        chance = np.clip(chooser.predict_proba(asked)[:, 1], 1e-6, 1 - 1e-6)
        right = np.where(held > 0, chance, 1 - chance)
        return float(-np.log(right).mean())

    return loss


def _recursive(select: Select, values: Floats, answer: Floats, user: Ints) -> Floats:
    """Return the round in which each feature was the weakest (Guyon et al. 2002), the survivors counting one more than the last."""
    del user
    from sklearn.linear_model import LogisticRegression, Ridge

    matrix, owner = _standard(values)
    left = np.arange(values.shape[1])
    keep, went, turn = select.keep or max(1, len(left) // 2), np.zeros(len(left)), 0
    while len(left) > keep:
        columns = np.flatnonzero(np.isin(owner, left))
        if not len(columns):
            break
        learner: Any = LogisticRegression(C=1.0, solver="newton-cholesky") if _yes_or_no(answer) else Ridge(alpha=1.0)
        weights = np.abs(np.ravel(learner.fit(matrix[:, columns], answer).coef_))
        force = np.bincount(owner[columns], weights, minlength=values.shape[1])[left]
        gone = np.argsort(force, kind="stable")[: min(max(1, int(_STEP * len(left))), len(left) - keep)]
        went[left[gone]], turn = turn, turn + 1
        left = np.delete(left, gone)
    went[left] = turn
    return went


_RULES: Final[Mapping[str, Callable[[Select, Floats, Floats, Ints], Floats]]] = {
    "variance": _variance, "mutual_information": _mutual_information, "l1": _l1, "permutation": _permutation, "recursive": _recursive,
}  # fmt: skip


def _yes_or_no(answer: Floats) -> bool:
    return bool(np.isin(answer, (0.0, 1.0)).all())


def _standard(values: Floats) -> tuple[Floats, Ints]:
    """Return signed logarithms with mean 0 and deviation 1, gaps as the mean, flags of gaps behind them, and whose column each is."""
    logs = np.sign(values) * np.log1p(np.abs(values))
    gaps = np.isnan(logs)
    known = ~gaps.all(axis=0)
    mean = np.zeros(values.shape[1])
    mean[known] = np.nanmean(logs[:, known], axis=0)
    matrix = np.hstack([np.where(gaps, mean, logs), gaps * 1.0])
    spread = matrix.std(axis=0)
    alive = np.flatnonzero(spread > 1e-12)
    owner = np.tile(np.arange(values.shape[1]), 2)[alive]
    return (matrix[:, alive] - matrix[:, alive].mean(axis=0)) / spread[alive], owner


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Select, Selection)}
"""What a stored selection may be made of."""
