"""The value of a policy from the log of another, and the difference that chance decided."""

import numpy as np
import pytest

from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.evaluate.adjusted import difference
from whenbuy.evaluate.off_policy import crossed, off_policy


def world(rng, n=2000, rare=False):
    """Decisions of a policy that leans, the probabilities of another, rewards, and the truth."""
    x, arms = rng.random(n), 4
    mean = (0.01 if rare else 0.3) * (1 + np.outer(x, np.arange(arms)))
    log = np.tile([0.55, 0.25, 0.15, 0.05], (n, 1))
    new = np.tile([0.1, 0.2, 0.3, 0.4], (n, 1))
    arm = (rng.random(n)[:, None] > np.cumsum(log, axis=1)).sum(axis=1)
    rows = np.arange(n)
    reward = (rng.random(n) < mean[rows, arm]).astype(float) if rare else mean[rows, arm] + rng.normal(0, 0.3, n)
    said, of_new = 0.9 * mean[rows, arm], 0.9 * (new * mean).sum(axis=1)
    return reward, log[rows, arm], new[rows, arm], said, of_new, (new * mean).sum(axis=1).mean()


@pytest.mark.parametrize("rare", [False, True])
def test_intervals_cover_and_estimates_are_right(rare):
    rng = np.random.default_rng(0)
    found, hits, width = {}, {}, {}
    for _ in range(250):
        reward, propensity, target, said, of_new, truth = world(rng, 600, rare)
        for one in off_policy(reward, propensity, target, said=said, said_of_target=of_new):
            found.setdefault(one.name, []).append(one.value - truth)
            hits.setdefault(one.name, []).append(one.low <= truth <= one.high)
            width.setdefault(one.name, []).append(one.high - one.low)
    assert set(found) == {"ips", "snips", "dr"}
    for name, errors in found.items():
        assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(250) + 1e-3, name
        assert 0.91 <= np.mean(hits[name]) <= 1.0, name
    assert rare or np.std(found["dr"]) < np.std(found["ips"])
    assert np.median(width["ips"]) < 8 * np.std(found["ips"])


def test_on_its_own_log_a_policy_is_worth_its_mean():
    reward = np.random.default_rng(1).random(50)
    same = np.full(50, 0.3)
    ips, snips = off_policy(reward, same, same)
    assert ips.value == pytest.approx(reward.mean()) == pytest.approx(snips.value)
    assert ips.effective == pytest.approx(50)
    assert ips.low < ips.value < ips.high
    assert ips.note.startswith("worth 50")


def test_no_reward_at_all_has_an_upper_end():
    ips, _ = off_policy(np.zeros(1000), np.full(1000, 0.5), np.full(1000, 0.5))
    assert ips.value == ips.low == 0
    assert 0.003 < ips.high < 0.005


def test_what_cannot_be_judged_is_refused():
    one = np.ones(3)
    with pytest.raises(UsageError, match="Propensities"):
        off_policy(one, one * 0, one)
    with pytest.raises(UsageError, match="rewards"):
        off_policy(one, one, np.ones(2))
    with pytest.raises(NotEnoughDataError, match="would have taken 0"):
        off_policy(one, one, one * 0)


def test_nobody_is_asked_of_what_was_learned_from():
    seen = []

    def fit(rows):
        def say(others):
            seen.append(not set(rows) & set(others))
            return np.full(len(others), float(len(rows)))

        return say

    said = crossed(fit, 10, 3, np.random.default_rng(0))
    assert all(seen)
    assert len(seen) == 3
    assert set(said) <= {6.0, 7.0}


def test_what_came_before_narrows_the_interval_and_does_not_move_it():
    rng = np.random.default_rng(4)
    plain, adjusted, hits = [], [], []
    for _ in range(200):
        before = rng.gamma(1, 1, (400, 2))
        treated = rng.random(400) < 0.8
        outcome = before @ [1.0, 0.5] + rng.normal(0, 0.4, 400) + 0.3 * treated
        one, bare = difference(outcome, treated, before), difference(outcome, treated, np.zeros((400, 1)))
        plain.append(bare.high - bare.low)
        adjusted.append(one.high - one.low)
        hits.append(one.low <= 0.3 <= one.high)
    assert np.mean(adjusted) < 0.6 * np.mean(plain)
    assert 0.9 <= np.mean(hits) <= 0.99
    bare = difference(outcome, treated, np.zeros((400, 1)))
    assert bare.value == pytest.approx(outcome[treated].mean() - outcome[~treated].mean())
    with pytest.raises(NotEnoughDataError):
        difference(np.ones(3), np.array([True, True, False]), np.ones((3, 1)))
