"""What every learner of effects promises, whatever it is made of."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.effect.trials import OFFERS, trial
from whenbuy.core.arrays import DAY
from whenbuy.core.codec import decode, encode
from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.core.errors import LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Labels, Table
from whenbuy.models.effect.blend import UpliftBlend
from whenbuy.models.effect.curve import CurveUplift, _pace
from whenbuy.models.effect.dr_learner import DRLearner
from whenbuy.models.effect.residual import ResidualLearner
from whenbuy.models.effect.s_learner import SLearner
from whenbuy.models.effect.t_learner import TLearner
from whenbuy.models.effect.uplift_forest import UpliftForest
from whenbuy.models.effect.x_learner import XLearner
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

GROW = Boosting("l2", trees=40, learning_rate=0.1, leaves=6, min_leaf=40, feature_fraction=1.0, l2=1.0)
FOREST = Forest("l2", trees=10, leaves=12, min_leaf=40, feature_fraction=1.0, row_fraction=0.7)
KNOWN = {
    learner.name: learner
    for learner in (
        SLearner(grow=GROW, halves=2), TLearner(grow=GROW, halves=2), XLearner(grow=GROW, halves=2), DRLearner(grow=GROW, halves=2),
        UpliftForest(grow=GROW, forest=FOREST, rounds=2, halves=2), ResidualLearner(grow=GROW, halves=4),
        UpliftBlend((ResidualLearner(grow=GROW, halves=0), SLearner(grow=GROW, halves=0)), halves=2),
    )
}  # fmt: skip
every = pytest.mark.parametrize("name", KNOWN)
TRAIN, EFFECT = trial()


@every
@pytest.mark.parametrize("kind", ["count", "chance", "amount"])
def test_it_finds_whom_an_offer_moves(name, kind):
    train, effect = trial(5000, seed=3, kind=kind)
    found = replace(KNOWN[name], halves=0).fit(train).predict(train, in_sample=True)
    moved = train.table.column("a") == 1
    scale = effect[moved, 0].mean()
    for offer in range(2):
        assert found.uplift[moved, offer].mean() == pytest.approx(effect[moved, offer].mean(), abs=0.6 * scale)  # S draws towards none
        assert found.uplift[~moved, offer].mean() == pytest.approx(0.0, abs=0.5 * scale)
    assert found.uplift[moved, 0].mean() > found.uplift[moved, 1].mean()


@pytest.mark.parametrize("name", ["uplift dr", "uplift x", "uplift residual", "uplift forest"])
def test_propensities_undo_what_the_sender_did(name):
    train, effect = trial(8000, seed=4, biased=True)
    sent = train.block(EXPOSURE, Exposure)
    value = train.label("orders").value
    naive = value[sent.arm == 1].mean() - value[sent.arm == 0].mean()
    truth = effect[:, 0].mean()
    assert naive > 1.5 * truth
    found = replace(KNOWN[name], halves=0).fit(train).predict(train, in_sample=True).uplift[:, 0].mean()
    assert found == pytest.approx(truth, abs=0.4 * truth)


def test_intervals_of_the_residual_learner_hold_the_mean_effect_about_as_often_as_they_say():
    learner, held = ResidualLearner(grow=GROW, halves=20), []
    for seed in range(8):
        train, effect = trial(1500, seed=seed, offers=("gift",))
        found, moved = learner.fit(train).predict(train, in_sample=True), train.table.column("a") == 1
        held.append((found.low[moved, 0] <= effect[moved, 0]) & (effect[moved, 0] <= found.high[moved, 0]))
    assert 0.5 < np.concatenate(held).mean() < 0.97


@every
def test_the_same_seed_gives_the_same_bytes_and_a_bundle_the_same_model(name, tmp_path):
    one, other = KNOWN[name].fit(TRAIN), KNOWN[name].fit(TRAIN)
    bundle.save(tmp_path / "one", one, {})
    bundle.save(tmp_path / "other", other, {})
    for file in (bundle.MODEL, bundle.ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    back, _ = bundle.load(tmp_path / "one", types())
    assert (back.predict(TRAIN, in_sample=True).uplift == one.predict(TRAIN, in_sample=True).uplift).all()
    assert decode(encode(KNOWN[name], {}), {}, types()) == KNOWN[name]


@every
def test_an_answer_depends_on_no_other_row_and_strangers_get_the_mean(name):
    model = KNOWN[name].fit(TRAIN)
    assert (model.name, model.known_until) == (name, 0)
    whole = model.predict(TRAIN, in_sample=True)
    some = model.predict(TRAIN.take(np.array([7, 3])), in_sample=True)
    assert (some.uplift == whole.uplift[[7, 3]]).all()
    assert (some.low == whole.low[[7, 3]]).all()
    blank = replace(TRAIN, table=Table(TRAIN.table.names, np.full_like(TRAIN.table.values, np.nan)))
    nobody = model.predict(blank.take(slice(0, 2)), in_sample=True)
    assert nobody.prior is not None
    assert nobody.prior.all()
    assert nobody.uplift[0] == pytest.approx(EFFECT.mean(axis=0), abs=0.15)
    assert (nobody.low < nobody.uplift).all()


@every
def test_it_refuses_a_leak_and_an_arm_of_three(name):
    label = TRAIN.label("orders")
    late = replace(TRAIN, labels={"orders": Labels(label.value, label.observed, np.full(len(label), 5 * DAY))})
    with pytest.raises(LeakError):
        KNOWN[name].fit(late).predict(TRAIN)
    sent = TRAIN.block(EXPOSURE, Exposure)
    arm = np.where(sent.arm == 2, 0, sent.arm)
    arm[:3] = 2
    few = replace(TRAIN, blocks={EXPOSURE: Exposure(OFFERS, arm, sent.propensity)})
    with pytest.raises(NotEnoughDataError, match="3 customers were sent the offer 'coupon'"):
        KNOWN[name].fit(few)
    same = replace(TRAIN, labels={"orders": Labels(np.zeros(len(label)), label.observed, label.end)})
    with pytest.raises(NotEnoughDataError, match="All 3000 outcomes"):
        KNOWN[name].fit(same)


def test_members_of_a_blend_learn_one_outcome():
    with pytest.raises(UsageError, match="different outcomes"):
        UpliftBlend((SLearner("orders"), SLearner("amount")))


def pulled_forward(n=9000, seed=0):
    """Return a trial of one offer that brings orders of weeks two to four into the first one for a = 1, and extra ones for a = 0."""
    train, _ = trial(n, seed, offers=("gift",))
    rng, a = np.random.default_rng(seed + 1), train.table.column("a")
    arm = train.block(EXPOSURE, Exposure).arm
    base = np.exp(-1 + 0.4 * train.table.column("b"))
    first = rng.poisson(base * (1 + 0.9 * arm))
    rest = rng.poisson(base * np.where((arm == 1) & (a == 1), 0.1, 1.0))
    none = np.zeros(n, np.int64)
    labels = {"orders_7d": Labels(first.astype(float), np.ones(n, bool), none)}
    labels["orders_28d"] = Labels((first + rest).astype(float), np.ones(n, bool), none)
    return replace(train, labels=labels), base


def test_the_curve_tells_extra_orders_from_those_pulled_forward():
    train, base = pulled_forward()
    model = CurveUplift((7.0, 28.0), GROW).fit(train)
    found, early = model.predict(train, in_sample=True), train.table.column("a") == 1
    assert found.without.count_at(28.0).mean() == pytest.approx(2 * base.mean(), rel=0.07)
    assert found.incremental(7.0).mean() == pytest.approx(0.9 * base.mean(), rel=0.15)
    assert found.incremental(28.0)[~early].mean() == pytest.approx(0.9 * base.mean(), rel=0.25)
    assert found.incremental(28.0)[early].mean() == pytest.approx(0.0, abs=0.2 * base.mean())
    assert found.pulled_forward(7.0)[early].mean() > 3 * found.pulled_forward(7.0)[~early].mean()
    some = model.predict(train.take(np.array([4, 2])), in_sample=True)
    assert (some.with_offer[0].mean_count == found.with_offer[0].mean_count[[4, 2]]).all()
    assert (found.low <= found.incremental(28.0)).all()


def test_a_day_that_was_gained_is_worth_the_orders_of_the_days_after_it():
    pace = _pace(np.array([[0.7, 2.1], [0.7, 2.1]]), np.array([1.0, 2.0]), np.array([7.0, 14.0, 28.0]))
    assert pace == pytest.approx(np.array([[0.1, 0.1, 0.1], [0.1, 0.1 * (1 + 1 / 3), 0.2]]))
    assert _pace(np.array([[2.8]]), np.array([2.0]), np.array([28.0])) == pytest.approx(np.array([[0.1]]))


def test_a_curve_is_kept_in_a_bundle(tmp_path):
    train, _ = pulled_forward(2000)
    model = CurveUplift((7.0, 28.0), GROW).fit(train)
    bundle.save(tmp_path / "model", model, {})
    back, _ = bundle.load(tmp_path / "model", types())
    assert (back.predict(train, in_sample=True).low == model.predict(train, in_sample=True).low).all()
    blank = replace(train, table=Table(train.table.names, np.full_like(train.table.values, np.nan)))
    assert back.predict(blank.take(slice(0, 2)), in_sample=True).prior.all()
    with pytest.raises(UsageError, match="rise from above 0"):
        CurveUplift((7.0, 7.0))
