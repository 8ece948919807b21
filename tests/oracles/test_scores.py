"""Our scores against scikit-learn, scipy, lifelines and slow loops that follow the definitions word by word."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    precision_recall_curve,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount, Classes, TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.evaluate.amount import amount_measures
from whenbuy.evaluate.bootstrap import draws
from whenbuy.evaluate.classes import class_measures
from whenbuy.evaluate.measure import Measure
from whenbuy.evaluate.probability import probability_measures
from whenbuy.evaluate.scores import compare
from whenbuy.evaluate.when import concordance, curve_measures


def values(measures: tuple[Measure, ...]) -> dict[str, float]:
    return {measure.name: measure.value() for measure in measures}


def keys(n: int, users: int | None = None) -> Keys:
    names = Dictionary.of(f"u{i}" for i in range(users or n))
    return Keys("user", (np.arange(n) % len(names)).astype(np.int32), np.full(n, 17_000 * DAY, np.int64), names)


def some_probabilities(seed: int, n: int = 999, ties: bool = False):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 2, n)
    p = np.round(p, 1) if ties else p
    return rng.random(n) < p, p


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_as_scikit_learn_scores_them(seed, ties):
    y, p = some_probabilities(seed, ties=ties)
    found = values(probability_measures(y, p))
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    precision, recall, _ = precision_recall_curve(y, kept)
    with np.errstate(invalid="ignore"):
        best = np.nanmax(2 * precision * recall / (precision + recall))
    expected = {
        "auc": roc_auc_score(y, kept),
        "pr_auc": average_precision_score(y, kept),
        "logloss": log_loss(y, kept),
        "brier": brier_score_loss(y, kept),
        "accuracy": np.mean((kept >= 0.5) == y),
        "precision": precision_score(y, kept >= 0.5),
        "recall": recall_score(y, kept >= 0.5),
        "f1": f1_score(y, kept >= 0.5),
        "f1_best_threshold": best,
        "bias": kept.sum() / y.sum(),
        "base_rate": y.mean(),
        "mean_probability": kept.mean(),
        "ece": slow_ece(y, kept),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("threshold", [0.1, 0.35])
def test_a_threshold_counts_as_scikit_learn_counts(threshold):
    y, p = some_probabilities(4, ties=True)
    found = values(probability_measures(y, p, threshold=threshold))
    told = np.clip(p, 1e-6, 1 - 1e-6) >= threshold
    assert found["accuracy"] == pytest.approx(np.mean(told == y))
    assert found["precision"] == pytest.approx(precision_score(y, told))
    assert found["recall"] == pytest.approx(recall_score(y, told))
    assert found["f1"] == pytest.approx(f1_score(y, told))


@pytest.mark.parametrize("seed", range(3))
def test_classes_as_scikit_learn_scores_them(seed):
    """Macro means over the classes, and the precision of the three likeliest among buyers; rows without a closed window do not count."""
    rng = np.random.default_rng(seed)
    n, k = 400, 7
    chance = np.round(rng.beta(0.5, 3, (n, k)), 2)
    came = (rng.random((n, k)) < chance).astype(float)
    came[:, 5], came[:, 6] = 0.0, 1.0  # nobody and everybody: no area
    observed = rng.random(n) < 0.9
    answer = Classes(keys(n), tuple("abcdefg"), chance, 7.0, "classes")
    found = values(class_measures(answer, Labels(came, observed, answer.keys.cutoff)))
    y, p = came[observed], np.clip(chance[observed], 1e-6, 1 - 1e-6)
    top = np.argsort(-chance[observed], axis=1, kind="stable")[:, :3]
    buyers = y.any(axis=1)
    expected = {
        "auc": np.mean([roc_auc_score(y[:, i], p[:, i]) for i in range(5)]),
        "pr_auc": np.mean([average_precision_score(y[:, i], p[:, i]) for i in range(5)]),
        "precision_at_3": np.take_along_axis(y, top, 1)[buyers].mean(),
        "logloss": log_loss(y.ravel(), p.ravel()),
        "brier": brier_score_loss(y.ravel(), p.ravel()),
        "ece": slow_ece(y.ravel(), p.ravel()),
        "bias": p.sum() / y.sum(),
        "base_rate": y.mean(),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-3 if name == "ece" else 1e-12), name  # bins may differ by a row


def slow_ece(y, p, bins=10):
    order = np.argsort(p, kind="stable")
    return sum(len(part) * abs(y[part].mean() - p[part].mean()) for part in np.array_split(order, bins)) / len(p)


def slow_concordance(days, observed, risk):
    right = pairs = 0.0
    for i in range(len(days)):
        for j in range(len(days)):
            if observed[i] and days[i] < days[j]:
                pairs += 1
                right += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return right / pairs


@pytest.mark.parametrize("seed", range(5))
def test_concordance_is_the_slow_loop(seed):
    rng = np.random.default_rng(seed)
    n = 150
    days, risk = rng.integers(0, 20, n).astype(float), rng.integers(0, 9, n).astype(float)
    observed = rng.random(n) < 0.6
    assert concordance(days, observed, risk) == pytest.approx(slow_concordance(days, observed, risk), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_weights_count_like_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    days, risk = rng.integers(0, 9, 60).astype(float), rng.integers(0, 5, 60).astype(float)
    observed, weight = rng.random(60) < 0.5, rng.integers(0, 4, 60)
    rows = np.repeat(np.arange(60), weight)
    assert concordance(days, observed, risk, weight.astype(float)) == pytest.approx(
        slow_concordance(days[rows], observed[rows], risk[rows]), abs=1e-12
    )


@pytest.mark.filterwarnings("ignore")  # lifelines meets newer pandas
def test_concordance_as_lifelines_counts_it_without_ties():
    from lifelines.utils import concordance_index

    rng = np.random.default_rng(1)
    days, risk, observed = rng.exponential(10, 500), rng.normal(size=500), rng.random(500) < 0.7
    assert concordance(days, observed, risk) == pytest.approx(concordance_index(days, -risk, observed), abs=1e-12)


def curve_case(seed: int, n: int = 200) -> tuple[TimeToEvent, Labels]:
    """Exponential curves; each row watched for its own number of days, some for less than a day."""
    rng = np.random.default_rng(seed)
    rate, grid = rng.gamma(2, 0.04, n), np.arange(1.0, 41.0)
    survival = np.exp(-rate[:, None] * grid)
    curves = TimeToEvent.of(keys(n), grid, survival, rate[:, None] * grid, "exponential")
    when, watched = rng.exponential(1 / rate), np.where(rng.random(n) < 0.6, 28.0, rng.uniform(0, 30, n))
    observed = when < watched
    end = curves.keys.cutoff + np.round(watched * DAY).astype(np.int64)
    return curves, Labels(np.where(observed, when, watched), observed, end)


@pytest.mark.parametrize("seed", range(3))
def test_curves_are_scored_by_the_definitions(seed):
    curves, labels = curve_case(seed)
    found = values(curve_measures(curves, labels, (7, 28)))
    watched = (labels.end - curves.keys.cutoff) / DAY
    squares, cells, miss, late, rows = 0.0, 0, 0.0, 0.0, 0
    median = curves.quantile(0.5)
    for i in range(len(curves)):
        for day in range(1, 29):
            if day <= watched[i] + 1e-9:  # a cell that censoring cuts is dropped for survivors and for events
                came = labels.observed[i] and labels.value[i] < day
                squares += (curves.probability(float(day))[i] - came) ** 2
                cells += 1
        if watched[i] >= 28 - 1e-9:
            truth = min(labels.value[i], 28.0) if labels.observed[i] else 28.0
            guess = 28.0 if np.isnan(median[i]) else min(median[i], 28.0)
            miss, late, rows = miss + abs(guess - truth), late + guess - truth, rows + 1
    assert found["ibs_28d"] == pytest.approx(squares / cells, abs=1e-12)
    assert found["mae_28d"] == pytest.approx(miss / rows, abs=1e-9)
    assert found["bias_days_28d"] == pytest.approx(late / rows, abs=1e-9)
    risk = np.mean([curves.probability(float(day)) for day in range(1, 29)], axis=0)
    assert found["c_index"] == pytest.approx(slow_concordance(labels.value, labels.observed, risk), abs=1e-12)
    seen = watched >= 7 - 1e-9
    assert found["auc_7d"] == pytest.approx(roc_auc_score((labels.observed & (labels.value < 7))[seen], curves.probability(7.0)[seen]))


def test_coverage_of_a_true_curve_is_its_promise_in_clock_logs_day_logs_and_under_censoring():
    curves, labels = curve_case(7, n=20_000)
    exact = values(curve_measures(curves, labels, (28,)))["coverage_80"]
    in_days = Labels(np.where(labels.observed, np.floor(labels.value), labels.value), labels.observed, labels.end)
    by_day = values(curve_measures(curves, in_days, (28,)))["coverage_80"]
    assert exact == pytest.approx(0.8, abs=0.01)
    assert by_day == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_amounts_as_scikit_learn_and_scipy_score_them(seed):
    rng = np.random.default_rng(seed)
    n = 300
    y, observed = np.round(rng.gamma(2, 10, n)), rng.random(n) < 0.8
    mean, levels = np.round(rng.gamma(5, 5, n)), np.array([0.1, 0.5, 0.9])
    quantiles = np.sort(rng.gamma(2, 10, (n, 3)), axis=1)
    amount = Amount(keys(n), mean, levels, quantiles, "amounts")
    found = values(amount_measures(amount, Labels(y, observed, amount.keys.cutoff)))
    y, mean, q = y[observed], mean[observed], quantiles[observed]
    expected = {
        "amount_mae": mean_absolute_error(y, q[:, 1]),
        "amount_rmse": np.sqrt(np.mean((y - mean) ** 2)),
        "amount_mse": np.mean((y - mean) ** 2),
        "amount_r2": r2_score(y, mean),
        "amount_bias": mean.sum() / y.sum(),
        "amount_spearman": spearmanr(y, mean).statistic,
        "amount_pinball_p10": mean_pinball_loss(y, q[:, 0], alpha=0.1),
        "amount_pinball_p50": mean_pinball_loss(y, q[:, 1], alpha=0.5),
        "amount_pinball_p90": mean_pinball_loss(y, q[:, 2], alpha=0.9),
        "amount_coverage_80": np.mean((y >= q[:, 0]) & (y <= q[:, 2])),
        "amount_width_80": np.mean(q[:, 2] - q[:, 0]),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-10), name


def test_every_draw_is_the_score_of_the_resampled_rows():
    """The fast bootstrap (sums and weights) against taking the rows of the drawn users and scoring them anew."""
    curves, labels = curve_case(3, n=120)
    users = np.arange(120) % 40
    measures = curve_measures(curves, labels, (7, 28))
    found = draws(measures, users, 25, np.random.default_rng(5), slow_rounds=25)
    picked = np.random.default_rng(5).integers(0, 40, (25, 40))
    names = [measure.name for measure in measures]
    for r in range(25):
        rows = np.concatenate([np.flatnonzero(users == user) for user in np.sort(picked[r])])
        again = values(curve_measures(curves.take(rows), labels.take(rows), (7, 28)))
        for name, drawn in zip(names, found, strict=True):
            tied = name.startswith("ece")  # repeated rows may fall on either side of a bin's edge
            assert drawn[r] == pytest.approx(again[name], abs=0.03 if tied else 1e-10, nan_ok=True), name


def test_every_draw_of_a_slice_and_of_classes_is_the_score_of_the_resampled_rows():
    rng = np.random.default_rng(0)
    curves, labels = curve_case(3, n=120)
    users, inside = np.arange(120) % 40, rng.random(120) < 0.5
    chance = rng.random((120, 4))
    answer = Classes(curves.keys, tuple("abcd"), chance, 7.0, "classes")
    came = Labels((rng.random((120, 4)) < chance).astype(float), np.ones(120, bool), curves.keys.cutoff)
    whole = [*curve_measures(curves, labels, (7,)), *class_measures(answer, came)]
    found = draws([measure.among(inside) for measure in whole], users, 15, np.random.default_rng(5), slow_rounds=15)
    picked = np.random.default_rng(5).integers(0, 40, (15, 40))
    for r in range(15):
        rows = np.concatenate([np.flatnonzero((users == user) & inside) for user in np.sort(picked[r])])
        again = [*curve_measures(curves.take(rows), labels.take(rows), (7,)), *class_measures(answer.take(rows), came.take(rows))]
        for measure, drawn, other in zip(whole, found, again, strict=True):
            if not measure.name.startswith("ece"):  # the bins of few rows fall differently
                assert drawn[r] == pytest.approx(other.value(), abs=1e-10, nan_ok=True), measure.name


def test_the_interval_of_a_difference_covers_as_it_says():
    """Two forecasts of equal quality: about 5 of 100 intervals of their paired difference exclude 0."""
    excluded = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n = 400
        rate, truth = rng.gamma(4, 0.02, n), rng.gamma(4, 0.02, n)
        when = rng.exponential(1 / rng.permuted(np.concatenate([rate, truth]))[:n])  # neither knows
        grid = np.array([7.0])
        a, b = (TimeToEvent.of(keys(n), grid, np.exp(-r[:, None] * grid), None, "m") for r in (rate, truth))
        labels = Labels(np.minimum(when, 7.0), when < 7, a.keys.cutoff + 7 * DAY)
        excluded += compare(a, b, labels, (7,), rounds=200, seed=seed)["brier_7d"].verdict != "no clear difference"
    assert excluded <= 12
