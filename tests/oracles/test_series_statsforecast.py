"""Our compiled series models beside statsforecast's."""

import numpy as np
import pytest

from tests.unit.models.series.panels import made, random_panel
from whenbuy.core.errors import UsageError
from whenbuy.models.series import intermittent, smoothing
from whenbuy.models.series.autoregressive import Autoregression
from whenbuy.models.series.floors import MovingAverage, SeasonalNaive
from whenbuy.models.series.intermittent import Intermittent
from whenbuy.models.series.library import LIBRARY, Library, filled
from whenbuy.models.series.smoothing import Smoothing


@pytest.fixture(scope="module")
def library():
    import statsforecast.models

    return statsforecast.models


def rolled(family, panel, origins, horizon):
    return family.learn(panel, np.asarray(origins), horizon)(np.arange(len(panel)))


def test_floors_and_intermittent_demand_are_the_librarys(library, monkeypatch):
    panel = random_panel(5, 6, 70, gaps=0.0)
    monkeypatch.setattr(intermittent, "_RATES", (0.1,))
    ours = {
        "SeasonalNaive": (SeasonalNaive(), library.SeasonalNaive(season_length=7)),
        "WindowAverage": (MovingAverage(28), library.WindowAverage(window_size=28)),
        "CrostonClassic": (Intermittent("croston"), library.CrostonClassic()),
        "CrostonSBA": (Intermittent("sba"), library.CrostonSBA()),
    }
    for name, (family, peer) in ours.items():
        told = rolled(family, panel, [70], 9)[:, 0]
        for i in range(6):
            y = panel.values[i, panel.first[i] :].astype(float)
            wanted = peer.forecast(y=y, h=9)["mean"]
            bound = 0.06 if name == "CrostonSBA" else 1e-4  # the library's correction is a constant .95, ours is 1 - rate / 2: the same
            assert told[i] == pytest.approx(wanted, rel=bound, abs=1e-4), name


def test_simple_smoothing_tends_to_the_librarys(library, monkeypatch):
    monkeypatch.setattr(smoothing, "_ALPHAS", (0.1,))
    panel = random_panel(6, 4, 400, gaps=0.0)
    told = rolled(Smoothing("ses"), panel, [400], 3)[:, 0]
    for i in range(4):
        y = panel.values[i, panel.first[i] :].astype(float)
        assert told[i, 0] == pytest.approx(library.SimpleExponentialSmoothing(alpha=0.1).forecast(y=y, h=3)["mean"][0], rel=1e-3)


def test_autoregression_is_near_the_librarys_on_a_long_series(library):
    rng = np.random.default_rng(0)
    y = np.zeros(300)
    for s in range(2, 300):
        y[s] = 0.2 * y[s - 1] + 0.6 * y[s - 2] + rng.normal(0, 1)
    y += 30
    told = rolled(Autoregression(2, 7 * 300), made([y], step_days=7), [300], 4)[0, 0]
    assert told == pytest.approx(library.ARIMA(order=(2, 0, 0)).forecast(y=y, h=4)["mean"], rel=0.02)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_family_of_the_library_answers_and_is_silent_on_what_it_cannot_fit(name):
    panel = made([np.r_[np.tile([5.0, 6, 7, 8, 9, 12, 4], 8)], np.full(56, 3.0), np.r_[np.zeros(54), 1, 2]], step_days=7)
    told = rolled(Library.of(name, 7), panel, [40, 56], 4)
    assert np.isfinite(told[0]).all()
    assert np.isnan(told[1]).all()
    assert np.isnan(told[2]).all()
    assert (told[np.isfinite(told)] >= 0).all()


def test_what_is_no_model_is_refused_and_gaps_are_filled():
    with pytest.raises(UsageError):
        Library.of("Prophet", 1)
    assert filled(np.array([1, np.nan, 3, np.nan], np.float32)).tolist() == [1.0, 2.0, 3.0, 3.0]
    assert not filled(np.full(3, np.nan, np.float32)).any()
