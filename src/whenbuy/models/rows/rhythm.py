"""A customer's rhythm, compiled: the columns of `FittedRhythm.apply` for one row."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.rows.asked import Layout
from whenbuy.models.when.rhythm import FittedRhythm, halflife

_WEEK = 7
_LENT_DAYS, _LENT_WEEKS, _LENT_GAPS = 7.0, 4.0, 2.0
_LONGEST, _FAINT = 1e6, 1e-12
_SHORTEST, _LEAST_SHAPE, _MOST_SHAPE = 1e-3, 0.05, 20.0
_SMALL = 1e-15
_HEAD = 9
"""Leading places: tenure, sine, cosine of the weekday, mean, deviation of gaps, recency, frequency; how many weekly ones and rates."""


class Extended:
    """Writes the rhythm behind a row.

    Parameters
    ----------
    rhythm
        What is usual.
    layout
        How the row lies.
    """

    def __init__(self, rhythm: FittedRhythm, layout: Layout) -> None:
        read, place = rhythm.columns, layout.place
        weekly = [place(f"{name}_on_weekday_in_{i}d") for name in read.weekly for i in range(_WEEK)]
        head = ("tenure_days", "weekday_sin", "weekday_cos", f"{read.gaps}_mean_days", f"{read.gaps}_deviation_days")
        sizes = [len(read.weekly), len(read.rates)]
        self.places = np.array([*map(place, (*head, read.recency, read.frequency)), *sizes, *weekly, *map(place, read.rates)], np.int64)
        lives = [halflife(name) for name in (*read.weekly, *read.rates)]
        profile = [share for one in rhythm.profile for share in one]
        self.reals = np.array([rhythm.gap, rhythm.variation, *lives, *rhythm.rate, *rhythm.usual, *profile], np.float64)
        self.days = np.array(rhythm.settings.days, np.float64)
        self.layout = replace(layout, names=(*layout.names, *_names(rhythm)))

    def __call__(self, values: Singles) -> Singles:
        """Return a row (1 x f) with the rhythm behind it."""
        out = np.empty((1, len(self.layout.names)), np.float32)
        out[0, : values.shape[1]] = values[0]
        extend(out[0], values.shape[1], self.places, self.reals, self.days)
        return out


def _names(rhythm: FittedRhythm) -> list[str]:
    """Return the names of the columns that a rhythm adds."""
    read, days = rhythm.columns, rhythm.settings.days
    found = [f"{name}_on_weekdays_p_{day:g}d" for name in read.weekly for day in days] + [f"{read.gaps}_shape"]
    for name in (read.gaps, *read.rates):
        found += [f"{name}_silence_ratio", *(f"{name}_renewal_p_{day:g}d" for day in days)]
    return found


@kernel
def known(row: Singles, place: int, default: float) -> float:
    """Return a number, or the default where it is unknown or not there."""
    value = np.float64(row[place]) if place >= 0 else default
    return value if np.isfinite(value) else default


@kernel
def number(row: Singles, place: int, default: float) -> float:
    """Return a number from 0 on, or the default."""
    value = known(row, place, default)
    return value if np.isnan(value) else min(max(value, 0.0), _LONGEST)


@kernel
def asked_of(row: Singles, places: Ints, reals: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Return for which shapes and arguments the incomplete gamma function is needed (2 x q), and the columns but for what follows of it."""
    tenure, weekly, rates, d = number(row, places[0], 0.0), places[7], places[8], len(days)
    lives, usual = reals[2:], reals[2 + weekly + rates :]
    found = np.empty(weekly * d + 1 + (1 + rates) * (1 + d))
    angle = np.arctan2(known(row, places[1], 0.0), known(row, places[2], 1.0))
    today = int(np.round(angle / (2 * np.pi) * _WEEK))
    for w in range(weekly):
        columns, profile = places[_HEAD + w * _WEEK : _HEAD + (w + 1) * _WEEK], usual[weekly + rates + w * _WEEK :]
        by_weekday(row, columns, today, tenure, lives[w], usual[w], profile, days, found[w * d : (w + 1) * d])
    own, deviation, gaps = number(row, places[3], np.nan), number(row, places[4], np.nan), number(row, places[6], 0.0)
    spread = deviation / max(own, _SHORTEST)
    ratio = (spread if np.isfinite(spread) else 1.0) ** 2
    lent = gaps + _LENT_GAPS
    shape = min(max(lent / max(min(ratio, _LONGEST) * gaps + reals[1] * _LENT_GAPS, _FAINT), _LEAST_SHAPE), _MOST_SHAPE)
    found[weekly * d] = shape
    silence = number(row, places[5], reals[0])
    asked = np.empty((2, (1 + rates) * (1 + d)))
    for r in range(1 + rates):
        mean = ((0.0 if np.isnan(own) else own) * gaps + reals[0] * _LENT_GAPS) / lent
        if r > 0:
            life = lives[weekly + r - 1] / np.log(2)
            events, watched = number(row, places[_HEAD + weekly * _WEEK + r - 1], 0.0) * life, life * -np.expm1(-tenure / life)
            mean = 1 / max((events + 2 * _LENT_DAYS * usual[weekly + r - 1]) / (watched + 2 * _LENT_DAYS), 1 / _LONGEST)
        found[weekly * d + 1 + r * (1 + d)] = silence / mean
        asked[:, r * (1 + d)] = shape, shape * silence / mean
        for i in range(d):
            asked[:, r * (1 + d) + 1 + i] = shape, shape * (silence + days[i]) / mean
    return asked, found


