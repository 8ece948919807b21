"""Buy-till-you-die learners: BG/NBD, MBG/NBD and Pareto/NBD, with and without covariates.

They are fitted on the histories as of the training cutoffs (each customer's latest), not on labels, so what they know ends at the latest
of these cutoffs. The formulas and their proofs are in ``bgnbd`` and ``pareto``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.maximum_likelihood import latest, require_returns, together
from whenbuy.models.when import bgnbd, pareto

_ROWS: Final = 8192
"""Histories whose curves are computed at a time, so that memory stays bounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Buyers:
    """The purchase histories that these models see.

    Parameters
    ----------
    repeats, last, tenure
        Repeat orders x, days from the first to the last order t_x, days from the first order to the cutoff T (n each).
    bought
        False where there is no order yet (n). Such a row reads 0, 0, 0: a customer at the moment of her first order. That is the models'
        prior; it flatters somebody who may never buy at all.
    """

    repeats: Floats
    last: Floats
    tenure: Floats
    bought: Bools

    @classmethod
    def of(cls, table: Table) -> Buyers:
        """Return the histories that a table tells of, by its columns frequency, recency_days and tenure_days."""
        repeats, recency, tenure = (table.column(name) for name in ("frequency", "recency_days", "tenure_days"))
        bought = np.isfinite(repeats) & np.isfinite(recency) & np.isfinite(tenure) & (repeats >= 0)
        repeats, tenure = np.where(bought, repeats, 0.0), np.where(bought, np.maximum(tenure, 0.0), 0.0)
        last = np.where(repeats > 0, np.clip(tenure - np.where(bought, recency, 0.0), 0.0, tenure), 0.0)
        return cls(repeats, last, tenure, bought)

    def rows(self) -> Floats:
        """Return repeats, last and tenure side by side (n x 3)."""
        return np.stack([self.repeats, self.last, self.tenure], axis=1)


@dataclass(frozen=True, slots=True)
class BgNbd:
    """BG/NBD (Fader, Hardie & Lee 2005), or with ``modified`` MBG/NBD (Batislam et al. 2007).

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    modified
        Whether a customer may leave after her very first purchase too.
    """

    grid_days: tuple[float, ...]
    modified: bool = False

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "mbg-nbd" if self.modified else "bg-nbd"

    def fit(self, train: Examples, valid: Examples | None = None) -> BgNbdModel:
        """Return the model of highest likelihood; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When fewer than two customers bought, nobody came back, or no search converged.
        """
        del valid
        rows, count, known_until = _learn_from(train, self.name, ())
        r, alpha, a, b = bgnbd.fit(rows[:, 0], rows[:, 1], rows[:, 2], count, modified=self.modified)
        return BgNbdModel(r, alpha, a, b, self.modified, np.array(self.grid_days, float), known_until)


