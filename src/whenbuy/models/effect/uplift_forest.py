"""The uplift forest: trees that split where the effect differs, and leaves whose effect is counted on customers that chose no split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.models.effect.learned import EffectTrees, MetaLearner
from whenbuy.models.effect.trial import Trial, contrast, out_of_fold
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.forest import Forest


@dataclass(frozen=True, slots=True)
class UpliftForest(MetaLearner):
    """A forest of honest trees (Wager and Athey 2018, "Estimation and inference of heterogeneous treatment effects using random forests").

    In each round a random half of the customers chooses the splits: the trees reduce the variance of (y - m(x)) (1[A = a] / e_a -
    1[A = 0] / e_0), whose mean is the effect. The other half says what it is: in each leaf the weighted mean outcome of the treated less
    that of those left alone, drawn towards the whole half's by ``prior`` customers. Outcomes are taken from their forecast m(x) first.

    Parameters
    ----------
    forest
        How the trees of one round are grown.
    rounds
        How many random halves.
    prior
        Customers of each arm with the whole half's effect that a leaf is given beside its own.
    """

    forest: Forest = Forest("l2", trees=25, leaves=24, min_leaf=80, feature_fraction=0.5, row_fraction=0.7)
    rounds: int = 4
    prior: float = 30.0
    halves: int = 4

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "uplift forest"

    def grown(self, trial: Trial) -> EffectTrees:
        """Return the effect that a trial teaches."""
        left = trial.outcome - out_of_fold(trial, self.grow, trial.folds(3, self.seed), np.ones(len(trial), bool))
        offers = tuple(self._honest(trial, left, arm) for arm in range(1, len(trial.offers) + 1))
        return EffectTrees(offers, np.full((len(offers), self.rounds), 1 / self.rounds))

    def _honest(self, trial: Trial, left: Floats, arm: int) -> tuple[Trees, ...]:
        """Return the trees of each round for one offer."""
        weight, found = contrast(trial, arm), []
        told = weight != 0
        for turn in range(self.rounds):
            splits = trial.folds(2, self.seed + 100 * arm + turn) == 0
            rows, others = told & splits, told & ~splits
            trees = replace(self.forest, seed=self.forest.seed + turn).grow(trial.values[rows], left[rows] * weight[rows])
            found.append(recounted(trees, trial.values[others], left[others], weight[others], self.prior))
        return tuple(found)


def recounted(trees: Trees, values: Singles, outcome: Floats, weight: Floats, prior: float) -> Trees:
    """Return the same trees with leaves that say the effect among these rows: treated where the weight is above 0, else left alone."""
    treated = weight > 0
    size = np.abs(weight)

    def effect(leaf: Ints, nodes: int, root: float, drawn: float) -> Floats:
        return _difference(_sums(leaf, nodes, size, outcome, treated), _sums(leaf, nodes, size, outcome, ~treated), root, drawn)

    root = float(effect(np.zeros(len(values), np.int64), 1, 0.0, 0.0)[0])
    if not len(trees):
        return Trees.constant(root, trees.features)
    value = np.zeros(len(trees.value))
    for start, stop in zip(trees.starts[:-1], trees.starts[1:], strict=True):
        value[start:stop] = effect(_leaves(trees, int(start), values) - start, int(stop - start), root, prior)
    value[trees.feature >= 0] = 0.0
    grown = len(trees) / trees.divisor  # trees that could not split at all said the mean, and still do
    return replace(trees, value=value, base=root * (1 - grown))


def _leaves(trees: Trees, root: int, values: Singles) -> Ints:
    """Return the node of one tree in which each row ends (n)."""
    node = np.full(len(values), root, np.int64)
    while (inner := np.flatnonzero(trees.feature[node] >= 0)).size:
        at = node[inner]
        asked = values[inner, trees.feature[at]]
        goes_left = np.where(np.isnan(asked), trees.missing_left[at], asked <= trees.threshold[at])
        node[inner] = np.where(goes_left, at + 1, trees.right[at])
    return node


def _sums(leaf: Ints, nodes: int, size: Floats, outcome: Floats, arm: Bools) -> tuple[Floats, Floats, Floats]:
    """Return the weights, weighted outcomes and counts of one arm at each node."""
    rows, k = leaf[arm], nodes
    return (
        np.bincount(rows, size[arm], minlength=k).astype(np.float64),
        np.bincount(rows, size[arm] * outcome[arm], minlength=k).astype(np.float64),
        np.bincount(rows, minlength=k).astype(np.float64),
    )


def _difference(treated: tuple[Floats, Floats, Floats], alone: tuple[Floats, Floats, Floats], root: float, prior: float) -> Floats:
    """Return the difference of the weighted means at each node, drawn towards ``root`` by so many customers of each arm."""
    means = [np.divide(total, weight, out=np.zeros_like(weight), where=weight > 0) for weight, total, _ in (treated, alone)]
    few = np.minimum(treated[2], alone[2])
    return np.where(few > 0, (few * (means[0] - means[1]) + prior * root) / np.maximum(few + prior, 1e-12), root)


TYPES: Final[dict[str, type]] = {UpliftForest.__name__: UpliftForest}
"""What a stored model of this file may be made of."""
