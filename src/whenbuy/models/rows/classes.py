"""Rows of the models of chances: of one thing, and of each of some classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, isnan
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.rows.asked import Asked, Compile, Layout, Row
from whenbuy.models.rows.forests import apart
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.whether.chance import BaseChanceModel, TreesChanceModel
from whenbuy.models.which.class_model import ClassTreesModel, Views
from whenbuy.models.which.class_rates import ClassRateModel, Shrunk

_SEEN: Final = "event_recency_days"
_HEAD: Final = 6
"""Numbers of a pair before the tastes."""


def base_chance(model: BaseChanceModel, layout: Layout) -> Row:
    """Return the row of one chance for everybody."""
    del layout
    return Row(chance=lambda _: model.chance)


def trees_chance(model: TreesChanceModel, layout: Layout) -> Row | None:
    """Return the row of a chance by trees."""
    if model.features != layout.names or (buys := _logistic(model.trees)) is None:
        return None
    unknown = _unknown(layout)
    return Row(chance=lambda asked: model.base if unknown(asked) else buys(asked.values[0]))


def class_rate(model: ClassRateModel, layout: Layout) -> Row | None:
    """Return the row of everybody's share of each class, or of own rates drawn towards it."""
    unknown, rates = _unknown(layout), model.rates
    if rates is None:
        return Row(classes=lambda _: (model.base, None))
    own = _Own.of(rates, model.told, layout)
    if own is None:
        return None
    k, weeks = len(model.classes), model.horizon_days / 7.0

    def classes(asked: Asked) -> tuple[Floats, None]:
        return (model.base if unknown(asked) else weekly_chances(asked.values[0], asked.block(), own.places, own.reals, weeks)[:k]), None

    return Row(classes=classes)


def class_trees(model: ClassTreesModel, layout: Layout) -> Row | None:
    """Return the row of the trees of buying at all, and of each class given that she buys."""
    buys = (lambda _: model.share) if model.buys is None else _logistic(model.buys)
    given = _given(model.views, model.pairs, layout)
    if model.features != layout.names or buys is None or given is None:
        return None
    unknown = _unknown(layout)

    def classes(asked: Asked) -> tuple[Floats, Floats]:
        own = given(asked)
        return (model.base if unknown(asked) else buys(asked.values[0]) * own), own

    return Row(classes=classes)


def _given(views: Views, pairs: Trees, layout: Layout) -> Callable[[Asked], Floats] | None:
    """Return the chances of the classes (k) by the trees of the pairs of a customer and a class."""
    own = _Own.of(views.rates, views.told, layout)
    told, columns = [layout.told.index(name) if name in layout.told else -1 for name in views.features], layout.places(views.columns)
    needed = [layout.told.index(name) if name in layout.told else -1 for name in ("recency_days", "gap_mean_days")]
    if own is None or columns is None or min(*told, *needed) < 0:
        return None
    k, (m, r) = len(views.base), views.directions.shape
    integers = np.array([*own.places, k, r, len(told), len(columns), *needed, *told, *columns], np.int64)
    reals = np.concatenate([own.reals, views.base, views.centre, views.directions.T.ravel()])
    weeks = views.horizon_days / 7.0
    del m

    def given(asked: Asked) -> Floats:
        return pairs.predict(numbers_of_pairs(asked.values[0], asked.block(), integers, reals, weeks))

    return given


class _Own:
    """Own rates of each class: where the row has what they read, and how they are drawn towards everybody's."""

    def __init__(self, places: Ints, reals: Floats) -> None:
        self.places, self.reals = places, reals

    @classmethod
    def of(cls, rates: Shrunk, told: tuple[str, ...], layout: Layout) -> _Own | None:
        places = layout.places(("tenure_days", "frequency"))
        if places is None or layout.classes != told or "orders" not in layout.told:
            return None
        reals = np.array([rates.lent_weeks, rates.lent_orders, *rates.weekly, *rates.per_order], np.float64)
        return cls(np.array([*places, layout.told.index("orders")], np.int64), reals)


def _logistic(trees: Trees) -> Callable[[Singles], float] | None:
    """Return what says a chance by trees; what is infinite is a gap."""
    scores = apart((trees,))
    if scores is None or trees.link != "logistic":
        return None

    def chance(row: Singles) -> float:
        raw = float(scores(finite(row))[0])
        return 1.0 / (1.0 + exp(-raw)) if raw > -700 else 0.0

    return chance


