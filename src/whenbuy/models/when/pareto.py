"""Pareto/NBD: likelihood and what follows from it, as functions of arrays.

A customer buys at rate λ ~ Gamma(r, rate alpha) until she leaves, which happens at rate μ ~ Gamma(s, rate beta) (Schmittlein, Morrison &
Colombo 1987, "Counting your customers: who are they and what will they do next?", Management Science 33). With covariates alpha and beta
differ from customer to customer (Fader & Hardie 2007, "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models").

Throughout ``repeats`` = x, ``last`` = t_x (first to last purchase), ``tenure`` = T (first purchase to cutoff); n customers, one alpha and
one beta for each. With m = r + x and

    staying(T) = (alpha + T)^-m (beta + T)^-s                              she is there at T and was silent since t_x
    leaving(u, v) = ∫_u^v s (alpha + y)^-m (beta + y)^-(s + 1) dy          she left at some y in (u, v)

the likelihood is Γ(m) / Γ(r) alpha^r beta^s (staying(T) + leaving(t_x, T)): the appendix of Fader & Hardie 2005, "A note on deriving the
Pareto/NBD model and related expressions", before its integral is written as a difference of hypergeometric functions. Both summands are
positive and nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import expit, gammaln, psi

from whenbuy.core.arrays import Floats
from whenbuy.models.fitting.maximum_likelihood import RATE, SHAPE, maximise, together

NODES: Final = 24
"""Nodes of the quadrature over the moment of leaving."""
_NOTHING: Final = 40.0
"""The integrand is followed until it has fallen by exp(-40)."""
_ROWS: Final = 8192
_EFFECT: Final = (-5.0, 5.0)
_PLACES, _WEIGHTS = ((1 + leggauss(NODES)[0]) / 2, leggauss(NODES)[1] / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """The parameters: shapes r and s, and each customer's own scales alpha and beta (n each), in days."""

    r: float
    alpha: Floats
    s: float
    beta: Floats

    def take(self, rows: slice) -> Spread:
        """Return the parameters of some of the customers."""
        return Spread(self.r, self.alpha[rows], self.s, self.beta[rows])


def fit(repeats: Floats, last: Floats, tenure: Floats, count: Floats, z: Floats) -> tuple[float, float, float, float, Floats, Floats]:
    """Return r, alpha, s, beta and the covariates' effects on log alpha and log beta (k each) of highest likelihood.

    Customer i has the scales alpha exp(-z_i · effect) and beta exp(-z_i · effect). The search runs over log r, log r / alpha, log s and
    log s / beta; with covariates it begins where the model without them ends.

    Parameters
    ----------
    repeats, last, tenure
        Histories (n each); times in any unit, alpha and beta come in the same.
    count
        How many customers share each row (n).
    z
        Standardised covariates (n x k); k may be 0.

    Raises
    ------
    NotEnoughDataError
        When no search converged.
    """
    share, k = count / count.sum(), z.shape[1]

    def objective(theta: Floats) -> tuple[float, Floats]:
        r, s = float(np.exp(theta[0])), float(np.exp(theta[2]))
        log_alpha = theta[0] - theta[1] - z @ theta[4 : 4 + k]
        log_beta = theta[2] - theta[3] - z @ theta[4 + k :]
        value, by = log_likelihood(Spread(r, np.exp(log_alpha), s, np.exp(log_beta)), repeats, last, tenure)
        d_r, d_alpha, d_s, d_beta = share @ by
        base = np.array([r * d_r + d_alpha, -d_alpha, s * d_s + d_beta, -d_beta])
        return float(share @ value), np.concatenate([base, -(share * by[:, 1]) @ z, -(share * by[:, 3]) @ z])

    if k:
        kinds, total = together(np.stack([repeats, last, tenure], axis=1), count)
        r, alpha, s, beta, _, _ = fit(kinds[:, 0], kinds[:, 1], kinds[:, 2], total, np.empty((len(kinds), 0)))
        starts = [np.concatenate([np.log([r, r / alpha, s, s / beta]), np.zeros(2 * k)])]
    else:
        length = np.log(max(share @ tenure, 1e-9))
        rate = np.log(share @ repeats) - length
        starts = [np.array([shape, rate + 1, 0.0, leave - length]) for shape, leave in ((-0.5, 0.0), (0.5, 1.5), (0.0, -2.0))]
    theta = maximise(objective, starts, [SHAPE, RATE, SHAPE, RATE, *[_EFFECT] * (2 * k)], "Pareto/NBD")
    r, rate, s, leave = (float(value) for value in np.exp(theta[:4]))
    return r, r / rate, s, s / leave, theta[4 : 4 + k], theta[4 + k :]


def log_likelihood(spread: Spread, repeats: Floats, last: Floats, tenure: Floats) -> tuple[Floats, Floats]:
    """Return each customer's log-likelihood (n) and its gradient in (r, log alpha, s, log beta) (n x 4)."""
    value, gradient = np.empty(len(repeats)), np.empty((len(repeats), 4))
    for start in range(0, len(repeats), _ROWS):
        rows = slice(start, start + _ROWS)
        value[rows], gradient[rows] = _log_likelihood(spread.take(rows), repeats[rows], last[rows], tenure[rows])
    return value, gradient


