"""Rows of the models of when and how often."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import ceil, isfinite, isnan
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Singles
from whenbuy.models.how_many.boosted_count import BoostedCountModel
from whenbuy.models.how_many.rolled_counts import RolledCountsModel, roll
from whenbuy.models.rows import steps
from whenbuy.models.rows.asked import Asked, Compile, Layout, Row, Told
from whenbuy.models.rows.forests import apart, chained
from whenbuy.models.rows.terms import Scorer
from whenbuy.models.when.bgnbd import beta_nodes
from whenbuy.models.when.boosted_curve import DirectHorizonsModel, monotone
from whenbuy.models.when.buy_till_you_die import BgNbdModel
from whenbuy.models.when.floors import KaplanMeierModel, PoissonRateModel
from whenbuy.models.when.gap_posterior import read, tell
from whenbuy.models.when.hazard import HazardModel
from whenbuy.models.when.renewal import LONGEST
from whenbuy.models.when.renewal_curve import RenewalCurveModel

_SEEN: Final = "event_recency_days"
_FARTHEST: Final = 30.0
_NODES_HELD: Final = 4096
_NONE: Final = np.empty(0)


def poisson(model: PoissonRateModel, layout: Layout) -> Row | None:
    """Return the row of a constant rate."""
    place, seen = layout.place(f"orders_{model.window_days:g}d"), layout.place(_SEEN)
    if place < 0:
        return None
    seen = place if seen < 0 else seen

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        orders, known = float(asked.values[0, place]), float(asked.values[0, seen])
        stranger = not (isfinite(orders) and isfinite(known))
        rate = ((0.0 if stranger else max(orders, 0.0)) + model.prior_orders) / model.window_days
        return *steps.poisson(rate, model.grid_days), stranger

    return Row(curve=curve)


def kaplan_meier(model: KaplanMeierModel, layout: Layout) -> Row | None:
    """Return the row of curves by stratum."""
    place, edges = layout.place(model.column or "tenure_days"), model.edges.tolist()
    if place < 0:
        return None
    survival, count = model.survival.copy(), model.mean_count.copy()
    for one, other in zip(survival, count, strict=True):
        steps.freed(one, other)
    everybody = len(survival) - 1

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        value = float(asked.values[0, place])
        stranger = not isfinite(value)
        row = everybody if stranger or not model.column else bisect_right(edges, value)
        return survival[row], count[row], stranger

    return Row(curve=curve)


def leaving(model: BgNbdModel, layout: Layout) -> Row | None:
    """Return the row of BG/NBD or MBG/NBD."""
    places = layout.places(("frequency", "recency_days", "tenure_days"))
    if places is None:
        return None
    often, away, since = places
    settings, days = np.array([model.r, model.alpha, model.a, model.b]), model.grid_days

    @lru_cache(_NODES_HELD)
    def nodes(stays: float) -> tuple[Floats, Floats]:
        chance, weight = beta_nodes(model.a, np.array([model.b + stays]))
        return chance[0], weight[0]

    def curve(asked: Asked, counted: bool) -> Told:
        row = asked.values[0]
        repeats, recency, tenure = float(row[often]), float(row[away]), float(row[since])
        bought = isfinite(repeats) and isfinite(recency) and isfinite(tenure) and repeats >= 0
        repeats, tenure = (repeats, max(tenure, 0.0)) if bought else (0.0, 0.0)
        last = min(max(tenure - recency, 0.0), tenure) if repeats > 0 else 0.0
        stays = repeats + model.modified
        chance, weight = nodes(stays) if counted else (_NONE, _NONE)
        return *steps.leaving(repeats, last, tenure, stays, settings, chance, weight, days), not bought

    return Row(curve=curve)


def renewal(model: RenewalCurveModel, layout: Layout) -> Row | None:
    """Return the row of gamma gaps."""
    places = np.array([layout.place(name) for name in model.laws.columns], np.int64)
    if (places[:2] < 0).any():
        return None
    laws, views, g = model.laws.written(), model.laws.views, len(model.laws.days)

    def curve(asked: Asked, counted: bool) -> Told:
        past, told = np.empty((1, 6)), np.empty((1, 2 * g + 1))
        seen = np.clip(asked.values[:, places].astype(np.float64), 0.0, LONGEST)
        read(np.where(places < 0, np.nan, seen), views, past)
        stranger = bool(isnan(past[0, 3]))
        tell(np.zeros((1, 6)) if stranger else past, *laws, told, counted)
        survival, count = 1 - told[0, g : 2 * g], told[0, :g].copy()
        steps.freed(survival, count)
        return survival, count, stranger

    return Row(curve=curve)


def hazard(model: HazardModel, layout: Layout) -> Row | None:
    """Return the row of a pooled logistic hazard."""
    score, seen, step = Scorer.of(model.terms, model.weights, layout), layout.place(_SEEN), float(model.settings.step_days)
    if score is None or seen < 0:
        return None
    days = np.array(model.settings.grid_days, float)
    count = ceil(days[-1] / step - 1e-9)

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        return *steps.stepped(score(*asked.ahead(step, count)), model.intercept, days, step), isnan(asked.values[0, seen])

    return Row(curve=curve)


def rolled(model: RolledCountsModel, layout: Layout) -> Row | None:
    """Return the row of counts that are rolled out."""
    places = layout.places(("recency_days", "tenure_days", "frequency"))
    if places is None:
        return None
    seen = layout.place(_SEEN)
    seen = places[0] if seen < 0 else seen
    amounts = [layout.place(name) for name in ("mean_amount", "first_amount", "last_amount")]
    typical, days = model.typical.tolist(), np.array(model.settings.grid_days, float)
    count = ceil(days[-1] / model.step_days - 1e-9)

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        row: list[float] = asked.values[0].tolist()
        if isnan(row[places[0]]):
            state = [0.0, 0.0, -1.0, *typical]
        else:
            repeats = row[places[2]]
            spent = (row[place] if place >= 0 else 0.0 for place in amounts)
            state = [row[places[0]], row[places[1]], 0.0 if isnan(repeats) else repeats, *(0.0 if isnan(x) else max(x, 0.0) for x in spent)]
        told = roll(model.weights, model.intercept, model.unit_days, model.step_days, count, model.highest, np.array([state]))
        return *steps.between(told[1][0], told[0][0], days, model.step_days), isnan(row[seen])

    return Row(curve=curve)


def direct(model: DirectHorizonsModel, layout: Layout) -> Row | None:
    """Return the row of direct classifiers: the trees of all horizons in one walk."""
    scores, seen = chained(model.trees, model.before), layout.place(_SEEN)
    read = picked(model.columns, layout)
    if scores is None or read is None or seen < 0 or {one.link for one in model.trees} != {"logistic"}:
        return None
    knots = np.concatenate([[0.0], model.horizons])
    usual = -np.log1p(-monotone(model.share[None, :]))[0]
    everybody = steps.joined(np.concatenate([[0.0], usual]), knots, model.grid_days)

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        if isnan(asked.values[0, seen]):
            return *everybody, True
        return *steps.direct(scores(read(asked.values[0])), knots, model.grid_days), False

    return Row(curve=curve)


def boosted_count(model: BoostedCountModel, layout: Layout) -> Row | None:
    """Return the row of boosted counts."""
    scores, seen, read = apart(model.trees), layout.place(_SEEN), picked(model.columns, layout)
    line = None if model.line is None else straight(model.line, layout)
    if scores is None or read is None or seen < 0 or (line is None) != (model.line is None):
        return None
    knots = np.concatenate([[0.0], model.horizons])
    everybody = steps.joined(np.concatenate([[0.0], model.everybody]), knots, model.grid_days)

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        if isnan(asked.values[0, seen]):
            return *everybody, True
        raw = scores(read(asked.values[0])) + model.offset
        return *steps.counted(raw if line is None else raw + line(asked.values), _FARTHEST, knots, model.grid_days), False

    return Row(curve=curve)


def straight(line: Any, layout: Layout) -> Callable[[Singles], float] | None:
    """Return what a log-linear model says of a row (1 x f)."""
    score, still = Scorer.of(line.terms, line.weights, layout), np.zeros(len(layout.names), np.int64)
    return None if score is None else lambda values: min(max(float(score(values.T, still)[0]) + line.intercept, line.low), line.high)


def picked(columns: Sequence[str], layout: Layout) -> Callable[[Singles], Singles] | None:
    """Return what takes the columns that a model reads from a row; None where one is not there."""
    if tuple(columns) == layout.names:
        return lambda row: row
    found = layout.places(tuple(columns))
    places = np.array(found)
    return None if found is None else lambda row: row[places]


ROWS: Final[Mapping[type, Compile]] = {
    PoissonRateModel: poisson, KaplanMeierModel: kaplan_meier, BgNbdModel: leaving, RenewalCurveModel: renewal,
    HazardModel: hazard, RolledCountsModel: rolled,
    DirectHorizonsModel: direct, BoostedCountModel: boosted_count,
}  # fmt: skip
