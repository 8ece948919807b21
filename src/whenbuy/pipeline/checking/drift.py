"""Drift: how each month differs from all months before it, as effect sizes with words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS
from whenbuy.pipeline.checking.parts import Drift

PSI: Final = (0.1, 0.25)
"""From the first value on a shift of shares is moderate, from the second large (Siddiqi, Credit Risk Scorecards, 2006, ch. 10)."""
SMD: Final = (0.2, 0.5, 0.8)
"""Small, moderate and large differences of means in standard deviations (Cohen, Statistical Power Analysis, 1988, s. 2.2)."""
RATIO: Final = (1.25, 1.5, 2.0)
"""Volumes that differ by this factor, either way, are small, moderate and large: seasons and campaigns move shops by a quarter."""
POINTS: Final = (0.05, 0.1, 0.25)
"""The same for the share of missing values."""
ROWS: Final = 100
"""A month with fewer rows than this is not judged."""
SURE: Final = 3.0
"""A difference counts where it is this many times its standard error: by chance once in 370 comparisons."""
DAYS: Final = 7.0
"""Nor is a month of which the log holds fewer days."""
_BUCKETS: Final = 10
_SIZES: Final = ("small", "moderate", "large")


def drifts(history: History) -> tuple[Drift, ...]:
    """Return every difference of a month from the months before it that is at least small (moderate where it is a PSI)."""
    log = history.log
    local = history.clock.local(log.time).dt
    number = (local.year().cast(pl.Int64) * 12 + local.month() - 1).to_numpy()
    months, place = np.unique(number, return_inverse=True)
    names = [f"{month // 12}-{month % 12 + 1:02d}" for month in months.tolist()]
    covered = _covered(history, names)
    rows = np.bincount(place, minlength=len(names))
    judged = [m for m in range(len(names)) if rows[m] >= ROWS and covered[m] >= DAYS]
    found: list[Drift] = []
    for m in judged[1:]:
        earlier = np.array([each for each in judged if each < m])
        found += _month(history, names[m], place == m, np.isin(place, earlier), covered[m], float(covered[earlier].sum()))
    return tuple(found)


def _covered(history: History, months: list[str]) -> Floats:
    """Return how many days of each month the log holds."""
    clock, log = history.clock, history.log
    starts = [clock.instant(f"{name}-01") for name in months]
    after = [_next(name) for name in months]
    ends = [clock.instant(f"{name}-01") for name in after]
    first = clock.midnight_before(np.array([log.start], np.int64))[0] if len(log) else 0
    return np.array([(min(end, log.end) - max(start, first)) / DAY for start, end in zip(starts, ends, strict=True)])


def _next(month: str) -> str:
    year, number = (int(part) for part in month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02d}"


def _month(history: History, month: str, now: Bools, before: Bools, days: float, days_before: float) -> Iterator[Drift]:
    log = history.log
    bought = log.kind == (log.code("purchase") if "purchase" in log.kinds else 255)
    heads = bought & (log.columns[ORDERS].values == 1) if ORDERS in log.columns else bought
    for what, rows in (("events", np.ones(len(log), bool)), ("orders", heads)):
        yield from _volume(month, what, int((rows & now).sum()), int((rows & before).sum()), days, days_before)
    kinds = [np.bincount(log.kind[rows], minlength=len(log.kinds)) for rows in (now, before)]
    yield from _shares(month, "kinds", kinds[0], kinds[1], "the mix of kinds of event")
    if "amount" in log.columns:
        amounts = log.columns["amount"].values
        there = bought & (amounts > 0)
        yield from _amounts(month, np.log(amounts[there & now].astype(float)), np.log(amounts[there & before].astype(float)))
    for name, column in log.columns.items():
        known = column.values != MISSING if column.dictionary is None else column.values >= 0
        if (bought & now).sum() >= ROWS and (bought & before).sum() >= ROWS:
            yield from _missing(month, name, 1 - float(known[bought & now].mean()), 1 - float(known[bought & before].mean()))


def _volume(month: str, what: str, now: int, before: int, days: float, days_before: float) -> Iterator[Drift]:
    if not before or not now:
        return
    ratio = now / days / (before / days_before)
    doubt = SURE * np.sqrt(1 / now + 1 / before)  # of the logarithm of a ratio of Poisson counts
    if (size := _size(max(ratio, 1 / ratio), RATIO)) and abs(np.log(ratio)) >= doubt:
        way = "more" if ratio > 1 else "fewer"
        words = f"{now / days:,.1f} {what} a day, {before / days_before:,.1f} before: {abs(ratio - 1):.0%} {way}"
        yield Drift(month, f"{what} per day", "ratio", ratio, size, words)


def _shares(month: str, what: str, now: Ints, before: Ints, words: str) -> Iterator[Drift]:
    effect = stability(now, before)
    if size := _size(effect, PSI, _SIZES[1:]):
        moved = now / now.sum() - before / before.sum()
        yield Drift(month, what, "psi", effect, size, f"{words} moved, the largest share by {np.abs(moved).max():.0%}")


def _amounts(month: str, now: Floats, before: Floats) -> Iterator[Drift]:
    if min(len(now), len(before)) < ROWS:
        return
    spread = np.sqrt((now.var() + before.var()) / 2)
    effect = float((now.mean() - before.mean()) / spread) if spread > 0 else 0.0
    ratio = float(np.exp(now.mean() - before.mean()))
    doubt = SURE * np.sqrt(1 / len(now) + 1 / len(before))
    if (size := _size(abs(effect), SMD)) and abs(effect) >= doubt:
        words = f"a typical amount is {ratio:.2f} times that of before ({effect:+.2f} standard deviations of its logarithm)"
        yield Drift(month, "amount", "smd", effect, size, words)
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BUCKETS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (now, before)]
    yield from _shares(month, "amount", counts[0], counts[1], "the spread of amounts over their tenths")


def _missing(month: str, name: str, now: float, before: float) -> Iterator[Drift]:
    if size := _size(abs(now - before), POINTS):
        yield Drift(
            month, f"missing {name}", "points", now - before, size, f"{now:.0%} of the purchases have no {name}, {before:.0%} before"
        )


def stability(now: Ints, before: Ints) -> float:
    """Return the population stability index of counts by bucket against earlier ones, less what chance alone makes of it.

    Σ (p − q)·ln(p/q), with half a count more in each bucket: the symmetric Kullback–Leibler divergence (Jeffreys 1946). Between two samples
    of one law with n and m rows in k buckets it is about (k − 1)·(1/n + 1/m) (Yurdakul, Statistical Properties of Population Stability
    Index, 2018, s. 2). Buckets that neither has are left out.
    """
    there = (now > 0) | (before > 0)
    p, q = ((counts[there] + 0.5) / (counts[there] + 0.5).sum() for counts in (now, before))
    chance = (int(there.sum()) - 1) * (1 / now.sum() + 1 / before.sum())
    return max(0.0, float(((p - q) * np.log(p / q)).sum()) - float(chance))


def _size(effect: float, bounds: tuple[float, ...], sizes: tuple[str, ...] = _SIZES) -> str:
    reached = sum(effect >= bound for bound in bounds)
    return sizes[reached - 1] if reached else ""
