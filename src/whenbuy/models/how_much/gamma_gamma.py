"""Gamma-Gamma: how much the next order brings, from a customer's own mean amount and the spread between customers.

The amount of an order is gamma with shape p and a rate ν of the customer's own; ν ~ Gamma(q, rate gamma) over customers (Fader, Hardie &
Lee 2005, "RFM and CLV", J. Marketing Research 42; Fader & Hardie 2013, "The gamma-gamma model of monetary value"). After n orders of mean z
her ν is Gamma(q + p n, rate gamma + n z), whence everything below.

The model knows positive amounts only. A customer whose own mean is 0, negative or unknown is left out of the fit and is answered by the
population. Where all amounts are equal the shapes run to their bounds and the forecast is that amount with a spread of about one per cent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainccinv, betaincinv, gammaln, psi

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Amount
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.maximum_likelihood import latest, maximise, together

LEVELS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""The quantiles that an amount forecast holds."""
_SHAPE, _SCALE = (-7.0, 10.0), (-12.0, 12.0)


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Gamma-Gamma over all orders of each customer, as of her latest training cutoff (columns frequency and mean_amount).

    Where two customers came back, it is fitted on those who did: they are the ones whose next orders it speaks of.
    """

    levels: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "gamma-gamma"

    def fit(self, train: Examples, valid: Examples | None = None) -> GammaGammaModel:
        """Return the model of highest likelihood; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When fewer than two customers spent something, or no search converged.
        """
        del valid
        last = latest(train)
        orders, mean = spending(last.table)
        usable = orders > 0
        if usable.sum() < 2:
            raise NotEnoughDataError(
                f"Of {len(last)} customers {int(usable.sum())} spent a positive amount: too few to fit {self.name}.",
                "It needs two customers with amounts above zero.",
                "Map the column of amounts, or fit on a longer history.",
            )
        returned = usable & (orders > 1)
        usable = returned if returned.sum() > 1 else usable
        weight = np.ones(len(last)) if last.weight is None else last.weight
        kinds, count = together(np.stack([orders, mean], axis=1)[usable], weight[usable])
        p, q, gamma = fit(kinds[:, 0], kinds[:, 1], count)
        return GammaGammaModel(p, q, gamma, np.array(self.levels, float), int(last.keys.cutoff.max()))


@dataclass(frozen=True, slots=True, eq=False)
class GammaGammaModel:
    """A fitted Gamma-Gamma: shapes p, q > 1 and gamma in the shop's currency."""

    p: float
    q: float
    gamma: float
    levels: Floats
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "gamma-gamma"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return mean and quantiles of each key's next order; who never spent anything is answered by the population.

        Raises
        ------
        LeakError
            When a cutoff lies before the model's last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        orders, mean = spending(examples.table)
        expected = next_mean(self.p, self.q, self.gamma, orders, mean)
        spread = next_quantiles(self.p, self.q, self.gamma, orders, mean, self.levels)
        return Amount(examples.keys, expected, self.levels, spread, self.name, in_sample=in_sample)


def spending(table: Table) -> tuple[Floats, Floats]:
    """Return the number of orders and their mean amount (n each); 0 and 0 where nothing positive is known."""
    orders, mean = table.column("frequency") + 1, table.column("mean_amount")
    known = np.isfinite(orders) & np.isfinite(mean) & (orders > 0) & (mean > 0)
    return np.where(known, orders, 0.0), np.where(known, mean, 0.0)


def fit(orders: Floats, mean: Floats, count: Floats) -> tuple[float, float, float]:
    """Return p, q, gamma of highest likelihood; ``count`` customers share each row (n).

    The search runs over log p, log(q - 1) and the logarithm of the population's mean amount p gamma / (q - 1): q stays above 1, since
    the mean amount of a new customer would be infinite without that.

    Raises
    ------
    NotEnoughDataError
        When no search converged.
    """
    share = count / count.sum()
    unit = share @ mean

    def objective(theta: Floats) -> tuple[float, Floats]:
        p, over, level = (float(value) for value in np.exp(theta))
        gamma = level * over / p
        value, by = log_likelihood(p, 1 + over, gamma, orders, mean / unit)
        d_p, d_q, d_gamma = share @ by
        return float(share @ value), np.array([p * d_p - gamma * d_gamma, over * d_q + gamma * d_gamma, gamma * d_gamma])

    starts = [np.array([1.0, 1.0, 0.0]), np.array([3.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0])]
    p, over, level = (float(value) for value in np.exp(maximise(objective, starts, (_SHAPE, _SHAPE, _SCALE), "Gamma-Gamma")))
    return p, 1 + over, unit * level * over / p


def log_likelihood(p: float, q: float, gamma: float, orders: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Return each customer's log-density of her mean amount (n) and its gradient in (p, q, gamma) (n x 3).

    Equation 1a of Fader & Hardie 2013.
    """
    m, total = p * orders, gamma + orders * mean
    log_share = np.log(orders * mean) - np.log(total)
    value = gammaln(m + q) - gammaln(m) - gammaln(q) + q * (np.log(gamma) - np.log(total)) + m * log_share - np.log(mean)
    both = psi(m + q)
    gradient = np.stack(
        [
            orders * (both - psi(m) + log_share),
            both - psi(q) + np.log(gamma) - np.log(total),
            q / gamma - (m + q) / total,
        ],
        axis=1,
    )
    return value, gradient


def next_mean(p: float, q: float, gamma: float, orders: Floats, mean: Floats) -> Floats:
    """Return the expected amount of the next order (n): p (gamma + n z) / (p n + q - 1), equation 5 of Fader & Hardie 2013."""
    return np.asarray(p * (gamma + orders * mean) / (p * orders + q - 1))


def next_quantiles(p: float, q: float, gamma: float, orders: Floats, mean: Floats, levels: Floats) -> Floats:
    """Return the quantiles of the next order's amount (n x levels).

    A gamma amount (shape p, rate ν) with ν ~ Gamma(q + p n, gamma + n z) is (gamma + n z) times a beta-prime variable with shapes p and
    q + p n: B / (1 - B) for B ~ Beta(p, q + p n).
    """
    kinds, which = np.unique(orders, return_inverse=True)
    shape = (q + p * kinds)[:, None]
    ratio = betaincinv(p, shape, levels) / betainccinv(shape, p, levels)
    return np.asarray((gamma + orders * mean)[:, None] * ratio[which.reshape(-1)])


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (GammaGamma, GammaGammaModel)}
"""What a stored model of this file may be made of."""
