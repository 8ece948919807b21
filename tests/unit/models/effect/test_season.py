"""The season: found where it was put, left out where there is none, and in the curves of those who are sent nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.effect.trials import trial
from whenbuy.core.arrays import DAY
from whenbuy.core.effect import AHEAD, EXPOSURE, Ahead, Exposure
from whenbuy.core.examples import Labels
from whenbuy.models.effect.curve import CurveUplift, orders_label
from whenbuy.models.effect.season import Cells, Season, learn_season
from whenbuy.models.trees.boosting import Boosting

FIRST, LAST = np.array([0.0, 7.0, 14.0]), np.array([7.0, 14.0, 28.0])
TRUE = Season((FIRST + LAST) / 2, np.array([0.0, 0.0, 0.0, 0.5, 0.1, -0.15]))


def rows(season, rounds=10, each=4000, seed=0):
    """Return cutoffs, campaigns, orders and forecasts of customers at some rounds, as a season makes them come (n; n x 3 each)."""
    rng = np.random.default_rng(seed)
    at = np.arange(rounds) * 28 * DAY
    running = rng.integers(0, 6, (rounds, 3)) / 7
    forecast = rng.gamma(2.0, 0.3, (rounds * each, 3))
    cutoff, ahead = np.repeat(at, each), np.repeat(running, each, axis=0)
    faster = season.factor(cutoff, ahead) if season is not None else 1.0
    return cutoff, ahead, rng.poisson(forecast * faster).astype(float), forecast


def test_a_campaign_and_the_years_wave_are_found():
    cutoff, ahead, orders, forecast = rows(TRUE)
    found = learn_season(Cells.of(cutoff, ahead, orders, forecast, np.ones(len(cutoff))), FIRST, LAST)
    assert found is not None
    assert found.weights == pytest.approx(TRUE.weights, abs=0.06)
    later = np.array([11 * 28 * DAY])
    for running in (np.zeros((1, 3)), np.array([[5 / 7, 0.0, 0.0]])):
        assert found.factor(later, running) == pytest.approx(TRUE.factor(later, running), rel=0.06)


def test_cells_are_sums_by_cutoff_with_the_variance_of_their_logarithm():
    cutoff, ahead, orders, forecast = rows(TRUE, 3, 500)
    weight = np.random.default_rng(1).uniform(1, 3, len(cutoff))
    cells = Cells.of(cutoff, ahead, orders, forecast, weight)
    for place, at in enumerate(cells.cutoff):
        mine = np.flatnonzero(cutoff == at)
        came, told = (sum(weight[row] * values[row, 1] for row in mine) for values in (orders, forecast))
        square = sum((weight[row] * (orders[row, 1] - forecast[row, 1])) ** 2 for row in mine)
        assert cells.ratio[place, 1] == pytest.approx(np.log(came / told))
        assert cells.variance[place, 1] == pytest.approx(square / came**2 + 0.02**2)
        assert (cells.running[place] == ahead[mine[0]]).all()
    none = Cells.of(cutoff, ahead, np.zeros_like(orders), forecast, weight)
    assert np.isinf(none.variance).all(), "where nobody bought there is nothing to learn"


def test_where_the_calendar_does_not_help_there_is_no_season():
    few = rows(TRUE, 3)
    assert learn_season(Cells.of(*few, np.ones(len(few[0]))), FIRST, LAST) is None, "three rounds try nothing"
    found = [learn_season(Cells.of(*(one := rows(None, seed=seed)), np.ones(len(one[0]))), FIRST, LAST) for seed in range(6)]
    for season in found:  # chance alone may seem to help; then it says little
        assert season is None or np.abs(season.factor(np.arange(12) * 30 * DAY, np.zeros((12, 3))) - 1).max() < 0.05
    assert any(season is None for season in found)


def rounds_of(seed=0, rounds=8, each=900):
    """Return a trial at several cutoffs: a campaign runs in some of the first weeks, and then everybody orders twice as much."""
    train, _ = trial(rounds * each, seed, offers=("gift",))
    rng, n = np.random.default_rng(seed), rounds * each
    turn = np.repeat(np.arange(rounds), each)
    running = np.zeros((n, 2))
    running[:, 0] = turn % 2
    base = 0.4 * np.exp(0.4 * train.table.column("b"))
    arm = train.block(EXPOSURE, Exposure).arm
    first, rest = rng.poisson(base * (1 + running[:, 0]) * (1 + 0.5 * arm)), rng.poisson(base)
    end = (turn + 1) * 28 * DAY
    labels = {orders_label(7.0): Labels(first.astype(float), np.ones(n, bool), end)}
    labels[orders_label(28.0)] = Labels((first + rest).astype(float), np.ones(n, bool), end)
    keys = replace(train.keys, cutoff=turn * 28 * DAY)
    return replace(train, keys=keys, labels=labels, blocks={**train.blocks, AHEAD: Ahead(running)}), base


def test_curves_without_an_offer_know_the_campaign_ahead():
    train, base = rounds_of()
    model = CurveUplift((7.0, 28.0), Boosting(trees=30, learning_rate=0.1, leaves=4, min_leaf=50)).fit(train)
    now = replace(train, keys=replace(train.keys, cutoff=np.full(len(train), 8 * 28 * DAY)))
    quiet = model.predict(replace(now, blocks={AHEAD: Ahead(np.zeros((len(now), 2)))})).without
    loud = model.predict(replace(now, blocks={AHEAD: Ahead(np.tile([1.0, 0.0], (len(now), 1)))})).without
    assert quiet.count_at(7.0).mean() == pytest.approx(base.mean(), rel=0.1)
    assert loud.count_at(7.0).mean() == pytest.approx(2 * base.mean(), rel=0.1)
    assert loud.count_at(28.0).mean() - loud.count_at(7.0).mean() == pytest.approx(base.mean(), rel=0.15)
    untold = model.predict(replace(now, blocks={})).without
    assert (untold.mean_count == quiet.mean_count).all(), "nothing said of campaigns is none"
