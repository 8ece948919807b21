"""What a customer's gaps and her silence say of the days ahead, by laws that are learned from all customers: a preparation.

A line or trees see columns. How a customer's number of orders, the evenness of her gaps and her silence go together is a posterior, which
neither finds from some ten thousand rows: in simulated shops the error of the logarithm of one customer's expected orders fell from .24 to
.14 (7 days ahead) and from .18 to .12 (the three weeks after).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Table
from whenbuy.models.when.gap_posterior import LEAVINGS, SLOPES, read, teach, tell
from whenbuy.models.when.gap_tables import gap_tables

ORDERS: Final = ("frequency", "recency_days", "gap_mean_days", "gap_deviation_days", "gap_last_days")
"""The columns that tell of orders."""
FURTHER: Final = ("view_recency_days", "view_count", "event_tenure_days")
"""The columns that tell when she last looked and how often, for who has left does not look, and when she was seen first."""
_FAINT: Final = 0.003
"""A shape that a smaller share of the customers has is left out."""
_LENT: Final = 10.0
"""So many customers' worth of evidence says that the laws are near where their search begins."""
_STEPS, _FLAT = 80, 1e-7
LONGEST: Final = 1e6
"""No number of days, orders or views is read as more."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """Adds expected orders and chances by gamma gaps, spread rates and leaving: a preparation for a learner of when or of how many.

    Adds ``renewal_orders_7d`` and ``renewal_p_7d`` (expected orders, and the chance to buy) for each of ``days``, and ``renewal_present``
    (the chance that she is still there). The laws are those of ``gap_posterior``. They are learned by maximum likelihood from each row as
    from a customer; where a customer has many rows that leaves the answer right on average and less sure than it looks. Who has not bought
    is read as if she had when she was seen first, though the laws are not learned from her; of whom nothing is known gets gaps.

    Parameters
    ----------
    days
        The days ahead, rising.
    shapes
        Shapes that gaps may have: 1 is exponential, more is regular, less comes in bursts.
    most
        The laws are learned from so many rows, at most.
    """

    days: tuple[float, ...] = (7.0, 28.0)
    shapes: tuple[float, ...] = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
    most: int = 5_000

    def __post_init__(self) -> None:
        if not self.days or min(self.days) <= 0 or list(self.days) != sorted(set(self.days)):
            raise UsageError(f"A renewal over the days {self.days} was asked for.", "Days ahead lie above 0 and rise.", "Say 7, 28.")
        if not self.shapes or min(self.shapes) <= 0:
            raise UsageError(f"Gaps of the shapes {self.shapes} were asked for.", "Shapes lie above 0.", "Name at least one, such as 1.")

    def fit(self, table: Table) -> FittedRenewal:
        """Return the laws that these rows teach."""
        columns = (*ORDERS, *FURTHER)
        views = _views(table, columns)
        pasts = _pasts(table, columns, views)
        pasts = pasts[np.isfinite(_known(table, columns[1:2])[:, 0])]
        if len(pasts) > self.most:
            pasts = pasts[np.sort(np.random.default_rng(len(pasts)).choice(len(pasts), self.most, replace=False))]
        return _learn(self, columns, views, pasts)


@dataclass(frozen=True, slots=True)
class FittedRenewal:
    """Learned laws.

    Parameters
    ----------
    columns
        Where the past is read: number, silence, mean, deviation and last of the gaps, days since the last view, number of views, and
        days since anything was seen first.
    views
        How many views an order takes; 0 where looks tell nothing.
    laws
        Gamma shape and inverse scale (in days) of the orders a day, of the rate of leaving, and of the looks a day (6).
    shapes, shares
        Shapes that gaps have, and how many customers have each.
    """

    days: tuple[float, ...]
    columns: tuple[str, ...]
    views: float
    laws: tuple[float, ...]
    shapes: tuple[float, ...]
    shares: tuple[float, ...]

    def apply(self, table: Table) -> Table:
        """Return the table with what the laws say beside it."""
        told = self.tell(self.pasts(table)).astype(np.float32)
        return table.beside(Table(self.names, told))

    def pasts(self, table: Table) -> Floats:
        """Return what the laws ask of each row's past (n x 6, see ``gap_posterior.weigh``); NaN where nothing is known."""
        return _pasts(table, self.columns, self.views)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are added."""
        return (*(f"renewal_{what}_{day:g}d" for what in ("orders", "p") for day in self.days), "renewal_present")

    def tell(self, pasts: Floats) -> Floats:
        """Return expected orders, chances and presence (n x 2d + 1) of pasts (see ``gap_posterior.weigh``); NaN where one is unknown."""
        told, known = np.full((len(pasts), 2 * len(self.days) + 1), np.nan), np.isfinite(pasts[:, 3])
        found = np.empty((int(known.sum()), told.shape[1]))
        tell(pasts[known], *self.written(), found, True)
        told[known] = found
        return told

    def written(self) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats, Floats]:
        """Return the laws as ``gap_posterior.tell`` reads them, behind the pasts."""
        tables = gap_tables(self.shapes)
        beside = _beside(self.shapes, np.log(self.shares))
        return np.array(self.days), np.array(self.laws), beside, tables.shapes, tables.reach, tables.held, tables.count, _NODES


def _nodes() -> Floats:
    """Return where she may have left, dense where the last sign of life is near: shares of the time since, and weights."""
    nodes, weights = np.polynomial.legendre.leggauss(LEAVINGS)
    place = (nodes + 1) / 2
    return np.stack([place**3, 1.5 * place**2 * weights])


_NODES: Final = _nodes()


def _beside(shapes: tuple[float, ...], log_shares: Floats) -> Floats:
    """Return what ``weigh`` asks of the shares (2 x k)."""
    from scipy.special import gammaln

    k = np.array(shapes)
    return np.stack([log_shares, k * np.log(k) - gammaln(k)])


def _known(table: Table, columns: tuple[str, ...]) -> Floats:
    """Return some columns as numbers from 0 on (n x c), gaps where the table lacks one."""
    gaps = np.full(len(table), np.nan)
    found = np.stack([table.column(name).astype(np.float64) if name in table.names else gaps for name in columns], axis=1)
    return np.asarray(np.clip(found, 0.0, LONGEST))


def _views(table: Table, columns: tuple[str, ...]) -> float:
    """Return how many views an order takes: what another one adds to the views of equally long times (least squares); 0 without views."""
    gaps, silence, mean, views = _known(table, (columns[0], columns[1], columns[2], columns[6])).T
    known = np.isfinite(gaps + silence + views)
    if not known.any() or not views[known].any():
        return 0.0
    orders = gaps[known] + 1
    times = np.stack([orders, silence[known] + gaps[known] * np.nan_to_num(mean[known])], axis=1)
    slope = float(np.linalg.lstsq(times, views[known], rcond=None)[0][0])
    return max(slope, 0.1 * float(views[known].sum() / orders.sum()))


def _pasts(table: Table, columns: tuple[str, ...], views: float) -> Floats:
    """Return pasts (n x 6) as ``gap_posterior.weigh`` reads them; gaps where there was no order."""
    pasts = np.empty((len(table), 6))
    read(_known(table, columns), views, pasts)
    return pasts


def _learn(settings: Renewal, columns: tuple[str, ...], views: float, pasts: Floats) -> FittedRenewal:
    """Return the laws of highest likelihood, drawn a little towards where the search begins."""
    from scipy.optimize import minimize
    from scipy.special import gammaln, psi

    n, tables, watched, looks = max(len(pasts), 1), gap_tables(settings.shapes), pasts[:, 2:4].sum() + 1, pasts[:, 5]
    rate, often = (pasts[:, 0].sum() + 1) / watched, (looks.sum() + 1) / watched
    start = np.concatenate([np.log([1.0, 1 / rate, 1.0, 4 * watched / n, 1.0, 1 / often]), np.zeros(len(settings.shapes))])
    found, likely = np.empty((len(pasts), SLOPES)), np.empty((len(pasts), len(settings.shapes)))

    def falling(theta: Floats) -> tuple[float, Floats]:
        laws, log_shares = _laws(theta, views), theta[6:] - np.logaddexp.reduce(theta[6:])
        r, g = float(laws[0]), float(laws[4])
        beside = _beside(settings.shapes, log_shares)
        teach(pasts, laws, beside, tables.shapes, tables.reach, tables.held, _NODES, found, likely)
        value = found[:, 0].sum() + len(pasts) * (r * theta[1] - gammaln(r)) - _LENT * ((theta - start) ** 2).sum() / 2
        slope = np.concatenate([found[:, 1:].sum(axis=0), likely.sum(axis=0) - len(pasts) * np.exp(log_shares)]) - _LENT * (theta - start)
        if g > 0:
            value += (gammaln(g + looks) - gammaln(g)).sum() + len(pasts) * g * theta[5]
            slope[4:6] += g * (psi(g + looks) - psi(g)).sum() + len(pasts) * g * theta[5], len(pasts) * g
        return float(-value / n), np.asarray(-slope / n)

    bounds = [(-5.0, 5.0), (-12.0, 20.0), (-5.0, 5.0), (-5.0, 25.0), (-5.0, 5.0), (-12.0, 20.0)] + [(-20.0, 20.0)] * len(settings.shapes)
    best = minimize(falling, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS, "ftol": _FLAT}).x
    share = np.exp(best[6:] - np.logaddexp.reduce(best[6:]))
    kept = share >= min(_FAINT, float(share.max()))
    shapes = tuple(shape for shape, keep in zip(settings.shapes, kept, strict=True) if keep)
    shares = tuple((share[kept] / share[kept].sum()).tolist())
    return FittedRenewal(settings.days, columns, views, tuple(_laws(best, views).tolist()), shapes, shares)


def _laws(theta: Floats, views: float) -> Floats:
    """Return the laws from their logarithms; where nobody looks, looks tell nothing."""
    laws = np.exp(theta[:6])
    if not views:
        laws[4] = 0.0
    return laws


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Renewal, FittedRenewal)}
"""What a stored preparation of this file may be made of."""
