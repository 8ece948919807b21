"""Scores of a series: is the forecast closer than the seasonal naive one, and how far off is it in sum."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.evaluate.measure import ratio


def mase(truth: Floats, forecast: Floats, past: Floats, season: int = 1) -> Floats:
    """Return the mean absolute scaled error of each series (n): below 1 it beats the seasonal naive forecast.

    The mean distance to the truth over the mean distance of the known past to itself one season before (Hyndman and Koehler 2006, s. 3).
    NaN where that past never changed: there is nothing to scale by.

    Parameters
    ----------
    truth, forecast
        What came and what was told (n x h).
    past
        What was known before (n x t), more than one season of it.
    season
        Steps after which it repeats: 7 for days of a week; 1 compares with the value before.

    Raises
    ------
    NotEnoughDataError
        When the past is not longer than a season.
    UsageError
        When the shapes differ, or the season is below 1.
    """
    _require_same(truth, forecast)
    if season < 1:
        raise UsageError(f"A season of {season} steps was given.", "It has at least one.", "Give 1 to compare with the step before.")
    if past.shape[-1] <= season:
        raise NotEnoughDataError(
            f"The past has {past.shape[-1]} steps, the season {season}.", "More than one season is needed.", "Give a longer past."
        )
    scale = np.abs(past[..., season:] - past[..., :-season]).mean(axis=-1)
    return ratio(np.abs(truth - forecast).mean(axis=-1), scale)


def seasonal_naive(past: Floats, steps: int, season: int = 1) -> Floats:
    """Return the forecast that repeats the last season (n x steps): the floor of every series.

    Raises
    ------
    NotEnoughDataError
        When the past is shorter than a season.
    """
    if past.shape[-1] < season:
        raise NotEnoughDataError(
            f"The past has {past.shape[-1]} steps, the season {season}.", "A whole season is needed.", "Give a longer past."
        )
    return past[..., past.shape[-1] - season + np.arange(steps) % season]


def wape(truth: Floats, forecast: Floats) -> float:
    """Return the sum of the absolute errors over the sum of the absolute truth, over all series and steps; NaN where the truth is all 0.

    Raises
    ------
    UsageError
        When the shapes differ.
    """
    _require_same(truth, forecast)
    total = np.abs(truth).sum()
    return float(np.abs(truth - forecast).sum() / total) if total else float("nan")


def _require_same(truth: Floats, forecast: Floats) -> None:
    if truth.shape != forecast.shape:
        raise UsageError(
            f"A truth of shape {truth.shape} was given a forecast of shape {forecast.shape}.", "They must be the same.", "Cut one of them."
        )