def _unknown(layout: Layout) -> Callable[[Asked], bool]:
    """Return what says of whom nothing is known."""
    place = layout.place(_SEEN if _SEEN in layout.names else "tenure_days")
    return lambda asked: isnan(asked.values[0, place])


@kernel
def finite(row: Singles) -> Singles:
    """Return a row with what is infinite as a gap."""
    found = row.copy()
    for i in range(len(row)):
        if np.isinf(row[i]):
            found[i] = np.nan
    return found


@kernel
def _counts(row: Singles, block: Singles, places: Ints) -> tuple[float, float]:
    """Return weeks since the first order, and the number of all orders."""
    days, repeats, total = np.float64(row[places[0]]), np.float64(row[places[1]]), 0.0
    for c in range(len(block)):
        total = max(total, np.float64(block[c, places[2]]))
    return (max(days / 7.0, 0.0) if np.isfinite(days) else 0.0), max(repeats + 1.0 if np.isfinite(repeats) else 0.0, total)


@kernel
def weekly_chances(row: Singles, block: Singles, places: Ints, reals: Floats, weeks: float) -> Floats:
    """Return P(an order that holds the class within so many weeks) at own rates drawn towards everybody's (m)."""
    lived, _ = _counts(row, block, places)
    found = np.empty(len(block))
    for c in range(len(block)):
        found[c] = -np.expm1(-(np.float64(block[c, places[2]]) + reals[0] * reals[2 + c]) / (lived + reals[0]) * weeks)
    return found


@kernel
def numbers_of_pairs(row: Singles, block: Singles, integers: Ints, reals: Floats, weeks: float) -> Singles:
    """Return the numbers of each pair of the customer and a class (k x f), as ``Views.values`` orders them."""
    m, k, r, features, columns = len(block), integers[3], integers[4], integers[5], integers[6]
    recency, gap, told = integers[7], integers[8], integers[9 : 9 + features]
    lent_weeks, lent_orders, weekly, each = reals[0], reals[1], reals[2 : 2 + m], reals[2 + m : 2 + 2 * m]
    base, centre, directions = reals[2 + 2 * m :], reals[2 + 2 * m + k :], reals[2 + 3 * m + k :]
    lived, total = _counts(row, block, integers)
    out, share, whole = np.empty((k, _HEAD + 2 * r + features + columns), np.float32), np.empty(m), 0.0
    for c in range(m):
        share[c] = (np.float64(block[c, integers[2]]) + lent_orders * each[c]) / (total + lent_orders)
        whole += share[c] if c < k else 0.0
    for c in range(k):
        own = (np.float64(block[c, integers[2]]) + lent_weeks * weekly[c]) / (lived + lent_weeks)
        between = np.float64(block[c, gap])
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = base[c], own, share[c], -np.expm1(-own * weeks)
        out[c, 4] = np.float64(block[c, recency]) / between if between > 0 else np.nan
        out[c, 5] = whole
        for i in range(features):
            out[c, _HEAD + 2 * r + i] = block[c, told[i]]
        for i in range(columns):
            out[c, _HEAD + 2 * r + features + i] = row[integers[9 + features + i]]
    tasted(share, k, r, centre, directions, out)
    for c in range(k):
        for i in range(out.shape[1]):
            if np.isinf(out[c, i]):
                out[c, i] = np.nan
    return out


@kernel
def tasted(share: Floats, k: int, r: int, centre: Floats, directions: Floats, out: Singles) -> None:
    """Write how far she lies in each direction of taste, and what all directions up to it say of each class."""
    m, said = len(share), np.zeros(k)
    for d in range(r):
        score = 0.0
        for c in range(m):
            score += (np.log(share[c]) - centre[c]) * directions[d * m + c]
        for c in range(k):
            said[c] += score * directions[d * m + c]
            out[c, _HEAD + 2 * d], out[c, _HEAD + 2 * d + 1] = score, said[c]


ROWS: Final[Mapping[type, Compile]] = {
    BaseChanceModel: base_chance, TreesChanceModel: trees_chance, ClassRateModel: class_rate, ClassTreesModel: class_trees,
}  # fmt: skip
