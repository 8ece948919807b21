"""Our learners of effects beside econml's with the same trees, on a trial whose effect is known."""

import warnings

import numpy as np
import pytest

from tests.unit.models.effect.trials import trial
from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.models.effect.dr_learner import DRLearner
from whenbuy.models.effect.s_learner import SLearner
from whenbuy.models.effect.t_learner import TLearner
from whenbuy.models.effect.x_learner import XLearner
from whenbuy.models.trees.boosting import Boosting

econml = pytest.importorskip("econml")
GROW = Boosting("l2", trees=60, learning_rate=0.1, leaves=6, min_leaf=40, feature_fraction=1.0, l2=1.0)


def peer(name):
    from econml.dr import DRLearner as Doubly
    from econml.metalearners import SLearner as S
    from econml.metalearners import TLearner as T
    from econml.metalearners import XLearner as X
    from lightgbm import LGBMRegressor
    from sklearn.dummy import DummyClassifier

    def model():
        return LGBMRegressor(
            n_estimators=60, learning_rate=0.1, num_leaves=6, min_child_samples=40, reg_lambda=1.0, verbosity=-1, n_jobs=1, random_state=0
        )

    made = {
        "s": lambda: S(overall_model=model()), "t": lambda: T(models=model()),
        "x": lambda: X(models=model(), propensity_model=DummyClassifier()),
        "dr": lambda: Doubly(model_propensity=DummyClassifier(), model_regression=model(), model_final=model(), cv=3, random_state=0),
    }  # fmt: skip
    return made[name]()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "ours"),
    [(name, kind(grow=GROW, halves=0)) for name, kind in (("s", SLearner), ("t", TLearner), ("x", XLearner), ("dr", DRLearner))],
)
def test_a_learner_is_as_good_as_econmls(name, ours):
    train, _effect = trial(5000, seed=6, kind="amount", offers=("gift",))
    asked, truth = trial(2000, seed=7, kind="amount", offers=("gift",))
    mine = ours.fit(train).predict(asked, in_sample=True).uplift[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner = peer(name)
        learner.fit(train.label("orders").value, train.block(EXPOSURE, Exposure).arm, X=train.table.values)
        theirs = learner.effect(asked.table.values).ravel()
    error = [np.sqrt(((found - truth[:, 0]) ** 2).mean()) for found in (mine, theirs)]
    assert error[0] < 1.15 * error[1]
    assert np.corrcoef(mine, theirs)[0, 1] > 0.75
