"""The answer of demand to price: by how many per cent it changes where the price changes by one, per category, with an interval.

Each category's units per day are a Poisson regression (log link, quasi-likelihood: Gourieroux, Monfort and Trognon 1984) on the logarithm
of its price level, weekdays, a piecewise linear trend, the year's wave where the log is longer than a year, and promotions. Standard errors
are robust to clusters of a week (Liang and Zeger 1986). The categories' estimates are then drawn towards their common mean by how much they
differ beyond chance (DerSimonian and Laird 1986; empirical Bayes), with errors that correlate across categories counted in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import UsageError
from whenbuy.models.series.reconciliation import shrunk_covariance

FEW: Final = "too few sales"
STILL: Final = "the price hardly moves"
PROMOTED: Final = "the price moves only together with promotions"
SEASONAL: Final = "the price moves only with the season"
VAGUE: Final = "the interval is too wide"
_YEAR: Final = 365.25
_LONG_DAYS: Final = 500
_SILENT: Final = 5.0
"""A category whose own answer has a larger standard error says nothing, and would only disturb what all say together."""


@dataclass(frozen=True, slots=True, eq=False)
class PriceHistory:
    """Sales and prices, day by day.

    Parameters
    ----------
    categories
        Their names (k).
    units
        Units sold (k x t).
    log_price
        Logarithm of the price level (k x t): prices of the same things beside their own usual ones.
    promotions
        How many promotions run on each day (t).
    day
        Days since 1970-01-01 (t), rising.
    """

    categories: tuple[str, ...]
    units: Floats
    log_price: Floats
    promotions: Floats
    day: Ints

    def __post_init__(self) -> None:
        shape = (len(self.categories), len(self.day))
        if self.units.shape != shape or self.log_price.shape != shape or len(self.promotions) != len(self.day):
            raise UsageError(f"Units {self.units.shape} and prices {self.log_price.shape} were given for {shape} categories and days.")
        if not (np.isfinite(self.units).all() and np.isfinite(self.log_price).all()) or (self.units < 0).any():
            raise UsageError("Units below 0, or units or prices that are no numbers, were given.", "", "Leave such days out.")


@dataclass(frozen=True, slots=True, eq=False)
class PriceAnswers:
    """How demand answers to price.

    Parameters
    ----------
    categories
        Their names (k).
    elasticity, low, high
        Per cent of demand per per cent of price and its interval (k each), NaN where refused: -1.2 means 1.2 % fewer units at a price 1 %
        higher.
    own, own_error
        What each category says alone, and its standard error (k), NaN where it says nothing.
    refused
        Why there is no answer (k); empty where there is one.
    level
        The level of the intervals.
    """

    categories: tuple[str, ...]
    elasticity: Floats
    low: Floats
    high: Floats
    own: Floats
    own_error: Floats
    refused: tuple[str, ...]
    level: float


@dataclass(frozen=True, slots=True)
class PriceResponse:
    """How the answer to price is learned, and when it is refused.

    Parameters
    ----------
    level
        Of the intervals.
    least_units, least_days
        With fewer a category says nothing.
    least_spread
        The least standard deviation of the logarithm of the price.
    most_explained
        Where promotions and season explain more of the price than this, its own effect cannot be told from theirs.
    least_difference
        Categories are taken to differ by at least this standard deviation.
    widest
        The answer is refused where half its interval is wider.
    knot_days
        The trend may bend every so many days.
    """

    level: float = 0.95
    least_units: float = 150.0
    least_days: int = 84
    least_spread: float = 0.01
    most_explained: float = 0.97
    least_difference: float = 0.1
    widest: float = 1.5
    knot_days: int = 56

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "price response"

    def fit(self, told: PriceHistory) -> PriceAnswers:
        """Return the answer of each category, or why there is none."""
        k = len(told.categories)
        refused = [self._refusal(told, row) for row in range(k)]
        alone = {row: self._one(told, row) for row in range(k) if not refused[row]}
        for row, (_, influence) in alone.items():
            if not (influence**2).sum() < _SILENT**2:  # where months go by without a sale nothing holds the regression: it may be no number
                refused[row] = VAGUE
        rows = [row for row in alone if not refused[row]]
        own, error = np.full(k, np.nan), np.full(k, np.nan)
        answer, low, high = (np.full(k, np.nan) for _ in range(3))
        if rows:
            found = [alone[row] for row in rows]
            own[rows] = [each for each, _ in found]
            influence = np.stack([each for _, each in found])
            clusters = influence.shape[1]
            covariance = shrunk_covariance(influence.T)[0] * clusters * clusters / max(clusters - 1, 1)
            error[rows] = np.sqrt(np.diag(covariance))
            answer[rows], spread = _pooled(own[rows], covariance, self.least_difference)
            half = _student(self.level, clusters - 1) * spread
            low[rows], high[rows] = answer[rows] - half, answer[rows] + half
        wide = (high - low) / 2 > self.widest
        for part in (answer, low, high):
            part[wide] = np.nan
        words = tuple(VAGUE if wide[row] else refused[row] for row in range(k))
        return PriceAnswers(told.categories, answer, low, high, own, error, words, self.level)

    def _refusal(self, told: PriceHistory, row: int) -> str:
        if told.units[row].sum() < self.least_units or len(told.day) < self.least_days:
            return FEW
        price = told.log_price[row]
        if price.std() < self.least_spread:
            return STILL
        season, promoted = self._controls(told), _promoted(told)
        if _explained(price, season) > self.most_explained:
            return SEASONAL
        return PROMOTED if _explained(price, np.column_stack([season, promoted])) > self.most_explained else ""

    def _one(self, told: PriceHistory, row: int) -> tuple[float, Floats]:
        """Return one category's own elasticity, and what each week adds to its error (clusters).

        The error is at least that of a Poisson regression with the dispersion seen: sums over few weeks alone are too hopeful.
        """
        design = np.column_stack([told.log_price[row] - told.log_price[row].mean(), self._controls(told), _promoted(told)])
        design = design[:, np.abs(design).max(axis=0) > 0]
        beta, information = poisson(design, told.units[row])
        score = design * (told.units[row] - np.exp(design @ beta))[:, None]
        week = (told.day - told.day[0]) // 7
        summed = np.stack([np.bincount(week, part) for part in score.T], axis=1)
        inverse = np.linalg.pinv(information)
        influence = (inverse @ summed.T)[0]
        mean = np.exp(design @ beta)
        dispersion = max(float(((told.units[row] - mean) ** 2 / np.maximum(mean, 1e-12)).sum() / max(len(mean) - design.shape[1], 1)), 1.0)
        wider = dispersion * inverse[0, 0] / max(float((influence**2).sum()), 1e-300)
        return float(beta[0]), np.asarray(influence * np.sqrt(max(wider, 1.0)))

    def _controls(self, told: PriceHistory) -> Floats:
        """Return what stands beside the price (t x c): the level, weekdays, the trend with its bends, the year's wave in long logs."""
        t = (told.day - told.day[0]).astype(float)
        weekdays = (told.day[:, None] % 7 == np.arange(6)).astype(float)
        knots = np.arange(self.knot_days, t[-1] - self.knot_days / 2, self.knot_days)
        bends = np.maximum(t[:, None] - knots, 0.0) / self.knot_days
        parts = [np.ones((len(t), 1)), weekdays, (t / max(t[-1], 1.0))[:, None], bends]
        if t[-1] >= _LONG_DAYS:
            angle = 2 * np.pi * np.outer(t / _YEAR, (1, 2))
            parts += [np.cos(angle), np.sin(angle)]
        return np.hstack(parts)


