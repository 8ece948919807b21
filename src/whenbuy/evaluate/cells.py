"""Curves against a known truth, in groups of equal risk."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.errors import NotEnoughDataError, WhenbuyError
from whenbuy.core.forecast import TimeToEvent


def curve_cells(forecast: TimeToEvent, truth: TimeToEvent, groups: int = 20) -> float:
    """Return the share of (risk group, day) cells in which the mean forecast is as close to the mean true curve as chance allows.

    Groups are of equal size by the true risk on the last day of the truth's grid. A cell passes when the two means of
    P(event within d days) differ by at most 2 binomial standard errors, sqrt(p (1 - p) / size) with the true mean p.

    Raises
    ------
    WhenbuyError
        When the two speak of different keys.
    NotEnoughDataError
        When there are fewer keys than groups.
    """
    return float(cells(forecast, truth, groups).mean())


def cells(forecast: TimeToEvent, truth: TimeToEvent, groups: int = 20) -> Bools:
    """Return which cells pass (groups x days), groups by rising risk, days as in the truth's grid. Raises as ``curve_cells``."""
    same = len(forecast) == len(truth) and (forecast.keys.cutoff == truth.keys.cutoff).all()
    if not same or not forecast.keys.ids().equals(truth.keys.ids()):
        raise WhenbuyError("A forecast was compared with the truth about other keys.", "Both need the same keys in the same order.")
    if len(truth) < groups:
        raise NotEnoughDataError(f"{len(truth)} curves were given for {groups} groups.", "Ask for fewer groups.")
    said, true = forecast.probability(truth.grid_days), 1 - truth.survival
    passed = np.empty((groups, len(truth.grid_days)), bool)
    for group, rows in enumerate(np.array_split(np.argsort(true[:, -1], kind="stable"), groups)):
        mean = true[rows].mean(axis=0)
        error = np.sqrt(mean * (1 - mean) / len(rows))
        passed[group] = np.abs(said[rows].mean(axis=0) - mean) <= 2 * error + 1e-12
    return passed
