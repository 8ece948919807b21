"""A forest as flat arrays: numbers that can be stored, checked and scored without the library that grew them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.errors import DamagedError, UsageError
from whenbuy.models.trees.shap import Paths, paths, shapley
from whenbuy.models.trees.walk import MOST_NODES, Packed, Plan, one_by_one, pack, plan, plan_curve, plan_spans, scores

Link = Literal["identity", "logistic", "exp"]
"""From the raw score to the scale of the target: as it is, 1 / (1 + exp(-raw)), or exp(raw)."""

MOST_STEPS: Final = 512
"""No path of a forest is longer."""
MOST_COLUMNS: Final = MOST_NODES // 2 - 1
"""A column is up to two questions, and questions are counted with 16 bits."""

_KINDS: Final = {
    "starts": np.int64,
    "feature": np.int32,
    "threshold": np.float64,
    "right": np.int32,
    "missing_left": np.bool_,
    "value": np.float64,
    "cover": np.float64,
    "gain": np.float64,
}


@dataclass(frozen=True, eq=False)
class Trees:
    """A sum or a mean of regression trees: raw score = base + (sum over the trees of the leaf reached) / divisor.

    The nodes of each tree stand together, parents before their children, a left child right behind its parent. A row goes left where its
    number is at most the threshold; a missing number goes left where the node says so. Numbers are read as float32, in training too. The
    arrays are checked when made: whatever was stored in them, no walk can loop or leave them.

    Parameters
    ----------
    starts
        Where each tree's nodes begin, and the count of all nodes at the end (trees + 1).
    feature
        The column that a node asks about; -1 in a leaf (one number for each node, as in all that follow).
    threshold
        The greatest number that goes left, possibly infinite.
    right
        Where the right child stands; -1 in a leaf.
    missing_left
        Whether a missing number goes left.
    value
        A leaf's score; 0 in other nodes.
    cover
        How many training rows passed the node, above 0.
    gain
        What the node's split gained in training; 0 in a leaf.
    features
        How many columns a row has.
    link
        From the raw score to the scale of the target.
    base
        The raw score before any tree.
    divisor
        1 for a sum of trees, their number for a mean.

    Raises
    ------
    DamagedError
        When the arrays are not such a forest.
    """

    starts: Ints
    feature: Codes
    threshold: Floats
    right: Codes
    missing_left: Bools
    value: Floats
    cover: Floats
    gain: Floats
    features: int
    link: Link = "identity"
    base: float = 0.0
    divisor: float = 1.0

    def __post_init__(self) -> None:
        wrong = _wrong_numbers(self) or _wrong_shape(self) or _wrong_nodes(self) or _wrong_children(self)
        if wrong or self._depth.max(initial=0) > MOST_STEPS:
            said = wrong or f"a path is longer than {MOST_STEPS} steps"
            raise DamagedError(f"The trees are not readable: {said}.", "They must be the arrays that training made.", "Fit again.")

    @classmethod
    def constant(cls, base: float, features: int, link: Link = "identity") -> Trees:
        """Return no tree at all: every row has the raw score ``base``."""
        nothing: dict[str, Any] = {name: np.zeros(int(name == "starts"), kind) for name, kind in _KINDS.items()}
        return cls(**nothing, features=features, link=link, base=base)

    @classmethod
    def planted(
        cls, trees: Sequence[dict[str, Any]], features: int, link: Link = "identity", base: float = 0.0, divisor: float = 1.0
    ) -> Trees:
        """Return a forest of single trees: the arrays of each by name, its right children counted from its own root."""
        if not trees:
            return cls.constant(base, features, link)
        sizes = [len(tree["feature"]) for tree in trees]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        arrays: dict[str, Any] = {
            name: np.concatenate([tree[name] for tree in trees]).astype(kind) for name, kind in _KINDS.items() if name != "starts"
        }
        shifted = arrays["right"] + np.repeat(starts[:-1], sizes)
        arrays["right"] = np.where(arrays["right"] < 0, -1, shifted).astype(np.int32)
        return cls(starts=starts, **arrays, features=features, link=link, base=base, divisor=divisor)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def raw(self, values: npt.NDArray[np.floating]) -> Floats:
        """Return the raw score of each row (n) of the columns on which the trees were grown (n x features); NaN is a missing number.

        Raises
        ------
        UsageError
            When the rows have another number of columns.
        """
        return scores(self._packed, self._alone, self.base, self.divisor, self._rows(values, self.features))

    def predict(self, values: npt.NDArray[np.floating]) -> Floats:
        """Return each row's answer on the scale of the target (n). See `raw`."""
        return linked(self.raw(values), self.link)

    def curves(self, values: npt.NDArray[np.floating], bins: npt.NDArray[np.floating]) -> Floats:
        """Return the raw score of each row under each bin (n x g), where column 0 of the trees is the bin and ``values`` holds the others.

        The scores are those of `raw`, row by row and bin by bin, but each tree is walked once for all bins.

        Raises
        ------
        UsageError
            When the bins do not rise, or the rows have another number of columns.
        """
        nodes, value, asks, _ = self._packed
        rows, planned = self._rows(values, self.features - 1), self._planned(np.asarray(bins, np.float32))
        if not planned.own:  # nothing is asked about the bin, so that its column is one like the others
            rows = np.hstack([np.zeros((len(rows), 1), np.float32), rows])
        return one_by_one(nodes, value, asks, *planned, self.base, self.divisor, rows)

    def contributions(self, values: npt.NDArray[np.floating]) -> Floats:
        """Return what each column adds to the raw score of each row, and last what is expected of any row (n x features + 1).

        The numbers of a row add up to its raw score. They are the path-dependent Shapley values of the trees (Lundberg et al. 2020).

        Raises
        ------
        UsageError
            When the rows have another number of columns.
        """
        rows = self._rows(values, self.features)
        added = shapley(*self._paths, rows)
        leaf = self.feature < 0
        tree = np.repeat(np.arange(len(self)), np.diff(self.starts))[leaf]
        expected = float(np.sum(self.value[leaf] * self.cover[leaf] / self.cover[self.starts[tree]]))
        return np.hstack([added / self.divisor, np.full((len(rows), 1), self.base + expected / self.divisor)])

    def importance(self) -> Floats:
        """Return what the splits on each column gained in training (features)."""
        inner = self.feature >= 0
        return np.bincount(self.feature[inner], self.gain[inner], self.features).astype(np.float64)

    def then(self, other: Trees) -> Trees:
        """Return these trees and behind them others, which were grown on what these leave."""
        count = len(self.feature)
        right = np.where(other.right < 0, -1, other.right + count).astype(np.int32)
        return replace(
            self,
            starts=np.concatenate([self.starts[:-1], other.starts + count]),
            feature=np.concatenate([self.feature, other.feature]),
            threshold=np.concatenate([self.threshold, other.threshold]),
            right=np.concatenate([self.right, right]),
            missing_left=np.concatenate([self.missing_left, other.missing_left]),
            value=np.concatenate([self.value, other.value]),
            cover=np.concatenate([self.cover, other.cover]),
            gain=np.concatenate([self.gain, other.gain]),
            base=self.base + other.base,
        )

    def spread(self, first: Ints, behind: Ints, scores: int) -> tuple[Packed, Plan]:
        """Return the nodes and the walks by which several scores of one row are told at once, each the sum of some of the trees.

        Parameters
        ----------
        first, behind
            Each tree answers for the scores from ``first`` to the one before ``behind`` (trees each).
        scores
            How many scores.
        """
        return self._packed, plan_spans(self._packed, first, behind, scores)

    def _planned(self, bins: Singles) -> Plan:
        """Return the walks for these bins, kept from the last time if they were the same."""
        key = bins.tobytes()
        if key not in self._plans:
            if bins.ndim != 1 or not (np.diff(bins) > 0).all() or np.isnan(bins).any():
                raise UsageError("The bins of a curve do not rise.", "Each must be greater than the one before.", "Sort them, once each.")
            self._plans.clear()  # a model has one grid
            self._plans[key] = plan_curve(self._packed, bins.copy())
        return self._plans[key]

    def _rows(self, values: npt.NDArray[np.floating], columns: int) -> Singles:
        if values.ndim != 2 or values.shape[1] != columns:
            raise UsageError(
                f"Trees were given values of shape {values.shape}, but they read {columns} columns here.",
                "Rows must have the columns on which the trees were grown.",
                "Give the same features in the same order.",
            )
        rows = np.ascontiguousarray(values, np.float32)
        return rows if rows.flags.writeable else rows.copy()

    @cached_property
    def _depth(self) -> Ints:
        """Steps to the deepest leaf of each tree; one more than are allowed where there are more."""
        depth = np.zeros(len(self), np.int64)
        tree = np.repeat(np.arange(len(self)), np.diff(self.starts))
        level, steps = self.starts[:-1], 0
        while len(level) and steps <= MOST_STEPS + 1:
            depth[tree[level]] = steps
            inner = level[self.feature[level] >= 0]
            level, steps = np.concatenate([inner + 1, self.right[inner]]), steps + 1
        return depth

    @cached_property
    def _packed(self) -> Packed:
        return pack(self.starts, self.feature, self.threshold, self.right, self.missing_left, self.value, self._depth)

    @cached_property
    def _alone(self) -> Plan:
        return plan(self._packed)

    @cached_property
    def _plans(self) -> dict[bytes, Plan]:
        """The walks for the bins that were last asked about."""
        return {}

    @cached_property
    def _paths(self) -> Paths:
        return paths(self.starts, self.feature, self.threshold, self.right, self.missing_left, self.value, self.cover, self._depth)