def alive_probability(spread: Spread, repeats: Floats, last: Floats, tenure: Floats) -> Floats:
    """Return P(she has not left by the cutoff) (n): the share of ``staying`` in the likelihood."""
    return np.asarray(expit(_log_staying(spread, repeats, tenure) - _leaving(spread, repeats, last, tenure)[0]))


def survival(spread: Spread, repeats: Floats, last: Floats, tenure: Floats, days: Floats) -> Floats:
    """Return P(no purchase within each of ``days`` after the cutoff) (n x g); ``days`` rise.

    L(x, t_x, T) is the density of x repeats, the last at t_x, and silence in (t_x, T]. "These data, and then silence in (T, T + t]" is the
    same event observed until T + t, so P(silence | data) = L(x, t_x, T + t) / L(x, t_x, T)
    = (staying(T + t) + leaving(t_x, T) + leaving(T, T + t)) / (staying(T) + leaving(t_x, T)).
    """
    here = _log_staying(spread, repeats, tenure)
    before = _leaving(spread, repeats, last, tenure)[0]
    whole = np.logaddexp(here, before)
    curve = np.empty((len(repeats), len(days)))
    gone, start = before, tenure
    for column, day in enumerate(days):
        gone = np.logaddexp(gone, _leaving(spread, repeats, start, tenure + day)[0])
        start = tenure + day
        curve[:, column] = np.exp(np.logaddexp(_log_staying(spread, repeats, start), gone) - whole)
    return curve


def expected_purchases(spread: Spread, repeats: Floats, tenure: Floats, alive: Floats, days: Floats) -> Floats:
    """Return E[purchases within each of ``days`` after the cutoff] (n x g).

    Equation 41 of Fader & Hardie 2005: P(alive) (r + x) (beta + T) / ((alpha + T) (s - 1)) (1 - ((beta + T) / (beta + T + t))^(s - 1)),
    written so that it passes smoothly through s = 1, where the last two factors become log((beta + T + t) / (beta + T)).
    """
    longer = np.log1p(days[None, :] / (spread.beta + tenure)[:, None])
    fallen = (spread.s - 1) * longer
    small = np.abs(fallen) < 1e-8
    stays = longer * np.where(small, 1 - fallen / 2, -np.expm1(-fallen) / np.where(small, 1.0, fallen))
    rate = alive * (spread.r + repeats) / (spread.alpha + tenure) * (spread.beta + tenure)
    return np.asarray(rate[:, None] * stays)


def _log_staying(spread: Spread, repeats: Floats, until: Floats) -> Floats:
    return np.asarray(-(spread.r + repeats) * np.log(spread.alpha + until) - spread.s * np.log(spread.beta + until))


def _leaving(spread: Spread, repeats: Floats, start: Floats, stop: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log leaving(start, stop) (n), and for each moment of leaving y its share (n x NODES) and y itself (n x NODES).

    Gauss-Legendre in v = log((c + y) / (c + start)), c = min(alpha, beta): there the integrand falls like exp(-k v) with k at least its
    slope at ``start``, so the range is cut where it has fallen by exp(-40).
    """
    m = spread.r + repeats
    nearest = np.minimum(spread.alpha, spread.beta) + start
    first, second = spread.alpha + start, spread.beta + start
    slope = m * nearest / first + (spread.s + 1) * nearest / second - 1
    width = np.minimum(np.log1p((stop - start) / nearest), _NOTHING / np.maximum(slope, 1e-3))
    v = width[:, None] * _PLACES
    on = nearest[:, None] * np.expm1(v)
    height = v - m[:, None] * np.log1p(on / first[:, None]) - (spread.s + 1) * np.log1p(on / second[:, None])
    share = _WEIGHTS * np.exp(height)
    total = share.sum(axis=1)
    scale = np.maximum(spread.s * nearest * width * total, 1e-300)
    log_value = np.where(width > 0, np.log(scale) - m * np.log(first) - (spread.s + 1) * np.log(second), -np.inf)
    return log_value, share / total[:, None], on + start[:, None]


def _log_likelihood(spread: Spread, repeats: Floats, last: Floats, tenure: Floats) -> tuple[Floats, Floats]:
    r, s, alpha, beta = spread.r, spread.s, spread.alpha, spread.beta
    m = r + repeats
    leaving, share, moment = _leaving(spread, repeats, last, tenure)
    staying = _log_staying(spread, repeats, tenure)
    alive = expit(staying - leaving)
    gone = 1 - alive
    by_alpha, by_beta = alpha[:, None] + moment, beta[:, None] + moment
    value = gammaln(m) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.logaddexp(staying, leaving)
    gradient = np.stack(
        [
            psi(m) - psi(r) + np.log(alpha) - alive * np.log(alpha + tenure) - gone * (share * np.log(by_alpha)).sum(axis=1),
            r - m * alpha * (alive / (alpha + tenure) + gone * (share / by_alpha).sum(axis=1)),
            np.log(beta) - alive * np.log(beta + tenure) + gone * (1 / s - (share * np.log(by_beta)).sum(axis=1)),
            s - beta * (alive * s / (beta + tenure) + gone * (s + 1) * (share / by_beta).sum(axis=1)),
        ],
        axis=1,
    )
    return value, gradient
