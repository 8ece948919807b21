import numpy as np

from whenbuy.reasons.importance import dependence, lenders, logloss, permuted
from whenbuy.reasons.shapley import absolute_mean, mean_interval


def test_logloss_is_that_of_the_chance_that_was_given():
    np.testing.assert_allclose(logloss(np.array([0.8, 0.8, 0.0]), np.array([True, False, True])), -np.log([0.8, 0.2, 1e-15]))


def test_only_what_the_forecasts_read_is_missed():
    rng = np.random.default_rng(0)
    score = rng.normal(size=2000)
    came = rng.random(2000) < 1 / (1 + np.exp(-2 * score))

    def forecasts(rows):
        return 1 / (1 + np.exp(-2 * score[rows[:, 0]]))

    rise = permuted(forecasts, came, parts=3, count=2, seed=0)
    mean, low, high = mean_interval(rise)
    assert rise.shape == (2000, 2)
    assert low[0] > 0.3
    assert not rise[:, 1].any()
    assert (low <= mean).all()
    assert (mean <= high).all()


def test_everybody_lends_once_and_to_somebody_else():
    seen = []

    def forecasts(rows):
        seen.append(rows.copy())
        return np.full(len(rows), 0.5)

    permuted(forecasts, np.ones(50, bool), parts=2, count=1, seed=3)
    assert sorted(seen[1][:, 0]) == list(range(50))
    assert (seen[1][:, 0] != np.arange(50)).all()
    np.testing.assert_array_equal(seen[1][:, 1], np.arange(50))


def test_lenders_have_every_value_or_its_quantiles():
    values = np.array([3.0, np.nan, 1.0, 3.0, 2.0])
    assert values[lenders(values)].tolist() == [1.0, 2.0, 3.0]
    many = np.random.default_rng(0).permutation(1000).astype(float)
    found = many[lenders(many)]
    assert len(found) == 20
    assert (found[0], found[-1]) == (0, 999)
    assert (np.diff(found) > 40).all()
    assert len(lenders(np.full(3, np.nan))) == 0


def test_dependence_is_the_mean_over_customers():
    value = np.arange(6.0)
    mean, low, high = dependence(lambda rows: value[rows[:, 0]] + 10 * value[rows[:, 1]], np.array([2, 4]), np.arange(6))
    np.testing.assert_allclose(mean, [27, 29])
    np.testing.assert_allclose(low, [7, 9])
    np.testing.assert_allclose(high, [47, 49])


def test_the_interval_of_a_mean():
    size = np.array([[-1.0], [3.0]])
    mean, low, high = absolute_mean(size)
    assert mean[0] == 2
    np.testing.assert_allclose((high - low) / 2, 1.959964 * np.sqrt(2) / np.sqrt(2))
    assert np.isnan(mean_interval(size[:1])[1]).all()
