"""The compiled loops of curves, amounts and chances, for one customer each; curves are freed of rounding where forecasts are."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.kernel import kernel
from whenbuy.models.rows.powers import exps, log_of

SURE: Final = 1e-9
"""No chance of a classifier or a blend is nearer to 0 or 1 than this (`boosted_curve`, `blend`)."""
_LEAST: Final = 1e-12
"""As in `calibrate`."""
_LIGHT: Final = 1e-17
"""Nodes of a quadrature that weigh less change nothing."""


@kernel
def freed(survival: Floats, count: Floats) -> None:
    """Free a curve of rounding, in place, as ``TimeToEvent.of`` does."""
    least, most = 1.0, -np.inf
    for i in range(len(survival)):
        least = min(least, max(survival[i], 0.0))
        survival[i] = least
        most = max(most, count[i], 1.0 - least)
        count[i] = most


@kernel
def poisson(rate: float, days: Floats) -> tuple[Floats, Floats]:
    """Return the curve of a constant rate."""
    count = rate * days
    survival = np.exp(-count)
    freed(survival, count)
    return survival, count


@kernel
def stepped(scores: Floats, intercept: float, days: Floats, step: float) -> tuple[Floats, Floats]:
    """Return the curve of a hazard: its log-odds in each step of so many days, read on the days of the grid."""
    steps = len(scores)
    fallen = np.zeros(steps + 1)
    for i in range(steps):
        x = scores[i] + intercept
        fallen[i + 1] = fallen[i] + (max(x, 0.0) + np.log1p(np.exp(-abs(x))))
    return between(fallen, fallen, days, step)


@kernel
def between(fallen: Floats, counted: Floats, days: Floats, step: float) -> tuple[Floats, Floats]:
    """Return the curve from what has fallen and was counted after each step, read on the days of the grid."""
    survival, count = np.empty(len(days)), np.empty(len(days))
    for i in range(len(days)):
        place = days[i] / step
        left = min(int(place), len(fallen) - 2)
        share = place - left
        survival[i] = np.exp(-(fallen[left] + share * (fallen[left + 1] - fallen[left])))
        count[i] = counted[left] + share * (counted[left + 1] - counted[left])
    freed(survival, count)
    return survival, count


@kernel
def leaving(
    repeats: float, last: float, tenure: float, stays: float, settings: Floats, chance: Floats, weight: Floats, days: Floats
) -> tuple[Floats, Floats]:
    """Return the curve of BG/NBD or MBG/NBD (`bgnbd`); without nodes of the quadrature nothing is counted.

    ``settings`` are r, alpha, a, b. Of the likelihood only the odds of having left are needed, where all gamma functions but one cancel.
    """
    r, alpha, a, b = settings[0], settings[1], settings[2], settings[3]
    m = r + repeats
    alive = 1.0
    if stays > 0:
        odds = m * (np.log(alpha + last) - np.log(alpha + tenure)) + np.log((b + stays - 1.0) / a)
        alive = 1.0 / (1.0 + np.exp(-odds))
    survival, count = np.empty(len(days)), np.zeros(len(days))
    for i in range(len(days)):
        later = days[i] / (alpha + tenure)
        survival[i] = 1.0 + alive * np.expm1(-m * np.log1p(later))
        for j in range(len(chance)):
            if weight[j] > _LIGHT:
                count[i] -= weight[j] * np.expm1(-m * np.log1p(chance[j] * later)) / chance[j]
        count[i] *= alive
    freed(survival, count)
    return survival, count


@kernel
def direct(raw: Floats, knots: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Return the curve of direct classifiers from their raw scores (h), 0 and their horizons (h + 1): made monotone and joined."""
    return joined(fallen_of(raw), knots, days)


@kernel
def fallen_of(raw: Floats) -> Floats:
    """Return the cumulative hazard at 0 and the horizons (h + 1) from raw scores (h), made monotone."""
    h = len(raw)
    chance = 1.0 / (1.0 + np.exp(-raw))
    high, low = chance.copy(), chance.copy()
    for i in range(1, h):
        high[i] = max(high[i], high[i - 1])
    for i in range(h - 2, -1, -1):
        low[i] = min(low[i], low[i + 1])
    fallen = np.zeros(h + 1)
    for i in range(h):
        fallen[i + 1] = -np.log1p(-min(max((high[i] + low[i]) / 2, SURE), 1 - SURE))
    return fallen


