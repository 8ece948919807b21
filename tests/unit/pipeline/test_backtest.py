"""The backtest: forecasts of past weeks from what was known then, beside what came."""

from functools import partial

import numpy as np
import pytest

from tests.unit.core.logs import make
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.ingest.simulate import simulate
from whenbuy.models.amount_floors import GlobalMean, OwnMean
from whenbuy.models.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline import backtest as module
from whenbuy.pipeline.backtest import backtest
from whenbuy.pipeline.build import people_at
from whenbuy.pipeline.learn import fit

HORIZONS = (7, 14)


def quick(answer, grid):
    return (GlobalMean(), OwnMean()) if answer == "amount" else (PoissonRate(grid.days), KaplanMeier(grid.days))


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """The candidates are few here: the catalogue is the contracts' affair. The floor's learners are its own."""
    monkeypatch.setattr(module, "fit", lambda *args, **options: fit(*args, **{"candidates": quick, **options}))


@pytest.fixture(scope="module")
def history():
    return simulate(150, 150, 8).history


run = partial(backtest, horizons=HORIZONS, rounds=20)


def test_it_forecasts_the_last_weeks_whose_windows_have_closed(history):
    found = run(history, weeks=4)
    assert len(found.cutoffs) == 4
    assert np.diff(found.cutoffs).tolist() == [7 * DAY] * 3
    assert (
        found.cutoffs[-1] + (14 + history.lateness_days) * DAY <= history.end < found.cutoffs[-1] + (14 + history.lateness_days + 8) * DAY
    )
    keys = people_at(history, np.array(found.cutoffs))
    assert found.ours.keys.ids().to_list() == found.floor.keys.ids().to_list() == keys.ids().to_list()
    assert all(label.end.max() <= history.end for label in found.labels.values())
    assert found.labels["orders"].observed.all()


def test_it_learned_from_nothing_after_the_first_of_them(history):
    found = run(history, weeks=4)
    assert found.forecaster.known_until == found.cutoffs[0]
    assert not found.ours.purchase.in_sample
    alone = fit(history.cut(found.cutoffs[0]), found.cutoffs[0], horizons=HORIZONS, candidates=quick)
    assert repr(alone.choices) == repr(found.forecaster.choices)
    other = alone.answer(history, found.ours.keys)
    assert other.purchase.survival.tobytes() == found.ours.purchase.survival.tobytes()


def test_the_floor_is_the_first_of_the_catalogue(history):
    found = run(history, weeks=2)
    assert found.floor.purchase.model == "rate-84d"
    assert found.floor.amount.model == "mean-amount"
    assert found.comparison.floor


def test_as_of_stands_at_an_earlier_moment(history):
    moment = history.clock.instant("2024-05-10")
    earlier, cut = run(history, moment, weeks=2), run(history.cut(moment), weeks=2)
    assert earlier.cutoffs == cut.cutoffs
    assert earlier.cutoffs[-1] <= moment - 14 * DAY
    assert earlier.ours.purchase.survival.tobytes() == cut.ours.purchase.survival.tobytes()
    assert earlier.comparison.frame().equals(cut.comparison.frame())


def test_the_same_seed_gives_the_same_scores(history):
    one, same = (run(history, weeks=2, seed=3).comparison.frame() for _ in range(2))
    assert one.equals(same)


def test_the_calibration_counts_every_forecast_once_per_horizon(history):
    found = run(history, weeks=3)
    table = found.calibration()
    for days in found.ours.horizons:
        part = table.filter(table["horizon"] == days)
        assert part["n"].sum() == len(found.ours)
        assert part["mean_probability"].is_sorted()
        chance, came = found.ours.purchase.probability(days), found.labels["purchase"].observed & (found.labels["purchase"].value < days)
        assert (part["mean_probability"] * part["n"]).sum() == pytest.approx(chance.sum())
        assert (part["share_bought"] * part["n"]).sum() == pytest.approx(came.sum())


def test_few_forecasts_have_few_buckets():
    log = make([(u, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 120, 6)], late=False)
    assert run(log, weeks=1).calibration().height == 3 * len(HORIZONS)


def test_fewer_weeks_than_asked_are_scored_when_the_log_is_short():
    log = make([(u % 3, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 45, 3)], late=False)
    assert 1 <= len(run(log, weeks=50).cutoffs) < 5


def test_a_log_too_short_for_a_backtest_says_how_long_it_must_be():
    log = make([(0, d * DAY, 0, 1, 500, 1) for d in range(20)], late=False)
    with pytest.raises(NotEnoughDataError, match="A backtest needs about 30 days"):
        run(log)
    with pytest.raises(UsageError, match="0 steps"):
        run(log, weeks=0)


def test_a_shop_without_amounts_is_scored_without_them():
    log = make([(u, d * DAY, 0, 1, -(2**63), 1) for u in range(3) for d in range(u, 120, 6)], late=False)
    found = run(log, weeks=2)
    assert set(found.labels) == {"purchase", "orders"}
    assert found.ours.amount is None
