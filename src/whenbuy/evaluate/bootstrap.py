"""The bootstrap over users: how far a score, or the difference of two forecasts, could be the luck of these customers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.evaluate.measure import Measure, Sums, Whole

_CELLS: Final = 2_000_000
"""Numbers held at once while resampling."""


def draws(measures: Sequence[Measure], clusters: Ints, rounds: int, rng: np.random.Generator, slow_rounds: int = 200) -> list[Floats]:
    """Return the scores of every measure on resamples of the clusters (one array of draws per measure).

    Every round draws as many clusters as there are, with replacement, and all measures see the same draw: the difference of two of them is
    paired (Efron and Tibshirani 1993, ch. 8 and 13). All rows of a user are drawn together, since they are not independent.

    Parameters
    ----------
    measures
        What to compute, all over the same n rows.
    clusters
        The user of each row (n): any integers.
    rounds
        Resamples for measures that are sums; scores of ranks take the first ``slow_rounds`` of them.
    rng
        Where chance comes from.

    Returns
    -------
    list
        Arrays of length ``rounds``, or ``min(rounds, slow_rounds)`` for scores of ranks; empty where a measure has no value.
    """
    names, code = np.unique(clusters, return_inverse=True)
    _require_rows(measures, len(code))
    if len(names) < 2 or rounds <= 0:
        return [np.empty(0) for _ in measures]
    summed = {id(m.statistic.parts): _by_cluster(m.statistic.parts, code, len(names)) for m in measures if isinstance(m.statistic, Sums)}
    found: list[list[Floats]] = [[] for _ in measures]
    done = 0
    for counts in _counts(len(names), rounds, rng):
        totals = {key: counts @ sums for key, sums in summed.items()}
        weights = [counts[i][code] for i in range(min(len(counts), max(0, slow_rounds - done)))] if _any_whole(measures) else []
        for measure, part in zip(measures, found, strict=True):
            if isinstance(measure.statistic, Sums):
                part.append(measure.statistic.read(totals[id(measure.statistic.parts)]))
            elif isinstance(measure.statistic, Whole):
                part.append(np.array([measure.statistic.read(weight) for weight in weights], float))
        done += len(counts)
    return [np.concatenate(part) if part else np.empty(0) for part in found]


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the middle ``level`` of the draws, NaN where fewer than half of them are numbers."""
    known = values[np.isfinite(values)]
    if not len(known) or 2 * len(known) < len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _counts(clusters: int, rounds: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each cluster is drawn, some rounds at a time (r x clusters)."""
    size = max(1, _CELLS // clusters)
    for start in range(0, rounds, size):
        r = min(size, rounds - start)
        picked = rng.integers(0, clusters, (r, clusters)) + clusters * np.arange(r)[:, None]
        yield np.bincount(picked.ravel(), minlength=r * clusters).reshape(r, clusters).astype(np.float64)


def _by_cluster(parts: Floats, code: Ints, clusters: int) -> Floats:
    """Return the sums of the rows of each cluster (clusters x k)."""
    return np.stack([np.bincount(code, column, minlength=clusters) for column in parts.T], axis=1)


def _any_whole(measures: Sequence[Measure]) -> bool:
    return any(isinstance(measure.statistic, Whole) for measure in measures)


def _require_rows(measures: Sequence[Measure], n: int) -> None:
    for measure in measures:
        statistic = measure.statistic
        rows = n if statistic is None else len(statistic.parts) if isinstance(statistic, Sums) else statistic.rows
        if rows != n:
            raise WhenbuyError(f"The measure {measure.name!r} was made of {rows} rows, but {n} clusters were given.")