def poisson(design: Floats, counts: Floats, steps: int = 50) -> tuple[Floats, Floats]:
    """Return the coefficients of a Poisson regression with log link and the information matrix, by Newton's method with halved steps.

    ``design`` (n x c) holds a column of ones; ``counts`` (n) need not be whole numbers.
    """
    beta = np.linalg.lstsq(design, np.log(np.maximum(counts, 0.5 * max(counts.mean(), 1e-9))), rcond=None)[0]
    reached = _deviance(design, counts, beta)
    for _ in range(steps):
        mean = np.exp(design @ beta)
        information = design.T @ (design * mean[:, None])
        step = np.linalg.lstsq(information, design.T @ (counts - mean), rcond=None)[0]
        while (now := _deviance(design, counts, beta + step)) > reached + 1e-12 * abs(reached) and np.abs(step).max() > 1e-12:
            step = step / 2
        beta, moved = beta + step, reached - now
        reached = now
        if moved < 1e-10 * (abs(reached) + 1):
            break
    mean = np.exp(design @ beta)
    return beta, np.asarray(design.T @ (design * mean[:, None]))


def _deviance(design: Floats, counts: Floats, beta: Floats) -> float:
    line = np.clip(design @ beta, -50.0, 50.0)
    return float((np.exp(line) - counts * line).sum())


def _promoted(told: PriceHistory) -> Floats:
    return np.log1p(told.promotions)


def _explained(values: Floats, design: Floats) -> float:
    """Return the share of the variance that a linear regression explains."""
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(1 - (rest**2).sum() / max(((values - values.mean()) ** 2).sum(), 1e-300))


def _pooled(own: Floats, covariance: Floats, least: float) -> tuple[Floats, Floats]:
    """Return estimates drawn towards their mean (k), and their standard errors (k).

    The mean is weighed by 1 / (v + τ²); τ² by the moments of DerSimonian and Laird and one standard error more, so that few categories are
    not drawn together by luck; at least ``least``². The error of the mean counts all covariances.
    """
    v = np.maximum(np.diag(covariance), 1e-12)
    fixed = 1 / v
    centre = (fixed * own).sum() / fixed.sum()
    excess = (fixed * (own - centre) ** 2).sum() - (len(own) - 1)
    scale = fixed.sum() - (fixed**2).sum() / fixed.sum()
    luck = np.sqrt(2 * (len(own) - 1))
    between = max((max(excess, 0.0) + luck) / scale if scale > 0 else 0.0, least**2)
    weight = 1 / (v + between)
    weight = weight / weight.sum()
    mean = float(weight @ own)
    mean_variance = float(weight @ (covariance + between * np.eye(len(own))) @ weight)
    kept = between / (between + v)
    spread = np.sqrt(kept * v + (1 - kept) ** 2 * mean_variance)
    return kept * own + (1 - kept) * mean, spread


def _student(level: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, max(freedom, 1)))
