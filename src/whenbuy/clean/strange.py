"""Rows that are strange as a whole: isolation forest and local outlier factor, learned from training rows and kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whenbuy.clean.draft import require_least
from whenbuy.clean.nearest import nearest
from whenbuy.clean.training import finite, medians, require_names, sample, spreads, training_values
from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.errors import DamagedError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Table
from whenbuy.core.kernel import kernel

_TINY = 1e-10


@dataclass(frozen=True, slots=True)
class Isolation:
    """Adds the feature ``strange_isolation``: 1 where few random cuts set a row apart from all others (Liu, Ting and Zhou 2008), else 0.

    Parameters
    ----------
    trees, rows
        How many trees, each grown on how many rows.
    share
        Which share of the training rows counts as strange.
    seed
        Draws rows and cuts.
    """

    trees: int = 100
    rows: int = 256
    share: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        require_least("trees of isolation", self.trees, 1)
        require_least("rows of isolation", self.rows, 2)
        _require_share(self.share)

    def fit(self, table: Table) -> FittedIsolation:
        """Return the forest that these rows teach."""
        from sklearn.ensemble import IsolationForest

        values = training_values(table, "An isolation forest")
        if len(values) < 2:
            raise NotEnoughDataError("An isolation forest was given one training row.", "It needs two or more.", "Choose a later cutoff.")
        fill = medians(values)
        filled = _whole(values, fill)
        rows = min(self.rows, len(values))
        forest = IsolationForest(n_estimators=self.trees, max_samples=rows, random_state=self.seed).fit(filled)
        trees = [tree.tree_ for tree in forest.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        root = (np.cumsum(sizes) - sizes).astype(np.int64)
        left = np.concatenate([np.where(t.children_left >= 0, t.children_left + r, -1) for t, r in zip(trees, root, strict=True)])
        right = np.concatenate([np.where(t.children_right >= 0, t.children_right + r, -1) for t, r in zip(trees, root, strict=True)])
        feature = np.concatenate([tree.feature for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])
        held = np.concatenate([tree.n_node_samples for tree in trees])
        path = _depths(left, right) + expected_path(held)
        learned = FittedIsolation(
            table.names, fill, root, left.astype(np.int32), right.astype(np.int32), feature.astype(np.int32),
            threshold.astype(np.float64), path, self.trees * float(expected_path(np.array([rows]))[0]), -np.inf,
        )  # fmt: skip
        return learned.bounded(float(np.quantile(learned.scores(table), self.share)))


@dataclass(frozen=True, slots=True, eq=False)
class FittedIsolation:
    """A learned isolation forest.

    Parameters
    ----------
    names, fill
        The columns, and what stands for a gap (f): the median of the training rows.
    root
        The first node of each tree.
    left, right, feature, threshold
        One entry per node: its children (-1 in a leaf), and the column and bound that part them (left: not above).
    path
        Per node: cuts from the root, and those expected to part the training rows still together in it.
    whole
        The length by which the sum of paths is measured.
    bound
        A row with a lower score is strange.
    """

    names: tuple[str, ...]
    fill: Floats
    root: Ints
    left: Codes
    right: Codes
    feature: Codes
    threshold: Floats
    path: Floats
    whole: float
    bound: float

    def __post_init__(self) -> None:
        nodes, inner = np.arange(len(self.left)), self.left >= 0
        one = {each.shape for each in (self.left, self.right, self.feature, self.threshold, self.path)} == {nodes.shape}
        if not one or self.fill.shape != (len(self.names),) or self.root.ndim != 1 or not _within(self.root, len(nodes)):
            raise _unreadable("its arrays do not belong together")
        children, above = np.stack([self.left, self.right])[:, inner], nodes[inner]
        if not _within(children, len(nodes)) or (children <= above).any() or not _within(self.feature[inner], len(self.names)):
            raise _unreadable("a node leads nowhere")

    def bounded(self, bound: float) -> FittedIsolation:
        """Return the same forest with another bound."""
        return replace(self, bound=bound)

    def scores(self, table: Table) -> Floats:
        """Return -2^(-mean path / expected path) of each row (n): the lower, the stranger."""
        require_names(self.names, table)
        values = _whole(finite(table), self.fill)
        total = paths(values, self.root, self.left, self.right, self.feature, self.threshold, self.path)
        return np.asarray(-np.exp2(-total / self.whole))

    def apply(self, table: Table) -> Table:
        """Return the rows with their flag as one more feature."""
        flag = self.scores(table) < self.bound
        return table.beside(Table(("strange_isolation",), flag.astype(np.float32)[:, None]))

    def says(self) -> tuple[str, ...]:
        """Return in words what was learned."""
        return (f"An isolation forest of {len(self.root)} trees; rows that score below {self.bound:.4f} are flagged as strange.",)


@dataclass(frozen=True, slots=True)
class LocalOutliers:
    """Adds the feature ``strange_local``: 1 where a row lies in a thinner place than its neighbours do (Breunig et al. 2000), else 0.

    Parameters
    ----------
    neighbours
        How many neighbours are looked at.
    most
        How many training rows are stored at most.
    share
        Which share of them counts as strange.
    seed
        Draws the stored rows.
    """

    neighbours: int = 20
    most: int = 2048
    share: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        require_least("neighbours of local_outliers", self.neighbours, 1)
        require_least("most of local_outliers", self.most, 2)
        _require_share(self.share)

    def fit(self, table: Table) -> FittedLocalOutliers:
        """Return the density around these rows."""
        values = training_values(table, "A local outlier factor")
        if len(values) < 2:
            raise NotEnoughDataError("A local outlier factor was given one row.", "It needs two or more.", "Choose a later cutoff.")
        fill = medians(values)
        values = values[sample(len(values), self.most, self.seed)]
        values = _whole(values, fill).astype(np.float64)
        shift, width = spreads(values)
        rows = (values - shift) / width
        k = min(self.neighbours, len(rows) - 1)
        distance, which = nearest(rows, rows, k, True)
        reach = distance[:, -1]
        density = 1 / (np.maximum(distance, reach[which]).mean(axis=1) + _TINY)
        scores = -(density[which] / density[:, None]).mean(axis=1)
        return FittedLocalOutliers(table.names, fill, shift, width, rows, reach, density, k, float(np.quantile(scores, self.share)))


@dataclass(frozen=True, slots=True, eq=False)
class FittedLocalOutliers:
    """Stored training rows and the density around each.

    Parameters
    ----------
    names, fill
        The columns, and what stands for a gap (f): the median of the training rows.
    shift, width
        A value becomes ``(value - shift) / width`` (f each).
    rows
        The stored rows (m x f), in those units.
    reach, density
        Distance of each stored row to the last of its neighbours, and its local reachability density (m each).
    neighbours
        How many neighbours are looked at.
    bound
        A row with a lower score is strange.
    """

    names: tuple[str, ...]
    fill: Floats
    shift: Floats
    width: Floats
    rows: Floats
    reach: Floats
    density: Floats
    neighbours: int
    bound: float

    def __post_init__(self) -> None:
        m, f = len(self.rows), len(self.names)
        columns, stored = {each.shape for each in (self.fill, self.shift, self.width)}, {self.reach.shape, self.density.shape}
        if self.rows.shape != (m, f) or columns != {(f,)} or stored != {(m,)} or self.neighbours < 1:
            raise _unreadable("its arrays do not belong together")

    def scores(self, table: Table) -> Floats:
        """Return minus the local outlier factor of each row (n), as a row that was not stored: the lower, the stranger."""
        require_names(self.names, table)
        values = (_whole(finite(table), self.fill).astype(np.float64) - self.shift) / self.width
        distance, which = nearest(values, self.rows, self.neighbours, False)
        density = 1 / (np.maximum(distance, self.reach[which]).mean(axis=1) + _TINY)
        return -np.asarray((self.density[which] / density[:, None]).mean(axis=1))

    def apply(self, table: Table) -> Table:
        """Return the rows with their flag as one more feature."""
        flag = self.scores(table) < self.bound
        return table.beside(Table(("strange_local",), flag.astype(np.float32)[:, None]))

    def says(self) -> tuple[str, ...]:
        """Return in words what was learned."""
        stored = f"Density around {len(self.rows):,} stored rows, {self.neighbours} neighbours each"
        return (f"{stored}; rows that score below {self.bound:.4f} are flagged as strange.",)


def expected_path(rows: Ints) -> Floats:
    """Return the mean length of an unsuccessful search in a binary tree of so many rows (Liu, Ting and Zhou 2008, equation 1)."""
    many = np.maximum(rows, 3).astype(np.float64)
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many))


@kernel
def paths(values: Singles, root: Ints, left: Codes, right: Codes, feature: Codes, threshold: Floats, path: Floats) -> Floats:
    """Return the sum of each row's paths over all trees (n)."""
    total = np.zeros(len(values))
    for row in range(len(values)):
        for tree in range(len(root)):
            node = root[tree]
            while left[node] >= 0:
                node = left[node] if values[row, feature[node]] <= threshold[node] else right[node]
            total[row] += path[node]
    return total


@kernel
def _depths(left: Ints, right: Ints) -> Floats:
    """Return how many cuts lie above each node; children come after their parent."""
    depth = np.zeros(len(left))
    for node in range(len(left)):
        if left[node] >= 0:
            depth[left[node]] = depth[node] + 1
            depth[right[node]] = depth[node] + 1
    return depth


def _within(places: Ints | Codes, count: int) -> bool:
    return bool(((places >= 0) & (places < count)).all())


def _unreadable(why: str) -> DamagedError:
    return DamagedError(f"What was learned of strange rows is not readable: {why}.", "It must be what training made.", "Fit again.")


def _whole(values: Floats, fill: Floats) -> Singles:
    """Return the values without gaps, in the precision in which trees compare them."""
    return np.where(np.isnan(values), fill, values).astype(np.float32)


def _require_share(share: float) -> None:
    if not 0 < share < 1:
        raise SettingsError(f"The share of strange rows is {share}.", "It lies between 0 and 1.", "Change it.")
