"""Scores of an amount or a count: the mean and the quantiles are different answers, each judged by its own scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount
from whenbuy.evaluate.measure import Better, Measure, Sums, Whole, ratio

_SLACK: Final = 1e-6


def amount_measures(amount: Amount, labels: Labels, beginning: str = "amount_") -> tuple[Measure, ...]:
    """Return the measures of a forecast of an amount, over the rows whose amount was observed.

    Parameters
    ----------
    amount
        The forecast (n keys).
    labels
        The amounts (n). Rows without one (``observed`` False) count for nothing: the amount is asked given that it is spent.
    beginning
        What stands before the names.
    """
    if len(labels) != len(amount):
        raise WhenbuyError(f"{len(amount)} amounts were given {len(labels)} labels.")
    rows, n = np.flatnonzero(labels.observed), len(labels)
    found = list(mean_measures(labels.value, amount.mean, rows, beginning))
    truth, quantiles, levels = labels.value[rows], amount.quantiles[rows], amount.levels
    columns: list[tuple[str, Better, float, Floats, str]] = []
    if len(levels) and levels[0] <= 0.5 <= levels[-1]:
        error = np.abs(amount.quantile(0.5)[rows] - truth)
        columns.append(("mae", "lower", np.nan, error, "mean distance between the median and the truth; read it beside the bias"))
    for i, level in enumerate(levels):
        gap = truth - quantiles[:, i]
        pinball = np.maximum(level * gap, (level - 1) * gap)
        columns.append((f"pinball_p{100 * level:g}", "lower", np.nan, pinball, f"pinball loss of the quantile {level:g} (Koenker 1978)"))
    for i, j in _pairs(levels):
        width = levels[j] - levels[i]
        inside = (truth >= quantiles[:, i]) & (truth <= quantiles[:, j])
        between = f"between the quantiles {levels[i]:g} and {levels[j]:g}"
        columns.append((f"coverage_{100 * width:g}", "near", width, inside.astype(float), f"share of amounts {between}"))
        columns.append((f"width_{100 * width:g}", "context", np.nan, quantiles[:, j] - quantiles[:, i], f"mean distance {between}"))
    parts = _spread([np.ones(len(rows)), *(column[3] for column in columns)], rows, n)
    for place, (name, better, aim, _, words) in enumerate(columns, 1):
        found.append(_measure(beginning + name, better, Sums(parts, _share(place)), words, len(rows), aim))
    return tuple(found)


def mean_measures(truth: Floats, mean: Floats, rows: Ints | None = None, beginning: str = "") -> tuple[Measure, ...]:
    """Return the measures of an expected amount or count: RMSE, MSE, R², bias and rank correlation.

    Parameters
    ----------
    truth
        What came true (n).
    mean
        What was expected (n).
    rows
        The rows that count; all of them by default.
    beginning
        What stands before the names.
    """
    rows = np.arange(len(truth)) if rows is None else rows
    y, m, n = truth[rows], mean[rows], len(truth)
    centre = float(y.mean()) if len(y) else 0.0
    parts = _spread([np.ones(len(y)), (m - y) ** 2, y - centre, (y - centre) ** 2, m, y], rows, n)
    readers: tuple[tuple[str, Better, Callable[[Floats], Floats], str], ...] = (
        ("rmse", "lower", lambda s: np.sqrt(ratio(s[..., 1], s[..., 0])), "root of the mean squared error of the mean"),
        ("mse", "lower", lambda s: ratio(s[..., 1], s[..., 0]), "mean squared error of the mean"),
        ("r2", "higher", _explained, "share of the variance that the mean explains; 0 is the average of these rows"),
        ("bias", "near", lambda s: ratio(s[..., 4], s[..., 5]), "sum of the means over that of the truth: above 1 it is too much"),
    )
    found = [_measure(beginning + name, better, Sums(parts, read), words, len(y), 1.0) for name, better, read, words in readers]
    ranked = Whole(n, _rank_correlation(y, m, rows))
    return *found, _measure(f"{beginning}spearman", "higher", ranked, "rank correlation of the mean with the truth; 0 is guessing", len(y))


def _measure(name: str, better: Better, statistic: Sums | Whole, words: str, rows: int, aim: float = float("nan")) -> Measure:
    measure = Measure(name, statistic, better, words, aim if better == "near" else float("nan"))
    if not rows:
        return measure.unknown("no amount was observed")
    return measure if np.isfinite(measure.value()) else measure.unknown("the truth is the same in every row, or sums to 0")


def _spread(columns: list[Floats], rows: Ints, n: int) -> Floats:
    """Return the columns side by side with a row of zeros where a row does not count (n x k)."""
    parts = np.zeros((n, len(columns)))
    parts[rows] = np.stack(columns, axis=1)
    return parts


def _share(place: int) -> Callable[[Floats], Floats]:
    return lambda sums: ratio(sums[..., place], sums[..., 0])


def _explained(sums: Floats) -> Floats:
    """Return R² = 1 - squared error / squared distance from the mean of the truth."""
    spread = sums[..., 3] - ratio(sums[..., 2] ** 2, sums[..., 0])
    return 1 - ratio(sums[..., 1], np.where(spread > 1e-12 * np.maximum(sums[..., 3], 1e-300), spread, 0.0))


def _pairs(levels: Floats) -> list[tuple[int, int]]:
    """Return the places of levels that lie symmetrically around the median: .1 and .9."""
    return [
        (i, j) for i in range(len(levels)) for j in range(i + 1, len(levels)) if np.isclose(levels[i] + levels[j], 1.0, rtol=0, atol=1e-9)
    ]


def _rank_correlation(truth: Floats, mean: Floats, rows: Ints) -> Callable[[Floats], float]:
    """Return a function from weights to Spearman's rank correlation: Pearson's of the mean ranks; 0 where the forecast is one number."""
    groups = [np.unique(values, return_inverse=True)[1] for values in (truth, mean)]

    def read(weight: Floats) -> float:
        mine = weight[rows]
        a, b = (_ranks(group, mine) for group in groups)
        total = mine.sum()
        if not total:
            return float("nan")
        a, b = a - (mine * a).sum() / total, b - (mine * b).sum() / total
        spread_a, spread_b = (mine * a * a).sum(), (mine * b * b).sum()
        if spread_a < _SLACK:  # ranks differ by at least a half
            return float("nan")
        return float((mine * a * b).sum() / np.sqrt(spread_a * spread_b)) if spread_b >= _SLACK else 0.0

    return read


def _ranks(group: Ints, weight: Floats) -> Floats:
    """Return the mean rank of each row when row i stands ``weight[i]`` times in the list (n)."""
    size = np.bincount(group, weight)
    return (np.cumsum(size) - size + (size + 1) / 2)[group]
