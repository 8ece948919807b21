"""Trend, peaks and events: where the level of each series stands and goes, what will be hot, and what holidays and promotions do."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.panel import Panel
from whenbuy.core.series_forecast import NAMED, SeriesForecast, dates
from whenbuy.models.series.changes import change_points, growth, season_strength
from whenbuy.models.series.library import filled

_LEVEL_DAYS: Final = 56
_GROWTH_DAYS: Final = 182
_AROUND: Final = 4
"""What is usual on a day: the mean of its weekday in so many weeks before and after it."""
_COMMON: Final = 0.5
"""Where offers run on more of the days than this, there is nothing to compare them to."""
_PEAK: Final = 1.25


def trends(panel: Panel) -> pl.DataFrame:
    """Return one row per series: its name, level (per week), growth per 4 weeks with its 80 % interval, season_strength, changed (dates).

    Null where the series is too short to say.
    """
    rows = []
    for i, name in enumerate(panel.keys.ids().to_list()):
        y = filled(panel.values[i, panel.first[i] :])
        weeks = _weeks(y, panel.step_days)
        steps = weeks[-_GROWTH_DAYS // 7 :]
        found = [_known(4 * part) for part in growth(steps)]
        begin = panel.end - 7 * len(weeks)
        changed = dates(begin + 7 * change_points(weeks)).to_list()
        strength = _known(season_strength(y, panel.season))
        level = float(weeks[-_LEVEL_DAYS // 7 :].mean()) if len(weeks) else None
        rows.append((name, level, *found, strength, changed))
    return pl.DataFrame(
        rows, {
            NAMED[panel.keys.entity]: pl.String, "level": pl.Float64, "growth": pl.Float64, "growth_low": pl.Float64,
            "growth_high": pl.Float64, "season_strength": pl.Float64, "changed": pl.List(pl.Date),
        }, orient="row",
    )  # fmt: skip


def hot(told: SeriesForecast, panel: Panel, times: float = 1.5, days: int = 7) -> pl.DataFrame:
    """Return the chance that each series brings more than so many times the usual in its next days, the likeliest first.

    Columns: name, usual (what so many days of the last eight weeks brought, on average), expected, threshold, chance. A series that brought
    nothing in these weeks has no usual, and is left out.

    Parameters
    ----------
    told
        A forecast with sums.
    panel
        The series from which it was made.
    times
        How many times the usual is hot.
    days
        How many of the next days count; made whole steps.
    """
    steps = min(max(days // told.step_days, 1), told.horizon)
    recent = panel.values[:, -_LEVEL_DAYS // panel.step_days :]
    known = np.isfinite(recent).sum(axis=1)
    usual = steps * np.divide(np.nansum(recent, axis=1), known, out=np.zeros(len(recent)), where=known > 0)
    place = {name: i for i, name in enumerate(panel.keys.ids().to_list())}
    rows = np.array([place.get(name, -1) for name in told.keys.ids().to_list()], np.int64)
    mine = np.where(rows >= 0, usual[rows], 0.0) if len(usual) else np.zeros(len(told))
    table = pl.DataFrame(
        {
            NAMED[told.keys.entity]: told.keys.ids(), "usual": mine, "expected": told.mean[:, :steps].sum(axis=1),
            "threshold": times * mine,
            "chance": told.chance_above(times * mine, steps),
        }
    )  # fmt: skip
    return table.filter(pl.col("usual") > 0).sort("chance", descending=True, maintain_order=True)


def peaks(told: SeriesForecast) -> pl.DataFrame:
    """Return the steps that stand out of each forecast: name, begins, mean, low, high (80 %), times (the mean step); the largest first."""
    usual = told.mean.mean(axis=1, keepdims=True)
    times = np.divide(told.mean, usual, out=np.zeros(told.mean.shape), where=usual > 0)
    row, step = np.nonzero(times >= _PEAK)
    low, high = told.quantile(0.1)[row, step], told.quantile(0.9)[row, step]
    table = pl.DataFrame(
        {
            NAMED[told.keys.entity]: told.keys.ids().gather(row), "begins": dates(told.days()[step]), "mean": told.mean[row, step],
            "low": low, "high": high, "times": times[row, step],
        }
    )  # fmt: skip
    return table.sort("mean", descending=True, maintain_order=True)


def events(panel: Panel) -> pl.DataFrame:
    """Return what holidays and promotions did to each series of days, as a factor of the usual.

    Columns: name, event ("holiday", "offers"), occurrences (runs of days), factor, low, high (80 %, by the spread between occurrences;
    null for fewer than three of them). What is usual on a day is the mean of its weekday in the four weeks before and after it, such
    days left out. An event that the log has not seen has no factor, nor have offers that run on most days: nothing is left to compare to.
    """
    schema = {
        NAMED[panel.keys.entity]: pl.String, "event": pl.String, "occurrences": pl.Int64, "factor": pl.Float64, "low": pl.Float64,
        "high": pl.Float64,
    }  # fmt: skip
    special = _special(panel)
    plain = ~np.any([*special.values()], axis=0) if special else np.ones(panel.steps, bool)
    names, rows = panel.keys.ids().to_list(), []
    for event, days in special.items():
        runs = np.cumsum(np.diff(np.concatenate([[0], days.astype(int)])) == 1)
        for i, name in enumerate(names):
            usual = _usual(panel.values[i].astype(np.float64), int(panel.first[i]), plain, panel.season)
            rows.append((name, event, *_factor(panel.values[i].astype(np.float64), usual, days, runs)))
    return pl.DataFrame(rows, schema, orient="row")


def _special(panel: Panel) -> dict[str, Bools]:
    """Return the days on which something was on, by its name (t); nothing for series of weeks."""
    if panel.step_days != 1:
        return {}
    found = {name: part[: panel.steps, 0] > 0 for name, part in panel.calendar.items() if name in ("holiday", "offers") and part.shape[1]}
    return {name: days for name, days in found.items() if name == "holiday" or 0 < days.mean() <= _COMMON}


def _usual(y: Floats, first: int, plain: Bools, season: int) -> Floats:
    """Return what is usual on each day (t): the mean of plain days of its weekday around it; NaN where there is none."""
    n = len(y)
    counts = plain & np.isfinite(y) & (np.arange(n) >= first)
    total, count = np.zeros(n), np.zeros(n)
    for week in (*range(-_AROUND, 0), *range(1, _AROUND + 1)):
        place = np.arange(n) + week * season
        inside = (place >= 0) & (place < n)
        good = np.zeros(n, bool)
        good[inside] = counts[place[inside]]
        total[good] += y[place[good]]
        count += good
    return np.asarray(np.divide(total, count, out=np.full(n, np.nan), where=count > 0))


def _factor(y: Floats, usual: Floats, days: Bools, runs: Floats) -> tuple[int, float | None, float | None, float | None]:
    """Return how many occurrences were seen, the factor over the usual, and its 80 % interval."""
    from scipy import stats

    seen = days & np.isfinite(y) & (usual > 0)
    ratio = [float(y[seen & (runs == run)].sum() / usual[seen & (runs == run)].sum()) for run in np.unique(runs[seen])]
    n = len(ratio)
    if not n:
        return 0, None, None, None
    log = np.log(np.maximum(ratio, 0.05))
    middle = float(np.exp(log.mean()))
    if n < 3:
        return n, middle, None, None
    reach = float(stats.t.ppf(0.9, n - 1)) * float(log.std(ddof=1)) / math.sqrt(n)
    return n, middle, middle * math.exp(-reach), middle * math.exp(reach)


def _weeks(y: Floats, step_days: int) -> Floats:
    """Return a series by whole weeks up to its end."""
    return y if step_days == 7 else y[len(y) % 7 :].reshape(-1, 7).sum(axis=1)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
