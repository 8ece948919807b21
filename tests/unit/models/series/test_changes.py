"""Changes of level are found where they are, and only there; growth and the week's strength are what was put in."""

import numpy as np
import pytest

from whenbuy.models.series.changes import change_points, growth, season_strength


def slow_partition(y, penalty):
    """Every partition into parts of four steps or more, the cheapest."""
    best = {0: (-penalty, [])}
    for end in range(4, len(y) + 1):
        options = [
            (best[b][0] + float(((y[b:end] - y[b:end].mean()) ** 2).sum()) + penalty, [*best[b][1], b])
            for b in best if end - b >= 4
        ]  # fmt: skip
        if options:
            best[end] = min(options, key=lambda one: one[0])
    return [place for place in best[len(y)][1] if place]


def test_changes_are_found_where_they_are():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(100, 8, 40), rng.normal(160, 8, 30), rng.normal(90, 8, 20)])
    found = change_points(y)
    assert len(found) == 2
    assert abs(found[0] - 40) <= 1
    assert abs(found[1] - 70) <= 1
    false = sum(len(change_points(np.random.default_rng(seed).normal(50, 5, 60))) for seed in range(100))
    assert false <= 10


def test_the_partition_is_the_cheapest_there_is():
    rng = np.random.default_rng(3)
    for _ in range(20):
        y = rng.normal(0, 1, 25) + 3 * (np.arange(25) >= rng.integers(4, 21))
        deviation = np.median(np.abs(np.diff(y) - np.median(np.diff(y)))) / 0.6745 / np.sqrt(2)
        variance = max(deviation**2, 0.05 * np.var(y))
        assert change_points(y).tolist() == slow_partition(y, 3.0 * variance * np.log(25))


def test_short_and_flat_series_have_no_changes():
    for y in (np.zeros(0), np.ones(5), np.zeros(40), np.full(40, 7.0)):
        assert not len(change_points(y))


def test_growth_is_the_slope_over_the_level_with_an_interval_that_holds():
    rng = np.random.default_rng(1)
    y = 100 + 2.0 * np.arange(26)
    assert growth(y)[0] == pytest.approx(2.0 / np.median(y))
    inside = 0
    for _ in range(300):
        noisy = y + rng.normal(0, 15, 26)
        _, low, high = growth(noisy)
        inside += low <= 2.0 / np.median(y) <= high
    assert 0.72 <= inside / 300 <= 0.9
    odd = y.copy()
    odd[10] = 5000
    assert growth(odd)[0] == pytest.approx(growth(y)[0], rel=0.15)
    assert np.isnan(growth(np.ones(4))).all()
    assert np.isnan(growth(np.zeros(30))).all()


def test_the_strength_of_the_week():
    rng = np.random.default_rng(2)
    week = np.tile([0, 0, 1, 2, 5, 9, 0], 20)
    assert season_strength(week + rng.normal(0, 0.1, 140), 7) > 0.95
    assert season_strength(rng.normal(0, 1, 140), 7) < 0.3
    assert np.isnan(season_strength(np.ones(10), 7))
    assert np.isnan(season_strength(np.ones(50), 7))
    assert np.isnan(season_strength(np.ones(50), 1))
