"""The pooled hazard: person-periods as a slow loop makes them, weights as others find them, curves as multiplied step by step."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.models.fitting.terms import TYPES as TERMS
from whenbuy.models.when.hazard import TYPES, PooledLogistic

GRID = (0.25, 1.0, 2.0, 7.0, 10.5, 28.0)
AGES = ("recency_days", "tenure_days", "event_recency_days")
COLUMNS = ("recency_days", "tenure_days", "frequency", "event_recency_days", "views_7d")


def silenced(made: Examples) -> Examples:
    """The examples with a silence along which the ages grow and all else stays."""
    aging = np.array([name in AGES for name in made.table.names])

    def silence(days, rows):
        return Table(made.table.names, (made.table.values[rows] + np.outer(days, aging)).astype(np.float32))

    return replace(made, silence=silence)


def drawn(n=300, seed=0, cutoffs=(100, 107), reach=14.0, step=1.0, chance=None) -> Examples:
    """Examples at some cutoffs; who bought lately buys sooner. Labels are censored ``reach`` days after the first cutoff."""
    rng = np.random.default_rng(seed)
    recency = rng.exponential(15, n).round(2)
    columns = {
        "recency_days": recency, "tenure_days": recency + rng.exponential(60, n).round(2), "frequency": rng.poisson(3, n),
        "event_recency_days": recency / 2, "views_7d": rng.poisson(2, n),
    }  # fmt: skip
    day = np.asarray(cutoffs)[rng.integers(0, len(cutoffs), n)]
    made = examples(columns, cutoff_day=day, labels={"purchase": (np.zeros(n), np.zeros(n, bool), 0)})
    wait = rng.geometric(np.full(n, chance) if chance else 1 / (2 + recency)) - rng.random(n)
    watched = np.maximum(min(cutoffs) + reach - day, 0.0)
    end = np.round((day + watched) * DAY).astype(np.int64)
    labels = Labels(np.minimum(wait * step, watched), wait * step < watched, end)
    return silenced(replace(made, labels={"purchase": labels}))


def expanded(made: Examples, step: float, steps: int):
    """The person-periods by a slow loop: (row, step, bought)."""
    label, found = made.label("purchase"), []
    for row in range(len(made)):
        watched = (label.end[row] - made.keys.cutoff[row]) / DAY
        for k in range(steps):
            start, stop = k * step, (k + 1) * step
            if stop > watched + 1e-12:  # the censoring cuts this step: who bought in it counts no more than who did not
                break
            bought = bool(label.observed[row]) and start <= label.value[row] < stop
            found.append((row, k, bought))
            if bought:
                break
    return found


@pytest.mark.parametrize(
    ("step", "reach", "cutoffs"), [(1.0, 14.0, (100, 107)), (1.0, 9.5, (100, 107)), (7.0, 24.0, (100, 121)), (2.0, 30.0, (100,))]
)
def test_person_periods_equal_a_slow_loop(step, reach, cutoffs):
    made = drawn(reach=reach, cutoffs=cutoffs, step=step)
    learner = PooledLogistic(GRID, step, rich=False)
    model = learner.fit(made)
    steps = round((cutoffs[1] - cutoffs[0]) / step) if len(cutoffs) > 1 else round(made.label("purchase").value.max() / step)
    loop = expanded(made, step, steps)
    matrix, bought = learner._person_periods(made, model.terms)
    assert bought.tolist() == [told for _, _, told in loop]
    rows, k = (np.array([line[i] for line in loop]) for i in (0, 1))
    one_by_one = [model.terms.matrix(made.silence(np.array([step * at]), np.array([row])))[0] for row, at in zip(rows, k, strict=True)]
    assert matrix.tolist() == np.array(one_by_one, np.float32).tolist()
    assert 0 < bought.sum() < len(bought)


def test_a_step_that_the_censoring_cuts_is_dropped_for_buyers_and_survivors_alike():
    made = drawn(3)
    cut = Labels(np.array([4.2, 4.5, 3.9]), np.array([True, False, True]), made.keys.cutoff + round(4.5 * DAY))
    made = replace(made, labels={"purchase": cut}, keys=replace(made.keys, cutoff=np.full(3, 100 * DAY)))
    made = replace(made, labels={"purchase": replace(cut, end=made.keys.cutoff + round(4.5 * DAY))})
    _, bought = PooledLogistic(GRID)._person_periods(made, PooledLogistic(GRID, rich=False).fit(drawn()).terms)
    assert bought.tolist() == [False] * 4 + [False] * 4 + [False] * 3 + [True]


@pytest.mark.parametrize("rich", [False, True])
def test_the_weights_are_those_of_scikit_learn_on_the_expanded_table(rich):
    from sklearn.linear_model import LogisticRegression

    made = drawn(500)
    model = PooledLogistic(GRID, rich=rich).fit(made)
    loop = expanded(made, 1.0, 7)
    matrix = model.terms.matrix(made.silence(np.array([float(k) for _, k, _ in loop]), np.array([row for row, _, _ in loop])))
    bought = np.array([told for _, _, told in loop])
    spread = matrix.std(axis=0)
    scaled = (matrix - matrix.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    other = LogisticRegression(C=1.0, solver="lbfgs", max_iter=20_000, tol=1e-10).fit(scaled, bought)
    ours = 1 / (1 + np.exp(-(matrix @ model.weights + model.intercept)))
    np.testing.assert_allclose(ours, other.predict_proba(scaled)[:, 1], atol=2e-5)


def test_without_a_penalty_the_hazards_are_those_of_statsmodels():
    import statsmodels.api as sm

    made = drawn(800)
    model = PooledLogistic(GRID, rich=False, ridge=1e-7).fit(made)
    matrix, bought = model.settings._person_periods(made, model.terms)
    varies = matrix[:, matrix.std(axis=0) > 1e-9]
    scaled = (varies - varies.mean(axis=0)) / varies.std(axis=0)
    other = sm.GLM(bought.astype(float), sm.add_constant(scaled), family=sm.families.Binomial()).fit()
    ours = 1 / (1 + np.exp(-(matrix @ model.weights + model.intercept)))
    np.testing.assert_allclose(ours, other.predict(), atol=1e-4)


@pytest.mark.parametrize("step", [1.0, 7.0])
def test_the_curve_is_the_product_of_the_steps(step):
    model = PooledLogistic(GRID, step).fit(drawn(cutoffs=(100, 128), reach=84.0, step=step))
    asked = drawn(20, seed=5, cutoffs=(200,))
    curves = model.predict(asked)
    for row in range(len(asked)):
        alive, hazards = [1.0], []
        for k in range(int(np.ceil(28 / step))):
            table = asked.silence(np.array([k * step]), np.array([row]))
            hazards.append(1 / (1 + np.exp(-(model.terms.matrix(table)[0] @ model.weights + model.intercept))))
            alive.append(alive[-1] * (1 - hazards[-1]))
        for place, day in enumerate(GRID):
            k = min(int(day / step), len(hazards) - 1)
            share = day / step - k  # within a step the hazard is constant
            assert curves.survival[row, place] == pytest.approx(alive[k] * (1 - hazards[k]) ** share, rel=1e-9)
    np.testing.assert_allclose(curves.mean_count, -np.log(curves.survival), rtol=1e-9)


def test_a_constant_hazard_is_recovered():
    made = drawn(6_000, chance=0.1, reach=21.0, cutoffs=(100,))
    for rich in (False, True):
        curves = PooledLogistic(GRID, rich=rich).fit(made).predict(drawn(50, seed=9, cutoffs=(200,)))
        assert np.median(curves.survival_at(7.0)) == pytest.approx(0.9**7, abs=0.02)
        assert np.median(curves.survival_at(1.0)) == pytest.approx(0.9, abs=0.01)
        assert np.std(curves.survival_at(7.0)) < 0.04


def test_a_hazard_that_sinks_with_recency_is_seen():
    model = PooledLogistic(GRID, rich=False).fit(drawn(3_000))
    values = np.tile(np.array([0, 60, 3, 0, 2], np.float32), (3, 1))
    values[:, 0], values[:, 3] = [1, 10, 40], [0.5, 5, 20]
    asked = drawn(3, cutoffs=(200,))
    asked = silenced(replace(asked, table=Table(COLUMNS, values)))
    chance = model.predict(asked).probability(7.0)
    assert chance[0] > chance[1] > chance[2]


def test_a_sample_depends_on_the_seed_alone():
    made = drawn(2_000)
    one, same, other = (PooledLogistic(GRID, rich=False, max_rows=1_500, seed=seed).fit(made) for seed in (1, 1, 2))
    assert one.weights.tobytes() == same.weights.tobytes()
    assert one.weights.tobytes() != other.weights.tobytes()
    matrix, _ = one.settings._person_periods(made, one.terms)
    assert 1_000 < len(matrix) < 2_000


def test_who_was_never_seen_or_never_bought_gets_a_finite_curve():
    made = drawn(500)
    values = made.table.values.copy()
    values[::7, :2] = np.nan  # seen, but never bought
    made = silenced(replace(made, table=Table(COLUMNS, values)))
    unknown = np.full((2, 5), np.nan, np.float32)
    unknown[0, 3:] = 1.0
    for rich in (False, True):
        model = PooledLogistic(GRID, rich=rich).fit(made)
        curves = model.predict(silenced(replace(drawn(2, cutoffs=(200,)), table=Table(COLUMNS, unknown))))
        assert curves.prior.tolist() == [False, True]
        assert (curves.probability(28.0) > 0).all()


def test_the_curve_beyond_training_stays_a_curve():
    """A year of silence on a model that saw weeks: extrapolated, but monotone and finite (the forecast checks itself)."""
    values = np.array([[400, 2_000, 50, 400, 0], [0, 0, 0, 0, 1e6]], np.float32)
    for rich in (False, True):
        model = PooledLogistic(GRID, rich=rich).fit(drawn(500))
        curves = model.predict(silenced(replace(drawn(2, cutoffs=(200,)), table=Table(COLUMNS, values))))
        assert np.isfinite(curves.survival).all()


@pytest.mark.parametrize(("observed", "value"), [(False, 14.0), (True, 0.0)])
def test_nobody_or_everybody_bought_is_not_enough(observed, value):
    made = drawn(50, cutoffs=(100,))
    label = made.label("purchase")
    every = Labels(np.full(50, value), np.full(50, observed), label.end)
    with pytest.raises(NotEnoughDataError, match=r"Of 5?.* steps of 1 days"):
        PooledLogistic(GRID).fit(replace(made, labels={"purchase": every}))


def test_it_knows_what_it_saw_and_refuses_earlier_cutoffs():
    model = PooledLogistic(GRID, rich=False).fit(drawn(reach=14.0))
    assert model.known_until == 114 * DAY
    with pytest.raises(LeakError):
        model.predict(drawn(5, cutoffs=(113,)))
    assert model.predict(drawn(5, cutoffs=(113,)), in_sample=True).in_sample


def test_it_survives_the_codec():
    model, asked = PooledLogistic(GRID).fit(drawn()), drawn(20, cutoffs=(200,))
    again = stored(model, {**TYPES, **TERMS})
    assert again.predict(asked).survival.tobytes() == model.predict(asked).survival.tobytes()
