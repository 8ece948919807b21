"""The judges: by what candidates of one answer are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Amount
from whenbuy.core.number import Number, log_chances
from whenbuy.evaluate.measure import Measure, Sums
from whenbuy.models.wrapping.blend import mixed_chances, mixed_numbers
from whenbuy.models.wrapping.calibrate import outcomes


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """How candidates of one answer are compared on validation rows.

    Parameters
    ----------
    words
        What is compared; lower is better.
    told
        What of a forecast is judged (n x m).
    measure
        The score of what was told, as sums over rows.
    mixed
        What a blend would have told.
    days
        The days at which chances are told (m), where they can be calibrated.
    whole
        Whether the validation rows were watched for all that is asked. Where they were not, candidates are neither blended nor calibrated:
        what is carried on beyond the checked days is best left to one model that was made for it.
    came, seen
        Whether it came true within each of the days, and whether the row was watched that long (n x m each), where chances can be
        calibrated.
    """

    words: str
    told: Callable[[Any], Floats]
    measure: Callable[[Floats, Ints | slice], Measure]
    mixed: Callable[[Sequence[Floats], Sequence[float]], Floats]
    days: tuple[float, ...] = ()
    whole: bool = True
    came: Bools | None = None
    seen: Bools | None = None


def curve_judge(
    valid: Examples, horizons: Sequence[float], grid_days: Sequence[float], *, whole: bool = True, question: str = "purchase"
) -> Judge:
    """Return how curves are compared: by the mean log-loss over some days, on the rows watched for that long.

    The days are the horizons, and the days of the grid nearest to a seventh and to three sevenths of the shortest.
    """
    grid = np.array(grid_days)
    early = [float(grid[np.abs(grid - share * min(horizons)).argmin()]) for share in (1 / 7, 3 / 7)]
    days = tuple(sorted({*horizons, *early}))
    came, seen = outcomes(valid.label(question), valid.keys.cutoff, days)

    def measure(told: Floats, rows: Ints | slice) -> Measure:
        return _mean_of("log-loss", np.where(seen[rows], _log_loss(told, came[rows]), 0.0), seen[rows])

    words = f"log-loss, mean over {', '.join(f'{length:g}' for length in days)} days"
    return Judge(words, lambda forecast: forecast.probability(np.array(days)), measure, mixed_chances, days, whole, came, seen)


def number_judge(words: str, valid: Examples, question: str, told: Callable[[Any], Floats], *, whole: bool = True) -> Judge:
    """Return how expected numbers are compared: by the root mean squared error on the rows that were observed."""
    label = valid.label(question)

    def measure(values: Floats, rows: Ints | slice) -> Measure:
        seen = label.observed[rows]
        error = np.where(seen, (values[:, 0] - label.value[rows]) ** 2, 0.0)
        parts = np.stack([error, seen.astype(float)], axis=1)
        return Measure(words, Sums(parts, lambda sums: np.sqrt(_share(sums[..., 0], sums[..., 1]))), "lower", words)

    return Judge(f"root mean squared error of {words}", lambda forecast: told(forecast)[:, None], measure, mixed_numbers, whole=whole)


def quantile_judge(words: str, valid: Examples, question: str) -> Judge:
    """Return how the quantiles of heavy-tailed amounts are compared: by the mean pinball loss (Koenker & Bassett 1978)."""
    label = valid.label(question)

    def told(forecast: Amount) -> Floats:
        return np.hstack([np.broadcast_to(forecast.levels, forecast.quantiles.shape), forecast.quantiles])

    def measure(values: Floats, rows: Ints | slice) -> Measure:
        levels, quantiles = np.split(values, 2, axis=1)
        gap = label.value[rows][:, None] - quantiles
        loss, seen = np.maximum(levels * gap, (levels - 1) * gap).mean(axis=1), label.observed[rows]
        parts = np.stack([np.where(seen, loss, 0.0), seen.astype(float)], axis=1)
        return Measure(words, Sums(parts, lambda sums: _share(sums[..., 0], sums[..., 1])), "lower", words)

    return Judge(f"mean pinball loss of {words}", told, measure, mixed_numbers)


def distribution_judge(valid: Examples, question: str) -> Judge:
    """Return how numbers with their distributions are compared: by -log of the chance that was given to the number that came."""
    label = valid.label(question)

    def measure(values: Floats, rows: Ints | slice) -> Measure:
        seen = label.observed[rows]
        loss = -log_chances(label.value[rows], np.ascontiguousarray(values[:, 0]), np.ascontiguousarray(values[:, 1]))
        parts = np.stack([np.where(seen, loss, 0.0), seen.astype(float)], axis=1)
        return Measure("log-loss", Sums(parts, lambda sums: _share(sums[..., 0], sums[..., 1])), "lower", "log-loss")

    def told(forecast: Number) -> Floats:
        return np.stack([forecast.mean, forecast.dispersion], axis=1)

    return Judge("log-loss of the number", told, measure, mixed_numbers, whole=False)


def chance_judge(valid: Examples, question: str, days: float | None = None) -> Judge:
    """Return how chances of yes or no are compared, of one thing or of several classes: by the mean log-loss.

    With ``days``, the length of the windows, the chances of one thing are calibrated too.
    """
    label = valid.label(question)
    came = label.value.reshape(len(valid), -1) > 0

    def measure(told: Floats, rows: Ints | slice) -> Measure:
        seen = np.broadcast_to(label.observed[rows][:, None], came[rows].shape)
        return _mean_of("log-loss", np.where(seen, _log_loss(told, came[rows]), 0.0), seen)

    known = (came, label.observed[:, None]) if days is not None else (None, None)
    lengths = () if days is None else (days,)
    return Judge("log-loss", lambda forecast: forecast.chance.reshape(len(forecast), -1), measure, mixed_chances, lengths, True, *known)


def _log_loss(chance: Floats, came: Bools) -> Floats:
    bounded = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.asarray(-np.where(came, np.log(bounded), np.log1p(-bounded)))


def _mean_of(name: str, losses: Floats, seen: Bools) -> Measure:
    """Return the mean over the columns of the mean loss of those seen; columns that nobody was watched for are left out."""
    parts, m = np.concatenate([losses, seen.astype(float)], axis=1), losses.shape[1]

    def read(sums: Floats) -> Floats:
        means = _share(sums[..., :m], sums[..., m:])
        known = np.isfinite(means)
        return _share(np.where(known, means, 0.0).sum(axis=-1), known.sum(axis=-1))

    return Measure(name, Sums(parts, read), "lower", name)


def _share(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0))
