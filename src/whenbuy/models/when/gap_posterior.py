"""What a customer's gaps and her silence say of her rate, of how regular she is and of whether she is still there: kernels.

Gaps are gamma distributed, of one of some shapes k, with mean 1 / λ; λ ~ Gamma(r, a) over customers (Platzer and Reutterer 2016,
"Ticking away the moments: timing regularity helps to better predict customer activity", Marketing Science 35). She leaves at a rate that is
Gamma(s, b) over customers, as in Pareto/NBD (Schmittlein, Morrison and Colombo 1987), which this is where the only shape is 1. While she is
there she looks without buying, at a rate that is Gamma(g, h) over customers: who has not been seen for long may have left. Given k and λ, m
closed gaps that sum to x, a silence of u and v looks, the last of them after t days, have the likelihood

    λ^(m k) k^(m k) / Γ(k)^m exp((k - 1) Σ log gap - k λ x) h^g Γ(g + v) / Γ(g) (W(x + u) + ∫ w(x + y) dy over y in [max(t - x, 0), u])

with W(z) = (b / (b + z))^s S(u) / (h + z)^(g + v), w(z) = s b^s / (b + z)^(s + 1) S(y) / (h + z)^(g + v) and S(y) = P(gap > y). Sums run
over the shapes, over rates that are even in the logarithm, and over moments of leaving.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.kernel import kernel
from whenbuy.models.when.gap_tables import comes, holds

RATES: Final = 14
"""Rates per shape (trapezoid on the logarithm)."""
LEAVINGS: Final = 6
"""Gauss-Legendre nodes for the moment at which she may have left."""
SLOPES: Final = 7
"""What ``teach`` gives beside the shapes: the log-likelihood but for what no law changes, and slopes in log r, a, s, b, g and h."""
_FAINT: Final = 16.0
"""A rate whose weight is below exp(-16) of the largest is left out."""
_SHORTEST: Final = 1e-5
"""No gap is read as shorter, in days: it is one second."""
_SMALL: Final = 1e-4
"""A rate and shape less likely than this looks not ahead."""
_REGULAR: Final = (0.05, 20.0)


@kernel
def sum_of_logs(gaps: float, mean: float, deviation: float, latest: float) -> float:
    """Return the sum of the logarithms of some gaps, of which number, mean, deviation and the latest are known.

    Of up to three gaps that is all there is to know. Of more, the others' logarithms are expected as those of gamma gaps with the same
    share of squares: for proportions p of m such gaps E Σp² = (k + 1) / (m k + 1) and E log p = ψ(k) - ψ(m k).
    """
    if gaps < 1:
        return 0.0
    if gaps < 2:
        return float(np.log(max(mean, _SHORTEST)))
    others = gaps - 1
    rest = max((gaps * mean - latest) / others, _SHORTEST)
    squares = max((others * deviation**2 + gaps * mean**2 - latest**2) / others, rest**2)
    last = np.log(max(latest, _SHORTEST))
    if gaps < 3:
        return float(last + np.log(rest))
    if gaps < 4:
        apart = np.sqrt(squares - rest**2)
        return float(last + np.log(max(rest + apart, _SHORTEST)) + np.log(max(rest - apart, _SHORTEST)))
    share = squares / rest**2 / others
    shape = min(max((1 - share) / max(others * share - 1, 1e-9), _REGULAR[0]), _REGULAR[1])
    return float(last + others * (np.log(rest * others) + digamma(shape) - digamma(others * shape)))


@kernel
def read(seen: Floats, views: float, pasts: Floats) -> None:
    """Fill in pasts (n x 6, see ``weigh``) from what was seen of customers (n x 8).

    That is: number of gaps, silence, mean, deviation and last of the gaps, days since the last view, views, and days since anything was
    seen first. Who has not bought is read as if she had when she was seen first; of whom nothing is known has gaps. Looks are the views
    beyond ``views`` per order, in units of these; where that is 0 nobody looks.
    """
    for i in range(len(seen)):
        gaps, silence = seen[i, 0], seen[i, 1]
        bought = np.isfinite(silence) and np.isfinite(gaps)
        if not bought:
            gaps, silence = 0.0, seen[i, 7]
        if not np.isfinite(silence):
            pasts[i, :] = np.nan
            continue
        mean = seen[i, 2] if gaps >= 1 and np.isfinite(seen[i, 2]) else 0.0
        deviation = seen[i, 3] if np.isfinite(seen[i, 3]) else 0.0
        pasts[i, 0], pasts[i, 2], pasts[i, 3] = max(gaps, 0.0), gaps * mean, max(silence, 0.0)
        pasts[i, 1], pasts[i, 4], pasts[i, 5] = sum_of_logs(gaps, mean, deviation, seen[i, 4]), pasts[i, 3], 0.0
        if views > 0 and np.isfinite(seen[i, 5]) and np.isfinite(seen[i, 6]):
            pasts[i, 4] = min(max(seen[i, 5], 0.0), pasts[i, 3])
            pasts[i, 5] = max(seen[i, 6] / views - gaps - bought, 0.0)


@kernel
def digamma(x: float) -> float:
    """Return ψ(x) for x above 0 (Abramowitz and Stegun 6.3.5 and 6.3.18)."""
    less = 0.0
    while x < 6:
        less += 1 / x
        x += 1
    y = 1 / (x * x)
    return float(np.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y / 252)) - less)


@kernel
def _spread(power: float) -> float:
    """Return about the standard deviation of the logarithm of a gamma variable: the root of the trigamma function."""
    x, more = power, 0.0
    while x < 4:
        more += 1 / x**2
        x += 1
    return float(np.sqrt(more + 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3)))


@kernel
def weigh(
    past: Floats, laws: Floats, shares: Floats, shapes: Floats, reach: Floats, held: Floats, nodes: Floats, grid: Floats,
    stays: Floats, gone: Floats, left: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Fill in how likely each shape and rate is with and without her being there; return the sum of it all, and the logarithm of its unit.

    Parameters
    ----------
    past
        Closed gaps, the sum of their logarithms, their sum, the silence since, the time since the last sign of life (days), and looks (6).
    laws
        r, a, s, b, g and h (6), in days.
    shares
        The logarithm of each shape's share, and what each closed gap adds to that of its likelihood: k log k - log Γ(k) (2 x k).
    shapes, reach, held
        As in ``GapTables``.
    nodes
        Places (as shares of the time since the last sign of life) and weights of the quadrature over the moment of leaving (2 x LEAVINGS).
    grid
        Logarithm of the first rate and the step to the next, of each shape (k x 2): filled in.
    stays, gone
        Weights with her being there, and of her having left (k x RATES each): filled in.
    left
        Weights of each moment of leaving, and at last of none (LEAVINGS + 1): filled in.
    """
    m, logs, last, silence, quiet, looks = past[0], past[1], past[2], past[3], past[4], laws[4] + past[5]
    density, when, begun = np.empty(LEAVINGS + 1), np.empty(LEAVINGS), np.log(max(silence, _SHORTEST))
    seen = laws[5] + last + silence - quiet
    for q in range(LEAVINGS):
        more = quiet * nodes[0, q]
        gap = silence - quiet + more
        fallen = (laws[2] + 1) * np.log1p((last + gap) / laws[3]) + looks * np.log1p(more / seen)
        density[q] = laws[2] / laws[3] * nodes[1, q] * quiet * np.exp(-fallen)
        when[q], left[q] = np.log(max(gap, _SHORTEST)), 0.0
    density[LEAVINGS] = np.exp(-laws[2] * np.log1p((last + silence) / laws[3]) - looks * np.log1p(quiet / seen))
    left[LEAVINGS] = 0.0
    top, whole = -np.inf, 0.0
    for k in range(len(shapes)):
        shape = shapes[k]
        power, scale = laws[0] + m * shape, laws[1] + shape * last
        weak = max(power + min(shape - 1, 0.0), 0.3 * laws[0])
        low = np.log(weak / (scale + shape * silence)) - 0.5 / weak - 6 * _spread(weak)
        step = (np.log((power + 4 * np.sqrt(power) + 4) / scale) - low) / (RATES - 1)
        grid[k, 0], grid[k, 1] = low, step
        pace, faster = np.exp(low), np.exp(step)
        fixed = shares[0, k] + m * shares[1, k] + np.log(step) + (shape - 1) * logs
        for j in range(RATES):
            stays[k, j] = fixed + power * (low + j * step) - scale * pace
            top = max(top, stays[k, j])
            pace *= faster
    for k in range(len(shapes)):
        for j in range(RATES):
            weight = stays[k, j] - top
            stays[k, j], gone[k, j] = 0.0, 0.0
            if weight < -_FAINT:
                continue
            weight, at = np.exp(weight), grid[k, 0] + j * grid[k, 1]
            for q in range(LEAVINGS):
                part = weight * density[q] * holds(held[k], reach[k], at + when[q])
                left[q] += part
                gone[k, j] += part
            stays[k, j] = weight * density[LEAVINGS] * holds(held[k], reach[k], at + begun)
            left[LEAVINGS] += stays[k, j]
            whole += stays[k, j] + gone[k, j]
    return float(whole), float(top)


