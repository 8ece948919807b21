"""The kernels behind the true curves: what the past of a key says about her rate, her gap shape and whether she is still there."""

from __future__ import annotations

import numpy as np

from whenbuy.core.arrays import Floats, Instants, Ints
from whenbuy.core.kernel import kernel
from whenbuy.ingest.simulated.renewal import expect, survive

RATES = 36
"""Rates per gap shape over which a posterior is summed (trapezoid on the logarithm: spectrally accurate)."""
NEGLIGIBLE = 24.0
"""A rate whose weight is below exp(-NEGLIGIBLE) of the largest is left out."""
FAINT = 1e-8
"""A rate and shape less likely than this share of all looks not ahead."""
LEAVINGS = 20
"""Gauss-Legendre nodes for the moment at which a silent user may have left."""


@kernel
def signs(
    user: Ints, cutoff: Instants, born: Floats, at_once: Ints, purchase_offsets: Ints, purchase_time: Instants, purchase_at: Floats,
    visit_offsets: Ints, visit_time: Instants, visit_at: Floats,
) -> Floats:  # fmt: skip
    """Return what the truth needs of each key's past (n x 5), in shop days since her first visit.

    Columns: gaps closed, sum of their logarithms, last purchase (or first visit), visits without a purchase, last sign of life.
    """
    found = np.zeros((len(user), 5))
    for i in range(len(user)):
        u = user[i]
        previous, closed, logs = born[u], 0, 0.0
        for row in range(purchase_offsets[u] + at_once[u], purchase_offsets[u + 1]):
            if purchase_time[row] >= cutoff[i]:
                break
            logs += np.log(max(purchase_at[row] - previous, 1e-11))
            previous = purchase_at[row]
            closed += 1
        visits, sign = 0, previous
        for row in range(visit_offsets[u], visit_offsets[u + 1]):
            if visit_time[row] >= cutoff[i]:
                break
            visits += 1
            sign = max(sign, visit_at[row])
        found[i, 0], found[i, 1], found[i, 2] = closed, logs, previous - born[u]
        found[i, 3], found[i, 4] = visits, sign - born[u]
    return found