@kernel
def by_weekday(
    row: Singles, columns: Ints, today: int, tenure: float, life: float, usual: float, profile: Floats, days: Floats, found: Floats
) -> None:
    """Write P(she buys within each of the days ahead) by her rates on the weekdays that they are."""
    events, watched = np.empty(_WEEK), np.empty(_WEEK)
    for i in range(_WEEK):
        age = _WEEK - i
        often = max(np.floor((tenure - age) / _WEEK) + 1, 0.0)
        events[i] = number(row, columns[i], 0.0) * life / np.log(2)
        watched[i] = 0.5 ** ((age - 0.5) / life) * (1 - 0.5 ** (_WEEK * often / life)) / (1 - 0.5 ** (_WEEK / life))
    rate = (events.sum() + _LENT_DAYS * usual) / (watched.sum() + _LENT_DAYS)
    for j in range(len(days)):
        fallen = 0.0
        for i in range(_WEEK):
            part = min(max((days[j] - i) % _WEEK, 0.0), 1.0) if days[j] % _WEEK > i else 0.0
            by_day = (events[i] + _LENT_WEEKS * rate * profile[(today + i) % _WEEK]) / (watched[i] + _LENT_WEEKS)
            fallen += by_day * (days[j] // _WEEK + part)
        found[j] = -np.expm1(-fallen)


@kernel
def extend(row: Singles, f: int, places: Ints, reals: Floats, days: Floats) -> None:
    """Write the rhythm behind the first f numbers of a row; of whom nothing is known gets gaps."""
    asked, found = asked_of(row, places, reals, days)
    d, rates = len(days), places[8]
    first = places[7] * d + 1
    for r in range(1 + rates):
        at = r * (1 + d)
        whole = math.lgamma(asked[0, at])
        still = max(unspent(asked[0, at], asked[1, at], whole), _FAINT)
        for i in range(d):
            left = unspent(asked[0, at], asked[1, at + 1 + i], whole)
            found[first + at + 1 + i] = 1 - min(left / still, 1.0)
    stranger = not np.isfinite(known(row, places[0], np.nan))
    for i in range(len(found)):
        row[f + i] = np.nan if stranger else found[i]


@kernel
def unspent(shape: float, x: float, whole: float) -> float:
    """Return the upper regularised incomplete gamma function for a shape above 0 and x from 0 on; ``whole`` is log gamma(shape).

    Below shape + 1 by the power series, beyond by Lentz's continued fraction (Press et al., Numerical Recipes, s. 6.2).
    """
    if np.isnan(x):
        return math.nan
    if x <= 0:
        return 1.0
    if np.isinf(x):
        return 0.0
    front = np.exp(shape * np.log(x) - x - whole)
    if x < shape + 1.0:
        part = 1.0 / shape
        total, n = part, shape
        while part > total * _SMALL:
            n += 1.0
            part *= x / n
            total += part
        return float(max(1.0 - front * total, 0.0))
    if front == 0.0:
        return 0.0
    b = x + 1.0 - shape
    c, d = 1e300, 1.0 / b
    h, i = d, 0.0
    while True:
        i += 1.0
        a, b = -i * (i - shape), b + 2.0
        d, c = 1.0 / (a * d + b), b + a / c
        h *= d * c
        if abs(d * c - 1.0) < _SMALL:
            return float(front * h)
