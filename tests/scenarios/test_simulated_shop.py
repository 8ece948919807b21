"""The simulated shop is what it says: its truth comes true, and its laws can be read off its log."""

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.evaluate.cells import curve_cells
from whenbuy.ingest.simulate import SimulatedShop, simulate

GRID = np.arange(1, 29.0)


@pytest.fixture(scope="module")
def shops() -> list[SimulatedShop]:
    return [simulate(4000, seed=seed) for seed in range(5)]


@pytest.fixture(scope="module")
def truths(shops: list[SimulatedShop]) -> list[TimeToEvent]:
    return [shop.truth(shop.history.keys(as_of=cutoff_of(shop)), GRID) for shop in shops]


def cutoff_of(shop: SimulatedShop) -> int:
    return int(shop.history.end - 31 * DAY)


def happened(history: History, keys: Keys) -> TimeToEvent:
    """Return what came true as curves of 0 and 1."""
    first = history.within(keys, 28.0).first("purchase")
    days = np.where(first == MISSING, np.inf, (first - keys.cutoff) / DAY)
    return TimeToEvent.of(keys, GRID, (days[:, None] > GRID[None, :]).astype(float), None, "happened")


def rate_floor(history: History, keys: Keys) -> TimeToEvent:
    """Return the Poisson rate of the last 84 days as curves."""
    log = history.log
    owner = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
    cutoff = keys.cutoff[0]
    recent = (log.columns["orders"].values == 1) & (log.time < cutoff) & (log.time >= cutoff - 84 * DAY)
    rate = np.bincount(owner[recent], minlength=len(log.users))[keys.code] / 84
    return TimeToEvent.of(keys, GRID, np.exp(-rate[:, None] * GRID[None, :]), None, "rate of the last 84 days")


def test_the_truth_comes_true(shops: list[SimulatedShop], truths: list[TimeToEvent]) -> None:
    """At least 95 % of the cells of 20 risk groups x 28 days x 5 seeds x 2 cutoffs, as chance allows to what is exactly right."""
    shares = []
    for shop, truth in zip(shops, truths, strict=True):
        early = shop.truth(shop.history.keys(as_of=cutoff_of(shop) - 140 * DAY), GRID)
        shares += [curve_cells(happened(shop.history, each.keys), each) for each in (truth, early)]
    assert np.mean(shares) >= 0.95, shares


def test_the_true_counts_come_true(shops: list[SimulatedShop], truths: list[TimeToEvent]) -> None:
    """Purchases of 10 groups by expected count: none strays by more than 4 standard errors, and few by more than 2."""
    off = []
    for shop, truth in zip(shops, truths, strict=True):
        expected, counted = truth.mean_count[:, -1], shop.history.within(truth.keys, 28.0).orders().astype(float)
        for rows in np.array_split(np.argsort(expected), 10):
            off.append((counted[rows].mean() - expected[rows].mean()) / max(counted[rows].std() / np.sqrt(len(rows)), 0.01))
    assert np.abs(off).max() < 4
    assert (np.abs(off) < 2).mean() >= 0.85
    assert abs(np.mean(off)) < 0.6


def test_the_truth_beats_what_is_bolder_or_shyer(shops: list[SimulatedShop], truths: list[TimeToEvent]) -> None:
    truth, keys = truths[0], truths[0].keys
    came = happened(shops[0].history, keys).survival[:, -1] == 0

    def log_loss(p: np.ndarray) -> float:
        q = np.clip(p, 1e-9, 1 - 1e-9)
        return float(-np.where(came, np.log(q), np.log(1 - q)).mean())

    best = log_loss(1 - truth.survival[:, -1])
    assert best < log_loss(np.full(len(keys), came.mean()))
    for power in (0.8, 1.25):
        assert best < log_loss(1 - truth.survival[:, -1] ** power)
    assert log_loss(1 - shops[0].latent_truth(keys, GRID).survival[:, -1]) < best


def test_the_latent_truth_averages_to_the_truth(shops: list[SimulatedShop], truths: list[TimeToEvent]) -> None:
    for shop, truth in zip(shops, truths, strict=True):
        latent = shop.latent_truth(truth.keys, GRID)
        assert latent.survival.mean() == pytest.approx(truth.survival.mean(), abs=0.015)
        assert latent.mean_count[:, -1].mean() == pytest.approx(truth.mean_count[:, -1].mean(), rel=0.05)


def test_the_floor_loses_clearly(shops: list[SimulatedShop], truths: list[TimeToEvent]) -> None:
    """`sim_curve_cells` counts only where the floor loses ten times what a good forecast may lose (.05)."""
    shares = [curve_cells(rate_floor(shop.history, truth.keys), truth) for shop, truth in zip(shops, truths, strict=True)]
    assert np.mean(shares) <= 0.5, shares


def test_people_follow_their_laws(shops: list[SimulatedShop]) -> None:
    people, law = pl.concat([shop.people for shop in shops]), shops[0].parameters.people
    n = len(people)
    assert people["rate"].mean() == pytest.approx(law.rate_mean, rel=0.03)
    assert people["rate"].std() == pytest.approx(law.rate_mean / np.sqrt(law.rate_shape), rel=0.04)
    assert people["visit_rate"].mean() == pytest.approx(law.visit_mean, rel=0.04)
    assert people["leaving_rate"].mean() == pytest.approx(law.leaving_shape / law.leaving_scale_days, rel=0.04)
    assert people["buys_at_once"].mean() == pytest.approx(law.buys_at_once, abs=0.015)
    for column, names, shares in (("gaps", law.gap_names, law.gap_shares), ("price_class", law.price_classes, law.price_class_shares)):
        for name, share in zip(names, shares, strict=True):
            assert people[column].eq(name).mean() == pytest.approx(share, abs=4 * np.sqrt(share / n))


