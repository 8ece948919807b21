"""Demand from customers and series together, the answer to price and the warehouse: rows of the area `demand`.

Complete Journey: categories by week, eight origins, each four weeks ahead; the customers' model is learned ten weeks before the first.
The simulated shop: the same protocol, beside an oracle that knows its laws, everybody's tastes and all that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import nbinom

from benchmarks.quality.simulated_demand import expected_units, overdispersion
from benchmarks.rows import Row, data_folder
from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.decide.stock import restock
from whenbuy.decide.warehouse import Warehouse, run
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.pipeline.demand.bottom_up import Lines, Spoken
from whenbuy.pipeline.demand.pricing import price_answers
from whenbuy.pipeline.demand.reconcile import Demand, demand
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit

AREA = "demand"
WEEKS, AHEAD, BEFORE = 8, 4, 10
SEED = 71
"""A shop on which nothing was tried (11, 23, 61 and 62 were; 47 was printed before)."""
_WEEK = 7 * DAY


def row(name: str, unit: str, target: float | None = None, better: str = "lower") -> Row:
    return Row(area=AREA, name=name, unit=unit, better=better, target=target)


BOTTOM = row("demand_cj_customers_mase", "MASE over the naive's", 1.0)
JOINED = row("demand_cj_joined_mase", "MASE over the series'", 1.0)
JOINED_WAPE = row("demand_cj_joined_wape", "WAPE over the series'", 1.0)
TOTAL = row("demand_cj_total", "error over the better view's", 1.01)
SIM = row("sim_demand_wape", "WAPE over the oracle's", 1.05)
PRICE = row("demand_price_covered", "share of categories", 0.9, "higher")
FIXED = row("demand_warehouse_fixed", "cost over the best fixed rule's", 0.9)
ORACLE = row("demand_warehouse_oracle", "cost over the oracle's", 1.1)


def rows() -> Iterator[Row]:
    journey = (BOTTOM, JOINED, JOINED_WAPE, TOTAL)
    yield from (one.without("WHENBUY_DATA") for one in journey) if data_folder() is None else complete_journey()
    yield from simulated()
    yield price()


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of the categories at each cutoff (t x k x h), what came, and what errors are scaled by (k)."""

    views: dict[str, np.ndarray]
    came: np.ndarray
    scale: np.ndarray


def rolling(history: History, model: Forecaster, names: list[str]) -> tuple[Told, list[Demand]]:
    """Return what each view told of the categories at the last cutoffs, and the demands themselves."""
    cutoffs = [int(history.end - (AHEAD - 1 + back) * _WEEK) for back in range(WEEKS, 0, -1)]
    spoken: dict[int, Spoken] = {}
    views: dict[str, list[np.ndarray]] = {}
    came, made = [], []
    for cutoff in cutoffs:
        found = demand(history, model, "category", 7 * AHEAD, "week", cutoff, spoken=spoken)
        told = found.of("category").keys.ids().to_list()
        place = np.array([told.index(name) if name in told else -1 for name in names])
        for name, ahead in {**{view.name: view.ahead for view in found.views}, "joined": found.agreed.ahead}.items():
            views.setdefault(name, []).append(np.where(place[:, None] >= 0, ahead[found.nodes.rows["category"]][place], 0.0))
        came.append(_came(history, cutoff, names))
        views.setdefault("naive", []).append(np.repeat(_came(history, cutoff - _WEEK, names)[:, :1], AHEAD, axis=1))
        made.append(found)
    past = np.stack([_came(history, cutoffs[0] - back * _WEEK, names)[:, 0] for back in range(31, 0, -1)], axis=1)
    return Told({name: np.stack(each) for name, each in views.items()}, np.stack(came), np.abs(np.diff(past, axis=1)).mean(axis=1)), made


def _came(history: History, cutoff: int, names: list[str]) -> np.ndarray:
    """Return the units of each category in the weeks after a cutoff (k x h)."""
    lines = Lines.of(history, "category")
    code = lines.names.codes(names)
    weeks = [(lines.time >= cutoff + i * _WEEK) & (lines.time < cutoff + (i + 1) * _WEEK) for i in range(AHEAD)]
    return np.stack([np.bincount(lines.leaf[one], lines.units[one], minlength=lines.leaves)[code] for one in weeks], axis=1)


def mase(told: Told, name: str) -> np.ndarray:
    """Return the MASE of each category (k)."""
    known = told.scale > 0
    return (np.abs(told.views[name] - told.came).mean(axis=(0, 2)) / np.where(known, told.scale, np.nan))[known]


def wape(told: Told, name: str) -> float:
    return float(np.abs(told.views[name] - told.came).sum() / told.came.sum())


def complete_journey() -> Iterator[Row]:
    history = read(layout="complete_journey").history
    names = history.log.columns["category"].dictionary.ids.to_list()
    first = history.end - (AHEAD - 1 + WEEKS) * _WEEK
    model = fit(history, int(first - BEFORE * _WEEK))
    told, _ = rolling(history, model, names)
    sold = told.came.mean(axis=(0, 2)) >= 10  # categories that sell hardly anything have no scale
    told = Told({name: each[:, sold] for name, each in told.views.items()}, told.came[:, sold], told.scale[sold])
    errors = {name: mase(told, name) for name in told.views}
    note = "; ".join(f"{name} MASE {each.mean():.3f} WAPE {wape(told, name):.4f}" for name, each in errors.items())
    yield BOTTOM.got(errors["customers"].mean() / errors["naive"].mean(), note=note)
    yield JOINED.got(
        errors["joined"].mean() / errors["series"].mean(),
        note=f"paired bootstrap over categories: {_better(errors):.3f} of the draws below 1",
    )
    yield JOINED_WAPE.got(wape(told, "joined") / wape(told, "series"))
    total = {name: np.abs((each - told.came).sum(axis=1)).sum() for name, each in told.views.items()}
    best = min(one for name, one in total.items() if name not in ("joined", "naive"))
    yield TOTAL.got(total["joined"] / best, note="; ".join(f"{name} {one / told.came.sum():.4f}" for name, one in total.items()))


