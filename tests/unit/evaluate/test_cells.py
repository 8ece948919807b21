"""The share of (risk group, day) cells in which a forecast is as close to the truth as chance allows."""

from dataclasses import replace

import numpy as np
import pytest

from whenbuy.core.errors import NotEnoughDataError, WhenbuyError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.evaluate.cells import cells, curve_cells

GRID = np.array([1.0, 7.0, 28.0])


def curves(rate: np.ndarray, grid: np.ndarray = GRID) -> TimeToEvent:
    n = len(rate)
    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of(f"u{i}" for i in range(n)))
    return TimeToEvent.of(keys, grid, np.exp(-rate[:, None] * grid[None, :]), None, "made")


def rates(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.linspace(0.001, 0.1, n))


def test_the_truth_passes_everywhere() -> None:
    assert curve_cells(curves(rates()), curves(rates())) == 1.0
    assert cells(curves(rates()), curves(rates())).shape == (20, 3)


def test_a_forecast_on_a_finer_grid_is_read_at_the_days_of_the_truth() -> None:
    assert curve_cells(curves(rates(), np.arange(1, 57.0)), curves(rates())) == 1.0


def test_the_edge_lies_at_two_binomial_errors() -> None:
    p, n = 0.2, 100
    truth = curves(np.full(n, -np.log(1 - p)), np.array([1.0]))
    error = np.sqrt(p * (1 - p) / n)
    for distance, passes in ((1.99, 1.0), (-1.99, 1.0), (2.01, 0.0), (-2.01, 0.0)):
        said = curves(np.full(n, -np.log(1 - p - distance * error)), np.array([1.0]))
        assert curve_cells(said, truth, groups=1) == passes


def test_groups_follow_the_true_risk_and_not_the_forecast() -> None:
    truth = curves(rates())
    same_mean = curves(np.full(400, rates().mean()))
    passed = cells(same_mean, truth)
    assert not passed[0, -1]
    assert not passed[-1, -1]
    assert passed[10, 0]


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    truth, said = curves(rates(107)), curves(rates(107) * rng.lognormal(0.1, 0.3, 107))
    order = sorted(range(107), key=lambda i: 1 - truth.survival[i, -1])
    sizes = [6] * 7 + [5] * 13
    passed, at = [], 0
    for size in sizes:
        rows = order[at : at + size]
        at += size
        for day in range(3):
            mean = sum(1 - truth.survival[i, day] for i in rows) / size
            mine = sum(1 - said.survival[i, day] for i in rows) / size
            passed.append(abs(mine - mean) <= 2 * (mean * (1 - mean) / size) ** 0.5)
    assert curve_cells(said, truth) == pytest.approx(np.mean(passed))


def test_other_keys_are_refused() -> None:
    truth = curves(rates())
    with pytest.raises(WhenbuyError, match="other keys"):
        curve_cells(truth.take(slice(0, 100)), truth)
    later = replace(truth, keys=replace(truth.keys, cutoff=truth.keys.cutoff + 1))
    with pytest.raises(WhenbuyError, match="other keys"):
        curve_cells(later, truth)
    backwards = np.arange(len(truth))[::-1].copy()
    with pytest.raises(WhenbuyError, match="other keys"):
        curve_cells(truth.take(backwards), truth)


def test_too_few_keys_are_refused() -> None:
    few = curves(rates(19))
    with pytest.raises(NotEnoughDataError, match="19 curves"):
        curve_cells(few, few)
