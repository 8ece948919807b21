"""Isotonic calibration beside scikit-learn's isotonic regression of what came on what was promised."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from whenbuy.models.wrapping.calibrate import Isotonic


@pytest.mark.parametrize("seed", range(5))
def test_the_blocks_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 3_000))
    chance = np.round(rng.beta(1, 4, n), 3 if seed % 2 else 8)[:, None]  # with ties, and without
    came = rng.random(n)[:, None] < chance**1.5
    found = Isotonic.learn((7.0,), chance, came, np.ones((n, 1), bool))
    theirs = IsotonicRegression(y_min=0.5 / n, y_max=1 - 0.5 / n).fit(chance[:, 0], came[:, 0])
    blocks, rows = np.unique(theirs.predict(chance[:, 0]), return_counts=True)
    assert 1 - np.exp(-found.came[0]) == pytest.approx(blocks)
    hazard = -np.log1p(-np.clip(chance[:, 0], 0, 1 - 1e-12))
    place = np.searchsorted(blocks, theirs.predict(chance[:, 0]) - 1e-12)
    centre = np.bincount(place, np.maximum(hazard, 1e-12)) / rows
    assert found.promised[0] == pytest.approx(centre)
    at_centres = 1 - np.exp(-centre)
    assert found.chances(at_centres[:, None])[:, 0] == pytest.approx(blocks)  # at the centres of the blocks both say the same
