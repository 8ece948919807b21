"""Every compiled row equals what its model predicts."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount, Classes, TimeToEvent
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_many.boosted_count import BoostedCount
from whenbuy.models.how_many.rolled_counts import RolledCounts
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.how_much.boosted_amount import BoostedAmount
from whenbuy.models.how_much.conformal import Adjustment, ConformalModel
from whenbuy.models.how_much.gamma_gamma import GammaGamma
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.rows.asked import Layout, Row
from whenbuy.models.rows.compiled import ROWS, compiled
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.buy_till_you_die import BgNbd, ParetoNbd
from whenbuy.models.when.floors import BaseRate, KaplanMeier, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.when.renewal_curve import RenewalCurve
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.whether.chance import BaseChanceModel, TreesChanceModel
from whenbuy.models.which.class_model import ClassTrees, ClassTreesModel
from whenbuy.models.which.class_rates import ClassRate, OwnClassRate
from whenbuy.models.wrapping.blend import Blend, BlendModel
from whenbuy.models.wrapping.calibrate import CalibratedModel, Calibration, Isotonic
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.learning.build import examples
from whenbuy.pipeline.learning.learn import fit

FEW = Boosting(trees=20, learning_rate=0.1, leaves=8, row_fraction=0.5)
MEAN, MEDIAN = Boosting("tweedie", trees=10), Boosting("l1", trees=10, leaves=8)


def _one_of_each(answer, grid):
    days = grid.days
    if answer == "purchase":
        boosted = DirectHorizons(days, FEW, key_days=grid.shortest)
        rich, lean = (PooledLogistic(days, grid.step_days, rich=rich, max_rows=5_000) for rich in (True, False))
        strata = (KaplanMeier(days), BaseRate(days), PoissonRate(days), RenewalCurve(days))
        return (Blend((Prepared(boosted, (Rhythm(),)), boosted, rich, lean, BgNbd(days), BgNbd(days, modified=True), *strata)),)
    if answer == "orders":
        return (Blend((RolledCounts(days), BoostedCount(days, grow=replace(FEW, objective="poisson")), BoostedCount(days, line=False))),)
    if answer == "amount":
        return (Blend((GlobalMean(), OwnMean(), GammaGamma(), BoostedAmount(mean=MEAN, median=MEDIAN))),)
    if answer == "spend":
        return (Blend((SpendRate(), BoostedAmount("spend", line=False, mean=MEAN, median=MEDIAN))),)
    if answer == "classes":
        return (Blend((ClassRate(7.0), OwnClassRate(7.0), ClassTrees(7.0, grow=FEW, buys=FEW))),)
    return ()


@cache
def _world():
    """A small shop learned of, and some of its customers and a stranger, as models are asked about them."""
    history = simulate(120, 150, 4).history
    known = fit(history, history.end - 10 * DAY, horizons=(7, 14), candidates=_one_of_each)
    keys = history.keys([*history.log.users.ids.to_list()[::4], "somebody new"], history.end)
    asked = examples(history, known.features, keys, blocks=known.blocks)
    parts = [part for model in known.models.values() for part in _parts(model)]
    curve = next(part for part in parts if isinstance(part.predict(asked, in_sample=True), TimeToEvent))
    told = asked.blocks["interactions"]
    layout = Layout(asked.table.names, curve.predict(asked, in_sample=True).grid_days, told.classes, told.names)
    return asked, layout, [*parts, *_more(parts, asked)]


def _parts(model):
    yield model
    if isinstance(model, BlendModel):
        for member in model.members:
            yield from _parts(member)
    elif isinstance(model, CalibratedModel | ConformalModel):
        yield from _parts(model.model)


def _more(parts, asked):
    """Chances, and corrections of each kind."""
    buys = next(part.buys for part in parts if isinstance(part, ClassTreesModel))
    trees = TreesChanceModel("trees", asked.table.names, buys, 0.1, 0)
    curve = next(part for part in parts if isinstance(part, BlendModel))
    line = Calibration((1.0, 7.0, 14.0), (1.1, 0.9, 1.0), (-0.1, 0.2, 0.0))
    knots = Isotonic((7.0, 14.0), (np.array([0.01, 0.1, 0.7]), np.empty(0)), (np.array([0.02, 0.09, 1.1]), np.empty(0)))
    single = Isotonic((7.0,), (np.array([0.01, 0.1, 0.7]),), (np.array([0.02, 0.09, 1.1]),))
    amount = next(part for part in parts if isinstance(part.predict(asked, in_sample=True), Amount))
    levels = amount.predict(asked, in_sample=True).levels
    shift = Adjustment(levels, np.where(levels == 0.5, 0.0, levels - 0.5), 0.1)
    classes = next(part for part in parts if isinstance(part, ClassTreesModel))
    corrected = [CalibratedModel(model, kind, 0) for model, kind in ((curve, line), (curve, knots), (trees, single), (classes, single))]
    return [BaseChanceModel(0.2, 0), trees, BlendModel("both", (trees, BaseChanceModel(0.2, 0)), (0.7, 0.3)), *corrected,
            ConformalModel(amount, shift, 0)]  # fmt: skip


class _One:
    """One of the examples, as rows ask for it."""

    def __init__(self, asked, row):
        self._one = asked.take(np.array([row]))
        self.values = np.ascontiguousarray(self._one.table.values)

    def path(self, step_days, steps):
        return np.ascontiguousarray(self._one.silence(np.arange(steps) * step_days, np.zeros(steps, np.int64)).values.T)

    def ahead(self, step_days, steps):
        """What does not change, as the live engine writes it: the first instant alone."""
        path = self.path(step_days, steps)
        moved = ((path != path[:, :1]) & ~(np.isnan(path) & np.isnan(path[:, :1]))).any(axis=1)
        path[~moved, 1:] = 1e9
        return path, moved.astype(np.int64)

    def block(self):
        return self._one.blocks["interactions"].values[0]

    def whole(self):
        return self._one


def _differences(model, row, asked):
    said = model.predict(asked, in_sample=True)
    for i in range(len(asked)):
        one = _One(asked, i)
        if isinstance(said, TimeToEvent):
            survival, count, prior = row.curve(one, True)
            yield np.abs(survival - said.survival[i]).max(), (np.abs(count - said.mean_count[i]) / np.maximum(1, count)).max()
            yield np.abs(row.curve(one, False)[0] - survival).max(), float(prior != said.prior[i])
            if row.whole is not None:
                yield from _apart(*row.whole(one, True), survival, count, prior)
        elif isinstance(said, Amount):
            mean, median = row.amount(one)
            yield abs(mean - said.mean[i]) / max(1, mean), abs(median - said.quantile(0.5)[i]) / max(1, median)
        elif isinstance(said, Classes):
            chance, given = row.classes(one)
            yield (np.abs(chance - said.chance[i]).max(),)
            if isinstance(model, ClassTreesModel):
                yield (np.abs(given - model.given_purchase(one.whole())[0]).max(),)
        else:
            yield (abs(row.chance(one) - said.chance[i]),)


def _apart(out, known, survival, count, prior):
    """How far what one call says of a curve lies from what its parts say one after the other."""
    yield np.abs(out[2, :-1] - survival).max(), (np.abs(out[1, 1:] - count) / np.maximum(1, count)).max(), float(known != prior)
    yield np.abs(np.exp(out[0, 1:]) - survival).max(), *np.abs(out[:2, 0])


@pytest.mark.parametrize("kind", list(ROWS), ids=lambda kind: kind.__name__)
def test_a_row_is_what_the_model_predicts(kind):
    asked, layout, models = _world()
    found = [model for model in models if type(model) is kind]
    assert found
    for model in found:
        row = compiled(model, layout)
        assert row.compiled
        assert max(max(each) for each in _differences(model, row, asked)) < 1e-9


def test_a_model_without_a_row_speaks_for_examples_of_one():
    asked, layout, models = _world()
    days = tuple(layout.days.tolist())
    train = replace(asked, labels={"purchase": _labels(asked)})
    pareto = ParetoNbd(days).fit(train)
    forest = DirectHorizons(days, Forest(trees=5), key_days=7.0, horizons=2).fit(train)
    for model in (pareto, BlendModel("both", (pareto, models[0]), (0.5, 0.5))):
        row = compiled(model, layout)
        assert not row.compiled
        assert max(max(each) for each in _differences(model, row, asked)) < 1e-9
    assert max(max(each) for each in _differences(forest, compiled(forest, layout), asked)) < 1e-9


def _labels(asked):
    rng, n = np.random.default_rng(0), len(asked)
    return Labels(rng.uniform(0, 28, n), np.ones(n, bool), asked.keys.cutoff + 28 * DAY)


def test_a_model_may_give_its_own_row():
    class Own:
        def row(self, layout):
            return Row(chance=lambda asked: float(len(layout.names)))

    row = compiled(Own(), _world()[1])
    assert row.compiled
    assert row.chance(None) == len(_world()[1].names)
    with pytest.raises(WhenbuyError, match="of another kind"):
        row.amount(None)
