"""Demand in the simulated shop from customers and series together, what stock costs that follows from it, and the answer to price.

Rows of the area `demand`. Eight weekly origins, each four weeks ahead; the customers' model is learned at the first. Beside it stands an
oracle that knows the shop's laws, everybody's tastes and all that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import nbinom

from benchmarks.quality.rolling import JOINED, NAIVE, Rolled, roll
from benchmarks.quality.rolling import WEEKS as AHEAD
from benchmarks.quality.simulated_demand import expected_units, overdispersion
from benchmarks.rows import Row
from whenbuy.core.arrays import DAY, Floats
from whenbuy.decide.stock import Shelf, restock
from whenbuy.decide.warehouse import Warehouse, run
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.pipeline.demand.bottom_up import Lines
from whenbuy.pipeline.demand.pricing import price_answers
from whenbuy.pipeline.demand.reconcile import Demand
from whenbuy.pipeline.learning.learn import fit

AREA = "demand"
WEEKS = tuple(range(11, 3, -1))
"""Weeks before the end from which is forecast."""
SEEDS = (90, 91, 92)
"""Shops on which nothing was tried (11, 23, 61, 62 and 80 to 84 were; 47 and 71 were printed before)."""
DRAWS = 4000
"""Of two weeks' demand, by which the oracle orders."""
THE_ORACLE = "oracle"


def row(name: str, unit: str, target: float | None = None, better: str = "lower") -> Row:
    return Row(area=AREA, name=name, unit=unit, better=better, target=target)


SIM = row("sim_demand_wape", "WAPE over the oracle's", 1.05)
PRICE = row("demand_price_covered", "share of categories", 0.9, "higher")
FIXED = row("demand_warehouse_fixed", "cost over the best fixed rule's", 0.9)
ORACLE = row("demand_warehouse_oracle", "cost over the oracle's", 1.1)


def rows() -> Iterator[Row]:
    yield from simulated()
    yield price()


@dataclass(frozen=True, slots=True)
class Shelved:
    """What one simulated shop's demand and its stock came to: WAPE by view, costs, and the usual days of the best fixed rule."""

    wape: dict[str, float]
    ours: float
    oracle: float
    best: float
    chosen: float
    days: float


def simulated() -> Iterator[Row]:
    """Demand beside the oracle's, and what the stock costs that follows from it, over all shops."""
    each = [_shop(seed) for seed in SEEDS]
    wape = {name: float(np.mean([one.wape[name] for one in each])) for name in each[0].wape}
    single = [one.wape[JOINED] / one.wape[THE_ORACLE] for one in each]
    note = "; ".join(f"{name} {value:.4f}" for name, value in wape.items()) + f"; single shops {min(single):.3f} to {max(single):.3f}"
    yield SIM.got(wape[JOINED] / wape[THE_ORACLE], floor=wape[NAIVE] / wape[THE_ORACLE], note=note)
    ours, oracle, best, chosen = (sum(getattr(one, name) for one in each) for name in ("ours", "oracle", "best", "chosen"))
    single = [one.ours / one.best for one in each]
    note = (
        f"cost {ours:,.0f}, single shops {min(single):.3f} to {max(single):.3f}; oracle {oracle:,.0f}; the best rule of each shop in "
        f"hindsight, up to {' and '.join(f'{one.days:.1f}' for one in each)} usual days: {best:,.0f}; the best of the eight weeks before: "
        f"{chosen:,.0f}"
    )
    yield FIXED.got(ours / best, note=note)
    yield ORACLE.got(ours / oracle)


def _shop(seed: int) -> Shelved:
    shop = simulate(4000, 546, seed)
    history = shop.history
    model = fit(history, int(history.end - WEEKS[0] * 7 * DAY), budget_s=60)
    told = roll(history, model, "week", WEEKS)
    names = told.whole.keys.ids().to_list()
    told.told[THE_ORACLE] = np.stack([_expected(shop, one, names) for one in told.made], axis=1)
    return _shelved(shop, told, names)


def _expected(shop: SimulatedShop, one: Demand, names: list[str]) -> Floats:
    """Return what the oracle expects of each of these categories from the cutoff of a forecast on (k x w)."""
    told = expected_units(shop, int(one.of("shop").keys.cutoff[0]), AHEAD)
    return told[shop.history.log.columns["category"].dictionary.codes(names)]


def _shelved(shop: SimulatedShop, told: Rolled, names: list[str]) -> Shelved:
    """Return what stock costs: ours, the best of many fixed rules chosen in hindsight, and who knows the true demand.

    A fixed rule orders up to so many usual days (the mean of the last four weeks). In hindsight no shop could have chosen, so what the rule
    costs that was best in the eight weeks before stands beside it. Who does not buy for want of stock does not come back: ours and the
    oracle know that, and order what lacks to min(D, position) + E, with D asked for before the order arrives and E from then on.
    """
    house = Warehouse(7, 7, 1.0, 20.0)
    rule = house.rule
    made, start = told.made, int(told.made[0].of("shop").keys.cutoff[0])
    lines = Lines.of(shop.history, "category")
    code, days = lines.names.codes(names), 7 * len(WEEKS)
    daily = np.stack([_day(lines, start + day * DAY)[code] for day in range(-28 - days, days)], axis=1)
    coming, n = daily[:, 28 + days :], len(names)
    excess = overdispersion(shop)
    chance = np.random.default_rng(0).random((2, 1, DRAWS))

    def ours(day: int, position: np.ndarray) -> np.ndarray:
        found = made[day // 7].of("category")
        ids = found.keys.ids().to_list()
        shelf = Shelf(position, np.zeros(n), np.full(n, np.nan), np.ones(n))
        return restock(found.take(np.array([ids.index(name) for name in names])), rule, shelf).quantity

    def knowing(day: int, position: np.ndarray) -> np.ndarray:
        means = told.told[THE_ORACLE][:, day // 7, :2]
        before, after = (nbinom.ppf(part, mean[:, None] / (excess - 1), 1 / excess) for part, mean in zip(chance, means.T, strict=True))
        return np.quantile(np.minimum(before, position[:, None]) + after, rule.level, axis=1) - position

    def fixed(known: np.ndarray, factor: float) -> float:
        """Return the cost of a rule over the last days of some known ones, the first 28 of which it only looks at."""

        def order(day: int, position: np.ndarray) -> np.ndarray:
            return factor * 14 * known[:, day : day + 28].mean(axis=1) - position

        return run(house, known[:, 28:], order, 7 * known[:, :28].mean(axis=1), counts_from=7).cost.sum()

    begin = 7 * daily[:, days : days + 28].mean(axis=1)
    mine, best = (float(run(house, coming, way, begin, counts_from=7).cost.sum()) for way in (ours, knowing))
    factors = np.arange(0.6, 2.01, 0.05).tolist()
    earlier, rules = ({one: fixed(part, one) for one in factors} for part in (daily[:, : 28 + days], daily[:, days:]))
    hindsight, chosen = (min(part, key=lambda one, part=part: part[one]) for part in (rules, earlier))
    return Shelved({name: told.wape(name) for name in told.told}, mine, best, rules[hindsight], rules[chosen], 14 * hindsight)


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