def linked(raw: Floats, link: Link) -> Floats:
    """Return raw scores on the scale of the target."""
    if link == "identity":
        return raw
    with np.errstate(over="ignore"):  # exp(-raw) of a chance of 0 is infinite
        return np.asarray(np.exp(raw) if link == "exp" else 1.0 / (1.0 + np.exp(-raw)))


def _wrong_numbers(trees: Trees) -> str:
    """Return what is wrong with the plain numbers, or nothing."""
    features, base, divisor = vars(trees)["features"], vars(trees)["base"], vars(trees)["divisor"]  # as stored: of any type
    if type(features) is not int or not 0 <= features <= MOST_COLUMNS:
        return f"they read {features!r} columns, not 0 to {MOST_COLUMNS:,}"
    if trees.link not in get_args(Link):
        return f"their link is {trees.link!r}"
    if not all(type(number) in (int, float) and math.isfinite(number) for number in (base, divisor)) or divisor <= 0:
        return f"their base and divisor are {base!r} and {divisor!r}"
    return ""


def _wrong_shape(trees: Trees) -> str:
    """Return what is wrong with kinds and lengths, or nothing."""
    for name, kind in _KINDS.items():
        array = vars(trees)[name]
        if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != 1:
            return f"{name} is not a list of {np.dtype(kind).name}"
        if name != "starts" and len(array) != len(trees.feature):
            return f"{name} has {len(array):,} numbers for {len(trees.feature):,} nodes"
    starts = trees.starts
    if not len(starts) or starts[0] != 0 or starts[-1] != len(trees.feature) or (np.diff(starts) < 1).any():
        return "the trees do not follow each other"
    if np.diff(starts).max(initial=0) > MOST_NODES:
        return f"a tree has more than {MOST_NODES:,} nodes"
    return ""


def _wrong_nodes(trees: Trees) -> str:
    """Return what is wrong with the numbers of single nodes, or nothing."""
    if (trees.feature < -1).any() or (trees.feature >= trees.features).any():
        return "a node asks about a column that is not there"
    if np.isnan(trees.threshold).any():
        return "a threshold is not a number"
    finite = all(np.isfinite(array).all() for array in (trees.value, trees.cover, trees.gain))
    return "" if finite and (trees.cover > 0).all() else "a score, cover or gain is not finite, or a cover not above 0"


def _wrong_children(trees: Trees) -> str:
    """Return whether some node is not the one child of one node before it in its tree, or nothing."""
    inner = np.flatnonzero(trees.feature >= 0)
    end = np.repeat(trees.starts[1:], np.diff(trees.starts))[inner]
    right = trees.right[inner]
    if (trees.right[trees.feature < 0] != -1).any() or (right <= inner + 1).any() or (right >= end).any():
        return "a node's children lie outside its tree or before it"
    parents = np.bincount(np.concatenate([inner + 1, right]), minlength=len(trees.feature))
    parents[trees.starts[:-1]] += 1
    return "" if (parents == 1).all() else "a node is nobody's child, or the child of two"
