"""BG/NBD and MBG/NBD: likelihood and what follows from it, as functions of arrays.

A customer buys at rate λ ~ Gamma(r, rate alpha) and leaves after a purchase with probability p ~ Beta(a, b).

- BG/NBD: only repeat purchases may be followed by leaving, so who has never repeated is alive by definition (Fader, Hardie & Lee 2005,
  "Counting your customers the easy way", Marketing Science 24).
- MBG/NBD: the first purchase may be followed by leaving too (Batislam, Denizel & Filiztekin 2007, "Empirical validation and comparison of
  models for customer base analysis", Int. J. Research in Marketing 24).

They differ only in how often leaving was possible and did not happen: ``stays`` = x in BG/NBD, x + 1 in MBG/NBD. So one set of formulas
serves both. Throughout ``repeats`` = x, ``last`` = t_x (first to last purchase), ``tenure`` = T (first purchase to cutoff); n customers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import betaln, expit, gammaln, psi

from whenbuy.core.arrays import Floats
from whenbuy.models.fitting.maximum_likelihood import RATE, SHAPE, maximise

NODES: Final = 32
"""Nodes of the quadrature over the chance to leave."""
_ROWS: Final = 1024
_LOGIT: Final = (-12.0, 12.0)


def fit(repeats: Floats, last: Floats, tenure: Floats, count: Floats, *, modified: bool = False) -> tuple[float, float, float, float]:
    """Return r, alpha, a, b of highest likelihood; times in any unit, alpha in the same; ``count`` customers share each row (n).

    The search runs over log r, log r / alpha, logit a / (a + b) and log(a + b), which are far less entangled than the four themselves.

    Raises
    ------
    NotEnoughDataError
        When no search converged.
    """
    stays, share = repeats + modified, count / count.sum()

    def objective(theta: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = parameters = _parameters(theta)
        value, by, _ = log_likelihood(parameters, repeats, last, tenure, stays)
        d_r, d_alpha, d_a, d_b = share @ by
        swing = a * b / (a + b)
        return float(share @ value), np.array([r * d_r + alpha * d_alpha, -alpha * d_alpha, swing * (d_a - d_b), a * d_a + b * d_b])

    rate = np.log((share @ repeats) / max(share @ tenure, 1e-9))
    starts = [np.array([shape, rate + 1, leave, size]) for shape, leave, size in ((-1, -1, 1), (0.5, 0, 0), (0, -3, 2))]
    return _parameters(maximise(objective, starts, (SHAPE, RATE, _LOGIT, SHAPE), "MBG/NBD" if modified else "BG/NBD"))


def log_likelihood(
    parameters: tuple[float, float, float, float], repeats: Floats, last: Floats, tenure: Floats, stays: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return each customer's log-likelihood (n), its gradient in (r, alpha, a, b) (n x 4) and P(alive at the cutoff) (n).

    Fader, Hardie & Lee 2005, equation 6, without the terms that hold no parameter; P(alive) is the share of its first summand.
    """
    r, alpha, a, b = parameters
    m = r + repeats
    until, since = np.log(alpha + tenure), np.log(alpha + last)
    shared = gammaln(m) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    coins = np.maximum(stays, 1.0)
    staying = shared - m * until + betaln(a, b + stays)
    left = np.where(stays > 0, shared - m * since + betaln(a + 1, b + coins - 1), -np.inf)
    alive = expit(staying - left)
    gone = 1 - alive
    total = psi(a + b) - psi(a + b + stays)
    gradient = np.stack(
        [
            psi(m) - psi(r) + np.log(alpha) - alive * until - gone * since,
            r / alpha - m * (alive / (alpha + tenure) + gone / (alpha + last)),
            total + gone * (psi(a + 1) - psi(a)),
            total - psi(b) + alive * psi(b + stays) + gone * psi(b + coins - 1),
        ],
        axis=1,
    )
    return np.logaddexp(staying, left), gradient, alive


