"""Rows of the models of how much: mean and median of an amount. Other quantiles are no part of a live answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, isfinite, isnan
from typing import Final

import numpy as np
from scipy.special import betainccinv, betaincinv

from whenbuy.core.arrays import Floats
from whenbuy.models.how_much.amount_floors import MeanAmountModel
from whenbuy.models.how_much.boosted_amount import BoostedAmountModel
from whenbuy.models.how_much.gamma_gamma import GammaGammaModel
from whenbuy.models.how_much.ladder import Ladder
from whenbuy.models.how_much.spend import SpendRateModel
from whenbuy.models.rows import steps
from whenbuy.models.rows.asked import Asked, Compile, Layout, Row
from whenbuy.models.rows.curves import picked, straight
from whenbuy.models.rows.forests import apart

_SEEN: Final = "event_recency_days"
_FARTHEST: Final = 30.0


def median(levels: Floats) -> int | None:
    """Return the place of the median among levels; None where it is not one of them."""
    found = np.flatnonzero(levels == 0.5)
    return int(found[0]) if len(found) else None


def mean_amount(model: MeanAmountModel, layout: Layout) -> Row | None:
    """Return the row of a common mean, or of own means drawn towards it."""
    middle, lent, spent = median(model.levels), model.lent_orders, _spending(layout)
    if middle is None or spent is None:
        return None
    ratio, centre = float(model.ratios[middle]), model.centre

    def amount(asked: Asked) -> tuple[float, float]:
        expected = centre
        if lent is not None:
            orders, mean = spent(asked)
            expected = (orders * mean + lent * centre) / (orders + lent)
        return expected * model.mean_ratio, expected * ratio

    return Row(amount=amount)


def gamma_gamma(model: GammaGammaModel, layout: Layout) -> Row | None:
    """Return the row of the Gamma-Gamma model."""
    spent, (p, q, gamma) = _spending(layout), (model.p, model.q, model.gamma)
    if spent is None or median(model.levels) is None:
        return None

    def amount(asked: Asked) -> tuple[float, float]:
        orders, mean = spent(asked)
        shape, total = q + p * orders, gamma + orders * mean
        middle = float(betaincinv(p, shape, 0.5) / betainccinv(shape, p, 0.5))
        return p * total / (p * orders + q - 1), total * middle

    return Row(amount=amount)


def boosted(model: BoostedAmountModel, layout: Layout) -> Row | None:
    """Return the row of boosted amounts; the median has trees of its own."""
    seen, read, scores = layout.place(_SEEN), picked(model.columns, layout), apart((model.trees, model.medians))
    middle, line = median(model.ladder.levels), None if model.line is None else straight(model.line, layout)
    if seen < 0 or read is None or scores is None or middle is None or (line is None) != (model.line is None):
        return None
    everybody = (model.unit, float(model.ladder.everybody[middle]) * model.unit)

    def amount(asked: Asked) -> tuple[float, float]:
        if isnan(asked.values[0, seen]):
            return everybody
        mean, root = scores(read(asked.values[0])).tolist()
        raw = min(max(mean + (0.0 if line is None else line(asked.values)), -_FARTHEST), _FARTHEST)
        return exp(raw) * model.unit, max(model.share * exp(raw / 3) + root, 0.0) ** 3 * model.unit

    return Row(amount=amount)


def spend_rate(model: SpendRateModel, layout: Layout) -> Row | None:
    """Return the row of a rate of spending that goes on."""
    seen, place, middle = layout.place(_SEEN), layout.place(model.column), median(model.ladder.levels)
    if seen < 0 or place < 0 or middle is None:
        return None
    ladder, everybody = _rungs(model.ladder, middle), float(model.ladder.everybody[middle])

    def amount(asked: Asked) -> tuple[float, float]:
        spent = float(asked.values[0, place])
        if isnan(asked.values[0, seen]) or isnan(spent):
            return model.centre, everybody
        mean = max(spent, 0.0) * model.share
        return mean, ladder(mean)

    return Row(amount=amount)


def _rungs(ladder: Ladder, middle: int) -> Callable[[float], float]:
    expected, amounts = ladder.expected, np.ascontiguousarray(ladder.quantiles[:, middle])
    return lambda mean: float(steps.rung(mean, expected, amounts))


def _spending(layout: Layout) -> Callable[[Asked], tuple[float, float]] | None:
    """Return what tells the number of orders and their mean amount."""
    places = layout.places(("frequency", "mean_amount"))
    if places is None:
        return None
    often, each = places

    def spent(asked: Asked) -> tuple[float, float]:
        orders, mean = float(asked.values[0, often]) + 1, float(asked.values[0, each])
        return (orders, mean) if isfinite(orders) and isfinite(mean) and orders > 0 and mean > 0 else (0.0, 0.0)

    return spent


ROWS: Final[Mapping[type, Compile]] = {
    MeanAmountModel: mean_amount, GammaGammaModel: gamma_gamma, BoostedAmountModel: boosted, SpendRateModel: spend_rate,
}  # fmt: skip
