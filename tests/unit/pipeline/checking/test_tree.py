"""How much a small tree can tell."""

import numpy as np
import pytest

from whenbuy.pipeline.checking.tree import targets, unexplained


@pytest.fixture
def known() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1200, 6))


def test_a_function_of_one_number_is_told(known: np.ndarray) -> None:
    assert unexplained(known, targets(np.exp(known[:, 2]), classes=False)) < 0.01
    assert unexplained(known, targets((known[:, 4] > 0.3).astype(int), classes=True)) < 0.02


def test_a_grid_of_two_numbers_is_told(known: np.ndarray) -> None:
    cell = (known[:, 0] > 0).astype(int) * 3 + np.digitize(known[:, 1], [-0.5, 0.5])
    assert unexplained(known, targets(cell, classes=True)) < 0.05


def test_noise_is_not_told(known: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    assert unexplained(known, targets(rng.normal(size=1200), classes=False)) == 1.0
    assert unexplained(known, targets(rng.integers(0, 4, 1200), classes=True)) == 1.0


def test_missing_numbers_and_constant_targets(known: np.ndarray) -> None:
    some = known.copy()
    some[::3, 0] = np.nan
    assert unexplained(some, targets(np.isnan(some[:, 0]).astype(int), classes=True)) < 0.01
    assert unexplained(known, np.ones((1200, 1))) == 1.0


def test_ranks_and_classes() -> None:
    assert targets(np.array([5.0, 1.0, 1.0, 9.0]), classes=False)[:, 0].tolist() == [0.625, 0.25, 0.25, 0.875]
    assert targets(np.array([2, 2, 7]), classes=True).tolist() == [[1, 0], [1, 0], [0, 1]]
