"""Cold start: of whom one visit is known, attributes alone or nothing, intervals hold as often as they say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.profile import Profile
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline.judging.trial import only
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.learning.split import spread
from whenbuy.questions import NextAmount, NextPurchase, PastVisits

CUTOFFS, WEEKS, REACH = 8, 7 * DAY, 56.0


def candidates(answer, grid):
    """Those of the catalogue that learn in seconds."""
    boosted = DirectHorizons(grid.days, Boosting(trees=100, learning_rate=0.06), key_days=grid.shortest)
    counts = PoissonRate(grid.days), KaplanMeier(grid.days)
    return {"purchase": (*counts, boosted), "orders": counts, "amount": (GlobalMean(), OwnMean())}.get(answer, ())


@pytest.fixture(scope="module")
def shop():
    """The shop, what it has learned by a moment of those whom it knows, and the later moments at which it is asked."""
    made = simulate(3000, 400, 12)
    often = made.people["rate"] > made.people["rate"].median()
    club = pl.DataFrame({"id": made.people["user_id"], "club": often.cast(pl.String)})
    history = replace(made.history, users=Profile("user", club, timeless=True))
    first = int(history.clock.midnight_before(np.array([history.end - (CUTOFFS * 7 + REACH) * DAY], np.int64))[0])
    hidden = spread(history.log.users.ids, 3) < 0.25  # people whose past the shop is not told
    model = fit(only(history, ~hidden), first, candidates=candidates)
    return history, hidden, model, first + WEEKS * np.arange(CUTOFFS)


def when(history, told, keys):
    """Return how often the 80 % interval of the next purchase holds, beyond how often it says that it does."""
    came = NextPurchase(REACH).label(history.before(keys), history.within(keys, REACH))
    low, high = (told.purchase.quantile(level) for level in (0.1, 0.9))
    after, before = ~np.isfinite(low) | (came.value >= low), ~np.isfinite(high) | (came.observed & (came.value <= high))
    said = 1.0 - 0.1 * np.isfinite(low) - 0.1 * np.isfinite(high)
    return (after & before).mean() - said.mean()


def how_much(history, told, keys):
    """Return how often the 80 % interval of the next amount holds, beyond how often it says that it does."""
    spent = NextAmount(REACH).label(history.before(keys), history.within(keys, REACH))
    within = (spent.value >= told.amount.quantile(0.1)) & (spent.value <= told.amount.quantile(0.9))
    return within[spent.observed].mean() - 0.8


def test_intervals_hold_for_those_of_whom_one_visit_is_known(shop):
    history, _, model, cutoffs = shop
    keys = history.panel(cutoffs)
    visits = PastVisits().block(history.before(keys))
    keys = keys.take(np.flatnonzero(visits.feature("visits")[:, 0] == 1))
    assert len(keys) > 1000
    assert when(history, model.answer(history, keys), keys) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("attributes", [True, False])
def test_intervals_hold_for_those_of_whom_no_event_is_known(shop, attributes):
    history, hidden, model, cutoffs = shop
    everybody = history.panel(cutoffs)
    keys = everybody.take(np.flatnonzero(hidden[everybody.code]))
    known = only(history if attributes else replace(history, users=None), ~hidden)
    told = model.answer(known, keys)
    assert told.purchase.prior.all()
    chance = told.purchase.probability(28.0)
    assert (chance.max() > 1.3 * chance.min()) == attributes
    assert when(history, told, keys) == pytest.approx(0, abs=0.03)
    assert how_much(history, told, keys) == pytest.approx(0, abs=0.03)
