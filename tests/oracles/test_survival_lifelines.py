"""Cox and Weibull regressions, kept as numbers, say what lifelines says."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tests.contracts.shops import GRID, asked, train
from tests.unit.models.purchase_examples import stored
from whenbuy.models.fitting import terms
from whenbuy.models.fitting.terms import Terms
from whenbuy.models.when import survival_regression
from whenbuy.models.when.survival_regression import SurvivalRegression


@pytest.mark.parametrize("family", ["cox", "weibull"])
def test_the_curve_is_lifelines_own(family):
    lifelines = pytest.importorskip("lifelines")
    model = SurvivalRegression(GRID.days, family).fit(train())
    learns, asks = train(), asked()
    lean = Terms.learn(learns.table, rich=False)
    matrix, wanted = lean.matrix(learns.table), lean.matrix(asks.table)
    centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
    kept = np.flatnonzero(spread > 1e-9)
    label = learns.label("purchase")
    frame = pd.DataFrame((matrix[:, kept] - centre[kept]) / spread[kept]).add_prefix("x")
    frame["days"], frame["came"] = label.value + GRID.days[0] / 2, label.observed.astype(int)
    fitter = lifelines.CoxPHFitter if family == "cox" else lifelines.WeibullAFTFitter
    inside = [day for day in GRID.days if day <= 28]
    with warnings.catch_warnings(action="ignore"):
        peer = fitter(penalizer=0.001).fit(frame, "days", "came")
        people = pd.DataFrame((wanted[:, kept] - centre[kept]) / spread[kept]).add_prefix("x")
        told = peer.predict_survival_function(people, times=inside).to_numpy().T
    ours = model.predict(asks).survival[:, : len(inside)]
    assert ours == pytest.approx(told, abs=0.02 if family == "cox" else 1e-6)  # lifelines reads Cox's steps, ours is straight between them
    kept_model = stored(model, survival_regression.TYPES | terms.TYPES)
    assert kept_model.predict(asks).survival.tobytes() == model.predict(asks).survival.tobytes()