def _better(errors: dict[str, np.ndarray]) -> float:
    apart, rng = errors["joined"] - errors["series"], np.random.default_rng(0)
    return float(np.mean([apart[rng.integers(0, len(apart), len(apart))].mean() < 0 for _ in range(2000)]))


def simulated() -> Iterator[Row]:
    shop = simulate(4000, 546, SEED)
    history = shop.history
    names = history.log.columns["category"].dictionary.ids.to_list()
    model = fit(history, int(history.end - (AHEAD - 1 + WEEKS) * _WEEK), budget_s=60)
    told, made = rolling(history, model, names)
    cutoffs = [int(one.of("shop").keys.cutoff[0]) for one in made]
    told.views["oracle"] = np.stack([expected_units(shop, cutoff, AHEAD) for cutoff in cutoffs])
    note = "; ".join(f"{name} {wape(told, name):.4f}" for name in told.views)
    yield SIM.got(wape(told, "joined") / wape(told, "oracle"), floor=wape(told, "naive") / wape(told, "oracle"), note=note)
    yield from warehouse(shop, made, told, names)


def warehouse(shop: SimulatedShop, made: list[Demand], told: Told, names: list[str]) -> Iterator[Row]:
    """Yield what stock costs: ours, the best of many fixed rules chosen in hindsight, and who knows the true demand.

    A fixed rule orders up to so many usual days (the mean of the last four weeks). In hindsight no shop could have chosen: what the rule
    costs that was best in the eight weeks before stands in the note.
    """
    house = Warehouse(7, 7, 1.0, 20.0)
    rule = house.rule
    start = int(made[0].of("shop").keys.cutoff[0])
    lines = Lines.of(shop.history, "category")
    code, days = lines.names.codes(names), 7 * WEEKS
    daily = np.stack([_day(lines, start + day * DAY)[code] for day in range(-28 - days, days)], axis=1)
    coming = daily[:, 28 + days :]
    excess = overdispersion(shop)

    def ours(day: int, position: np.ndarray) -> np.ndarray:
        found = made[day // 7].of("category")
        ids = found.keys.ids().to_list()
        return restock(found.take(np.array([ids.index(name) for name in names])), rule).order_up_to - position

    def knowing(day: int, position: np.ndarray) -> np.ndarray:
        mean = told.views["oracle"][day // 7, :, :2].sum(axis=1)
        return nbinom.ppf(rule.level, mean / (excess - 1), 1 / excess) - position

    def fixed(known: np.ndarray, factor: float) -> float:
        """Return the cost of a rule over the last days of some known ones, the first 28 of which it only looks at."""

        def order(day: int, position: np.ndarray) -> np.ndarray:
            return factor * 14 * known[:, day : day + 28].mean(axis=1) - position

        return run(house, known[:, 28:], order, 7 * known[:, :28].mean(axis=1), counts_from=7).cost.sum()

    begin = 7 * daily[:, days : days + 28].mean(axis=1)
    cost = {name: run(house, coming, way, begin, counts_from=7).cost.sum() for name, way in {"ours": ours, "oracle": knowing}.items()}
    factors = np.arange(0.6, 2.01, 0.05).tolist()
    earlier, rules = ({one: fixed(part, one) for one in factors} for part in (daily[:, : 28 + days], daily[:, days:]))
    best, chosen = (min(part, key=lambda one, part=part: part[one]) for part in (rules, earlier))
    note = (
        f"cost {cost['ours']:,.0f}; oracle {cost['oracle']:,.0f}; the best rule in hindsight orders up to {14 * best:.1f} usual days: "
        f"{rules[best]:,.0f}; the best of the eight weeks before, up to {14 * chosen:.1f}: {rules[chosen]:,.0f}"
    )
    yield FIXED.got(cost["ours"] / rules[best], note=note)
    yield ORACLE.got(cost["ours"] / cost["oracle"])


def _day(lines: Lines, since: int) -> np.ndarray:
    rows_ = (lines.time >= since) & (lines.time < since + DAY)
    return np.bincount(lines.leaf[rows_], lines.units[rows_], minlength=lines.leaves)


def price() -> Row:
    """Return how many of the true answers to price lie in their intervals: five shops of twelve categories."""
    inside, refused, wide = [], 0, []
    for seed in range(20, 25):
        shop = simulate(4000, 364, seed)
        answers = price_answers(shop.history)
        law = shop.parameters.people
        of_class = dict(zip(law.price_classes, law.price_elasticities, strict=True))
        own = dict(zip(shop.people["user_id"], shop.people["price_class"], strict=True))
        lines = Lines.of(shop.history, "category")
        each = np.array([of_class[own[name]] for name in shop.history.log.users.ids.to_list()])
        true = -np.bincount(lines.leaf, lines.units * each[lines.user], minlength=lines.leaves)
        true = true / np.maximum(np.bincount(lines.leaf, lines.units, minlength=lines.leaves), 1)
        for one, low, high in answers.select("category", "low", "high").iter_rows():
            if low is None:
                refused += 1
                continue
            wanted = true[lines.names.codes([one])[0]]
            inside.append(low <= wanted <= high)
            wide.append(high - low)
    return PRICE.got(
        float(np.mean(inside)), note=f"{len(inside)} answers, {refused} refused, intervals {np.mean(wide):.2f} wide; truth about -1.2"
    )
