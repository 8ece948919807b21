"""Random trees, and the slow twins of the kernels that walk them."""

import itertools
import math

import numpy as np

from whenbuy.models.trees import Trees

NUMBERS = np.array(
    [-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-45, 0.1, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 3.0, np.inf], np.float32
)


def tree(rng, columns, leaves, cover=100.0):
    """One tree: leaves are split at random, cuts are numbers that rows hold, numbers between them, or far beyond."""
    shape = [None]
    for _ in range(leaves - 1):
        spot = rng.choice([i for i, node in enumerate(shape) if node is None])
        shape[spot] = (len(shape), len(shape) + 1)
        shape += [None, None]
    made = {name: [] for name in ("feature", "threshold", "right", "missing_left", "value", "cover", "gain")}

    def grow(node, cover):
        place, split = len(made["feature"]), shape[node]
        far = rng.choice([0.1, 1e300, -1e300, 0.25, -np.inf, np.inf])
        made["feature"].append(-1 if split is None else int(rng.integers(columns)))
        made["threshold"].append(0.0 if split is None else float(rng.choice(NUMBERS)) if rng.random() < 0.7 else float(far))
        made["missing_left"].append(split is not None and bool(rng.random() < 0.5))
        made["value"].append(float(rng.normal()) if split is None else 0.0)
        made["cover"].append(cover)
        made["gain"].append(0.0 if split is None else float(rng.random()))
        made["right"].append(-1)
        if split is not None:
            share = rng.uniform(0.05, 0.95)
            grow(split[0], cover * share)
            made["right"][place] = len(made["feature"])
            grow(split[1], cover * (1 - share))

    grow(0, cover)
    return {name: np.array(part) for name, part in made.items()}


def forest(seed, columns=4, trees=5, leaves=8, **more):
    rng = np.random.default_rng(seed)
    return Trees.planted([tree(rng, columns, int(rng.integers(1, leaves + 1))) for _ in range(trees)], columns, **more)


def rows(seed, count, columns):
    rng = np.random.default_rng(seed + 1)
    found = rng.choice(NUMBERS, (count, columns))
    found[rng.random(found.shape) < 0.2] = np.nan
    return found


def step(trees, node, row):
    number = float(row[trees.feature[node]])
    left = trees.missing_left[node] if math.isnan(number) else number <= trees.threshold[node]
    return node + 1 if left else int(trees.right[node])


def slow_raw(trees, values):
    """Each row through each tree, one comparison after the other."""
    found = []
    for row in np.asarray(values, np.float32):
        total = 0.0
        for root in trees.starts[:-1]:
            node = int(root)
            while trees.feature[node] >= 0:
                node = step(trees, node, row)
            total += trees.value[node]
        found.append(trees.base + total / trees.divisor)
    return np.array(found)


def slow_curves(trees, values, bins):
    return np.array([slow_raw(trees, [np.concatenate([[day], row]) for day in bins]) for row in values]).reshape(len(values), len(bins))


def worth(trees, row, known):
    """What the trees expect of a row of which some columns are known (Lundberg et al. 2020, Algorithm 1)."""

    def below(node):
        if trees.feature[node] < 0:
            return trees.value[node]
        if trees.feature[node] in known:
            return below(step(trees, node, row))
        left, right = node + 1, int(trees.right[node])
        return (trees.cover[left] * below(left) + trees.cover[right] * below(right)) / trees.cover[node]

    return sum(below(int(root)) for root in trees.starts[:-1])


def slow_shapley(trees, values):
    """Shapley's sum over all sets of columns, and the expectation of nothing known."""
    columns = range(trees.features)
    found = []
    for row in np.asarray(values, np.float32):
        sets = {known: worth(trees, row, known) for size in range(trees.features + 1) for known in itertools.combinations(columns, size)}
        added = np.zeros(trees.features + 1)
        for column in columns:
            for known, was in sets.items():
                if column not in known:
                    weight = math.factorial(len(known)) * math.factorial(trees.features - len(known) - 1) / math.factorial(trees.features)
                    added[column] += weight * (sets[tuple(sorted((*known, column)))] - was)
        added[-1] = sets[()]
        found.append(added / trees.divisor)
    return np.array(found) + np.append(np.zeros(trees.features), trees.base)
