"""Nets in a default fit: when they are tried, and what a forecaster with one inside can do."""

import sys
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.unit.serve.live_shop import differences, events_after, joined, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import UsageError
from whenbuy.ingest.simulate import simulate
from whenbuy.models.neural import engine
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.training import Training
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.wrapping.blend import Blend
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.explaining.explaining import explain
from whenbuy.pipeline.extending.extensions import Extensions
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning import catalogue
from whenbuy.pipeline.learning.catalogue import DAYS_TO, NETS_FROM, every, learners
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.learn import fit, refit
from whenbuy.pipeline.learning.plan import plan
from whenbuy.pipeline.learning.update import update
from whenbuy.pipeline.verbs.fit import _narrowed
from whenbuy.serve.live import LiveState

DAYS = (1.0, 7.0, 28.0, 56.0)
SHORT, LONG = (7.0, 14.0), (28.0,)


def nets(grid, answer="purchase"):
    return [learner.name for learner in learners(answer, grid) if learner.name.startswith("net-")]


def test_nets_are_tried_where_they_can_be_learned_the_shop_is_large_enough_and_the_horizon_checked(monkeypatch):
    assert nets(Grid(DAYS, 1.0, LONG, NETS_FROM)) == nets(Grid(DAYS, 1.0, LONG, DAYS_TO)) == ["net-mlp+rhythm", "net-days-linear-64x2"]
    assert nets(Grid(DAYS, 1.0, LONG, DAYS_TO + 1)) == nets(Grid(DAYS, 7.0, LONG, NETS_FROM)) == ["net-mlp+rhythm"]
    assert nets(Grid(DAYS, 1.0, LONG, NETS_FROM - 1)) == nets(Grid(DAYS, 1.0, SHORT, NETS_FROM)) == []
    assert not any(nets(Grid(DAYS, 1.0, LONG, NETS_FROM), answer) for answer in ("orders", "amount", "spend", "classes"))
    monkeypatch.setattr(engine, "installed", lambda: False)
    assert nets(Grid(DAYS, 1.0, LONG, NETS_FROM)) == []


def test_a_plan_counts_the_examples_that_candidates_learn_from():
    made = plan(shop(), None, (7.0, 14.0), None, (), 0)
    train, _ = made.parts(made.alike(("purchase",)))
    assert made.grid.examples == made.examples == pytest.approx(len(train), rel=0.05)


def test_a_net_that_is_named_is_tried_in_a_small_shop_and_its_name_is_known_without_torch(monkeypatch):
    small = Grid(DAYS, 1.0, LONG)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(engine, "installed", lambda: False)
    named = _narrowed(("net-mlp+rhythm",), Extensions())("purchase", small)
    assert [learner.name for learner in named] == ["rate-84d", "net-mlp+rhythm"]
    assert every("purchase", small)[:-2] == learners("purchase", small)
    assert [learner.name for learner in every("purchase", small)[-2:]] == ["net-mlp+rhythm", "net-days-linear-64x2"]
    with pytest.raises(UsageError, match=r"whenbuy\[deep\]"):
        fit(shop(), horizons=SHORT, ask="purchase", candidates=_narrowed(("net-mlp+rhythm",), Extensions()))


@cache
def shop():
    return simulate(120, 120, 8).history


def blended(answer, grid):
    """A net beside a member that cannot learn on, small."""
    net = NeuralCurve(grid.days, Mlp(), hidden=(16,), training=Training(epochs=2))
    curves = Blend((KaplanMeier(grid.days), Prepared(net, (Rhythm(),))), (0.4, 0.6))
    return {"purchase": (curves,), "orders": (PoissonRate(grid.days),)}.get(answer, ())


@cache
def model():
    return fit(shop(), shop().end - 12 * DAY, horizons=SHORT, candidates=blended)


def said(forecaster):
    curves = forecaster.predict(shop()).purchase
    return curves.survival.tobytes(), curves.mean_count.tobytes()


def test_a_kept_forecaster_answers_without_torch_to_the_bit(tmp_path, monkeypatch):
    before = said(model())
    bundle.save(tmp_path / "m", model(), {"zone": "UTC", "horizons": [7, 14]})
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    kept = bundle.load(tmp_path / "m", catalogue.types())[0]
    assert said(kept) == before
    with pytest.raises(UsageError, match=r"whenbuy\[deep\]"):
        refit(kept, shop())


def test_it_is_learned_again_from_a_longer_log_and_stays_as_it_was_while_others_learn_on():
    again = refit(model(), shop())
    assert again.known_until > model().known_until
    assert said(again) != said(model())
    assert again.models["purchase"].name == model().models["purchase"].name == "kaplan-meier-recency+net-mlp+rhythm"
    later = update(model(), shop())
    grown, stayed = (getattr(each.models["purchase"], "model", each.models["purchase"]).members for each in (later, model()))
    assert grown[0].known_until > stayed[0].known_until
    assert grown[1] is stayed[1]


def test_a_live_customer_is_told_what_the_batch_says():
    history = shop()
    begin = history.end - 6 * DAY
    base, events = stands_at(history, begin), events_after(history, begin)
    state, applied = LiveState.of(base, model()), 0
    for at in (begin + 1, begin + 2 * DAY + 7 * DAY // 24, begin + 6 * DAY):
        while applied < len(events) and events[applied].known_at < at:
            applied += 1
            state.apply(applied, events[applied - 1])
        users = [*history.log.users.ids.to_list()[:30], "somebody new"]
        assert differences(state, model(), joined(base, events[:applied]), users, at) < 1e-6
    assert applied > 50


def test_its_reasons_add_up_to_its_forecast():
    users = shop().log.users.ids.to_list()[:5]
    explained = explain(model(), shop(), users, None, 7.0)
    chance = model().predict(shop(), users=users).purchase.probability(7.0)
    added = explained.frame().group_by("user_id", maintain_order=True).agg(pl.col("points").sum() / 100 + pl.col("base").first())
    np.testing.assert_allclose(explained.shares.chance, chance, rtol=0, atol=1e-12)
    np.testing.assert_allclose(added["points"], chance, rtol=0, atol=1e-9)
