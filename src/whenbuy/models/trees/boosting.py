"""Gradient boosting: LightGBM grows the trees, whenbuy keeps them as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from whenbuy.core.errors import UsageError
from whenbuy.models.trees.arrays import MOST_STEPS, Link, Trees
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.lightgbm_text import read_text
from whenbuy.models.trees.training import Numbers, Objective, Rows, constant, rows_of, teachable, train, within

_LINKS: Final[Mapping[str, Link]] = {"binary": "logistic", "poisson": "exp", "tweedie": "exp"}


@dataclass(frozen=True, slots=True)
class Boosting:
    """Slow small boosted trees (Friedman 2001, "Greedy function approximation"), grown by histograms (Ke et al. 2017, "LightGBM").

    Parameters
    ----------
    objective
        What the trees minimise. Raw scores of ``binary`` are log-odds, of ``poisson`` and ``tweedie`` logarithms.
    trees
        How many, at most.
    learning_rate
        How much of each tree is taken.
    leaves
        Leaves of a tree, at most.
    min_leaf
        Training rows in a leaf, at least.
    feature_fraction
        Share of the columns that a tree may ask about.
    row_fraction
        Share of the rows that each tree is grown on.
    l2
        Ridge on the scores of the leaves.
    power
        Variance power of ``tweedie``.
    level
        Level of ``quantile``.
    patience
        Where there is a validation part: trees without a better score on it after which growing stops.
    seed
        Chooses the columns and rows of each tree.
    """

    objective: Objective = "binary"
    trees: int = 150
    learning_rate: float = 0.05
    leaves: int = 12
    min_leaf: int = 50
    feature_fraction: float = 0.3
    row_fraction: float = 1.0
    l2: float = 1.0
    power: float = 1.3
    level: float = 0.5
    patience: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        within(
            self,
            trees=(1, 100_000),
            learning_rate=(1e-9, 1),
            leaves=(2, MOST_STEPS),
            min_leaf=(1, 2**31 - 1),
            feature_fraction=(1e-9, 1),
            row_fraction=(1e-9, 1),
            l2=(0, 1e300),
            power=(1, 1.999),
            level=(1e-9, 1 - 1e-9),
            patience=(1, 2**31 - 1),
            seed=(0, 2**31 - 1),
        )

    @property
    def link(self) -> Link:
        """From the raw score to the scale of the target."""
        return _LINKS.get(self.objective, "identity")

    def grow(
        self,
        values: Numbers | Binned,
        target: Numbers,
        weight: Numbers | None = None,
        start: Numbers | None = None,
        valid: tuple[Numbers, Numbers, Numbers | None, Numbers | None] | None = None,
        after: Trees | None = None,
    ) -> Trees:
        """Return the trees that the rows teach.

        Where there is nothing to learn (fewer rows than two leaves need, columns that are all constant, one class, one target) the answer
        is no tree and the constant that serves best; with ``start`` that constant is 0.

        Parameters
        ----------
        values
            n x f, read as float32; NaN where missing. What was binned before is not binned again.
        target
            What came true (n).
        weight
            How much each row counts (n); rows of weight 0 are left out.
        start
            Raw score of each row to which the trees add (n). It is not part of the answer: who gives one adds it to `Trees.raw`.
        valid
            The same four for rows on which the number of trees is chosen.
        after
            Trees that are kept, and on whose scores the new ones are grown.

        Raises
        ------
        UsageError
            When the parts do not fit each other or the objective.
        """
        rows = self._on(after, rows_of(self.objective, values, target, weight, start))
        if not teachable(self.objective, rows, self.min_leaf):
            base = 0.0 if rows.start is not None else self._raw(constant(self.objective, rows, self.level))
            grown = Trees.constant(base, rows.width, self.link)
        else:
            watched = None if valid is None else self._on(after, rows_of(self.objective, *valid))
            text = train(self.objective, self._options(), rows, self.trees, watched, self.patience)
            grown = read_text(text, rows.width, self.link)
        return grown if after is None else after.then(grown)

    def _on(self, after: Trees | None, rows: Rows) -> Rows:
        """Return the rows with the scores of the kept trees added to where they start."""
        if after is None:
            return rows
        if after.link != self.link or after.divisor != 1:
            raise UsageError(
                f"Boosting of {self.objective} was to go on after trees with the link {after.link} and the divisor {after.divisor:g}.",
                "Trees can be added to a sum on the same scale only.",
                "Go on with the objective with which it began.",
            )
        kept = after.raw(rows.values)
        return Rows(rows.binned, rows.target, rows.weight, kept if rows.start is None else kept + rows.start)

    def _raw(self, answer: float) -> float:
        if self.link == "logistic":
            return math.log(answer) - math.log1p(-answer)
        return math.log(answer) if self.link == "exp" else answer

    def _options(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.row_fraction,
            "bagging_freq": int(self.row_fraction < 1),
            "lambda_l2": self.l2,
            "tweedie_variance_power": self.power,
            "alpha": self.level,
            "seed": self.seed,
        }
