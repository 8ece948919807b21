"""Days gained: what is learned of them where they are known, and how evidence draws coefficients in."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.unit.models.effect.trials import trial
from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.models.effect.evidence import drawn_in
from whenbuy.models.effect.gained import DaysGained, Told, _judged, learn_days
from whenbuy.models.effect.modifiers import Modifiers
from whenbuy.models.effect.trial import Trial

DAYS = np.array([7.0, 28.0])


def evidence(variance, gram, moment, size, groups):
    """Return the negative logarithm of the evidence, up to what does not depend on the variances (the slow way)."""
    prior = np.zeros(len(moment))
    for rows, each in zip(groups, np.exp(variance), strict=True):
        prior[rows] = each
    posterior = gram + np.diag(1 / prior)
    theta = np.linalg.solve(posterior, moment)
    return 0.5 * (np.log(prior).sum() + np.linalg.slogdet(posterior)[1] - moment @ theta + size)


def test_spreads_are_those_of_the_highest_evidence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12))
    groups = [np.arange(4), np.arange(4, 8), np.arange(8, 12)]
    theta = np.concatenate([rng.normal(0, 2, 4), rng.normal(0, 0.2, 4), np.zeros(4)])
    y = x @ theta + rng.normal(size=400)
    gram, moment = x.T @ x, x.T @ y
    found, covariance = drawn_in(gram, moment, groups, np.full(3, 10.0))
    best = minimize(evidence, np.zeros(3), (gram, moment, y @ y, groups), "Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    prior = np.zeros(12)
    for rows, each in zip(groups, np.exp(best.x), strict=True):
        prior[rows] = each
    assert found == pytest.approx(np.linalg.solve(gram + np.diag(1 / prior), moment), abs=0.01)
    assert found[:4] == pytest.approx(theta[:4], abs=0.2)
    assert np.abs(found[8:]).max() < 0.05
    assert np.allclose(covariance, covariance.T)
    assert np.sqrt(np.diag(covariance))[:4] == pytest.approx(1 / np.sqrt(400), rel=0.3)


def test_little_data_are_not_sure_of_nothing():
    rng = np.random.default_rng(1)
    sure = []
    for n in (40, 4000):
        x = rng.normal(size=(n, 4))
        theta, covariance = drawn_in(x.T @ x, x.T @ rng.normal(size=n), [np.arange(4)], np.full(1, 10.0))
        assert np.abs(theta).max() < 3 / np.sqrt(n)
        sure.append(np.sqrt(np.diag(covariance)).mean())
    assert 0.02 < sure[0] < 1 / np.sqrt(30)  # the likeliest spread is none, which would leave no error at all
    assert sure[1] < sure[0] / 5


def test_a_doubted_group_is_none_unless_the_evidence_is_strong():
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(500, 6))
        y = x[:, :2] @ [1.0, -1.0] + rng.normal(size=500)
        groups, all_of_them = [np.arange(k, k + 2) for k in (0, 2, 4)], np.ones(3, bool)
        free, error = drawn_in(x.T @ x, x.T @ y, groups, np.full(3, 10.0))
        sure, same = drawn_in(x.T @ x, x.T @ y, groups, np.full(3, 10.0), all_of_them)
        assert sure[:2] == pytest.approx(free[:2], abs=0.05)
        kept += int((np.abs(sure[2:]) > 0.01).any())
        assert (np.diag(same) > 0.8 * np.diag(error)).all(), "what is left out is not sure to be none"
    assert kept <= 1


def test_one_segment_that_is_annoyed_leaves_the_others_alone():
    p, group = 5, {"mean": np.arange(1), "=segment": np.arange(1, 5)}
    found, widest, doubted = _judged((p, p, 2 * p), group, 1, 28.0)
    assert [rows.tolist() for rows in found[:5]] == [[0], [1], [2], [3], [4]]
    assert [rows.tolist() for rows in found[5:9]] == [[6], [7], [8], [9]], "the mean of what is kept is judged by nothing"
    assert [len(rows) for rows in found[9:]] == [2, 8]
    assert widest[:5].tolist() == [28.0] * 5
    assert widest[5:9].tolist() == [2.0] * 4
    assert not doubted.any()
    assert _judged((p, 0, p), {"mean": np.arange(1), "number": np.arange(1, 5)}, 0, 28.0)[2].tolist() == [True, False, True]


def moved(n=60_000, seed=0, open_more=0.0):
    """Return a trial of two offers with 3 and 6 days gained, all given back where a = 1; half of the messages are opened.

    Those who open what they get buy ``open_more`` of their orders more anyway.
    """
    train, _ = trial(n, seed)
    rng, a, sent = np.random.default_rng([seed, 1]), train.table.column("a"), train.block(EXPOSURE, Exposure)
    opens = (rng.uniform(0, 1, n) < 0.5).astype(float)
    usual = 0.05 * np.exp(0.4 * train.table.column("b"))
    rate = usual * (1 + open_more * (2 * opens - 1))
    opened = np.where(sent.arm > 0, opens, 0.0)
    days = opened * np.array([0.0, 3.0, 6.0])[sent.arm]
    first = rng.poisson(rate * (7 + days))
    orders = np.stack([first, first + rng.poisson(rate * np.where(a == 1, 21 - days, 21))], axis=1).astype(float)
    label = replace(train.label("orders"), value=orders[:, 1])
    half = np.full(n, 0.5)
    blocks = {EXPOSURE: replace(sent, dose=np.where(sent.arm > 0, 0.5, 1.0), usual=half, opened=opened)}
    seen = replace(train, labels={"orders": label}, blocks=blocks)
    told = Told(orders, usual[:, None] * (DAYS + 1.1), np.stack([usual, usual], axis=1))
    return Trial.of(seen, "orders"), told, a == 1


def learned(seen, told):
    return learn_days(seen, told, Modifiers.of(seen.values, np.ones(3), 2), DAYS)


def test_days_gained_and_given_back_are_found():
    seen, told, back = moved()
    days = learned(seen, told).gained(seen.values)
    assert days[:, :, 0].mean(axis=0) == pytest.approx([3, 6], abs=0.5)
    assert days[~back, :, 1].mean(axis=0) == pytest.approx([3, 6], abs=0.9)
    assert days[back, :, 1].mean(axis=0) == pytest.approx([0, 0], abs=0.9)


def test_those_who_open_may_buy_more_anyway():
    seen, told, _ = moved(seed=3, open_more=0.4)
    days = learned(seen, told).gained(seen.values)
    assert days[:, :, 0].mean(axis=0) == pytest.approx([1.4 * 3, 1.4 * 6], abs=0.8)  # in days of the usual rate, which is not theirs
    apart = told.orders[seen.opened == 1, 0].mean() - told.orders[seen.arm == 0, 0].mean()
    assert apart / told.rate.mean() > 8.0  # what a comparison of those who opened says: 6.3 would be right


def test_opening_tells_more_than_the_chance_of_it():
    far = []
    for seed in range(4):
        seen, told, _ = moved(12_000, seed)
        for each in (seen, replace(seen, opened=None)):
            far.append(np.abs(learned(each, told).gained(seen.values)[:, :, 0].mean(axis=0) - [3, 6]).mean())
    assert np.mean(far[::2]) < np.mean(far[1::2])


def test_errors_say_how_far_it_strays():
    held = []
    for seed in range(10):
        seen, told, back = moved(8000, 20 + seed)
        model = learned(seen, told)
        truth = np.where(back[:, None], 0.0, np.array([[3.0, 6.0]]))
        held.append((np.abs(model.gained(seen.values)[:, :, 1] - truth) < 1.28 * model.error(seen.values)).mean())
    assert 0.6 < np.mean(held) < 0.97


def test_no_effect_is_drawn_in_to_none():
    seen, told, _ = moved(20_000, seed=5)
    rng = np.random.default_rng(9)
    first = rng.poisson(told.rate[:, 0] * 7)
    orders = np.stack([first, first + rng.poisson(told.rate[:, 0] * 21)], axis=1).astype(float)
    days = learned(seen, replace(told, orders=orders, forecast=told.rate * DAYS)).gained(seen.values)
    assert np.abs(days[:, :, 0]).mean() < 0.5
    assert np.abs(days[:, :, 1]).mean() < 1.5


def test_one_stretch_is_enough_and_rows_stand_alone():
    seen, told, _ = moved(4000)
    one = Told(told.orders[:, :1], told.forecast[:, :1], told.rate[:, :1])
    model = learn_days(seen, one, Modifiers.of(seen.values, np.ones(3), 2), DAYS[:1])
    assert isinstance(model, DaysGained)
    days, error = model.gained(seen.values), model.error(seen.values)
    assert days.shape == (4000, 2, 1)
    assert (model.gained(seen.values[[9, 4]]) == days[[9, 4]]).all()
    assert (model.error(seen.values[[9, 4]]) == error[[9, 4]]).all()
    assert (error > 0).all()


def test_between_the_first_stretch_and_the_last_the_days_move_evenly():
    seen, told, _ = moved(4000)
    modifiers = Modifiers.of(seen.values, np.ones(3), 2)
    two, three = (learn_days(seen, told, modifiers, days).gained(seen.values) for days in (DAYS, np.array([7.0, 14.0, 28.0])))
    assert three[:, :, [0, 2]] == pytest.approx(two)
    assert three[:, :, 1] == pytest.approx(two[:, :, 0] + (two[:, :, 1] - two[:, :, 0]) / 3)
