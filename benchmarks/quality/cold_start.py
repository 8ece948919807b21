"""Whether intervals hold for customers of whom one event is known, in a simulated shop where many such are met.

Rows for the area ``answers``: ``rows()`` yields them. Most newcomers look before they buy, and most first visits are one look; otherwise
the shop is the frozen one. A customer counts once, on the first morning on which exactly one event of hers is known; so many are met that
the binomial error of a coverage lies below a point.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline.learning.learn import fit
from whenbuy.questions import NextAmount, NextPurchase

USERS, SHOP_DAYS, REACH, MORNINGS = 30_000, 240, 56.0, 56


def rows(seed: int = 53, users: int = USERS) -> Iterator[Row]:
    """Yield how far the coverage of 80 % intervals lies from what they say: of the next amount, and of the next purchase's day."""
    laws = Parameters.frozen()
    few = replace(
        laws,
        people=replace(laws.people, buys_at_once=0.1),
        basket=replace(laws.basket, views_per_visit=1.0, visit_cart_share=0.02),
    )
    history = simulate(users, days=SHOP_DAYS, seed=seed, parameters=few).history
    first = int(history.clock.midnight_before(np.array([history.end - (MORNINGS + REACH) * DAY], np.int64))[0])
    told = fit(history, first, candidates=_candidates)
    keys = _newcomers(history, first)
    answer, past, future = told.answer(history, keys), history.before(keys), history.within(keys, REACH)
    spent = NextAmount(REACH).label(past, future)
    amount: Any = answer.answers["amount"]
    inside = ((spent.value >= amount.quantile(0.1)) & (spent.value <= amount.quantile(0.9)))[spent.observed]
    yield _row("amount", float(inside.mean()) - 0.8, inside.astype(float))
    came = NextPurchase(REACH).label(past, future)
    when: Any = answer.answers["purchase"]
    low, high = when.quantile(0.1), when.quantile(0.9)
    after, before = ~np.isfinite(low) | (came.value >= low), ~np.isfinite(high) | (came.observed & (came.value <= high))
    said = 1.0 - 0.1 * np.isfinite(low) - 0.1 * np.isfinite(high)
    yield _row("when", float((after & before).mean() - said.mean()), (after & before).astype(float))


def _row(what: str, apart: float, held: Floats) -> Row:
    error = float(np.sqrt(held.var() / len(held)))
    note = f"{len(held):,} customers of whom one event is known; covered {held.mean():.3f} (binomial error {error:.4f})"
    return Row(area="answers", name=f"cold_one_event_{what}", unit="off what is said", better="lower", target=0.03).got(
        abs(apart), note=note
    )


def _newcomers(history: History, first: int) -> Keys:
    """Return the key of each customer on the first morning on which one event of hers is known."""
    code, cutoff = [], []
    for morning in first + DAY * np.arange(MORNINGS):
        keys = history.panel(np.array([morning]))
        one = history.before(keys).count() == 1
        code.append(keys.code[one])
        cutoff.append(keys.cutoff[one])
    user, at = np.concatenate(code), np.concatenate(cutoff)
    alone = np.unique(user, return_index=True)[1]
    return Keys("user", user[alone], at[alone], history.log.users)


def _candidates(answer: str, grid: Any) -> Any:
    """Return those of the catalogue that learn in seconds."""
    boosted = DirectHorizons(grid.days, Boosting(trees=100, learning_rate=0.06), key_days=grid.shortest)
    counts = PoissonRate(grid.days), KaplanMeier(grid.days)
    return {"purchase": (*counts, boosted), "orders": counts, "amount": (GlobalMean(), OwnMean())}.get(answer, ())
