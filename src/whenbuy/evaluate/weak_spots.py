"""Where and for whom a forecast is wrong: groups in plain words in which what was found differs from what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Table
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.measure import Measure, Sums, ratio

GROWN: Final = 100_000
"""Rows of the half on which the groups are sought; more are thinned."""


@dataclass(frozen=True, slots=True)
class WeakSpot:
    """A group of rows, and what was expected and found in it.

    Parameters
    ----------
    rule
        Who belongs to it, such as ``tenure_days ≤ 30 and orders_84d ≥ 4``.
    n, users
        How many rows of how many users judged it: a half that had no say in how it was drawn.
    expected, found
        The means there.
    difference
        Found minus expected, with its 95 % interval over resampled users.
    """

    rule: str
    n: int
    users: int
    expected: float
    found: float
    difference: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.low > 0 or self.high < 0

    def says(self, expected: str = "promised", found: str = "came") -> str:
        """Return the group in one line: who, what was expected, what was found, how many."""
        return f"{self.rule}: {expected} {self.expected:.3g}, {found} {self.found:.3g}, n = {self.n:,}"


def weak_spots(
    table: Table, expected: Floats, found: Floats, clusters: Ints, *, depth: int = 3, least: int = 100, rounds: int = 500, seed: int = 0
) -> tuple[WeakSpot, ...]:
    """Return disjoint groups of rows, those where most goes wrong in sum first (size times difference).

    A shallow regression tree on ``found - expected`` draws the groups from one half of the users; the other half says how large the
    difference in each really is, so that no group stands here only because it was sought (the honest tree of Athey and Imbens 2016, s. 2).
    ``expected`` and ``found`` may be a promised chance and what came, a forecast and a true amount, or the losses of two models.

    Parameters
    ----------
    table
        What the groups are described by (n rows); the names of the columns stand in the rules.
    expected, found
        Two numbers per row (n); rows where one of them is not known (NaN) are left out.
    clusters
        The user of each row (n).
    depth
        The largest number of conditions in a rule.
    least
        The smallest number of rows of a group in the half that draws it.
    rounds
        Resamples of the users for the intervals.
    seed
        Where chance starts.
    """
    if not len(table) == len(expected) == len(found) == len(clusters):
        raise WhenbuyError(f"A table of {len(table)} rows was given {len(expected)}, {len(found)} and {len(clusters)} numbers.")
    rng = np.random.default_rng(seed)
    names, code = np.unique(clusters, return_inverse=True)
    known = np.isfinite(expected) & np.isfinite(found)
    draws_it = (rng.random(len(names)) < 0.5)[code]
    grow, judge = np.flatnonzero(known & draws_it), np.flatnonzero(known & ~draws_it)
    if len(grow) < 2 * least or not len(judge) or not table.names:
        return ()
    if len(grow) > GROWN:
        grow = np.sort(rng.choice(grow, GROWN, replace=False))
    tree = _grown(table.values[grow], (found - expected)[grow], depth, least, seed)
    leaf = tree.apply(table.values[judge])
    columns = [_Column(name, *_looks(values)) for name, values in zip(table.names, table.values.T, strict=True)]
    rules = _rules(tree.tree_, columns)
    spots = [
        _judged(rule, judge[leaf == place], expected, found, clusters, rounds, seed)
        for place, rule in rules.items()
        if (leaf == place).any()
    ]
    return tuple(sorted(spots, key=lambda spot: (not spot.clear, -abs(spot.difference) * spot.n)))


def frame(spots: tuple[WeakSpot, ...]) -> pl.DataFrame:
    """Return one row per group: rule, n, users, expected, found, difference, low, high, clear."""
    kinds = {"rule": pl.String, "n": pl.Int64, "users": pl.Int64}
    numbers = ("expected", "found", "difference", "low", "high")
    return pl.DataFrame(
        [[getattr(spot, name) for name in (*kinds, *numbers, "clear")] for spot in spots],
        {**kinds, **dict.fromkeys(numbers, pl.Float64), "clear": pl.Boolean},
        orient="row",
    ).fill_nan(None)


def _grown(values: Singles, miss: Floats, depth: int, least: int, seed: int) -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(max_depth=depth, min_samples_leaf=least, random_state=seed).fit(values, miss)


def _judged(rule: str, rows: Ints, expected: Floats, found: Floats, clusters: Ints, rounds: int, seed: int) -> WeakSpot:
    parts = np.stack([np.ones(len(rows)), expected[rows], found[rows]], axis=1)
    measure = Measure(rule, Sums(parts, lambda s: ratio(s[..., 2] - s[..., 1], s[..., 0])), "near", "mean of found minus expected", aim=0.0)
    low, high = interval(draws([measure], clusters[rows], rounds, np.random.default_rng(seed))[0])
    users = len(np.unique(clusters[rows]))
    return WeakSpot(rule, len(rows), users, float(parts[:, 1].mean()), float(parts[:, 2].mean()), measure.value(), low, high)


# ------------------------------------------------------------------------------------------- a leaf in words


@dataclass(frozen=True, slots=True)
class _Column:
    """A feature: its name, whether it holds whole numbers only, and whether some rows have none."""

    name: str
    whole: bool
    gaps: bool


@dataclass(frozen=True, slots=True)
class _Range:
    """Values of one feature: above ``low``, up to ``high``; ``unknown`` says whether rows without a value belong too."""

    low: float = -np.inf
    high: float = np.inf
    unknown: bool = True

    def words(self, of: _Column) -> str:
        """Return the range in words; empty where it leaves nobody out."""
        if self.low == np.inf:
            return f"{of.name} unknown"
        said = self._bounds(of)
        if not of.gaps or self.unknown:
            return f"{said} or unknown" if said and of.gaps else said
        return said or f"{of.name} known"

    def _bounds(self, of: _Column) -> str:
        low, high = (np.floor(self.low) + 1, np.floor(self.high)) if of.whole else (self.low, self.high)
        if of.whole and low == high:
            return f"{of.name} = {low:.4g}"
        if np.isfinite(low) and np.isfinite(high):
            return f"{low:.4g} {'≤' if of.whole else '<'} {of.name} ≤ {high:.4g}"
        if np.isfinite(low):
            return f"{of.name} {'≥' if of.whole else '>'} {low:.4g}"
        return f"{of.name} ≤ {high:.4g}" if np.isfinite(high) else ""


def _rules(tree: Any, columns: Sequence[_Column]) -> dict[int, str]:
    """Return the rule of each leaf of a scikit-learn tree: one range per feature on the way, in the order of the first split."""
    found: dict[int, str] = {}
    paths: list[tuple[int, dict[int, _Range]]] = [(0, {})]
    while paths:
        node, ranges = paths.pop()
        left, right, feature = int(tree.children_left[node]), int(tree.children_right[node]), int(tree.feature[node])
        if left < 0:
            said = (one.words(columns[place]) for place, one in ranges.items())
            found[node] = " and ".join(filter(None, said)) or "everybody"
            continue
        edge, goes_left = float(tree.threshold[node]), bool(tree.missing_go_to_left[node])
        now = ranges.get(feature, _Range())
        paths.append((right, ranges | {feature: _Range(max(now.low, edge), now.high, now.unknown and not goes_left)}))
        paths.append((left, ranges | {feature: _Range(now.low, min(now.high, edge), now.unknown and goes_left)}))
    return found


def _looks(values: Singles) -> tuple[bool, bool]:
    """Return whether a feature holds whole numbers only, and whether some rows have none."""
    known = values[~np.isnan(values)]
    return bool((known == np.floor(known)).all()), len(known) < len(values)