@dataclass(frozen=True, slots=True, eq=False)
class BgNbdModel:
    """A fitted BG/NBD or MBG/NBD: shapes r, a, b and the scale alpha in days."""

    r: float
    alpha: float
    a: float
    b: float
    modified: bool
    grid_days: Floats
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "mbg-nbd" if self.modified else "bg-nbd"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a key without an order gets that of a brand-new customer, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the model's last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        return _forecast(self, examples, (), self._curves, in_sample)

    def alive(self, table: Table) -> Floats:
        """Return P(she has not left by the cutoff) of each row (n); not the same as the chance to buy within any horizon."""
        buyers = Buyers.of(table)
        stays = buyers.repeats + self.modified
        return bgnbd.log_likelihood(self._parameters(), buyers.repeats, buyers.last, buyers.tenure, stays)[2]

    def _parameters(self) -> tuple[float, float, float, float]:
        return self.r, self.alpha, self.a, self.b

    def _curves(self, rows: Floats) -> tuple[Floats, Floats]:
        repeats, last, tenure = rows.T
        stays = repeats + self.modified
        alive = bgnbd.log_likelihood(self._parameters(), repeats, last, tenure, stays)[2]
        return (
            bgnbd.survival(self._parameters(), repeats, tenure, alive, self.grid_days),
            bgnbd.expected_purchases(self._parameters(), repeats, tenure, stays, alive, self.grid_days),
        )


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """Pareto/NBD (Schmittlein et al. 1987), with ``covariates`` as in Fader & Hardie 2007: scales times exp(-effect · covariate).

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    covariates
        Columns of the table that do not change with time, such as first_amount; each is read as log(1 + value), centred and scaled; a
        missing or negative value counts as average or as 0.
    """

    grid_days: tuple[float, ...]
    covariates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "pareto-nbd-covariates" if self.covariates else "pareto-nbd"

    def fit(self, train: Examples, valid: Examples | None = None) -> ParetoNbdModel:
        """Return the model of highest likelihood; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When fewer than two customers bought, nobody came back, or no search converged.
        ColumnError
            When a covariate is not in the table.
        """
        del valid
        rows, count, known_until = _learn_from(train, self.name, self.covariates)
        raw = rows[:, 3:]
        known, share = np.isfinite(raw), count[:, None] / count.sum()
        held = np.maximum((share * known).sum(axis=0), 1e-12)
        centre = (share * np.where(known, raw, 0.0)).sum(axis=0) / held
        width = np.sqrt((share * np.where(known, raw - centre, 0.0) ** 2).sum(axis=0) / held)
        width = np.where(width > 1e-9, width, np.inf)  # a column that never changes has no effect
        found = pareto.fit(rows[:, 0], rows[:, 1], rows[:, 2], count, _standard(raw, centre, width))
        return ParetoNbdModel(
            *found,
            covariates=self.covariates,
            centre=centre,
            width=width,
            grid_days=np.array(self.grid_days, float),
            known_until=known_until,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ParetoNbdModel:
    """A fitted Pareto/NBD: shapes r, s, scales alpha, beta in days, and what each covariate (k) does to the logarithms of the scales."""

    r: float
    alpha: float
    s: float
    beta: float
    buying_effect: Floats
    leaving_effect: Floats
    covariates: tuple[str, ...]
    centre: Floats
    width: Floats
    grid_days: Floats
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "pareto-nbd-covariates" if self.covariates else "pareto-nbd"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a key without an order gets that of a brand-new average customer, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the model's last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        return _forecast(self, examples, self.covariates, self._curves, in_sample)

    def alive(self, table: Table) -> Floats:
        """Return P(she has not left by the cutoff) of each row (n); not the same as the chance to buy within any horizon."""
        buyers = Buyers.of(table)
        return pareto.alive_probability(self._spread(_logged(table, self.covariates)), buyers.repeats, buyers.last, buyers.tenure)

    def _spread(self, raw: Floats) -> pareto.Spread:
        z = _standard(raw, self.centre, self.width)
        return pareto.Spread(self.r, self.alpha * np.exp(-z @ self.buying_effect), self.s, self.beta * np.exp(-z @ self.leaving_effect))

    def _curves(self, rows: Floats) -> tuple[Floats, Floats]:
        repeats, last, tenure = rows[:, :3].T
        spread = self._spread(rows[:, 3:])
        alive = pareto.alive_probability(spread, repeats, last, tenure)
        return (
            pareto.survival(spread, repeats, last, tenure, self.grid_days),
            pareto.expected_purchases(spread, repeats, tenure, alive, self.grid_days),
        )


def _learn_from(train: Examples, model: str, covariates: tuple[str, ...]) -> tuple[Floats, Floats, int]:
    """Return the distinct histories and raw covariates (k x 3 + c) of all buyers, their weights (k) and the latest cutoff."""
    last = latest(train)
    buyers = Buyers.of(last.table)
    require_returns(len(last), int(buyers.bought.sum()), int((buyers.repeats > 0).sum()), model)
    rows = np.hstack([buyers.rows(), _logged(last.table, covariates)])[buyers.bought]
    weight = np.ones(len(last)) if last.weight is None else last.weight
    kinds, count = together(rows, weight[buyers.bought])
    return kinds, count, int(last.keys.cutoff.max())


def _logged(table: Table, covariates: tuple[str, ...]) -> Floats:
    """Return log(1 + value) of each covariate (n x c), NaN where it is missing."""
    columns = [np.log1p(np.maximum(table.column(name), 0.0)) for name in covariates]
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))


def _standard(raw: Floats, centre: Floats, width: Floats) -> Floats:
    return np.where(np.isfinite(raw), (raw - centre) / width, 0.0)


def _forecast(
    model: BgNbdModel | ParetoNbdModel,
    examples: Examples,
    covariates: tuple[str, ...],
    curves: Callable[[Floats], tuple[Floats, Floats]],
    in_sample: bool,
) -> TimeToEvent:
    """Return the curves of all keys, computed once for each distinct history."""
    buyers = Buyers.of(examples.table)
    rows = np.hstack([buyers.rows(), _logged(examples.table, covariates)])
    rows[~buyers.bought, 3:] = np.nan
    kinds, which = np.unique(rows, axis=0, return_inverse=True)
    survival, count = (np.empty((len(kinds), len(model.grid_days))) for _ in range(2))
    for start in range(0, len(kinds), _ROWS):
        part = slice(start, start + _ROWS)
        survival[part], count[part] = curves(kinds[part])
    which = which.reshape(-1)
    return TimeToEvent.of(
        examples.keys, model.grid_days, survival[which], count[which], model.name, prior=~buyers.bought, in_sample=in_sample
    )


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (BgNbd, BgNbdModel, ParetoNbd, ParetoNbdModel)}
"""What a stored model of this file may be made of."""