@kernel
def joined(fallen: Floats, knots: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Return the curve from what has fallen at the knots: linear in between, the last slope continuing."""
    survival, count = np.empty(len(days)), np.empty(len(days))
    for i in range(len(days)):
        right: int = min(max(int(np.searchsorted(knots, days[i])), 1), len(knots) - 1)
        part = (days[i] - knots[right - 1]) / (knots[right] - knots[right - 1])
        count[i] = fallen[right - 1] + part * (fallen[right] - fallen[right - 1])
        survival[i] = np.exp(-count[i])
    freed(survival, count)
    return survival, count


@kernel
def counted(raw: Floats, farthest: float, knots: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Return the curve of expected orders from their logarithms in each stretch (s)."""
    whole = np.zeros(len(raw) + 1)
    for i in range(len(raw)):
        whole[i + 1] = whole[i] + np.exp(min(max(raw[i], -farthest), farthest))
    return joined(whole, knots, days)


@kernel
def mixed(chances: Floats, weights: Floats) -> Floats:
    """Return the chances (g) whose log-odds are the weighted mean of those of the members (m x g)."""
    found = np.empty(chances.shape[1])
    for i in range(len(found)):
        score = 0.0
        for member in range(len(weights)):
            p = min(max(chances[member, i], SURE), 1 - SURE)
            score += weights[member] * np.log(p / (1.0 - p))
        found[i] = 1.0 / (1.0 + np.exp(-score))
    return found


@kernel
def mixed_curves(survivals: Floats, counts: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the blend of the members' curves (m x g each)."""
    survival, count = 1.0 - mixed(1.0 - survivals, weights), np.zeros(survivals.shape[1])
    for member in range(len(weights)):
        for i in range(len(count)):
            count[i] += weights[member] * counts[member, i]
    freed(survival, count)
    return survival, count


@kernel
def corrected(survival: Floats, count: Floats, stretch: Ints, inside: int, shape: Floats, sizes: Ints) -> tuple[Floats, Floats]:
    """Return a calibrated curve; ``stretch`` says in which stretch each day lies, the first ``inside`` of them before the last edge."""
    g = len(survival)
    steps, whole, before = np.empty(g), np.zeros(len(sizes)), 0.0
    for i in range(g):
        steps[i] = -log_of(1.0 - min(max(1.0 - survival[i], 0.0), 1 - 1e-12))
    for i in range(g):
        now = steps[i]
        steps[i], before = now - before, now
        if i < inside:
            whole[stretch[i]] += steps[i]
    for j in range(len(whole)):
        whole[j] = max(whole[j], _LEAST)
    factor = scaled(whole, shape, sizes) / whole
    found, after, fallen = np.empty(g), count.copy(), 0.0
    for i in range(g):
        fallen += steps[i] * factor[stretch[i]]
        found[i] = -fallen
    exps(found)
    freed(found, after)
    return found, after


@kernel
def scaled(fallen: Floats, shape: Floats, sizes: Ints) -> Floats:
    """Return the corrected cumulative hazard of each stretch (m).

    ``sizes`` says how many knots each stretch has, and ``shape`` holds their promises and what came, stretch by stretch; -1 knots stand
    for a line, whose slope and offset are held.
    """
    found, at = fallen.copy(), 0
    for i in range(len(sizes)):
        n = sizes[i]
        if n < 0:
            found[i] = np.exp(shape[at + 1] + shape[at] * np.log(max(fallen[i], _LEAST)))
            at += 2
        elif n > 0:
            promised, came = shape[at : at + n], shape[at + n : at + 2 * n]
            inside = min(max(fallen[i], promised[0]), promised[n - 1])
            found[i] = np.interp(inside, promised, came) * (fallen[i] / inside)
            at += 2 * n
    return found


@kernel
def corrected_chances(chances: Floats, shape: Floats, sizes: Ints) -> Floats:
    """Return calibrated chances of one horizon each (k)."""
    found, fallen = np.empty(len(chances)), np.empty(1)
    for i in range(len(chances)):
        fallen[0] = -np.log1p(-min(max(chances[i], 0.0), 1 - 1e-12))
        found[i] = -np.expm1(-scaled(fallen, shape, sizes)[0])
    return found


@kernel
def rung(expected: float, steps: Floats, amounts: Floats) -> float:
    """Return what a ladder says of one level: straight between its steps, in proportion beyond them."""
    inside = min(max(expected, steps[0]), steps[len(steps) - 1])
    found = np.interp(inside, steps, amounts)
    return float(found * (expected / inside)) if inside > 0 else float(found)


@kernel
def finished(survival: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Return log-survival and expected orders with 0 before the first day (g + 1 each), freed of rounding together."""
    kept, orders = survival.copy(), count.copy()
    freed(kept, orders)
    fallen, whole = np.zeros(len(kept) + 1), np.zeros(len(kept) + 1)
    for i in range(len(kept)):
        fallen[i + 1], whole[i + 1] = math.log(max(kept[i], 1e-300)), orders[i]
    return fallen, whole
