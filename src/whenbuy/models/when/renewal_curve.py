"""When and how often a customer buys by the laws of her gaps alone: a learner around ``Renewal``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.fitting.maximum_likelihood import latest, require_returns
from whenbuy.models.when.renewal import FittedRenewal, Renewal

_NEWCOMER: Final = np.zeros((1, 6))
"""Somebody at the moment of her first order."""
_MOST: Final = 10_000
"""The laws are learned from so many customers, at most."""


@dataclass(frozen=True, slots=True)
class RenewalCurve:
    """Pareto/NBD with gamma gaps of several shapes, and looks as signs of life (see ``gap_posterior``).

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    """

    grid_days: tuple[float, ...]

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "renewal"

    def fit(self, train: Examples, valid: Examples | None = None) -> RenewalCurveModel:
        """Return the laws as the last row of every customer teaches them; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When fewer than two customers bought, or nobody came back.
        ColumnError
            When the table does not tell of orders.
        """
        del valid
        last = latest(train)
        repeats = last.table.column("frequency")
        bought = np.isfinite(repeats) & np.isfinite(last.table.column("recency_days"))
        require_returns(len(last), int(bought.sum()), int((repeats[bought] > 0).sum()), self.name)
        laws = Renewal(self.grid_days, most=_MOST).fit(last.table)
        return RenewalCurveModel(laws, int(last.keys.cutoff.max()))


@dataclass(frozen=True, slots=True, eq=False)
class RenewalCurveModel:
    """Learned laws, and the latest cutoff that they were learned from."""

    laws: FittedRenewal
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "renewal"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a key of whom nothing is known gets that of a brand-new customer, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the model's last training cutoff and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        pasts = self.laws.pasts(examples.table)
        stranger = np.isnan(pasts[:, 3])
        told, g = self.laws.tell(np.where(stranger[:, None], _NEWCOMER, pasts)), len(self.laws.days)
        return TimeToEvent.of(
            examples.keys, np.array(self.laws.days), 1 - told[:, g : 2 * g], told[:, :g], self.name, prior=stranger, in_sample=in_sample
        )


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (RenewalCurve, RenewalCurveModel)}
"""What a stored model of this file may be made of."""
