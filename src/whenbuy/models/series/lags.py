"""What a global model sees of a series at an origin: recent means, weekdays, lags and the calendar, in units of the series' own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.panel import Panel
from whenbuy.models.series.smoothing import Smoothing

_WINDOWS_DAYS: Final = (7, 14, 28, 56, 91, 182)
_SIZE_DAYS: Final = 56
_YEAR_DAYS: Final = 364


@dataclass(frozen=True, slots=True, eq=False)
class Lags:
    """Rows for a global model.

    Parameters
    ----------
    values
        What is seen (m x f).
    size
        The size of each row's series at its origin, the unit of everything (m).
    base
        What smoothing tells, in that unit (m).
    target
        What came, in that unit (m), NaN where it is not known.
    """

    values: Singles
    size: Singles
    base: Singles
    target: Singles


def lags(panel: Panel, rows: Ints, origins: Ints, steps: Ints, profile: Floats) -> Lags:
    """Return what is seen of some series from some origins at some steps ahead.

    Parameters
    ----------
    panel
        The series.
    rows, origins
        Which series (r), and from where (o).
    steps
        Steps ahead, from 0 on (k). The rows of the answer run over series, then origins, then steps (m = r o k).
    profile
        The weekday factors of all series (t + 1 x season).
    """
    windows = np.array([max(days // panel.step_days, 1) for days in _WINDOWS_DAYS], np.int64)
    horizon = int(steps.max()) + 1
    smooth = Smoothing("", seasonal=True).learn(panel, origins, horizon)(rows)[:, :, steps]
    own, ahead, size, target = _seen(
        panel.values[rows], panel.first[rows], origins, steps, windows, _SIZE_DAYS // panel.step_days, _YEAR_DAYS // panel.step_days,
        profile, smooth,
    )  # fmt: skip
    days = _calendar(panel, origins, steps)
    r, o, k = len(rows), len(origins), len(steps)
    m = r * o * k
    shape = (r, o, k)
    parts = [
        np.broadcast_to(own[:, :, None, :], (*shape, own.shape[2])),
        ahead,
        np.broadcast_to(days[None], (*shape, days.shape[2])),
    ]  # fmt: skip
    values = np.concatenate([part.reshape(m, -1) for part in parts], axis=1)
    unit = np.broadcast_to(size[:, :, None], shape).reshape(m)
    return Lags(values, unit, ahead[:, :, :, -1].reshape(m), target.reshape(m))


def _calendar(panel: Panel, origins: Ints, steps: Ints) -> Singles:
    """Return weekday, day of the month and what the shop's calendar says of each step (o x k x f)."""
    day = panel.start + panel.step_days * (origins[:, None] + steps)
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    found = [(day + 3) % 7, day - month] if panel.step_days == 1 else [day - month]
    told = [part[origins][:, steps] for _, part in sorted(panel.calendar.items())]
    now = [np.broadcast_to(part[origins][:, :1], day.shape) for _, part in sorted(panel.calendar.items())]
    return np.stack([np.asarray(part, np.float32) for part in (*found, *told, *now)], axis=2)


@kernel
def _mean(y: Singles, begin: int, end: int) -> float:
    """Return the mean of the known values in [begin, end), NaN where there is none."""
    total, count = 0.0, 0
    for s in range(max(begin, 0), end):
        if not np.isnan(y[s]):
            total += y[s]
            count += 1
    return total / count if count else np.nan


@kernel
def _seen(
    values: Singles, first: Ints, origins: Ints, steps: Ints, windows: Ints, span: int, year: int, profile: Floats, smooth: Singles,
) -> tuple[Singles, Singles, Singles, Singles]:  # fmt: skip
    """Return the columns of each origin (r x o x f) and of each step (r x o x k x g), the size (r x o) and what came (r x o x k)."""
    n, t, season, o, k = len(values), values.shape[1], profile.shape[1], len(origins), len(steps)
    own = np.full((n, o, 5 + len(windows) + 4), np.nan, np.float32)
    ahead = np.full((n, o, k, 5), np.nan, np.float32)
    size, target = np.zeros((n, o), np.float32), np.full((n, o, k), np.nan, np.float32)
    for i in range(n):
        for j in range(o):
            at, begin = origins[j], first[i]
            if at <= begin:
                continue
            mean, known = _mean(values[i], max(at - span, begin), at), max(1, min(span, at - begin))
            unit = ((mean if mean > 0 else 0.0) * known + 0.1) / (known + 1.0)
            size[i, j] = unit
            _state(values[i], begin, at, unit, span, season, windows, own[i, j])
            for q in range(k):
                place = at + steps[q]
                ahead[i, j, q, 0] = steps[q]
                ahead[i, j, q, 1] = _same_weekday(values[i], begin, at - season + steps[q] % season, season) / unit
                ahead[i, j, q, 2] = profile[at, place % season]
                ahead[i, j, q, 3] = _year_before(values[i], begin, at, place - year, season)
                ahead[i, j, q, 4] = smooth[i, j, q] / unit
                if place < t:
                    target[i, j, q] = values[i, place] / unit
    return own, ahead, size, target


@kernel
def _state(y: Singles, begin: int, at: int, unit: float, span: int, season: int, windows: Ints, out: Singles) -> None:
    """Write what is seen of a series at an origin: log size, zeros, silence, age, unevenness, means of windows, the last weeks."""
    zeros, squares, count, silent = 0.0, 0.0, 0.0, 0
    for s in range(max(at - span, begin), at):
        if not np.isnan(y[s]):
            zeros += y[s] == 0
            squares += (y[s] / unit - 1.0) ** 2
            count += 1.0
    while silent < at - begin and not y[at - 1 - silent] > 0:
        silent += 1
    out[0] = np.log(unit)
    if count > 0:
        out[1], out[4] = zeros / count, squares / count
    out[2], out[3] = silent, np.log(1.0 + at - begin)
    for w in range(len(windows)):
        out[5 + w] = _mean(y, max(at - windows[w], begin), at) / unit
    for lag in range(4):
        if at - 1 - lag * season >= begin:
            out[5 + len(windows) + lag] = _mean(y, max(at - (lag + 1) * season, begin), at - lag * season) / unit


@kernel
def _same_weekday(y: Singles, begin: int, back: int, season: int) -> float:
    """Return the mean of the last six known steps that stand where this one does in the season; NaN where there is none."""
    total, seen = 0.0, 0
    while seen < 6 and back >= begin:
        if not np.isnan(y[back]):
            total += y[back]
            seen += 1
        back -= season
    return total / seen if seen else np.nan


@kernel
def _year_before(y: Singles, begin: int, at: int, last: int, season: int) -> float:
    """Return what the days around the same one of the year before brought, over what the weeks around them did; NaN where unknown."""
    if not begin <= last < at:
        return np.nan
    reach, wide = (3, 26) if season > 1 else (1, 3)
    around = _mean(y, max(last - wide, begin), min(last + wide, at))
    return _mean(y, max(last - reach, begin), min(last + reach + 1, at)) / around if around > 0 else np.nan
