"""What offers do to demand: learned from past ones, by what was known."""

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.profile import Profile
from whenbuy.pipeline.demand.promoted import NOTHING, learn, signals


def offers(count=6):
    begins = [40 + 30 * i for i in range(count)]
    utc = pl.Datetime("us", "UTC")
    return Profile(
        "offer",
        pl.DataFrame(
            {
                "id": [f"o{i}" for i in range(count)],
                "valid_from": pl.Series([(b - 10) * DAY for b in begins]).cast(utc),
                "begins": pl.Series([b * DAY for b in begins]).cast(utc),
                "ends": pl.Series([(b + 5) * DAY for b in begins]).cast(utc),
                "discount": [0.1, 0.2, 0.3] * (count // 3),
            }
        ),
    )


def test_what_was_not_announced_yet_is_not_known():
    days = np.arange(60, 90, dtype=np.int64) * DAY
    assert signals(offers(), 60 * DAY + 1, days)[:, 0].sum() > 0  # announced on day 60
    assert not signals(offers(), 60 * DAY, days)[:, 0].any()
    assert not signals(None, 60 * DAY, days).any()


def test_the_effect_of_offers_is_found():
    days, rng = np.arange(230), np.random.default_rng(0)
    signs = signals(offers(), 230 * DAY, days.astype(np.int64) * DAY)
    units = rng.poisson(200 * np.exp(0.2 * (signs[:, 0] > 0) - 1.2 * signs[:, 1])).astype(float)
    found = learn(units, signs, 0)
    ratio = found.factors(np.array([[np.log(2), np.log(0.7)]])) / found.factors(np.zeros((1, 2)))
    assert abs(ratio[0] / (np.exp(0.2) * 0.7**-1.2) - 1) < 0.1
    assert abs(found.factors(signs).mean() - 1) < 1e-9


def test_chance_is_no_effect():
    factors = []
    for seed in range(10):
        days = np.arange(230)
        signs = signals(offers(), 230 * DAY, days.astype(np.int64) * DAY)
        found = learn(np.random.default_rng(seed).poisson(100, 230).astype(float), signs, 0)
        factors.append(abs(float(found.factors(np.array([[np.log(2), np.log(0.8)]]))[0]) - 1))
    assert np.median(factors) < 0.02


def test_few_offers_teach_nothing():
    signs = signals(offers(3), 60 * DAY, np.arange(60, dtype=np.int64) * DAY)
    assert learn(np.full(60, 50.0), signs, 0) is NOTHING