@kernel
def posterior_curves(
    past: Floats, now: Floats, ahead: Floats, spread: Floats, shapes: Floats, shares: Floats, log_gamma: Floats,
    survival: Floats, reach: Floats, count: Floats, nodes: Floats, weights: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return P(buys within) and the expected purchases within each shop time ahead, for some ways ahead (n x q x f each).

    Parameters
    ----------
    past
        As ``signs`` gives it (n x 5).
    now
        Shop days from the first visit to the cutoff (n).
    ahead
        Shop days from the cutoff to each grid day on each way that may lie ahead (n x q x f), rising.
    spread
        Gamma shape and inverse scale of the purchase rate, of the hazard of leaving and of the rate of visits (3 x 2).
    shapes, shares, log_gamma
        Gap shapes, how many people have each, and the logarithms of their gamma functions (k each).
    survival, reach, count
        The tables of ``renewal``.
    nodes, weights
        Gauss-Legendre quadrature on [0, 1].
    """
    n, ways, f = ahead.shape
    buys, counts = np.zeros((n, ways, f)), np.zeros((n, ways, f))
    log_weight, log_rate = np.empty((len(shapes), RATES)), np.empty((len(shapes), RATES))
    presence, when, density, stays = np.empty((len(shapes), RATES)), np.empty(len(nodes)), np.empty(len(nodes)), np.empty((ways, f))
    for i in range(n):
        silence = now[i] - past[i, 2]
        still = _leavings(when, density, past[i], now[i], spread, nodes, weights)
        for w in range(ways):
            _mean_stay(stays[w], ahead[i, w], spread[1, 1] + now[i], spread[1, 0])
        top = _rate_weights(log_weight, log_rate, past[i], silence, spread[0], shapes, shares, log_gamma)
        evidence = _presence(presence, log_weight, log_rate, top, still, silence, when, density, survival, reach)
        for k in range(len(shapes)):
            for j in range(RATES):
                if presence[k, j] > FAINT * evidence:
                    share, pace = presence[k, j] / evidence, np.exp(log_rate[k, j])
                    for w in range(ways):
                        _look_ahead(buys[i, w], counts[i, w], share, pace, silence, k, ahead[i, w], stays[w], survival, reach, count)
        for w in range(ways):
            buys[i, w], counts[i, w] = np.cumsum(buys[i, w]), np.cumsum(counts[i, w])
    return buys, counts


@kernel
def _presence(
    presence: Floats, log_weight: Floats, log_rate: Floats, top: float, still: float, silence: float, when: Floats, density: Floats,
    survival: Floats, reach: Floats,
) -> float:  # fmt: skip
    """Fill in how likely a user has each gap shape and rate and is still there; return the weight of all that may be, left or not."""
    evidence = 0.0
    for k in range(len(presence)):
        for j in range(RATES):
            presence[k, j] = 0.0
            if log_weight[k, j] < top - NEGLIGIBLE:
                continue
            weight, pace = np.exp(log_weight[k, j] - top), np.exp(log_rate[k, j])
            for q in range(len(when)):
                evidence += weight * density[q] * survive(survival, reach, k, pace * when[q])
            presence[k, j] = weight * still
            evidence += presence[k, j] * survive(survival, reach, k, pace * silence)
    return float(evidence)


@kernel
def _leavings(when: Floats, density: Floats, past: Floats, now: float, spread: Floats, nodes: Floats, weights: Floats) -> float:
    """Fill in when after her last purchase a user may have left unseen, and how likely; return how likely she is still there.

    Both up to one factor, purchases aside. The hazard of leaving is gamma-spread, so P(stays s) = (scale / (scale + s)) ** shape;
    visits are negative binomial, so after v of them a silence until s is as likely as (scale / (scale + s)) ** (shape + v).
    """
    last, looks, sign = past[2], spread[2, 0] + past[3], past[4]
    shape, scale = spread[1, 0], spread[1, 1]
    for q in range(len(nodes)):
        s = sign + (now - sign) * nodes[q] ** 3  # dense where the last sign of life is near
        step = weights[q] * 3 * nodes[q] ** 2 * (now - sign)
        left = shape / scale * (scale / (scale + s)) ** (shape + 1)
        when[q] = s - last
        density[q] = step * left * ((spread[2, 1] + sign) / (spread[2, 1] + s)) ** looks
    return float((scale / (scale + now)) ** shape * ((spread[2, 1] + sign) / (spread[2, 1] + now)) ** looks)


@kernel
def _look_ahead(
    buys: Floats, counts: Floats, weight: float, pace: float, silence: float, shape: int, ahead: Floats, stays: Floats,
    survival: Floats, reach: Floats, count: Floats,
) -> None:  # fmt: skip
    """Add what one rate and shape of this weight expect in each piece ahead: leaving is independent of the gaps, so it thins them."""
    before, alive = 0.0, survive(survival, reach, shape, pace * silence)
    held = alive
    for d in range(len(ahead)):
        holds = survive(survival, reach, shape, pace * (silence + ahead[d]))
        expected = expect(count, shape, pace * silence, pace * ahead[d])
        buys[d] += weight * (held - holds) * stays[d]
        counts[d] += weight * alive * (expected - before) * stays[d]
        before, held = expected, holds


@kernel
def latent_curves(
    silence: Floats, remains: Floats, ahead: Floats, pace: Floats, shape: Ints, survival: Floats, reach: Floats, count: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the same for somebody whose rate, gap shape and remaining time in the shop (negative: she has left) are known."""
    n, f = ahead.shape
    buys, counts = np.zeros((n, f)), np.zeros((n, f))
    for i in range(n):
        alive = survive(survival, reach, shape[i], pace[i] * silence[i])
        for d in range(f):
            until = min(ahead[i, d], remains[i])
            if until <= 0:
                continue
            counts[i, d] = expect(count, shape[i], pace[i] * silence[i], pace[i] * until)
            buys[i, d] = 1 - survive(survival, reach, shape[i], pace[i] * (silence[i] + until)) / alive if alive > 0 else 1.0
    return buys, counts


@kernel
def _mean_stay(stays: Floats, ahead: Floats, scale: float, shape: float) -> None:
    """Fill in the mean over each piece ahead of P(still there) for somebody who is there now: (scale / (scale + s)) ** shape."""
    low = 0.0
    for d in range(len(ahead)):
        high = ahead[d]
        if high - low < 1e-6 * scale:
            stays[d] = (scale / (scale + low)) ** shape
        elif abs(shape - 1) < 1e-6:
            stays[d] = scale * np.log((scale + high) / (scale + low)) / (high - low)
        else:
            whole = ((scale + high) / scale) ** (1 - shape) - ((scale + low) / scale) ** (1 - shape)
            stays[d] = scale * whole / ((1 - shape) * (high - low))
        low = high


@kernel
def _rate_weights(
    log_weight: Floats, log_rate: Floats, past: Floats, silence: float, rate: Floats, shapes: Floats, shares: Floats, log_gamma: Floats,
) -> float:  # fmt: skip
    """Fill in rates and the logarithm of prior x likelihood of the closed gaps at each; return its largest value.

    Given the shape k, m closed gaps that sum to x make the rate Gamma(r + m k, a + k x) before the silence is heard; the silence u moves it
    towards Gamma(r + (m + 1) k - 1, a + k x + k u). The rates reach over both.
    """
    closed, logs, last, top = past[0], past[1], past[2], -np.inf
    for k in range(len(shapes)):
        shape = shapes[k]
        power, scale = rate[0] + closed * shape, rate[1] + shape * last
        weak = max(power + min(shape - 1, 0.0), 0.3 * rate[0])
        low = np.log(weak / (scale + shape * silence)) - 0.5 / weak - 6.5 * _spread(weak)
        high = np.log(power / scale) + 4.5 * _spread(power)
        step = (high - low) / (RATES - 1)
        fixed = np.log(shares[k] * step) if shares[k] > 0 else -np.inf
        fixed += closed * (shape * np.log(shape) - log_gamma[k]) + (shape - 1) * logs
        for j in range(RATES):
            log_rate[k, j] = low + j * step
            log_weight[k, j] = fixed + power * log_rate[k, j] - scale * np.exp(log_rate[k, j])
            top = max(top, log_weight[k, j])
    return top


@kernel
def _spread(power: float) -> float:
    """Return about the standard deviation of the logarithm of a gamma variable: the root of the trigamma function."""
    x, more = power, 0.0
    while x < 4:
        more += 1 / x**2
        x += 1
    return float(np.sqrt(more + 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3)))
