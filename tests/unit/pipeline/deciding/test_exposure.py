import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, ImmatureError, NotEnoughDataError, UsageError
from whenbuy.features import Features, default_features
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.models.effect.curve import CurveUplift
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.deciding.effects import fit_effects
from whenbuy.pipeline.deciding.exposure import exposures, pilot

QUICK = CurveUplift((7.0, 28.0), Boosting(trees=30, learning_rate=0.1, leaves=6, min_leaf=30, feature_fraction=0.4))


def few(shop):
    return Features(default_features(shop.history.log).spec[:10])


@pytest.fixture(scope="module")
def shop():
    return simulate(900, seed=2, parameters=Parameters.frozen("promotions"))


def test_decisions_by_lot_are_known_as_such(shop):
    found = exposures(shop.history, shop.decisions)
    assert found.by_lot
    assert found.offers == ("coupon", "discount", "gift", "points", "threshold")
    assert found.frame()["customers"].sum() == shop.decisions.height
    biased = simulate(600, seed=2, parameters=Parameters.frozen("promotions-biased"))
    assert not exposures(biased.history, biased.decisions).by_lot
    assert not exposures(shop.history, shop.decisions.drop("propensity")).by_lot


def test_the_log_alone_tells_of_the_same_rounds(shop):
    found, told = exposures(shop.history), exposures(shop.history, shop.decisions)
    assert len(found) == len(told)
    assert found.frame()["customers"].to_list() == told.frame()["customers"].to_list()
    assert not found.by_lot
    assert "not logged" in found.notes[0]


def test_no_exposure_says_what_to_log_and_proposes_a_pilot():
    plain = simulate(200, 120, seed=0)
    with pytest.raises(NotEnoughDataError, match=r"Log an event of the kind 'shown'.*pilot"):
        exposures(plain.history)


def test_an_offer_that_went_to_everybody_is_refused(shop):
    everybody = shop.decisions.filter(pl.col("offer_id") != "none")
    with pytest.raises(NotEnoughDataError, match=r"went to everybody.*hold-out"):
        exposures(shop.history, everybody)


def test_an_arm_with_three_people_is_left_out_and_named(shop):
    gifts = shop.decisions.filter(pl.col("offer_id") == "gift").head(3)
    found = exposures(shop.history, pl.concat([shop.decisions.filter(pl.col("offer_id") != "gift"), gifts]))
    assert "gift" not in found.offers
    assert "'gift' was sent to 3 customers" in found.notes[-1]


def test_strange_decisions_are_refused_or_told(shop):
    with pytest.raises(ColumnError, match="send_at"):
        exposures(shop.history, shop.decisions.drop("send_at"))
    ghost = shop.decisions.head(1).with_columns(user_id=pl.lit("ghost"))
    assert "1 decisions are about customers" in exposures(shop.history, pl.concat([shop.decisions, ghost])).notes[0]


def test_effects_of_a_shop_answer_for_everybody_on_every_channel(shop):
    effects = fit_effects(shop.history, shop.decisions, days=QUICK.days, features=few(shop), learner=QUICK)
    found = effects.predict(shop.history, users=["u0001", "u0007", "a stranger"])
    assert len(found.offers) == 5 * 4
    assert "gift@push" in found.offers
    assert np.isfinite(found.incremental(28.0)).all()
    assert effects.without_action(shop.history, users=["u0001"]).keys.ids().to_list() == ["u0001"]
    assert {check.name for check in effects.checks} == {"balance", "placebo", "negative control"}
    assert effects.ended(shop.history.end) == ()
    assert effects.ended(shop.history.end + 60 * DAY) == effects.model.offers  # offers that were not sent for so long have ended
    keys = shop.history.keys().take(np.arange(0, 900, 9))
    told, truth = effects.opens(shop.history, users=keys.ids().to_list()), shop.offer_truth(keys, (0.0,), 28.0)
    opens = truth.opens[:, [truth.channels.index(channel) for channel in effects.reach.channels]]
    assert np.corrcoef(told.ravel(), opens.ravel())[0, 1] > 0.8  # which segment opens which channel


def test_biased_logs_are_weighed_and_checked():
    shop = simulate(1200, seed=3, parameters=Parameters.frozen("promotions-biased"))
    effects = fit_effects(shop.history, shop.decisions, days=QUICK.days, features=few(shop), learner=QUICK)
    assert [check.name for check in effects.checks] == ["overlap", "balance", "placebo", "negative control"]
    assert "Chance did not decide" in effects.notes[-1]


def test_a_pilot_is_as_large_as_its_power_needs(shop):
    found = pilot(shop.history, 2, rise=0.2)
    assert found.customers == 3 * found.per_arm
    rng, seen = np.random.default_rng(0), 0
    for _ in range(400):
        control, treated = rng.poisson(found.orders, found.per_arm), rng.poisson(found.orders + found.uplift, found.per_arm)
        error = np.sqrt((control.var() + treated.var()) / found.per_arm)
        seen += (treated.mean() - control.mean()) / error > 1.645
    assert seen / 400 > 0.75  # real orders vary more than a Poisson count, so the pilot is rather too large here
    assert "by lot" in found.words()
    assert pilot(shop.history, rise=0.1).per_arm > 3 * found.per_arm


@pytest.mark.parametrize(
    ("change", "error"), [({"rise": 0.0}, UsageError), ({"power": 1.0}, UsageError), ({"horizon_days": 4000.0}, ImmatureError)]
)
def test_a_pilot_that_cannot_be_is_refused(shop, change, error):
    with pytest.raises(error):
        pilot(shop.history, **change)
