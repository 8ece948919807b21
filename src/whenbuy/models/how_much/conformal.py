"""Conformal intervals of amounts: quantiles shifted so that they hold on weeks that the model has not seen.

Split conformal on quantiles, each tail on its own (Romano, Patterson & Candès 2019, "Conformalized quantile regression", theorem 2), with
the error of a quantile measured in units of the expected amount, as in the scaled version of Sesia & Candès 2020. Were future customers
drawn like those of the calibration weeks, at most a share l of the amounts would lie above the quantile 1 - l, and as many below the
quantile l. Weeks drift and a customer comes again in several of them, so the coverage is measured on ripe cutoffs as well.

What is known of a customer after one order says less than what is known after ten, so the quantiles are shifted apart by the number of
orders known (Mondrian conformal prediction: Vovk, Gammerman & Shafer 2005, section 4.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.errors import NotEnoughDataError, WhenbuyError
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import Amount
from whenbuy.core.learner import Model, can_learn_on, refuse_leak
from whenbuy.models.how_much.ladder import without_crossings
from whenbuy.models.wrapping.cut_short import standing

_LEAST: Final = 0.01
"""An expected amount below this share of the mean one counts as that: errors in units of next to nothing say nothing."""
_ROUNDING: Final = 1e-9
_APART: Final = (1, 2, 3, 6)
"""Orders known from which on the next group of customers begins."""
_ENOUGH: Final = 200
"""Amounts that came, from which on a group is shifted by its own errors; a smaller one is shifted like everybody."""


@dataclass(frozen=True, slots=True, eq=False)
class Adjustment:
    """How far each quantile is shifted.

    Parameters
    ----------
    levels
        The quantiles (q).
    shift
        What is added to each, in units of the expected amount (q). The median is a forecast of its own and stays.
    least
        The smallest such unit.
    apart
        The same by the number of orders known (g x q); no rows where everybody is shifted alike.
    """

    levels: Floats
    shift: Floats
    least: float
    apart: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def apply(self, answer: Amount, orders: Floats | None = None) -> Amount:
        """Return the amounts with their quantiles shifted; none falls below 0 that did not, and none crosses another.

        Parameters
        ----------
        answer
            The forecast (n).
        orders
            How many orders are known of each (n); without it everybody is shifted alike.

        Raises
        ------
        WhenbuyError
            When the forecast holds other levels.
        """
        _require_levels(answer, self.levels)
        shift = self.shift if orders is None or not len(self.apart) else self.apart[_group(orders)]
        moved = answer.quantiles + shift * np.maximum(answer.mean, self.least)[:, None]
        moved = np.maximum(moved, np.minimum(answer.quantiles, 0.0))
        return replace(answer, quantiles=without_crossings(self.levels, moved))


@dataclass(frozen=True, slots=True, eq=False)
class ConformalModel:
    """A model of amounts and the adjustment of its quantiles.

    ``adjusted_until`` is the end of the last label window from which the adjustment was learned.
    """

    model: Model[Amount]
    adjustment: Adjustment
    adjusted_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the model's own."""
        return self.model.name

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model or its adjustment saw."""
        return max(self.model.known_until, self.adjusted_until)

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: where the model itself can learn on."""
        return can_learn_on(self.model)

    def update(self, later: Examples) -> ConformalModel:
        """Return the model as later examples change it, with the adjustment that it had. Raises as the model does."""
        return replace(self, model=self.model.update(later)) if can_learn_on(self.model) else self

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return the adjusted amounts of each key; raises as the model does.

        Raises
        ------
        LeakError
            When a cutoff lies before ``known_until`` and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        return self.adjustment.apply(self.model.predict(examples, in_sample=in_sample), orders_known(examples))


def orders_known(examples: Examples) -> Floats:
    """Return how many orders are known of each key (n), 0 where none is or the table does not say."""
    table = examples.table
    if not {"frequency", "recency_days"} <= set(table.names):
        return np.zeros(len(examples))
    return np.where(np.isnan(table.column("recency_days")), 0.0, np.nan_to_num(table.column("frequency")) + 1.0)


def conformal(forecast: Amount, labels: Labels, orders: Floats | None = None) -> Adjustment:
    """Return the adjustment that makes the quantiles of a forecast hold on these rows.

    Only rows whose amount was observed count, each for as many as it stands for (see `standing`). A level so far out that so few rows
    cannot speak of it (fewer than 1 / (1 - level) of them, for an upper one) stays where it is.

    Parameters
    ----------
    forecast
        Told by a model that had not seen these labels.
    labels
        What came true.
    orders
        How many orders were known of each key (n): where it is given, each group of customers is shifted by its own errors.

    Raises
    ------
    NotEnoughDataError
        When no amount was observed.
    """
    if len(labels) != len(forecast):
        raise WhenbuyError(f"{len(forecast)} amounts were given {len(labels)} labels.")
    rows = np.flatnonzero(labels.observed & np.isfinite(labels.value))
    if not len(rows):
        raise NotEnoughDataError(
            f"None of {len(labels)} amounts was observed.", "Intervals are learned from amounts that came.", "Use a longer history."
        )
    mean = np.maximum(forecast.mean[rows], 0.0)
    least = _LEAST * float(mean.mean()) or 1.0
    errors = (labels.value[rows][:, None] - forecast.quantiles[rows]) / np.maximum(mean, least)[:, None]
    stand = standing(labels)[rows]
    shift = _shifts(errors, stand, forecast.levels)
    if orders is None:
        return Adjustment(forecast.levels, shift, least)
    groups = [np.flatnonzero(_group(orders[rows]) == group) for group in range(len(_APART) + 1)]
    apart = np.stack([_shifts(errors[own], stand[own], forecast.levels) if len(own) >= _ENOUGH else shift for own in groups])
    return Adjustment(forecast.levels, shift, least, apart)


def _group(orders: Floats) -> Ints:
    return np.searchsorted(_APART, orders, side="right")


def _shifts(errors: Floats, stand: Floats, levels: Floats) -> Floats:
    """Return by how much each quantile is shifted (q) for some errors (n x q) that stand for so many each (n)."""
    return np.array([_shift(error, stand, float(level)) for error, level in zip(errors.T, levels, strict=True)])


def _shift(error: Floats, stand: Floats, level: float) -> float:
    """Return by how much a quantile is shifted: the conformal quantile of its errors (n), on the safe side.

    One more error, which stands for as much as the mean one, may lie anywhere (Tibshirani et al. 2019, "Conformal prediction under
    covariate shift").
    """
    if abs(level - 0.5) < _ROUNDING:
        return 0.0
    order = np.argsort(error, kind="stable")
    share = np.cumsum(stand[order]) / (stand.sum() + stand.mean())
    if level > 0.5:
        place = int(np.searchsorted(share, level - _ROUNDING))
    else:
        place = int(np.searchsorted(share, level + _ROUNDING, side="right")) - 1
    return float(error[order[place]]) if 0 <= place < len(error) else 0.0


def _require_levels(answer: Amount, levels: Floats) -> None:
    if not np.array_equal(answer.levels, levels):
        raise WhenbuyError(f"Quantiles at {answer.levels.tolist()} were to be adjusted by what was learned at {levels.tolist()}.")


TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (Adjustment, ConformalModel)}
"""What a stored model of this file may be made of."""
