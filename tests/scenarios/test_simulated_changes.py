"""The simulated shop in which the world changes, and the one in which a personal promotion is tried: their truths come true."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY, MISSING, Floats, Ints
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.evaluate.cells import curve_cells
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated.parameters import Drift, Parameters, Promotion

GRID = np.arange(1, 29.0)


@pytest.fixture(scope="module")
def changed() -> SimulatedShop:
    return simulate(2500, 270, seed=1, parameters=Parameters.frozen("drift"))


@pytest.fixture(scope="module")
def tried() -> SimulatedShop:
    return simulate(6000, seed=2, parameters=Parameters.frozen("promotion"))


def happened(shop: SimulatedShop, keys: Keys) -> TimeToEvent:
    """Return what came true as curves of 0 and 1."""
    first = shop.history.within(keys, 28.0).first("purchase")
    days = np.where(first == MISSING, np.inf, (first - keys.cutoff) / DAY)
    return TimeToEvent.of(keys, GRID, (days[:, None] > GRID[None, :]).astype(float), None, "happened")


def instant(shop: SimulatedShop, day: int) -> int:
    return int(shop._time.start + day * DAY)


# ------------------------------------------------------------------------------------------------ drift


def test_the_truth_comes_true_before_across_and_after_a_drift(changed: SimulatedShop) -> None:
    shares = []
    for day in (160, 224 - 14, 240):
        truth = changed.truth(changed.history.keys(as_of=instant(changed, day)), GRID)
        came = happened(changed, truth.keys)
        shares.append(curve_cells(came, truth))
        for at in (6, 13, 27):
            p = 1 - truth.survival[:, at]
            error = np.sqrt((p * (1 - p)).sum()) / len(p)
            assert abs((1 - came.survival[:, at]).mean() - p.mean()) < 3 * error, (day, at)
    assert np.mean(shares) >= 0.88, shares  # one seed: cells of a curve stray together


def test_a_drift_shows_in_pace_prices_and_channels(changed: SimulatedShop) -> None:
    drift = changed.parameters.drift
    assert drift is not None
    plain = simulate(2500, 270, seed=1)  # the same people in the shop without the change
    at = instant(changed, drift.day)

    def after(shop: SimulatedShop) -> tuple[float, float, pl.DataFrame]:
        log = shop.history.log.frame().filter(pl.col("time").cast(pl.Int64) >= at)
        bought = int((shop._purchases.time >= at).sum())
        price = log.filter(kind="view").join(shop.history.items.table, left_on="item_id", right_on="id")  # type: ignore[union-attr]
        return bought, float((price["unit_price"] / price["list_price"]).mean()), log  # type: ignore[arg-type]

    (ours, price, log), (others, usual, _) = after(changed), after(plain)
    assert price / usual == pytest.approx(drift.price, rel=0.01)
    assert 0.4 < ours / others < 0.75  # slower by pace, and by the higher price
    shares = dict(log.filter(pl.col("channel").is_not_null()).group_by("channel").len().iter_rows())
    assert shares["web"] / sum(shares.values()) == pytest.approx(drift.channels[0], abs=0.03)
    before = changed.history.log.frame().filter(pl.col("time").cast(pl.Int64) < at)
    assert before.filter(channel="web").height / before.filter(pl.col("channel").is_not_null()).height == pytest.approx(0.55, abs=0.03)


# ------------------------------------------------------------------------------------------------ promotion


@dataclass(frozen=True)
class Arms:
    """Those known when the promotion begins, who of them gets it, and the true curves of everybody with it and without."""

    keys: Keys
    treated: Ints
    control: Ints
    with_: TimeToEvent
    without: TimeToEvent


@pytest.fixture(scope="module")
def arms(tried: SimulatedShop) -> Arms:
    trial = tried.parameters.promotion
    assert trial is not None
    keys = tried.history.keys(as_of=instant(tried, trial.day))
    gets = keys.ids().is_in(tried.people.filter("promoted")["user_id"].implode()).to_numpy()
    with_, without = (tried.truth(keys, GRID, promoted=told) for told in (True, False))
    return Arms(keys, np.flatnonzero(gets), np.flatnonzero(~gets), with_, without)


def test_both_arms_come_true(tried: SimulatedShop, arms: Arms) -> None:
    assert len(arms.treated) / len(arms.keys) == pytest.approx(0.5, abs=0.03)
    for rows, curves in ((arms.treated, arms.with_), (arms.control, arms.without)):
        part, truth = arms.keys.take(rows), curves.take(rows)
        assert curve_cells(happened(tried, part), truth) >= 0.9
        few = arms.keys.take(rows[:100])  # as it was is as if
        np.testing.assert_allclose(truth.survival[:100], tried.truth(few, GRID).survival, rtol=1e-9)


def test_the_true_effect_is_the_difference_of_the_arms(tried: SimulatedShop, arms: Arms) -> None:
    """Buyers within 14 days in the arm with the promotion, less those in the other, against the mean of the true effects."""
    keys, treated, control = arms.keys, arms.treated, arms.control
    effect = arms.without.survival - arms.with_.survival
    assert (effect >= -1e-12).all()
    came = 1 - happened(tried, keys).survival[:, 13]
    seen = came[treated].mean() - came[control].mean()
    error = np.sqrt(came[treated].var() / len(treated) + came[control].var() / len(control))
    assert abs(seen - effect[:, 13].mean()) < 3 * error
    assert effect[:, 13].mean() > 4 * error  # and there is something to see
    by_class = dict(zip(*class_means(tried, keys, effect[:, 13]), strict=True))
    assert by_class["thrifty"] > by_class["usual"] > by_class["loyal"] > 0


def class_means(shop: SimulatedShop, keys: Keys, values: Floats) -> tuple[list[str], list[float]]:
    told = pl.DataFrame({"user_id": keys.ids(), "value": values}).join(shop.people, on="user_id", maintain_order="left")
    found = told.group_by("price_class", maintain_order=True).agg(pl.col("value").mean())
    return found["price_class"].to_list(), found["value"].to_list()


def test_one_customer_with_and_without_at_any_moment(tried: SimulatedShop) -> None:
    promotion = Promotion(1, 7, 0.3, 1.0, 1.0)
    keys = tried.history.keys(["u0001", "u0002"], as_of=instant(tried, 200))
    without, with_ = (tried.truth(keys, GRID, promoted=told, promotion=promotion) for told in (False, True))
    assert (with_.survival[:, 0] <= without.survival[:, 0]).all()
    elastic = {"thrifty": 2.0, "usual": 1.0, "loyal": 0.4}
    latent = [tried.latent_truth(keys, GRID, promoted=told, promotion=promotion) for told in (False, True)]
    assert (latent[1].survival <= latent[0].survival + 1e-12).all()
    person = tried.people.filter(user_id="u0001").row(0, named=True)
    boost = 0.7 ** -elastic[person["price_class"]]
    ahead = tried._time.of_instants(keys.cutoff[:1] + 7 * DAY, np.zeros(1, np.int64))
    assert boost > 1
    assert ahead > 0
    nothing = tried.truth(keys, GRID, promoted=True, promotion=replace(promotion, discount=0.0))
    np.testing.assert_allclose(nothing.survival, without.survival)


def test_the_log_tells_who_was_promoted_and_what_they_paid(tried: SimulatedShop) -> None:
    trial = tried.parameters.promotion
    assert trial is not None
    log = tried.history.log.frame()
    shown = log.filter(kind="shown")
    assert sorted(shown["user_id"]) == sorted(tried.people.filter("promoted")["user_id"])
    assert shown["offer_id"].unique().to_list() == ["promotion"]
    used = log.filter(
        pl.col("kind") == "purchase", pl.col("offer_id").is_not_null(), pl.col("item_id").is_not_null(), pl.col("unit_price") > 0
    )
    assert set(used["user_id"]) <= set(shown["user_id"])
    day = (used["time"].cast(pl.Int64).to_numpy() - tried._time.start) // DAY
    assert (day.min() >= trial.day, day.max() < trial.day + trial.length_days) == (True, True)
    items = tried.history.items
    assert items is not None
    told = used.join(items.table, left_on="item_id", right_on="id")
    paid = (told["unit_price"] / told["list_price"]).to_numpy()
    day = (told["time"].cast(pl.Int64).to_numpy() - tried._time.start) // DAY
    np.testing.assert_allclose(paid, tried._time.price[day] * (1 - trial.discount), atol=0.02)


def test_a_shop_without_a_promotion_has_no_effect_to_tell() -> None:
    shop = simulate(50, 60, seed=0)
    with pytest.raises(UsageError, match="has none"):
        shop.truth(shop.history.keys(), GRID, promoted=True)
    with pytest.raises(SettingsError, match="below 1"):
        Promotion(1, 7, 1.0, 1.0, 0.5)
    with pytest.raises(SettingsError, match="shares sum to 1"):
        Drift(1, 1.0, 1.0, (0.5, 0.2, 0.2))
