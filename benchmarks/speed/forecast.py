"""Speed of the forecast: one customer through trees, beside LightGBM's own Booster on the same trees.

Figures are microseconds of processor time per call from Python, each call with another row, best of several turns of a few hundred.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.rows import Row, costs

ROW = Row(area="forecast", name="tree_row_us", unit="µs", better="lower", peer=68, target=8)
CURVE = Row(area="forecast", name="tree_curve_us", unit="µs", better="lower", peer=125, target=20)
COST = Row(area="forecast", name="curve_cost", unit="×", better="lower", peer=8, target=5)
DAYS = 28


def rows() -> Iterator[Row]:
    (cost,) = costs(f"{__name__}:row_us", times=1)
    ours, theirs, per_tree = cost.answer
    yield ROW.got(ours, peer_measured=theirs, note=f"100 trees of 12 leaves, 40 columns; a tree more costs {per_tree:.1f} ns")
    (cost,) = costs(f"{__name__}:curve_us", times=1)
    ours, theirs = cost.answer
    yield CURVE.got(ours, peer_measured=theirs, note=f"{DAYS} days through 150 trees of 12 leaves, day and 30 columns")
    (cost,) = costs(f"{__name__}:curve_cost", times=1)
    whole, plain, rows = cost.answer
    yield COST.got(whole / plain, note=f"{rows:,} rows of a simulated shop: {whole:.1f} over {plain:.1f} CPU seconds")


def curve_cost() -> tuple[float, float, int]:
    """CPU seconds of the default tree learner of when, and of one plain 7-day classifier with as many trees; best of three each."""
    from whenbuy.features import Features, default_features, rhythm_features
    from whenbuy.ingest.simulate import simulate
    from whenbuy.models.when.boosted_curve import DirectHorizons
    from whenbuy.pipeline.learning.build import panel
    from whenbuy.questions import NextPurchase

    history = simulate(users=2_500, days=300, seed=5).history
    features = Features((*default_features(history.log).spec, *rhythm_features(history.log, history.clock)))
    cutoffs = history.clock.midnights(history.clock.days(np.array([history.end])) - np.arange(28, 252, 14)[::-1])
    train = panel(history, features, cutoffs, [NextPurchase(28.0)])
    learner = DirectHorizons(tuple(np.arange(1.0, 57.0)))
    label = train.label("purchase")
    within = label.observed & (label.value < 7)
    learner.fit(train.take(slice(0, 2_000)))
    whole = min(_cpu(lambda: learner.fit(train)) for _ in range(3))
    plain = min(_cpu(lambda: learner.grow.grow(train.table.values, within)) for _ in range(3))
    return whole, plain, len(train)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def row_us() -> tuple[float, float, float]:
    """One row through 100 trees: ours and the Booster's, and ns of one more tree, from 1,500 of them."""
    import lightgbm

    from whenbuy.models.trees import Boosting

    rng = np.random.default_rng(0)
    values = _values(rng, 20_000, 40)
    bought = rng.random(len(values)) < _chance(values[:, :8].sum(axis=1))
    trees, many = Boosting(trees=100).grow(values, bought), Boosting(trees=1500).grow(values, bought)
    booster = lightgbm.train(_options(), lightgbm.Dataset(values, bought), 100)
    asked = [row[None].copy() for row in values[:2000]]
    ours, theirs, more = _micros([trees.raw, lambda row: booster.predict(row, raw_score=True), many.raw], asked)
    return ours, theirs, 1e3 * (more - ours) / (len(many) - len(trees))


def curve_us() -> tuple[float, float]:
    """One 28-day curve through 150 trees that ask about the day: ours and the Booster's, which is given 28 rows."""
    import lightgbm

    from whenbuy.models.trees import Boosting

    rng = np.random.default_rng(0)
    values, days = _values(rng, 30_000, 31), np.arange(DAYS, dtype=np.float32)
    values[:, 0] = rng.integers(0, DAYS, len(values))
    bought = rng.random(len(values)) < _chance(0.05 * values[:, 0] + np.sin(values[:, 0]) - 2 + values[:, 1:8].sum(axis=1))
    trees = Boosting(trees=150).grow(values, bought)
    booster = lightgbm.train(_options(), lightgbm.Dataset(values, bought), 150)
    asked = [(row[None, 1:].copy(), np.column_stack([days, np.tile(row[1:], (DAYS, 1))]).astype(np.float32)) for row in values[:2000]]
    ours, theirs = _micros([lambda row: trees.curves(row[0], days), lambda row: booster.predict(row[1], raw_score=True)], asked)
    return ours, theirs


def _values(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    values = rng.normal(size=(rows, columns)).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values


def _chance(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.nan_to_num(score)))


def _options() -> dict[str, object]:
    return {"objective": "binary", "num_leaves": 12, "learning_rate": 0.05, "feature_fraction": 0.3, "num_threads": 1, "verbosity": -1}


def _micros(works: list[Callable[..., object]], asked: list, turns: int = 15, calls: int = 200) -> list[float]:
    """µs of processor time per call of each work, in turns, so that trouble on the machine meets them all."""
    best = [np.inf] * len(works)
    for turn in range(turns):
        part = [asked[(turn * calls + i) % len(asked)] for i in range(calls)]
        for place, work in enumerate(works):
            work(part[0])
            start = time.process_time()
            for one in part:
                work(one)
            best[place] = min(best[place], 1e6 * (time.process_time() - start) / calls)
    return best