@kernel
def teach(
    pasts: Floats, laws: Floats, shares: Floats, shapes: Floats, reach: Floats, held: Floats, nodes: Floats,
    found: Floats, likely: Floats,
) -> None:  # fmt: skip
    """Fill in what each customer tells of the laws (n x SLOPES) and how likely she has each shape (n x k).

    The slope of a log-likelihood is the expectation, given what was seen, of that of all that there is to see (Fisher's identity).
    """
    size = (len(shapes), RATES)
    grid, stays, gone, left = np.empty((len(shapes), 2)), np.empty(size), np.empty(size), np.empty(LEAVINGS + 1)
    for i in range(len(pasts)):
        whole, unit = weigh(pasts[i], laws, shares, shapes, reach, held, nodes, grid, stays, gone, left)
        logs, paces = 0.0, 0.0
        for k in range(len(shapes)):
            own = 0.0
            for j in range(RATES):
                each, at = stays[k, j] + gone[k, j], grid[k, 0] + j * grid[k, 1]
                own, logs, paces = own + each, logs + each * at, paces + each * np.exp(at)
            likely[i, k] = own / whole
        looks, start = laws[4] + pasts[i, 5], laws[5] + pasts[i, 2] + pasts[i, 3] - pasts[i, 4]
        by = np.zeros(4)
        for q in range(LEAVINGS + 1):
            event = 1.0 if q < LEAVINGS else 0.0
            more = pasts[i, 4] * (nodes[0, q] if q < LEAVINGS else 1.0)
            seen = pasts[i, 2] + pasts[i, 3] - pasts[i, 4] + more
            by[0] += left[q] * (event - laws[2] * np.log1p(seen / laws[3]))
            by[1] += left[q] * (laws[2] * seen - event * laws[3]) / (laws[3] + seen)
            by[2] -= left[q] * np.log1p(more / start)
            by[3] -= left[q] * looks / (laws[5] + seen)
        found[i, 0] = np.log(whole) + unit - looks * np.log(start)
        found[i, 1], found[i, 2] = laws[0] * (np.log(laws[1]) - digamma(laws[0]) + logs / whole), laws[0] - laws[1] * paces / whole
        found[i, 3], found[i, 4] = by[0] / whole, by[1] / whole
        found[i, 5] = laws[4] * (by[2] / whole - np.log(start)) if laws[4] > 0 else 0.0
        found[i, 6] = laws[5] * by[3] / whole if laws[4] > 0 else 0.0