def survival(parameters: tuple[float, float, float, float], repeats: Floats, tenure: Floats, alive: Floats, days: Floats) -> Floats:
    """Return P(no purchase within each of ``days`` after the cutoff) (n x g).

    L(x, t_x, T) is the density of x repeats, the last at t_x, and silence in (t_x, T]. "These data, and then silence in (T, T + t]" is the
    same event observed until T + t, so P(silence | data) = L(x, t_x, T + t) / L(x, t_x, T). In L only the summand of those who stay depends
    on T, as (alpha + T)^-(r + x), and its share is P(alive); hence S(t) = 1 - P(alive) (1 - ((alpha + T) / (alpha + T + t))^(r + x)). With
    x = 0 in BG/NBD P(alive) = 1, by definition of that model.
    """
    r, alpha, _, _ = parameters
    fallen = (r + repeats)[:, None] * np.log1p(days[None, :] / (alpha + tenure)[:, None])
    return 1 + alive[:, None] * np.expm1(-fallen)


def expected_purchases(
    parameters: tuple[float, float, float, float], repeats: Floats, tenure: Floats, stays: Floats, alive: Floats, days: Floats
) -> Floats:
    """Return E[purchases within each of ``days`` after the cutoff] (n x g).

    Given λ and p, a customer alive buys (1 - exp(-λ p t)) / p times on average in t days. Her posterior is λ ~ Gamma(r + x, alpha + T) and
    p ~ Beta(a, b + stays), so E = P(alive) ∫ (1 - (1 + p t / (alpha + T))^-(r + x)) / p Beta(p; a, b + stays) dp: equation 10 of Fader,
    Hardie & Lee 2005 before the integral is written as a hypergeometric function, which breaks down at a = 1 and for many repeats. The
    integrand is smooth and positive; Gauss-Jacobi quadrature with ``NODES`` nodes is exact to 1e-8 for t up to some 50 (alpha + T).
    """
    r, alpha, a, b = parameters
    kinds, which = np.unique(np.stack([repeats, tenure], axis=1), axis=0, return_inverse=True)
    offset = stays[0] - repeats[0] if len(repeats) else 0.0
    counts, place = np.unique(kinds[:, 0], return_inverse=True)
    chance, weight = beta_nodes(a, b + offset + counts)
    found = np.empty((len(kinds), len(days)))
    for start in range(0, len(kinds), _ROWS):
        rows = slice(start, start + _ROWS)
        p, w = chance[place[rows], None, :], weight[place[rows], None, :]
        later = days[None, :, None] / (alpha + kinds[rows, 1])[:, None, None]
        found[rows] = (w * -np.expm1(-(r + kinds[rows, 0])[:, None, None] * np.log1p(p * later)) / p).sum(axis=2)
    return np.asarray(alive[:, None] * found[which.reshape(-1)])


def beta_nodes(a: float, b: Floats) -> tuple[Floats, Floats]:
    """Return Gauss quadrature nodes and weights for Beta(a, b) on [0, 1], one row per b (k x NODES each); the weights of a row sum to 1.

    Golub & Welsch 1969: nodes are the eigenvalues of the Jacobi matrix, weights the squared first parts of its eigenvectors. No gamma
    function appears, so nothing overflows.
    """
    n = np.arange(NODES, dtype=float)
    one, two = b[:, None] - 1, a - 1.0  # exponents of (1 - p) and of p
    total = one + two
    middle = two**2 - one**2
    diagonal = np.empty((len(b), NODES))
    diagonal[:, :1] = (two - one) / (total + 2)
    diagonal[:, 1:] = middle / ((2 * n[1:] + total) * (2 * n[1:] + total + 2))
    # The first squared off-diagonal has the factor (1 + total) above and below the line, where it may be 0.
    first = 4 * (1 + one) * (1 + two) / ((2 + total) ** 2 * (3 + total))
    k = n[2:]
    rest = 4 * k * (k + one) * (k + two) * (k + total) / ((2 * k + total) ** 2 * ((2 * k + total) ** 2 - 1))
    beside = np.sqrt(np.hstack([first, rest]))
    matrix = np.zeros((len(b), NODES, NODES))
    steps = np.arange(NODES)
    matrix[:, steps, steps] = diagonal
    matrix[:, steps[1:], steps[:-1]] = beside
    values, vectors = np.linalg.eigh(matrix)
    return np.clip((1 + values) / 2, 1e-15, 1.0), vectors[:, 0, :] ** 2


def _parameters(theta: Floats) -> tuple[float, float, float, float]:
    r, rate, size = np.exp(theta[[0, 1, 3]])
    leave = expit(theta[2])
    return float(r), float(r / rate), float(leave * size), float((1 - leave) * size)
