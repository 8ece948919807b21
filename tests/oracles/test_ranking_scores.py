"""Scores of rankings, effects and series against scikit-learn and slow loops that follow the definitions word by word."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from whenbuy.evaluate.ranking import catalogue_measures, ranking_measures
from whenbuy.evaluate.series import mase, seasonal_naive, wape
from whenbuy.evaluate.uplift import profit_measures, uplift_measures


def values(measures):
    return {measure.name: measure.value() for measure in measures}


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("seed", range(3))
def test_rankings_as_scikit_learn_and_slow_loops_score_them(seed, k):
    rng = np.random.default_rng(seed)
    n, items = 60, 30
    ranked = np.stack([rng.permutation(items)[:12] for _ in range(n)])
    taken = [set(rng.choice(items, size=rng.integers(0, 9), replace=False).tolist()) for _ in range(n)]
    owner = np.concatenate([np.full(len(mine), row) for row, mine in enumerate(taken)] * 2).astype(np.int64)  # every pair twice
    item = np.concatenate([np.array(sorted(mine), np.int64) for mine in taken] * 2)
    found = values(ranking_measures(ranked, owner, item, k))
    scores = {name: [] for name in ("recall", "mrr", "hit_rate", "precision", "ndcg")}
    for row, mine in zip(ranked, taken, strict=True):
        if not mine:
            continue
        first = [thing in mine for thing in row[:k].tolist()]
        scores["recall"].append(sum(first) / len(mine))
        scores["mrr"].append(next((1 / place for place, hit in enumerate(first, 1) if hit), 0.0))
        scores["hit_rate"].append(any(first))
        scores["precision"].append(sum(first) / k)
        truth, told = np.zeros(items), np.full(items, -1.0)
        truth[list(mine)] = 1.0
        told[row] = np.arange(12, 0, -1)
        told[told < 0] = -1.0 - np.arange((told < 0).sum())
        keep = np.isin(np.arange(items), row[:k])  # scikit-learn ranks all things; those beyond the list earn nothing here
        best = (1 / np.log2(2 + np.arange(min(k, len(mine))))).sum()
        gain = ndcg_score([truth * keep], [told], k=k) * (1 / np.log2(2 + np.arange(int((truth * keep).sum())))).sum()
        scores["ndcg"].append(gain / best)
    for name, each in scores.items():
        assert found[f"{name}_at_{k}"] == pytest.approx(np.mean(each), abs=1e-12), name


def test_a_whole_ranking_is_scikit_learns_ndcg():
    rng = np.random.default_rng(0)
    told, truth = rng.random((20, 15)), (rng.random((20, 15)) < 0.3).astype(float)
    truth[:, 0] = 1.0
    owner, item = np.nonzero(truth)
    for k in (3, 15):
        found = values(ranking_measures(np.argsort(-told, axis=1), owner, item, k))
        assert found[f"ndcg_at_{k}"] == pytest.approx(ndcg_score(truth, told, k=k), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_coverage_and_diversity_are_the_slow_loops(seed):
    rng = np.random.default_rng(seed)
    ranked = np.stack([rng.permutation(40)[:8] for _ in range(25)])
    ranked[rng.random(ranked.shape) < 0.2] = -1
    group = rng.integers(0, 4, 40).astype(np.int32)
    found = values(catalogue_measures(ranked, 40, group, k=6))
    shown, shares = set(), []
    for row in ranked[:, :6]:
        mine = [thing for thing in row.tolist() if thing >= 0]
        shown |= set(mine)
        pairs = [(a, b) for i, a in enumerate(mine) for b in mine[:i]]
        if pairs:
            shares.append(np.mean([group[a] != group[b] for a, b in pairs]))
    assert found["coverage_at_6"] == pytest.approx(len(shown) / 40)
    assert found["diversity_at_6"] == pytest.approx(np.mean(shares))


def slow_uplift(uplift, treated, outcome):
    order = np.argsort(-uplift, kind="stable")
    n, n_t, n_c, y_t, y_c, gains, areas = len(order), 0, 0, 0.0, 0.0, [], []
    for k, row in enumerate(order, 1):
        if treated[row]:
            n_t, y_t = n_t + 1, y_t + outcome[row]
        else:
            n_c, y_c = n_c + 1, y_c + outcome[row]
        gains.append(y_t - (y_c * n_t / n_c if n_c else 0.0))
        areas.append(((y_t / n_t if n_t else 0.0) - (y_c / n_c if n_c else 0.0)) * k)
    return (np.mean(gains) - gains[-1] / 2) / n, np.mean(areas) / n


@pytest.mark.parametrize("seed", range(4))
def test_qini_and_auuc_are_the_slow_loops(seed):
    rng = np.random.default_rng(seed)
    n = 300
    effect, treated = rng.normal(0.1, 0.2, n), rng.random(n) < 0.6
    outcome = (rng.random(n) < np.clip(0.3 + effect * treated, 0, 1)).astype(float)
    for told in (effect, rng.normal(size=n)):
        qini, auuc = slow_uplift(told, treated, outcome)
        found = values(uplift_measures(told, treated, outcome))
        assert found["qini"] == pytest.approx(qini, abs=1e-12)
        assert found["auuc"] == pytest.approx(auuc, abs=1e-12)
    # a resample by weights is the score of the repeated rows, up to the order among them
    weight = rng.integers(0, 3, n).astype(float)
    rows = np.repeat(np.arange(n), weight.astype(int))
    for measure in uplift_measures(effect, treated, outcome):
        again = values(uplift_measures(effect[rows], treated[rows], outcome[rows]))
        assert measure.statistic.read(weight) == pytest.approx(again[measure.name], abs=1e-12)


def test_people_of_equal_uplift_score_the_same_in_whatever_order():
    rng = np.random.default_rng(0)
    told, treated, outcome = rng.integers(0, 4, 200).astype(float), rng.random(200) < 0.5, rng.random(200)
    shuffled = rng.permutation(200)
    one, other = (
        values(uplift_measures(told, treated, outcome)),
        values(uplift_measures(told[shuffled], treated[shuffled], outcome[shuffled])),
    )
    assert one == pytest.approx(other, abs=1e-12)
    flat = values(uplift_measures(np.zeros(200), treated, outcome))
    assert flat["qini"] == pytest.approx(slow_gain(treated, outcome) / (2 * 200**2), abs=1e-12)  # a straight line, up to its first step


def slow_gain(treated, outcome):
    return outcome[treated].sum() - outcome[~treated].sum() * treated.sum() / (~treated).sum()


def test_the_profit_of_a_policy_is_what_a_trial_of_it_would_earn():
    rng = np.random.default_rng(0)
    n = 200_000
    effect, p = rng.normal(1, 2, n), rng.uniform(0.2, 0.8, n)
    treated, chosen = rng.random(n) < p, effect > 1
    outcome = 10 + rng.normal(size=n) + effect * treated
    found = values(profit_measures(outcome, treated, chosen, p, cost=0.5))
    gain = (effect * chosen).mean()
    assert found["profit"] == pytest.approx(gain - 0.5 * chosen.mean(), abs=0.15)
    assert found["return_on_spend"] == pytest.approx(gain / (0.5 * chosen.mean()), rel=0.1)
    assert found["share_chosen"] == chosen.mean()


@pytest.mark.parametrize("season", [1, 7])
def test_mase_is_the_slow_loop(season):
    rng = np.random.default_rng(season)
    past, truth, told = rng.poisson(5, (4, 30)).astype(float), rng.poisson(5, (4, 14)).astype(float), rng.random((4, 14))
    found = mase(truth, told, past, season)
    for i in range(4):
        scale = sum(abs(past[i, t] - past[i, t - season]) for t in range(season, 30)) / (30 - season)
        assert found[i] == pytest.approx(sum(abs(truth[i, t] - told[i, t]) for t in range(14)) / 14 / scale)
    naive = seasonal_naive(past, 14, season)
    assert all(naive[i, t] == past[i, 30 - season + t % season] for i in range(4) for t in range(14))
    assert wape(truth, told) == pytest.approx(np.abs(truth - told).sum() / truth.sum())
