"""The forecast without action: a log in which promotions ran for part of the customers does not mislead it."""

from dataclasses import replace

import numpy as np
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.features import Features, default_features
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.models.effect.curve import CurveUplift
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.deciding.effects import fit_effects
from whenbuy.pipeline.deciding.exposure import exposures
from whenbuy.pipeline.deciding.without import idle_curves
from whenbuy.pipeline.learning.build import examples

GROW = Boosting(trees=30, learning_rate=0.1, leaves=6, min_leaf=30, feature_fraction=0.5)


@pytest.fixture(scope="module")
def shop():
    """Offers that work on nine of ten went to half of the customers in each round, rather to those who bought lately; the year is even."""
    law = Parameters.frozen("promotions-biased")
    n, days = len(law.promotions.segments), law.calendar
    strong = replace(
        law.promotions, notices=(2.2,) * 5, response_shares=((0.9, 0.0, 0.1, 0.0),) * n, appeals=((1.2,) * 5,) * n, opens=((0.9,) * 4,) * n,
        fatigue=1.0,
    )  # fmt: skip
    even = replace(
        days, year_amplitude=0.0, price_levels=(1.0,) * len(days.price_levels), campaign_discounts=(0.0,) * len(days.campaign_days),
        campaign_notice=1.0,
    )  # fmt: skip
    return simulate(1200, 364, 1, replace(law, promotions=strong, calendar=even))


def test_promotions_in_the_log_do_not_mislead_the_forecast_without_action(shop):
    at = shop._time.start + 308 * DAY
    spec = Features(default_features(shop.history.log).spec[:12])
    effects = fit_effects(shop.history, shop.decisions, at, days=(7.0, 28.0), features=spec, learner=CurveUplift((7.0, 28.0), GROW))
    everybody = shop.history.keys(as_of=at)
    some = everybody.take(np.arange(0, len(everybody), 2))
    truth = shop.truth(some, np.array([28.0]), promoted=False).probability(28.0)

    known = shop.history.cut(at)
    seen = exposures(known, shop.decisions, at - 28 * DAY + 1)
    bought = known.within(seen.keys, 28.0).orders() > 0
    naive = replace(GROW, objective="binary").grow(examples(known, spec, seen.keys).table.values, bought)
    misled = naive.predict(examples(shop.history, spec, some).table.values)
    idle = seen.arm == 0

    error = np.sqrt(truth.mean() * (1 - truth.mean()) / idle.sum())  # of the share of buyers among those who were sent nothing
    ours = idle_curves(shop.history, effects, some).probability(28.0)
    assert abs(ours.mean() - truth.mean()) < 2 * error
    assert misled.mean() - truth.mean() > 3 * error, "a forecast learned from everybody promises what the offers brought"
    assert bought[idle].mean() - truth.mean() < -3 * error, "those who were left alone are not like all"
