"""Every family keeps the promises of its protocol; the compiled ones equal their slow twins."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.series.panels import made, random_panel
from whenbuy.models.series.autoregressive import Autoregression
from whenbuy.models.series.boosted import Boosted
from whenbuy.models.series.floors import MovingAverage, Naive, SeasonalNaive
from whenbuy.models.series.intermittent import Intermittent
from whenbuy.models.series.lags import lags
from whenbuy.models.series.smoothing import Smoothing, pooled_profile
from whenbuy.models.trees import Boosting

FEW = settings(max_examples=10, deadline=None)
FAMILIES = (
    Naive(), SeasonalNaive(), MovingAverage(28), Smoothing("a"), Smoothing("b", "damped", seasonal=True),
    Smoothing("c", "half drift", seasonal=True), Autoregression(2), Autoregression(4), Intermittent("croston"), Intermittent("sba"),
    Intermittent("tsb"), Boosted(Boosting("tweedie", trees=15, leaves=6, min_leaf=20, feature_fraction=0.5)),
)  # fmt: skip


def rolled(family, panel, origins, horizon):
    return family.learn(panel, np.asarray(origins), horizon)(np.arange(len(panel)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("step_days", [1, 7])
def test_a_family_keeps_its_promises(family, step_days):
    panel, origins = random_panel(3, 12, 110, step_days=step_days), np.array([82, 96, 110])
    told = rolled(family, panel, origins, 9)
    assert told.shape == (12, 3, 9)
    assert (told[np.isfinite(told)] >= 0).all()
    assert np.isfinite(told).all()
    again = family.learn(panel, origins, 9)(np.array([7, 2]))
    np.testing.assert_array_equal(again, told[[7, 2]])
    changed = panel.values.copy()
    changed[:, 82:] = 1e6
    np.testing.assert_array_equal(rolled(family, replace(panel, values=changed), origins, 9)[:, 0], told[:, 0])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_odd_series_have_an_answer(family):
    never, one, dead = np.zeros(30), np.eye(30)[10] * 5, np.r_[np.full(10, 4.0), np.zeros(20)]
    unknown = np.r_[np.full(15, 2.0), np.full(15, np.nan)]
    told = rolled(family, made([never, one, dead, unknown]), [30], 60)
    known = np.isfinite(told)
    assert known.all() or isinstance(family, Boosted)
    assert (told[known] >= 0).all()
    assert not told[0][known[0]].any()


def test_where_there_is_too_little_to_learn_trees_are_silent():
    assert np.isnan(rolled(Boosted(), random_panel(0, 3, 12), [12], 7)).all()


def test_trees_learn_what_all_series_share():
    rng = np.random.default_rng(0)
    calendar = {"offers": np.zeros((141, 14))}
    on = rng.random(155) < 0.3
    for s in range(141):
        calendar["offers"][s] = on[s : s + 14]
    values = rng.poisson(10 * np.where(on[:140], 2.0, 1.0), (40, 140))
    panel = made(values, calendar=calendar)
    told = rolled(Boosted(Boosting("tweedie", trees=100, min_leaf=50, feature_fraction=1.0)), panel, [140], 14)[:, 0].mean(axis=0)
    ahead = on[140:154]
    assert told[ahead].mean() > 1.6 * told[~ahead].mean()


# ------------------------------------------------------------------------------------- the slow twins


@FEW
@given(seed=st.integers(0, 10_000), step_days=st.sampled_from([1, 7]))
def test_floors_equal_their_slow_twins(seed, step_days):
    panel = random_panel(seed, 6, 40, gaps=0.3, step_days=step_days)
    for family, season in ((Naive(), 1), (SeasonalNaive(), panel.season)):
        told = rolled(family, panel, [5, 23, 40], 10)
        for i in range(6):
            for j, origin in enumerate((5, 23, 40)):
                for k in range(10):
                    back = [origin - season * b + k % season for b in range(1, 41)][: 41 if season == 1 else 9]
                    values = [panel.values[i, s] for s in back if s >= panel.first[i] and np.isfinite(panel.values[i, s])]
                    assert told[i, j, k] == (values[0] if values else 0.0)
    told = rolled(MovingAverage(21), panel, [5, 23, 40], 2)
    window = 21 // panel.step_days
    for i in range(6):
        for j, origin in enumerate((5, 23, 40)):
            part = panel.values[i, max(origin - window, panel.first[i]) : origin]
            wanted = np.nanmean(part) if np.isfinite(part).any() else 0.0
            assert told[i, j] == pytest.approx([wanted, wanted], rel=1e-5)


def slow_intermittent(y, rates, way):
    best = None
    for rate in rates:
        size, rest, since, error = None, None, 0, 0.0
        for value in y[np.isfinite(y)]:
            since += 1
            if size is not None:
                told = size * rest if way == "tsb" else size / rest * (1 - rate / 2 if way == "sba" else 1)
                error = 0.995 * error + (value - told) ** 2
                if way == "tsb":
                    rest += rate * ((value > 0) - rest)
            if value > 0:
                if size is None:
                    size, rest = value, (1.0 if way == "tsb" else since)
                else:
                    size += rate * (value - size)
                    rest += rate * (since - rest) if way != "tsb" else 0
                since = 0
        told = 0.0 if size is None else size * rest if way == "tsb" else size / rest * (1 - rate / 2 if way == "sba" else 1)
        if best is None or error < best[0]:
            best = (error, told)
    return best[1]


@FEW
@given(seed=st.integers(0, 10_000), way=st.sampled_from(["croston", "sba", "tsb"]))
def test_intermittent_equals_its_slow_twin(seed, way):
    panel = random_panel(seed, 5, 50)
    told = rolled(Intermittent(way), panel, [20, 50], 3)
    for i in range(5):
        for j, origin in enumerate((20, 50)):
            y = panel.values[i, panel.first[i] : origin].astype(float)
            assert told[i, j, 0] == pytest.approx(slow_intermittent(y, (0.05, 0.1, 0.2), way), rel=1e-5, abs=1e-6)


def slow_factors(y, first, season, profile, memory):
    out = np.ones((len(y) + 1, season))
    for s in range(first, len(y) + 1):
        if season == 1:
            continue
        total, count = np.zeros(season), np.zeros(season)
        age = 0
        for b in range(s - 1, first - 1, -1):
            if np.isfinite(y[b]):
                total[b % season] += memory**age * y[b]
                count[b % season] += memory**age
                age += 1
        mean = total.sum() / count.sum() if count.sum() else 0.0
        out[s] = (total / mean + 6.0 * profile[s]) / (count + 6.0) if mean > 0 else profile[s]
    return out


def slow_smooth(y, first, origins, horizon, season, profile, combos, lag, damping, memory, drift):
    """Forecasts from each origin: states by the textbook recursion, the rates by the errors so far."""
    factor = slow_factors(y, first, season, profile, memory)
    states = []
    for alpha, beta in combos:
        level, slope, now, trend, count = {}, {}, 0.0, 0.0, 0
        for s in range(first, len(y) + 1):
            level[s], slope[s] = now, trend
            if s == len(y) or not np.isfinite(y[s]) or factor[s, s % season] < 0.1:
                continue
            count += 1
            rate, x, before = max(alpha, 1 / count), y[s] / factor[s, s % season], now
            now = rate * x + (1 - rate) * (now + damping * trend)
            trend = (1 - beta) * damping * trend + beta * (now - before) if beta and count > 2 * season else trend
        states.append((level, slope))
    told = []
    for origin in origins:
        if origin <= first:
            told.append(np.zeros(horizon))
            continue
        errors = []
        for level, slope in states:
            error = 0.0
            for s in range(first + season + lag, origin):
                if np.isfinite(y[s]):
                    ahead = level[s - lag + 1] + slope[s - lag + 1] * sum(damping**e for e in range(1, lag + 1))
                    error = error * memory + abs(y[s] - max(ahead, 0) * factor[s, s % season])
            errors.append(error)
        level, slope = states[int(np.argmin(errors))]
        known = [s for s in range(first, origin) if np.isfinite(y[s])]
        x = [y[s] / f if (f := factor[s, s % season]) > 0.1 else y[s] for s in known]
        rise = 0.5 * np.polyfit(known, x, 1)[0] if drift and len(known) > 2 else 0.0
        grown = [rise * (k + 1) if drift else slope[origin] * sum(damping**e for e in range(1, k + 2)) for k in range(horizon)]
        told.append([max(level[origin] + grown[k], 0) * factor[origin, (origin + k) % season] for k in range(horizon)])
    return np.array(told)


@FEW
@given(seed=st.integers(0, 10_000), trend=st.sampled_from(["none", "damped", "half drift"]), step_days=st.sampled_from([1, 7]))
def test_smoothing_equals_its_slow_twin(seed, trend, step_days):
    panel, origins, horizon = random_panel(seed, 4, 50, step_days=step_days), (3, 30, 50), 8
    told = rolled(Smoothing("x", trend, seasonal=True), panel, origins, horizon)
    season = panel.season
    profile = pooled_profile(panel, season)
    combos = [(a, b) for a in (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6) for b in ((0.02, 0.1) if trend == "damped" else (0.0,))]
    lag = max(1, min(horizon, 28 // step_days) // 2)
    for i in range(4):
        wanted = slow_smooth(
            panel.values[i].astype(float), int(panel.first[i]), origins, horizon, season, profile, combos, lag,
            0.9 ** (step_days / 7), 0.97 ** (1 / season), trend == "half drift",
        )  # fmt: skip
        np.testing.assert_allclose(told[i], wanted, rtol=2e-4, atol=2e-4)


def test_the_pooled_week_is_that_of_the_series_so_far():
    panel = random_panel(1, 30, 70, gaps=0.0)
    profile = pooled_profile(panel, 7)
    assert profile[-1].argmax() == 5
    assert profile[-1].mean() == pytest.approx(1.0)
    later = panel.values.copy()
    later[:, 50:] = 0
    np.testing.assert_array_equal(pooled_profile(replace(panel, values=later), 7)[:51], profile[:51])


@FEW
@given(seed=st.integers(0, 10_000), order=st.integers(1, 5))
def test_autoregression_equals_its_slow_twin(seed, order):
    panel = random_panel(seed, 4, 60)
    told, profile = rolled(Autoregression(order), panel, [25, 60], 6), pooled_profile(panel, 7)
    for i in range(4):
        for j, origin in enumerate((25, 60)):
            place = np.arange(panel.first[i], origin)
            if not len(place):
                assert not told[i, j].any()
                continue
            factor = profile[place, place % 7]
            x = np.where(factor > 0.1, panel.values[i, place] / np.maximum(factor, 0.1), np.nan)
            mean = np.nanmean(x)
            x = np.where(x > 8 * mean, 8 * mean, x)
            mean = np.nanmean(x)
            x = np.nan_to_num(x - mean, nan=0.0)
            weights = np.zeros(order)
            if len(x) >= 2 * order + 2:
                seen = np.stack([x[order - 1 - p : len(x) - 1 - p] for p in range(order)], axis=1)
                square = seen.T @ seen
                usual = np.trace(square) / order + 1e-9
                ridge = np.eye(order) * (4.0 * usual / (len(x) - order) + 1e-9 * usual)
                weights = np.linalg.solve(square + ridge, seen.T @ x[order:])
            latest, wanted = [*x[::-1][:order], *[0.0] * (order - len(x[:order]))], []
            for k in range(6):
                latest = [float(np.clip(weights @ latest, x.min(), x.max())), *latest[:-1]]
                wanted.append(max(latest[0] + mean, 0) * profile[origin, (origin + k) % 7])
            np.testing.assert_allclose(told[i, j], wanted, rtol=2e-3, atol=2e-4)


def test_an_autoregression_of_a_few_steps_does_not_grow_without_end():
    growing = made([1.2 ** np.arange(24)], step_days=7)
    for order in (2, 4, 8):
        assert rolled(Autoregression(order), growing, [24], 60).max() <= growing.values.max()


@FEW
@given(seed=st.integers(0, 10_000), step_days=st.sampled_from([1, 7]))
def test_lags_equal_their_slow_twin(seed, step_days):
    panel = random_panel(seed, 4, 420 if step_days == 1 else 60, step_days=step_days)
    season, origins, steps = panel.season, np.array([30, panel.steps]), np.array([0, 3, 8])
    profile = pooled_profile(panel, season)
    seen = lags(panel, np.arange(4), origins, steps, profile)
    rows = iter(range(len(seen.values)))
    span, year = 56 // step_days, 364 // step_days
    windows = [max(days // step_days, 1) for days in (7, 14, 28, 56, 91, 182)]
    for i in range(4):
        y, first = panel.values[i].astype(float), int(panel.first[i])

        def mean(begin, end, y=y):
            part = y[max(begin, 0) : max(end, 0)]
            return np.nanmean(part) if np.isfinite(part).any() else np.nan

        for origin in origins:
            for k in steps:
                row = next(rows)
                if origin <= first:
                    assert seen.size[row] == 0
                    continue
                recent = y[max(origin - span, first) : origin]
                known = max(1, min(span, origin - first))
                base = np.nan_to_num(mean(max(origin - span, first), origin))
                unit = (base * known + 0.1) / (known + 1)
                good = recent[np.isfinite(recent)]
                silent = 0
                while silent < origin - first and not y[origin - 1 - silent] > 0:
                    silent += 1
                own = [
                    np.log(unit), (good == 0).mean() if len(good) else np.nan, silent, np.log(1 + origin - first),
                    ((good / unit - 1) ** 2).mean() if len(good) else np.nan,
                ]  # fmt: skip
                own += [mean(max(origin - w, first), origin) / unit for w in windows]
                own += [
                    mean(max(origin - (lag + 1) * season, first), origin - lag * season) / unit
                    if origin - 1 - lag * season >= first else np.nan
                    for lag in range(4)
                ]  # fmt: skip
                np.testing.assert_allclose(seen.values[row, : len(own)], own, rtol=1e-3, atol=1e-5)
                same = [y[s] for s in range(origin - season + k % season, first - 1, -season) if np.isfinite(y[s])][:6]
                ahead = [k, np.mean(same) / unit if same else np.nan, profile[origin, (origin + k) % season]]
                last, reach, wide = origin + k - year, (3 if season > 1 else 1), (26 if season > 1 else 3)
                yearly = np.nan
                if first <= last < origin:
                    around = mean(max(last - wide, first), min(last + wide, origin))
                    if around > 0:
                        yearly = mean(max(last - reach, first), min(last + reach + 1, origin)) / around
                np.testing.assert_allclose(seen.values[row, len(own) : len(own) + 4], [*ahead, yearly], rtol=1e-3, atol=1e-5)
                assert seen.size[row] == pytest.approx(unit, rel=1e-5)
                came = y[origin + k] / unit if origin + k < panel.steps else np.nan
                np.testing.assert_allclose(seen.target[row], came, rtol=1e-4)