@kernel
def tell(
    pasts: Floats, days: Floats, laws: Floats, shares: Floats, shapes: Floats, reach: Floats, held: Floats,
    count: Floats, nodes: Floats, told: Floats, counted: bool,
) -> None:  # fmt: skip
    """Fill in for each customer expected orders within each of the days ahead, the chance of one, and that she is there (n x 2d + 1).

    Where it need not be ``counted``, the expected orders are 0.
    """
    size, d = (len(shapes), RATES), len(days)
    grid, stays, gone, left = np.empty((len(shapes), 2)), np.empty(size), np.empty(size), np.empty(LEAVINGS + 1)
    ahead, later = np.log(days), np.empty(d)
    for i in range(len(pasts)):
        whole, _ = weigh(pasts[i], laws, shares, shapes, reach, held, nodes, grid, stays, gone, left)
        silence = pasts[i, 3]
        begun = np.log(max(silence, _SHORTEST))
        told[i, :] = 0.0
        for f in range(d):
            later[f] = np.log(silence + days[f])
        for k in range(len(shapes)):
            for j in range(RATES):
                if stays[k, j] <= _SMALL * left[LEAVINGS]:
                    continue
                at, weight = grid[k, 0] + j * grid[k, 1], stays[k, j] / whole
                now = holds(held[k], reach[k], at + begun)
                for f in range(d):
                    if counted:
                        told[i, f] += weight * comes(count[k], at + begun, at + ahead[f])
                    told[i, d + f] += weight * (1 - holds(held[k], reach[k], at + later[f]) / now)
        told[i, 2 * d] = left[LEAVINGS] / whole
        _leave(told[i], days, laws, pasts[i, 2] + silence)


@kernel
def _leave(told: Floats, days: Floats, laws: Floats, tenure: float) -> None:
    """Thin what comes in each piece ahead by the chance that she who is there now still is in the middle of it."""
    d = len(days)
    begin, orders, chance, orders_before, chance_before = 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(d):
        stay = np.exp(-laws[2] * np.log1p((begin + days[f]) / 2 / (laws[3] + tenure)))
        orders += (told[f] - orders_before) * stay
        chance += (told[d + f] - chance_before) * stay
        begin, orders_before, chance_before = days[f], told[f], told[d + f]
        told[f], told[d + f] = orders, chance
