"""Plans on the simulated shop, where the truth is known: what a plan from learned effects truly earns, as a share of what the best plan
would.

Each shop sent offers in rounds: by lot, or leaning towards those who bought lately (biased, and everybody could get everything). From
that log alone effects are learned, as of its end, and a plan is made under a budget of a third of what the best plan without a limit
would spend. Its true profit is read from the laws of the shop. A plan whose messages truly cost more than it expected is compared with the
best plan for what it spent. Beside it: the same plan with every message on its truly best day (send time), and the offer that earns most on
average sent to the likeliest buyers until the budget is spent.

How much can be learned depends on the log: seven rounds of 6,000 customers are some 30,000 decisions, and the orders that an offer adds to
one segment within four weeks then stray by as much as they are. So there are three sizes: the first row speaks of a shop of 96,000
customers, and those of smaller ones stand beside it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.rows import Row
from whenbuy.core.arrays import DAY
from whenbuy.core.decision import Budget, Channel, Offer
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.guards import Guards, Reachable
from whenbuy.decide.plan import make
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.deciding.effects import fit_effects

AREA = "decide"
USERS = int(os.environ.get("WHENBUY_PLAN_USERS", "96000"))
FIRST = int(os.environ.get("WHENBUY_PLAN_FIRST", "3"))
SEEDS = int(os.environ.get("WHENBUY_PLAN_SEEDS", "20"))
"""So many shops from this seed on: on 0 to 2 things were tried."""
MIDDLE, FEW = 24_000, 6000
SHARE = "share of the oracle's"
BY_LOT = Row(area=AREA, name="sim_plan_profit", unit=SHARE, better="higher", target=0.95)
AMID = Row(area=AREA, name="sim_plan_profit_middle", unit=SHARE, better="higher")
SMALL = Row(area=AREA, name="sim_plan_profit_small", unit=SHARE, better="higher")
BIASED = Row(area=AREA, name="sim_plan_profit_biased", unit=SHARE, better="higher", target=0.85)
REGRET = Row(area=AREA, name="sim_plan_send_time_regret", unit="share", better="lower", target=0.10)
ASKED = 400
"""Customers that are planned for: the truth about each costs 15 ms."""
DAYS, CURVE, HORIZON = 14, (7.0, 14.0, 28.0), 56.0
"""Send days; the curves end where the next round begins; the truth counts on until what was sent last is paid back."""


_ROWS = (
    (BY_LOT, "promotions", USERS), (AMID, "promotions", MIDDLE), (SMALL, "promotions", FEW), (BIASED, "promotions-biased", USERS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Earned:
    """True profits of one shop.

    Attributes
    ----------
    ours, oracle
        Of our plan, and of the best one for the larger of the budget and what ours truly costs.
    likeliest
        Of sending to the likeliest buyers.
    best_day
        Of our plan with every message sent on its truly best day.
    spent
        What our plan truly costs, as a share of the budget.
    """

    ours: float
    oracle: float
    likeliest: float
    best_day: float
    spent: float


def earned(name: str, seed: int, users: int = USERS) -> Earned:
    """What plans earn on one shop."""
    shop = simulate(users, 364, seed, Parameters.frozen(name))
    law, history = shop.parameters.promotions, shop.history
    everybody = history.keys()
    keys = everybody.take(np.sort(np.random.default_rng(seed).permutation(len(everybody))[:ASKED]))
    truth = shop.offer_truth(keys, tuple(float(day) for day in range(DAYS)), HORIZON)
    budget = truth.best_plan().cost / 3
    learned = fit_effects(history, shop.decisions, days=CURVE, seed=seed)
    ids = keys.ids().to_list()
    effect = learned.predict(history, None, ids)
    opens = np.ones((len(keys), 1)) if learned.reach is None else learned.opens(history, None, ids)
    offers = tuple(
        Offer(offer, discount=share, cost=cost, valid_days=law.length_days, once=False)
        for offer, share, cost in zip(law.offers, law.order_cost_shares, law.order_costs, strict=True)
    )
    channels = tuple(Channel(channel, cost) for channel, cost in zip(law.channels, law.contact_costs, strict=True))
    n = len(keys)
    orders = Orders(
        keys.ids(), np.full(n, shop.order_value), np.ones((n, len(offers))), law.margin, np.tile(opens, (1, len(learned.model.offers)))
    )
    nobody = np.empty(0, np.int64)
    who = Reachable(np.ones((n, len(channels)), bool), pl.Series([None] * n, dtype=pl.String), nobody, nobody)
    campaign = Campaign(offers, channels, Budget(budget), Guards(0.0, 0.0), int(keys.cutoff[0]), history.clock, DAYS)
    made = make(campaign, orders, [effect], who).decisions
    day = np.where(made.sent, (made.send_at - made.made_at) // DAY, 0)
    profit = truth.profit()
    ours, spent = truth.earned(made.offer, made.channel, day)
    sent = np.flatnonzero(made.sent)
    best = float(profit[sent, made.offer[sent], made.channel[sent]].max(axis=1).sum())
    likeliest = _likeliest(truth, effect.without.probability(28.0), budget)
    return Earned(ours, truth.best_plan(max(budget, spent)).profit, likeliest, best, spent / budget)


def _likeliest(truth: object, chance: np.ndarray, budget: float) -> float:
    """True profit of the offer and channel that earn most on average, sent at once to the likeliest buyers until the budget is spent."""
    profit, cost = truth.profit()[..., 0], truth.cost()[..., 0]  # type: ignore[attr-defined]
    offer, channel = np.unravel_index(profit.mean(axis=0).argmax(), profit.shape[1:])
    order = np.argsort(-chance, kind="stable")
    spent = np.cumsum(cost[order, offer, channel])
    return float(profit[order, offer, channel][spent <= budget].sum())


def rows() -> Iterator[Row]:
    for row, name, users in _ROWS:
        found = [earned(name, seed, users) for seed in range(FIRST, FIRST + SEEDS)]
        yield row.got(_share(found), note=_note(found, users))
        if row is BY_LOT:
            yield REGRET.got(1 - sum(one.ours for one in found) / sum(one.best_day for one in found))


def _share(found: list[Earned]) -> float:
    """Return our profit as a share of the oracle's, over all seeds."""
    return sum(one.ours for one in found) / sum(one.oracle for one in found)


def _note(found: list[Earned], users: int) -> str:
    single = sorted(one.ours / one.oracle for one in found)
    times = sum(one.ours for one in found) / max(sum(one.likeliest for one in found), 1e-9)
    spent = float(np.mean([one.spent for one in found]))
    return (
        f"{len(found)} seeds of {users:,} customers, single ones {single[0]:.2f} to {single[-1]:.2f}; {times:.2f} x sending to the "
        f"likeliest buyers; spent {spent:.2f} x the budget"
    )