def test_gap_shapes_show_in_the_gaps(shops: list[SimulatedShop]) -> None:
    """In shop time a gap has mean 1 / rate and variance 1 / (shape rate²): gaps times rate give the shape back."""
    shop = shops[0]
    people, points = shop.people, shop._purchases
    names = people["price_class"].cast(pl.Enum(shop.parameters.people.price_classes)).to_physical().to_numpy().astype(np.int64)
    at = shop._time.of_instants(points.time, names[points.owner()])
    owner = points.owner()
    same = owner[1:] == owner[:-1]
    scaled = (np.diff(at) * people["rate"].to_numpy()[owner[1:]])[same]
    # Only long looks: whoever is watched for at least 15 mean gaps shows short and long gaps alike.
    watched = (shop._time.of_instants(np.full(len(people), shop.history.end), names)
               - shop._time.of_instants(people["born"].cast(pl.Int64).to_numpy(), names)) * people["rate"].to_numpy()  # fmt: skip
    long = watched[owner[1:]][same] > 15
    shape = people["gap_shape"].to_numpy()[owner[1:]][same]
    found = {k: float(scaled[long & (shape == k)].mean() ** 2 / scaled[long & (shape == k)].var()) for k in np.unique(shape)}
    for k, estimate in found.items():
        assert estimate == pytest.approx(k, rel=0.25), found


def test_leaving_shows_in_the_log(shops: list[SimulatedShop]) -> None:
    """Of those born in the first 60 days, (scale / (scale + s)) ** shape are still there; nobody acts after leaving."""
    law = shops[0].parameters.people
    people = pl.concat([shop.people for shop in shops])
    start = shops[0]._time.start
    early = people.filter(pl.col("born").cast(pl.Int64) < start + 60 * DAY)
    lasted = (early["left"].cast(pl.Int64) - early["born"].cast(pl.Int64)).to_numpy() / DAY
    for days in (60, 150, 290):
        wanted = (law.leaving_scale_days / (law.leaving_scale_days + days)) ** law.leaving_shape
        assert (lasted > days).mean() == pytest.approx(wanted, abs=0.03)
    for shop in shops[:2]:
        left = shop.people["left"].cast(pl.Int64).to_numpy()
        assert (shop._purchases.time <= left[shop._purchases.owner()]).all()
        assert (shop._visits.time <= left[shop._visits.owner()]).all()


def test_seasons_hours_and_campaigns_show(shops: list[SimulatedShop]) -> None:
    bought = np.concatenate([shop._purchases.time for shop in shops])
    calendar, start = shops[0].parameters.calendar, shops[0]._time.start
    day = (bought - start) // DAY
    weekday = np.bincount(day % 7, minlength=7) / len(bought) * 7
    np.testing.assert_allclose(weekday, np.array(calendar.weekdays) / np.mean(calendar.weekdays), rtol=0.06)
    hour = np.bincount((bought - start) % DAY // (DAY // 24), minlength=24) / len(bought) * 24
    np.testing.assert_allclose(hour, np.array(calendar.hours) / np.mean(calendar.hours), rtol=0.15, atol=0.03)
    per_day = np.bincount(day, minlength=364)
    for first, off in zip(calendar.campaign_days, calendar.campaign_discounts, strict=True):
        length = calendar.campaign_length_days
        inside = per_day[first : first + length]
        beside = (per_day[first - 7 : first - 7 + length] + per_day[first + 7 : first + 7 + length]) / 2
        lift = inside.sum() / beside.sum()
        assert 1.0 < lift < 2.0, (first, off, lift)


def test_thrifty_people_wait_for_campaigns(shops: list[SimulatedShop]) -> None:
    shop = shops[0]
    calendar = shop.parameters.calendar
    day = (shop._purchases.time - shop._time.start) // DAY
    running = shop._time.campaign[day] >= 0
    share = pl.DataFrame({"price_class": shop.people["price_class"].gather(shop._purchases.owner()), "running": running})
    found = dict(share.group_by("price_class").agg(pl.col("running").mean()).iter_rows())
    assert found["thrifty"] > found["usual"] > found["loyal"]
    even = len(calendar.campaign_days) * calendar.campaign_length_days / 364
    assert found["loyal"] > even


def test_the_log_knows_what_the_truth_knows(shops: list[SimulatedShop]) -> None:
    """Orders read from the log are the purchases behind the truth: no row of one is late, lost or added."""
    shop = shops[0]
    log = shop.history.log
    heads = np.flatnonzero(log.columns["orders"].values)
    owner = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
    np.testing.assert_array_equal(log.time[heads], shop._purchases.time)
    np.testing.assert_array_equal(owner[heads], shop._purchases.owner())


def test_the_log_grows_with_its_users_alone(shops: list[SimulatedShop]) -> None:
    many = simulate(20_000, seed=9)
    assert len(many.people) == 20_000
    assert len(many.history.log) / 20_000 == pytest.approx(len(shops[0].history.log) / 4000, rel=0.05)
