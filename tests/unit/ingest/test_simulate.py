"""The simulated shop: what is in its log, and that its laws are the ones of its frozen file."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.special import gammaincc, gammaln
from scipy.stats import gamma as gamma_law

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import DamagedError, SettingsError, UsageError
from whenbuy.core.keys import Keys
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated import parameters as laws
from whenbuy.ingest.simulated.calendar import ShopTime
from whenbuy.ingest.simulated.parameters import FROZEN, Parameters
from whenbuy.ingest.simulated.renewal import expect, renewal, survive

SHOP = "2bffe97a98a93aa0d10f59d788780deaabfec7ee125219e55eaaaed57802b44d"
RETAILROCKET = "01644eed8d6cf439b6a05e39fd2fc07cbedbd751c9207bcade87320d15593bec"

DRIFT = "a66eb63ef072570b0b8390cbb2f03bc71f583e5e89993a14c17d4c7745784ce0"
SERVICE = "930b7e31c30d39a656ae72f7e208bf7a77740cf0a6d80896fcd024eaace5b14b"
PROMOTION = "47334c56631e113bd0f6e02b072686ecd8907ec1082308fdffec6fb5d0fb4779"
PROMOTIONS = {
    "promotions": "d637fce8a1b88ef284bd3877009731d99e81fe62cb423cbecb1d3a856d845530",
    "promotions-biased": "b7e9f3483c6381f876601e63205a44f195780721ea1728937eceb86b48c4c6ab",
    "promotions-deterministic": "8ad7ef7c8bf5be81d40158e485c0f571b2f96595c8eef57f2bdb4b4c7ff7ff7e",
    "promotions-second": "346167b97c0e77df74312b4cf4ea0b556f7cd331432e773b1c452bbe9aaf1576",
}


@pytest.fixture(scope="module")
def shop() -> SimulatedShop:
    return simulate(1500, seed=3)


def kind(shop: SimulatedShop, name: str) -> np.ndarray:
    return np.flatnonzero(shop.history.log.kind == shop.history.log.code(name))


def owner(shop: SimulatedShop) -> np.ndarray:
    offsets = shop.history.log.offsets
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


# ------------------------------------------------------------------------------------------ parameters


def test_the_laws_are_frozen() -> None:
    """Whoever changes shop.toml changes these hashes knowingly: scores on the old shop cannot be compared with scores on the new one."""
    assert FROZEN == {"shop": SHOP, "retailrocket": RETAILROCKET, "drift": DRIFT, "promotion": PROMOTION, **PROMOTIONS, "service": SERVICE}
    assert all(Parameters.frozen(name).sha256 == known for name, known in PROMOTIONS.items())
    assert Parameters.frozen("drift").sha256 == DRIFT
    assert Parameters.frozen("promotion").sha256 == PROMOTION
    assert Parameters.frozen().sha256 == SHOP
    assert Parameters.frozen("retailrocket").sha256 == RETAILROCKET


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "FROZEN", {"shop": "0" * 64})
    with pytest.raises(DamagedError, match=r"Restore shop\.toml"):
        Parameters.frozen()


def test_other_laws_have_another_hash(shop: SimulatedShop) -> None:
    base = Parameters.frozen()
    assert shop.sha256 == base.sha256
    assert replace(base, people=replace(base.people, rate_mean=0.05)).sha256 != base.sha256


def test_an_unknown_shop_is_refused() -> None:
    with pytest.raises(UsageError, match="retailrocket"):
        Parameters.frozen("harrods")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("people", {"gap_shares": (0.5, 0.5, 0.5)}),
        ("people", {"gap_shares": (1.0,)}),
        ("people", {"rate_mean": 0.0}),
        ("people", {"buys_at_once": 1.5}),
        ("calendar", {"hours": (1.0,)}),
        ("calendar", {"price_days": (5, 91, 213, 305)}),
        ("assortment", {"categories": 1000}),
        ("basket", {"lines_mean": 0.5}),
        ("faults", {"late_share": -0.1}),
        ("afterwards", {"refund_share": 2.0}),
    ],
)
def test_impossible_laws_are_refused(part: str, change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        replace(getattr(Parameters.frozen(), part), **change)


def test_missing_and_unknown_values_are_named() -> None:
    with pytest.raises(SettingsError, match=r"\[calendar\].*colour too much.*weekdays"):
        Parameters.of({"calendar": {"colour": 1}})


@pytest.mark.parametrize("arguments", [{"users": 0}, {"days": 0}, {"seed": -1}])
def test_an_impossible_shop_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least one user"):
        simulate(**arguments)


# ------------------------------------------------------------------------------------------------- log


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two, other = (simulate(200, 100, seed) for seed in (5, 5, 6))
    assert one.people.equals(two.people)
    assert not one.people.equals(other.people)
    left, right = one.history.log, two.history.log
    for name in ("offsets", "time", "known_at", "kind", "by_time"):
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes()
    for name, column in left.columns.items():
        assert column.values.tobytes() == right.columns[name].values.tobytes()


@pytest.mark.parametrize(("users", "days"), [(1, 1), (1, 364), (3, 2)])
def test_the_smallest_shops_stand(users: int, days: int) -> None:
    shop = simulate(users, days, seed=1, dirty=True)
    assert len(shop.people) == users
    assert shop.history.log.end == shop.history.clock.instant("2024-01-01") + days * DAY


def test_every_user_is_seen_from_her_first_visit_on(shop: SimulatedShop) -> None:
    log = shop.history.log
    assert (np.diff(log.offsets) > 0).all()
    first = np.minimum.reduceat(log.time, log.offsets[:-1])
    born = shop.people["born"].cast(pl.Int64).to_numpy()
    at_once = shop.people["buys_at_once"].to_numpy()
    assert (first[~at_once] == born[~at_once]).all()
    assert (first[at_once] <= born[at_once]).all()
    assert (first[at_once] // DAY == born[at_once] // DAY).all()
    assert log.users.ids.equals(shop.people["user_id"].alias("id"))


def test_late_rows_are_known_later_and_are_never_purchases(shop: SimulatedShop) -> None:
    log = shop.history.log
    lateness = log.known_at - log.time
    assert lateness.min() == 0
    assert (lateness[kind(shop, "purchase")] == 0).all()
    late = lateness > 0
    assert 0.01 < late.mean() < 0.03
    assert lateness.max() <= shop.history.lateness_days * DAY
    assert (lateness[late] > DAY).mean() == pytest.approx(0.08, abs=0.03)
    assert np.median(lateness[late]) < DAY / 12


def test_the_first_view_of_a_visit_is_never_late(shop: SimulatedShop) -> None:
    log = shop.history.log
    at = {(int(u), int(t)) for u, t in zip(owner(shop), log.time, strict=True)}
    on_time = {(int(u), int(t)) for u, t, k in zip(owner(shop), log.time, log.known_at, strict=True) if t == k}
    visits = {(int(u), int(t)) for u, t in zip(shop._visits.owner(), shop._visits.time, strict=True)}
    assert visits <= at
    assert visits <= on_time


def test_nothing_is_known_after_the_end(shop: SimulatedShop) -> None:
    assert shop.history.log.known_at.max() < shop.history.end


def test_orders_have_lines_and_one_head_each(shop: SimulatedShop) -> None:
    log, rows = shop.history.log, kind(shop, "purchase")
    order = log.columns["order_id"].values[rows]
    heads = log.columns["orders"].values
    assert heads.sum() == len(np.unique(order)) == len(shop._purchases.time)
    assert heads[rows].sum() == heads.sum()
    assert (np.diff(order, prepend=-1) != 0).astype(int).tolist() == heads[rows].tolist()
    assert len(rows) / heads.sum() == pytest.approx(1.8, abs=0.05)


def test_amounts_are_prices_times_quantities_around_each_level(shop: SimulatedShop) -> None:
    log, rows = shop.history.log, kind(shop, "purchase")
    price, quantity, amount = (log.columns[name].values[rows] for name in ("unit_price", "quantity", "amount"))
    known = price != MISSING
    assert (amount[known] * 1000 == price[known] * quantity[known]).all()
    assert (amount > 0).all()
    user = owner(shop)[rows]
    mean = np.bincount(user, quantity / 1000, len(shop.people)) / np.maximum(np.bincount(user, minlength=len(shop.people)), 1)
    often = np.bincount(user, minlength=len(shop.people)) > 10
    assert np.corrcoef(np.log(mean[often]), np.log(shop.people["quantity_level"].to_numpy()[often]))[0, 1] > 0.7


def test_the_funnel_runs_from_view_over_cart_to_purchase_within_a_day(shop: SimulatedShop) -> None:
    log = shop.history.log
    frame = pl.DataFrame(
        {"session": log.columns["session_id"].values, "kind": log.kind, "time": log.time, "day": log.time // DAY}
    ).filter(pl.col("session") >= 0)  # fmt: skip
    assert frame.group_by("session").agg(pl.col("day").n_unique())["day"].max() == 1
    first = frame.group_by("session").agg(
        [pl.col("time").filter(pl.col("kind") == log.code(name)).min().alias(name) for name in ("view", "cart", "purchase")]
    )
    bought = first.drop_nulls()
    assert (bought["view"] <= bought["cart"]).all()
    assert (bought["cart"] <= bought["purchase"]).all()
    only_looked = first.filter(pl.col("purchase").is_null())
    assert len(only_looked) > 1000
    assert only_looked["cart"].is_not_null().mean() == pytest.approx(0.12, abs=0.03)


def test_reviews_and_refunds_follow_their_purchases(shop: SimulatedShop) -> None:
    log = shop.history.log
    reviews, refunds = kind(shop, "review"), kind(shop, "refund")
    assert set(np.unique(log.columns["rating"].values[reviews])) <= {1000, 2000, 3000, 4000, 5000}
    assert (log.columns["text"].values[reviews] >= 0).mean() == pytest.approx(0.6, abs=0.05)
    bought = dict(zip(log.columns["order_id"].values[kind(shop, "purchase")], log.time[kind(shop, "purchase")], strict=True))
    delay = np.array([log.time[row] - bought[log.columns["order_id"].values[row]] for row in refunds]) / DAY
    assert delay.min() > 0
    assert np.median(delay) == pytest.approx(8, abs=1)
    assert (log.columns["amount"].values[refunds] > 0).all()


def test_some_values_are_missing(shop: SimulatedShop) -> None:
    log = shop.history.log
    assert (log.columns["item_id"].values < 0).mean() == pytest.approx(0.01, abs=0.003)
    priced = np.isin(log.kind, [log.code(name) for name in ("view", "cart", "purchase")])
    assert (log.columns["unit_price"].values[priced] == MISSING).mean() == pytest.approx(0.02, abs=0.004)
    assert (log.columns["channel"].values[priced] < 0).mean() == pytest.approx(0.05, abs=0.006)


def test_dirt_comes_only_when_asked() -> None:
    clean, dirty = simulate(400, 200, seed=2), simulate(400, 200, seed=2, dirty=True)
    assert clean.people.equals(dirty.people)
    assert len(clean.history.log.users) == 400
    assert len(dirty.history.log.users) == 401
    whole = clean.history.log.frame()
    assert whole.is_duplicated().mean() < 0.001
    rows = int(dirty.history.log.offsets[400])
    assert dirty.history.log.frame(slice(0, rows)).drop("orders").is_duplicated().mean() == pytest.approx(0.02, abs=0.006)
    assert len(dirty.history.log) - rows > 500
    assert clean.history.log.columns["orders"].values.sum() == dirty.history.log.columns["orders"].values.sum()


def test_the_profiles_say_what_is_public(shop: SimulatedShop) -> None:
    history = shop.history
    assert history.users is not None
    assert history.users.attributes == ["price_class", "region"]
    assert history.items is not None
    assert len(history.items.table) == 400
    assert history.offers is not None
    campaigns = history.offers.table
    assert (campaigns["begins"] - campaigns["valid_from"]).dt.total_days().unique().to_list() == [14]
    assert (campaigns["valid_from"].cast(pl.Int64) < history.end).all()


def test_a_shop_without_campaigns_has_no_offers() -> None:
    base = Parameters.frozen()
    quiet = replace(base, calendar=replace(base.calendar, campaign_days=(), campaign_discounts=()))
    assert simulate(20, 30, parameters=quiet).history.offers is None


def test_the_size_of_retailrocket_scales() -> None:
    """A hundredth of 1,407,580 visitors and 2,664,312 views, 69,332 carts, 22,457 purchase lines."""
    shop = simulate(14_076, 137, parameters=Parameters.frozen("retailrocket"))
    count = {name: 100 * shop.history.log.count(name) for name in ("view", "cart", "purchase")}
    assert count["view"] == pytest.approx(2_664_312, rel=0.05)
    assert count["cart"] == pytest.approx(69_332, rel=0.25)
    assert count["purchase"] == pytest.approx(22_457, rel=0.35)


# --------------------------------------------------------------------------------------------- calendar


def test_shop_time_and_back() -> None:
    time = ShopTime.of(Parameters.frozen(), 100)
    rng = np.random.default_rng(0)
    instants = time.start + rng.integers(0, 100 * DAY, 500)
    price_class = rng.integers(0, 3, 500)
    shop_days = time.of_instants(instants, price_class)
    back = time.instants(shop_days, price_class)
    assert np.abs(back - instants).max() < 1_000_000
    later = time.of_instants(instants + 3_600_000_000, price_class)
    assert (later > shop_days).all()


def test_shop_time_is_the_integral_of_its_parts() -> None:
    parameters = Parameters.frozen()
    calendar, time = parameters.calendar, ShopTime.of(parameters, 364)
    day = 24 + 2  # inside the first campaign: 2024-01-27, a Saturday
    wave = 1 + calendar.year_amplitude * np.cos(2 * np.pi * (day - calendar.year_peak_day) / 365.25)
    wanted = calendar.weekdays[5] * wave * calendar.campaign_notice * (1 - calendar.campaign_discounts[0]) ** -2.0
    edges = time.start + np.array([day, day + 1]) * DAY
    assert np.diff(time.of_instants(edges, np.zeros(2, np.int64)))[0] == pytest.approx(wanted, rel=1e-3)


def test_outside_the_calendar_is_refused(shop: SimulatedShop) -> None:
    keys = shop.history.keys()
    with pytest.raises(UsageError, match="outside"):
        shop.truth(keys, np.array([7.0, 2000.0]))


# ------------------------------------------------------------------------------------------------ truth


@pytest.mark.parametrize("shape", [3.0, 1.0, 0.25])
def test_renewal_tables_against_simulation_and_closed_forms(shape: float) -> None:
    tables, rng = renewal((shape,)), np.random.default_rng(0)
    for z in (1e-4, 0.01, 0.3, 1.7, 8.0):
        assert survive(tables.survival, tables.reach, 0, z) == pytest.approx(gammaincc(shape, shape * z), abs=2e-5)
    gaps = rng.standard_gamma(shape, (60_000, 60)) / shape
    times = np.cumsum(gaps, axis=1)
    for age in (0.0, 0.2, 1.5):
        survived = gaps[:, 0] > age
        for ahead in (0.1, 1.0, 4.0):
            counted = ((times[survived] > age) & (times[survived] <= age + ahead)).sum(axis=1)
            error = counted.std() / np.sqrt(len(counted))
            assert abs(expect(tables.count, 0, age, ahead) - counted.mean()) < 4 * error + 1e-3
    if shape == 1.0:
        assert expect(tables.count, 0, 2.0, 77.0) == pytest.approx(77.0, rel=1e-3)


def slow_truth(shop: SimulatedShop, user: int, cutoff: int, days: float) -> float:
    """Return P(buys within) of one user by plain sums over rates and plain quadrature over the moment of leaving."""
    law, time = shop.parameters.people, shop._time
    price_class = np.array([law.price_classes.index(shop.people["price_class"][user])])

    def clock(instant: int) -> float:
        return float(time.of_instants(np.array([instant]), price_class)[0])

    born = int(shop.people["born"].cast(pl.Int64)[user])
    start, now, then = clock(born), clock(cutoff), clock(cutoff + round(days * DAY))
    bought = [t for t in shop._purchases.time[shop._purchases.offsets[user] : shop._purchases.offsets[user + 1]] if t < cutoff]
    looked = [t for t in shop._visits.time[shop._visits.offsets[user] : shop._visits.offsets[user + 1]] if t < cutoff]
    renewals = [start, *(clock(int(t)) for t in (bought[1:] if shop.people["buys_at_once"][user] else bought))]
    gaps, last = np.diff(renewals), renewals[-1]
    sign = max([last, *(clock(int(t)) for t in looked)])
    beta, gamma = law.leaving_scale_days, law.leaving_shape
    visit_scale, looks = law.visit_shape / law.visit_mean, law.visit_shape + len(looked)

    def stays(s: float) -> float:
        return (beta / (beta + s)) ** gamma

    def unseen(s: float) -> float:
        return ((visit_scale + sign - start) / (visit_scale + s)) ** looks

    evidence = buys = 0.0
    log_gaps, mean_rate = np.log(np.maximum(gaps, 1e-11)), max(len(gaps), 1) / (last - start + 30)
    level = max(
        len(gaps) * (k * np.log(k * mean_rate) - gammaln(k)) + ((k - 1) * log_gaps - k * mean_rate * gaps).sum() for k in law.gap_shapes
    )
    knots = np.unique(np.concatenate([sign + (now - sign) * np.linspace(0, 1, 400) ** 4]))
    middle, width = (knots[1:] + knots[:-1]) / 2, np.diff(knots)
    leaves = np.array([gamma / beta * (beta / (beta + s - start)) ** (gamma + 1) * unseen(s - start) for s in middle])
    for shape, share in zip(law.gap_shapes, law.gap_shares, strict=True):
        for log_rate in np.linspace(-12, 2, 220):
            rate = np.exp(log_rate)
            fits = len(gaps) * (shape * np.log(shape * rate) - gammaln(shape)) - level
            fits += ((shape - 1) * np.log(np.maximum(gaps, 1e-11)) - shape * rate * gaps).sum()
            fits += gamma_law.logpdf(rate, law.rate_shape, scale=law.rate_mean / law.rate_shape) + log_rate
            weight = share * np.exp(fits)
            if weight < 1e-12:
                continue
            here = stays(now - start) * unseen(now - start)
            evidence += weight * here * gammaincc(shape, shape * rate * (now - last))
            evidence += weight * (leaves * width * gammaincc(shape, shape * rate * (middle - last))).sum()

            def next_gap(x: float, rate: float = rate, shape: float = shape) -> float:
                gap = shape * rate * (now - last + x)
                density = shape * rate * np.exp((shape - 1) * np.log(gap) - gap - gammaln(shape))
                return float(density * ((beta + now - start) / (beta + now - start + x)) ** gamma)

            buys += weight * here * quad(next_gap, 0, then - now, limit=200)[0]
    return buys / evidence


def test_the_truth_equals_its_slow_twin(shop: SimulatedShop) -> None:
    cutoff = shop.history.end - 60 * DAY
    keys = shop.history.keys(as_of=cutoff)
    grid = np.array([3.0, 28.0])
    fast = shop.truth(keys, grid)
    for row in np.argsort(fast.survival[:, 1])[(np.array([0, 0.1, 0.4, 0.7, 0.95, 1]) * (len(keys) - 1)).astype(int)]:
        for place, days in enumerate(grid):
            slow = slow_truth(shop, int(keys.code[row]), cutoff, days)
            assert 1 - fast.survival[row, place] == pytest.approx(slow, rel=4e-3, abs=1e-6)


def test_the_truth_does_not_depend_on_the_grid_or_the_company(shop: SimulatedShop) -> None:
    keys = shop.history.keys(as_of=shop.history.end - 40 * DAY)
    coarse, fine = shop.truth(keys, np.array([7.0, 28.0])), shop.truth(keys, np.arange(1, 57.0))
    np.testing.assert_allclose(coarse.survival, fine.survival[:, [6, 27]], atol=1e-12)
    np.testing.assert_allclose(coarse.mean_count, fine.mean_count[:, [6, 27]], atol=1e-12)
    alone = shop.truth(keys.take(np.array([700, 3])), np.array([7.0, 28.0]))
    np.testing.assert_array_equal(alone.survival, coarse.survival[[700, 3]])


def test_the_truth_reads_nothing_from_after_the_cutoff(shop: SimulatedShop) -> None:
    cutoff = shop.history.end - 100 * DAY
    keys, grid = shop.history.keys(as_of=cutoff), np.arange(1, 29.0)
    before = shop.truth(keys, grid)
    later = {name: getattr(shop, name).time.copy() for name in ("_purchases", "_visits")}
    for time in later.values():
        time[time >= cutoff] = shop.history.end - 1
    moved = replace(
        shop, _purchases=replace(shop._purchases, time=later["_purchases"]), _visits=replace(shop._visits, time=later["_visits"])
    )
    np.testing.assert_array_equal(before.survival, moved.truth(keys, grid).survival)


def test_who_has_left_buys_nothing_in_the_latent_truth(shop: SimulatedShop) -> None:
    cutoff = shop.history.end - 60 * DAY
    keys = shop.history.keys(as_of=cutoff)
    latent = shop.latent_truth(keys, np.array([7.0, 28.0]))
    gone = shop.people["left"].cast(pl.Int64).to_numpy()[keys.code] < cutoff
    assert gone.sum() > 50
    assert (latent.mean_count[gone] == 0).all()
    assert (latent.survival[~gone, 1] < 1).all()


def test_strangers_have_no_truth(shop: SimulatedShop) -> None:
    grid = np.array([7.0])
    with pytest.raises(UsageError, match="nobody"):
        shop.truth(shop.history.keys(["nobody"]), grid)
    with pytest.raises(UsageError, match="not seen before"):
        shop.truth(shop.history.keys(shop.people["user_id"], as_of="2024-03-01"), grid)
    keys = shop.history.keys()
    with pytest.raises(UsageError, match="users"):
        shop.truth(Keys("item", keys.code, keys.cutoff, keys.names), grid)
