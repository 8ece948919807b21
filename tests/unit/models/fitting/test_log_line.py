"""The line under the trees: against scikit-learn, its own bounds, and data that tell it nothing."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import TweedieRegressor

from tests.unit.models.purchase_examples import stored
from tests.unit.models.spenders import shop
from whenbuy.core.examples import Table
from whenbuy.models.fitting import newton, terms
from whenbuy.models.fitting.log_line import TYPES, LogLine
from whenbuy.models.fitting.newton import Tweedie, fit_line


def made(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 6))
    mean = np.exp(matrix @ np.array([0.5, -0.3, 0.2, 0, 0, 0.1]))
    return matrix, mean * rng.poisson(1.0, n) * rng.gamma(2, 0.5, n), rng.uniform(0.5, 2, n)


@pytest.mark.parametrize("power", [1.0, 1.3, 1.7])
def test_the_weights_are_those_of_scikit_learn(power):
    matrix, target, weight = made()
    target = target / np.average(target, weights=weight)
    found, score = fit_line(matrix, Tweedie(target, weight / weight.sum(), power), 0.01)
    theirs = TweedieRegressor(power=power, alpha=0.01, link="log", tol=1e-8, max_iter=1000).fit(matrix, target, sample_weight=weight)
    assert found == pytest.approx(np.append(theirs.coef_, theirs.intercept_), abs=2e-4)
    assert score == pytest.approx(matrix @ found[:-1] + found[-1])


def test_the_rows_from_which_the_curvature_is_taken_do_not_move_the_answer(monkeypatch):
    matrix, target, weight = made()
    whole = fit_line(matrix, Tweedie(target / target.mean(), weight / weight.sum(), 1.3), 0.01)[0]
    monkeypatch.setattr(newton, "_CURVED", 300)
    assert fit_line(matrix, Tweedie(target / target.mean(), weight / weight.sum(), 1.3), 0.01)[0] == pytest.approx(whole, abs=2e-3)


def test_it_is_level_in_training_and_in_the_unit_of_the_target():
    train = shop()
    spend, weight = train.label("spend").value, np.ones(len(train))
    line, cents = (LogLine.learn(train.table, spend * unit, weight, 1.0) for unit in (1, 100))
    assert np.exp(line.raw(train.table)).mean() == pytest.approx(spend.mean(), rel=0.01)
    assert cents.raw(train.table) - np.log(100) == pytest.approx(line.raw(train.table), abs=1e-6)


def test_no_row_is_told_more_than_training_rows_were():
    train = shop()
    line = LogLine.learn(train.table, train.label("spend").value, np.ones(len(train)), 1.3)
    values = train.table.values.copy()
    values[:, train.table.names.index("frequency")] = 3e38
    absurd = line.raw(Table(train.table.names, values))
    assert np.isfinite(absurd).all()
    assert line.low <= absurd.min() <= absurd.max() <= line.high


def test_rows_that_weigh_nothing_teach_nothing():
    train = shop(1000)
    spend, half = train.label("spend").value, np.arange(1000) < 500
    alone = LogLine.learn(train.table.take(np.flatnonzero(half)), spend[half], np.ones(500), 1.3)
    beside = LogLine.learn(train.table, np.where(half, spend, 1e9), half * 1.0, 1.3)
    told = [np.exp(line.raw(train.table)[:500]).mean() for line in (alone, beside)]
    assert told[0] == pytest.approx(told[1], rel=0.05)  # the scale of the terms comes from all rows


def test_constant_features_give_the_mean():
    train = shop(500)
    table = Table(train.table.names, np.broadcast_to(train.table.values[0], train.table.values.shape).copy())
    spend = train.label("spend").value
    assert np.exp(LogLine.learn(table, spend, np.ones(500), 1.3).raw(table)) == pytest.approx(spend.mean())


def test_it_comes_back_from_the_codec():
    train = shop(500)
    line = LogLine.learn(train.table, train.label("spend").value, np.ones(500), 1.3)
    back = stored(line, {**TYPES, **terms.TYPES})
    assert (back.raw(train.table) == line.raw(train.table)).all()
    assert replace(back, terms=line.terms).intercept == line.intercept
