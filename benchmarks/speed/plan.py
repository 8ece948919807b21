"""Speed of the plan: a million customers, five offers on one channel, fourteen days, a budget for money, contacts and stock.

The effects are made up part by part (curves over 42 days), as a learner would give them; making them up is not counted. CPU seconds on one
thread.
"""

import time
from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.rows import Row, costs

AREA = "decide"
SECONDS = Row(area=AREA, name="decide_plan_s", unit="s", better="lower", target=120)
MEMORY = Row(area=AREA, name="decide_plan_gib", unit="GiB", better="lower", target=6)
GAP = Row(area=AREA, name="decide_plan_gap", unit="share", better="lower", target=0.01)
CUSTOMERS, PART = 1_000_000, 20_000


def rows(customers: int = CUSTOMERS) -> Iterator[Row]:
    (cost,) = costs(f"{__name__}:planned", customers, times=1)
    seconds, gap, sent, options, memory = cost.answer
    note = f"{customers:,} customers × 5 offers × 14 days, {options:,} options kept, {sent:,} contacted"
    yield SECONDS.got(seconds, note=note)
    yield MEMORY.got(memory)
    yield GAP.got(gap)


def planned(customers: int) -> tuple[float, float, int, int, float]:
    """Seconds without those of making up the effects, the gap, contacts, options, and the most memory in GiB."""
    import resource

    from whenbuy.core.decision import Budget, Channel, Offer
    from whenbuy.decide import plan as planning
    from whenbuy.decide.campaign import Campaign, Orders
    from whenbuy.decide.guards import Guards, Reachable

    offers = tuple(Offer(f"o{k}", discount=0.05 * k, cost=0.5 * k, stock=customers // 20 if k == 1 else None) for k in range(5))
    campaign = Campaign(offers, (Channel("email", 0.05),), Budget(0.1 * customers, customers // 4), Guards(0.1), 19_800 * 86_400_000_000)
    rng = np.random.default_rng(0)
    ids = pl.Series([f"u{i:07d}" for i in range(customers)])
    orders = Orders(ids, rng.gamma(4.0, 10.0, customers), np.ones((customers, 5)), 0.4)
    nobody = np.empty(0, np.int64)
    who = Reachable(np.ones((customers, 1), bool), pl.Series([None], dtype=pl.String).new_from_index(0, customers), nobody, nobody)
    away = [0.0]
    kept = [0]
    choose = planning.choose

    def counted(options, limits):  # type: ignore[no-untyped-def]
        kept[0] = len(options.gain)
        return choose(options, limits)

    planning.choose = counted
    start = time.process_time()
    made = planning.make(campaign, orders, _effects(ids, campaign.made_at, away), who)
    seconds = time.process_time() - start - away[0]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return seconds, made.gap, int(made.decisions.sent.sum()), kept[0], memory


def _effects(ids: pl.Series, made_at: int, away: list[float]) -> Iterator[object]:
    """Effects part by part; how long making them up took is added to ``away``."""
    from whenbuy.core.effect import CurveEffect
    from whenbuy.core.forecast import TimeToEvent
    from whenbuy.core.keys import Keys
    from whenbuy.core.log import Dictionary

    names, grid, rng = Dictionary(ids), np.arange(1.0, 43.0), np.random.default_rng(1)
    for start in range(0, len(ids), PART):
        begun = time.process_time()
        code = np.arange(start, min(start + PART, len(ids)), dtype=np.int32)
        n = len(code)
        keys = Keys("user", code, np.full(n, made_at, np.int64), names)
        hazard = rng.gamma(1.0, 0.03, (n, 1)) * np.linspace(1.1, 0.9, 42) + 1e-4
        curves = []
        for _ in range(6):
            factor = np.where(grid <= 7, rng.uniform(0.6, 2.5, (n, 1)), rng.uniform(0.8, 1.02, (n, 1))) if curves else 1.0
            fallen = np.cumsum(hazard * factor, axis=1)
            curves.append(TimeToEvent.of(keys, grid, np.exp(-fallen), 1.2 * fallen, "made up"))
        middle = np.stack([one.mean_count[:, -1] - curves[0].mean_count[:, -1] for one in curves[1:]], axis=1)
        made = CurveEffect(keys, tuple(f"o{k}" for k in range(5)), curves[0], tuple(curves[1:]), middle - 0.1, middle + 0.1, "made up")
        away[0] += time.process_time() - begun
        yield made
