"""What offers do to demand: learned from past ones, by what was known."""

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.profile import Profile
from whenbuy.models.series.promoted import NOTHING, _expected, learn, signals


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
                "discount": ([0.1, 0.2, 0.3] * count)[:count],
            }
        ),
    )


def test_what_was_not_announced_yet_is_not_known():
    days = np.arange(60, 90, dtype=np.int64) * DAY
    assert signals(offers(), 60 * DAY + 1, days)[:, 0].sum() > 0  # announced on day 60
    assert not signals(offers(), 60 * DAY, days)[:, 0].any()
    assert not signals(None, 60 * DAY, days).any()


def test_offers_that_come_again_and_again_are_expected_before_they_are_announced():
    cutoff, days = 165, np.arange(165, 207)  # the last known one began on day 160; the next, announced on day 180, begins on day 190
    found = signals(offers(8), cutoff * DAY, days.astype(np.int64) * DAY)
    assert not found[:10].any() or found[:10, 0].max() < 0.05  # nothing begins unannounced so near
    assert (np.expm1(found[25:30, 0]) > 0.7).all()
    assert np.expm1(found[30:40, 0]).max() < 0.2
    assert np.allclose(found[25:30, 1] / np.expm1(found[25:30, 0]), np.log1p(-np.array([0.1, 0.2, 0.3, 0.1, 0.2])).mean())


def test_what_is_expected_is_as_much_as_there_was():
    """Renewals by drawing many: beginnings apart as seen, once in all by chance."""
    begins, rng, days = np.array([3, 10, 24, 31, 52]), np.random.default_rng(0), 40
    gaps, count = np.diff(begins), np.zeros(days)
    for _ in range(20_000):
        at = begins[-1]
        while at < 60 + days:
            drawn = rng.integers(0, len(gaps) + 1)
            gap = gaps[drawn] if drawn < len(gaps) else rng.geometric(1 / gaps.mean())
            at = max(at, 0) + gap
            if at < 60 and at > begins[-1]:  # none begins before day 60 unannounced: drawn anew
                at = begins[-1]
                continue
            if 60 <= at < 60 + days:
                count[at - 60 : at - 60 + 4] += 1
    found = _expected((begins - 56) * DAY, (begins - 52) * DAY, (begins - 60) * DAY, np.full(5, -0.2), days + 4)
    assert np.allclose(found[4:, 0], count / 20_000, atol=0.02)
    assert np.allclose(found[:, 1], -0.2 * found[:, 0])


def test_offers_that_come_every_year_are_expected_on_their_days():
    begins = np.array([10, 90, 110, 300, 375, 456])  # the last two are those of a year before, give or take a day
    left = np.array([-0.1, -0.1, -0.5, -0.1, -0.1, -0.1])
    found = _expected((begins - 460) * DAY, (begins + 4 - 460) * DAY, (begins - 14 - 460) * DAY, left, 28)
    assert not found[:14].any()  # 110 + 365 is day 475: none begins unannounced before day 474
    assert found[15:19, 0].min() > 2 / 3 > found[19:, 0].max() + 0.3
    assert (found[15:19, 1] / found[15:19, 0]).max() < -0.3  # by the discount of that one
    once = _expected((begins[:4] - 460) * DAY, (begins[:4] + 4 - 460) * DAY, (begins[:4] - 474) * DAY, left[:4], 28)
    assert once[15:19, 0].max() < 0.3  # nothing says that they come again


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
