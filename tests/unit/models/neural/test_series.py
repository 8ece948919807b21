"""The net over all series keeps the promises of a family, and learns what all series share."""

from dataclasses import replace

import numpy as np

from tests.unit.models.series.panels import made, random_panel
from whenbuy.models.neural.series import GlobalLstm

SMALL = GlobalLstm(width=8, window_days=28, rows=300, epochs=3)


def rolled(family, panel, origins, horizon):
    return family.learn(panel, np.asarray(origins), horizon)(np.arange(len(panel)))


def test_it_keeps_its_promises():
    panel, origins = random_panel(3, 25, 110), np.array([82, 96, 110])
    told = rolled(SMALL, panel, origins, 9)
    assert told.shape == (25, 3, 9)
    assert np.isfinite(told).all()
    assert told.min() >= 0
    np.testing.assert_array_equal(rolled(SMALL, panel, origins, 9), told)
    np.testing.assert_allclose(SMALL.learn(panel, origins, 9)(np.array([7, 2])), told[[7, 2]], rtol=1e-4)
    changed = panel.values.copy()
    changed[:, 82:] = 1e6
    np.testing.assert_array_equal(rolled(SMALL, replace(panel, values=changed), origins, 9)[:, 0], told[:, 0])


def test_where_there_is_too_little_to_learn_it_is_silent():
    assert np.isnan(rolled(SMALL, random_panel(0, 3, 20), [20], 7)).all()


def test_it_sees_what_smoothing_cannot():
    rng = np.random.default_rng(0)
    on = np.where(np.arange(90)[None, :] + rng.integers(0, 2, 40)[:, None] & 1, 16, 4)  # every other week, in each series' own turn
    panel = made(rng.poisson(on), step_days=7)
    net = GlobalLstm(width=16, window_days=56, rows=2000, epochs=25)
    told, smooth = rolled(net, panel.until(88), [88], 2)[:, 0], 10.0
    came = panel.values[:, 88:90]
    assert np.abs(told - came).mean() < 0.6 * np.abs(smooth - came).mean()
