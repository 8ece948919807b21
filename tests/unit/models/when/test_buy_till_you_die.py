"""BG/NBD, MBG/NBD and Pareto/NBD against simulation, numeric integration, their own gradients, and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import betaln

from tests.unit.models.purchase_examples import bgnbd_customers, histories, pareto_customers, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError
from whenbuy.models.fitting.maximum_likelihood import maximise, together
from whenbuy.models.when import bgnbd, pareto
from whenbuy.models.when.buy_till_you_die import TYPES, BgNbd, BgNbdModel, ParetoNbd, ParetoNbdModel

GRID = (1.0, 7.0, 14.0, 28.0, 56.0)
BG = (0.7, 20.0, 0.9, 2.5)
PARETO = (0.7, 20.0, 0.8, 60.0)
DAYS = np.array(GRID)


def spread(parameters, n=1):
    r, alpha, s, beta = parameters
    return pareto.Spread(r, np.full(n, alpha), s, np.full(n, beta))


def columns(found):
    return np.array([f[0] for f in found], float), np.array([f[1] for f in found])


def alike(found, repeats, low, high):
    """Customers of the simulation with so many repeats, the last between two moments."""
    return [f for f in found if f[0] == repeats and low <= f[1] <= high]


def all_learners():
    return [BgNbd(GRID), BgNbd(GRID, modified=True), ParetoNbd(GRID), ParetoNbd(GRID, covariates=("first_amount",))]


def made_customers(n=400, seed=3):
    rng = np.random.default_rng(seed)
    repeats, last = columns(pareto_customers(rng, PARETO, n, 100.0, 0.0))
    return histories(repeats, last, np.full(n, 100.0), columns={"first_amount": rng.gamma(2.0, 20.0, n)})


# ------------------------------------------------------------------ likelihoods


@given(st.integers(0, 40), st.floats(0, 1), st.floats(0.5, 400), st.tuples(*[st.floats(-2, 2)] * 4), st.booleans())
def test_gradient_of_bgnbd(repeats, share, tenure, logs, modified):
    x, t = np.array([float(repeats)]), np.array([tenure])
    last = t * share if repeats else np.zeros(1)

    def value(theta):
        return float(bgnbd.log_likelihood(tuple(np.exp(theta)), x, last, t, x + modified)[0][0])

    theta = np.array(logs)
    gradient = bgnbd.log_likelihood(tuple(np.exp(theta)), x, last, t, x + modified)[1][0] * np.exp(theta)
    assert gradient == pytest.approx(approx_fprime(theta, value, 1e-6), rel=1e-3, abs=2e-3)


@given(st.integers(0, 40), st.floats(0, 1), st.floats(0.5, 400), st.tuples(*[st.floats(-2, 2)] * 4))
def test_gradient_of_pareto(repeats, share, tenure, logs):
    x, t = np.array([float(repeats)]), np.array([tenure])
    last = t * share if repeats else np.zeros(1)

    def value(theta):
        r, log_alpha, s, log_beta = np.exp(theta[0]), theta[1], np.exp(theta[2]), theta[3]
        return float(pareto.log_likelihood(spread((r, np.exp(log_alpha), s, np.exp(log_beta))), x, last, t)[0][0])

    theta = np.array(logs)
    gradient = pareto.log_likelihood(spread(tuple(np.exp(theta))), x, last, t)[1][0] * [np.exp(theta[0]), 1, np.exp(theta[2]), 1]
    assert gradient == pytest.approx(approx_fprime(theta, value, 1e-6), rel=1e-3, abs=2e-3)


@pytest.mark.parametrize(("repeats", "last", "tenure"), [(0, 0, 30), (1, 5, 30), (4, 28, 30), (4, 6, 200), (12, 200, 200)])
@pytest.mark.parametrize("parameters", [(0.6, 10.6, 0.6, 11.7), (0.6, 10.6, 1.0, 80.0), (2.0, 200.0, 0.3, 3.0)])
def test_leaving_equals_numeric_integration(repeats, last, tenure, parameters):
    r, alpha, s, beta = parameters
    m = r + repeats
    integral = quad(lambda y: s * (alpha + y) ** -m * (beta + y) ** -(s + 1), last, tenure, epsabs=0, epsrel=1e-11)[0]
    whole = np.log(integral + (alpha + tenure) ** -m * (beta + tenure) ** -s) + r * np.log(alpha) + s * np.log(beta)
    scale = np.log(np.prod(r + np.arange(repeats)))
    found = pareto.log_likelihood(spread(parameters), *(np.array([float(v)]) for v in (repeats, last, tenure)))[0][0]
    assert found == pytest.approx(whole + scale, rel=1e-10)


def test_beta_nodes_integrate_powers_exactly():
    tops = np.array([0.3, 1.0, 4.5, 700.0, 10_000.0])
    for a in (1e-5, 0.2, 1.0, 0.7, 30.0):
        chance, weight = bgnbd.beta_nodes(a, tops)
        for power in range(6):
            assert (weight * chance**power).sum(axis=1) == pytest.approx(
                np.exp(betaln(a + power, tops) - betaln(a, tops)), rel=1e-7, abs=1e-12
            )


# ------------------------------------------------------------------ expectations


@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("parameters", [BG, (0.25, 31.0, 1.0, 2.4), (2.0, 5.0, 0.05, 0.3), (0.5, 40.0, 3.0, 60.0)])
@pytest.mark.parametrize(("repeats", "tenure"), [(0, 3.0), (3, 90.0), (200, 300.0)])
def test_bgnbd_expectation_equals_numeric_integration(modified, parameters, repeats, tenure):
    r, alpha, a, b = parameters
    m, stays = r + repeats, repeats + modified

    def integrand(log_p):
        p = np.exp(log_p)
        log_density = a * log_p + (b + stays - 1) * np.log1p(-p) - betaln(a, b + stays)
        return np.exp(log_density) * -np.expm1(-m * np.log1p(p * 60 / (alpha + tenure))) / p

    truth = quad(integrand, -300, -1e-12, epsabs=0, epsrel=1e-10, limit=500, points=[-20, -10, -6, -4, -2, -1, -0.1])[0]
    one = np.ones(1)
    found = bgnbd.expected_purchases(parameters, one * repeats, one * tenure, one * stays, one, np.array([60.0]))[0, 0]
    assert found == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("s", [0.2, 1 - 1e-10, 1.0, 1 + 1e-7, 3.0])
def test_pareto_expectation_equals_numeric_integration(s):
    parameters, one = (0.6, 80.0, s, 70.0), np.ones(1)
    alive = pareto.alive_probability(spread(parameters), one * 4, one * 100, one * 150)
    rate = (0.6 + 4) / (80 + 150)
    truth = alive[0] * rate * quad(lambda t: ((70 + 150) / (70 + 150 + t)) ** s, 0, 365)[0]
    found = pareto.expected_purchases(spread(parameters), one * 4, one * 150, alive, np.array([365.0]))[0, 0]
    assert found == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("modified", [False, True])
def test_bgnbd_forecast_equals_simulation(modified):
    found = bgnbd_customers(np.random.default_rng(11), BG, 60_000, 60.0, 56.0, modified=modified)
    for repeats, low, high in ((0, 0, 0), (1, 10, 25), (2, 35, 60)):
        group = alike(found, repeats, low, high)
        x, last = columns(group)
        tenure, stays = np.full(len(x), 60.0), x + modified
        alive = bgnbd.log_likelihood(BG, x, last, tenure, stays)[2]
        bought = np.array([[any(m <= day for m in f[2]) for day in GRID] for f in group])
        count = np.array([[sum(m <= day for m in f[2]) for day in GRID] for f in group])
        assert np.abs(bought.mean(0) - (1 - bgnbd.survival(BG, x, tenure, alive, DAYS).mean(0))).max() < 4 * 0.5 / np.sqrt(len(x))
        error = count.std(0) / np.sqrt(len(x))
        assert (np.abs(count.mean(0) - bgnbd.expected_purchases(BG, x, tenure, stays, alive, DAYS).mean(0)) < 4 * error).all()


def test_pareto_forecast_equals_simulation():
    found = pareto_customers(np.random.default_rng(12), PARETO, 60_000, 60.0, 56.0)
    for repeats, low, high in ((0, 0, 0), (1, 10, 25), (2, 35, 60)):
        group = alike(found, repeats, low, high)
        x, last = columns(group)
        tenure, own = np.full(len(x), 60.0), spread(PARETO, len(x))
        alive = pareto.alive_probability(own, x, last, tenure)
        bought = np.array([[any(m <= day for m in f[2]) for day in GRID] for f in group])
        count = np.array([[sum(m <= day for m in f[2]) for day in GRID] for f in group])
        assert np.abs(bought.mean(0) - (1 - pareto.survival(own, x, last, tenure, DAYS).mean(0))).max() < 4 * 0.5 / np.sqrt(len(x))
        error = count.std(0) / np.sqrt(len(x))
        assert (np.abs(count.mean(0) - pareto.expected_purchases(own, x, tenure, alive, DAYS).mean(0)) < 4 * error).all()


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0.01, 20_000), st.tuples(*[st.floats(-3, 4)] * 4))
def test_curves_are_ratios_of_likelihoods_and_never_overflow(repeats, share, tenure, logs):
    parameters, x, t = tuple(np.exp(logs)), np.array([float(repeats)]), np.array([tenure])
    last = t * share if repeats else np.zeros(1)
    for modified in (False, True):
        here, _, alive = bgnbd.log_likelihood(parameters, x, last, t, x + modified)
        curve = bgnbd.survival(parameters, x, t, alive, DAYS)[0]
        later = np.array([bgnbd.log_likelihood(parameters, x, last, t + day, x + modified)[0][0] for day in GRID])
        assert curve == pytest.approx(np.exp(later - here), rel=1e-6, abs=1e-9)
        count = bgnbd.expected_purchases(parameters, x, t, x + modified, alive, DAYS)[0]
        assert np.isfinite(count).all()
        assert (count >= 1 - curve - 1e-6).all()
    here = pareto.log_likelihood(spread(parameters), x, last, t)[0]
    curve = pareto.survival(spread(parameters), x, last, t, DAYS)[0]
    later = np.array([pareto.log_likelihood(spread(parameters), x, last, t + day)[0][0] for day in GRID])
    assert curve == pytest.approx(np.exp(later - here), rel=1e-5, abs=1e-7)
    count = pareto.expected_purchases(spread(parameters), x, t, pareto.alive_probability(spread(parameters), x, last, t), DAYS)[0]
    assert np.isfinite(count).all()
    assert (count >= 1 - curve - 1e-6).all()


def test_alive_by_definition_without_a_repeat_only_in_bgnbd():
    one = np.ones(1)
    assert bgnbd.log_likelihood(BG, 0 * one, 0 * one, 300 * one, 0 * one)[2] == 1
    assert bgnbd.log_likelihood(BG, 0 * one, 0 * one, 300 * one, one)[2] < 0.9


# ------------------------------------------------------------------ learners


@pytest.mark.parametrize("modified", [False, True])
def test_bgnbd_finds_the_parameters_of_a_simulation(modified):
    """Twice the log-likelihood gained over the truth is chi-squared with 4 degrees of freedom: 20 is its .9995 quantile."""
    x, last = columns(bgnbd_customers(np.random.default_rng(5), BG, 8_000, 120.0, 0.0, modified=modified))
    rows, count = together(np.stack([x, last, np.full(len(x), 120.0)], axis=1), np.ones(len(x)))
    found = bgnbd.fit(*rows.T, count, modified=modified)
    ours, truth = (count @ bgnbd.log_likelihood(parameters, *rows.T, rows[:, 0] + modified)[0] for parameters in (found, BG))
    assert 0 <= 2 * (ours - truth) < 20


def test_pareto_finds_the_parameters_of_a_simulation():
    x, last = columns(pareto_customers(np.random.default_rng(7), PARETO, 8_000, 120.0, 0.0))
    rows, count = together(np.stack([x, last, np.full(len(x), 120.0)], axis=1), np.ones(len(x)))
    found = pareto.fit(*rows.T, count, np.empty((len(rows), 0)))[:4]
    ours, truth = (count @ pareto.log_likelihood(spread(parameters, len(rows)), *rows.T)[0] for parameters in (found, PARETO))
    assert 0 <= 2 * (ours - truth) < 20


def test_pareto_finds_the_effects_of_covariates():
    rng = np.random.default_rng(6)
    z = rng.normal(size=6_000)
    found = [pareto_customers(rng, (1.0, 20 * np.exp(-0.5 * v), 0.8, 60 * np.exp(0.4 * v)), 1, 150.0, 0.0)[0] for v in z]
    x, last = columns(found)
    *_, buying, leaving = pareto.fit(x, last, np.full(len(x), 150.0), np.ones(len(x)), z[:, None])
    assert buying[0] == pytest.approx(0.5, abs=0.08)
    assert leaving[0] == pytest.approx(-0.4, abs=0.2)


@pytest.mark.parametrize("learner", all_learners(), ids=lambda learner: learner.name)
def test_a_model_survives_storage_and_answers_strangers_with_the_prior(learner):
    train = made_customers()
    model = learner.fit(train)
    asked = histories(
        [0, 3, np.nan, 10_000], [0, 90, np.nan, 9_000], [50, 100, np.nan, 9_001], columns={"first_amount": [5, np.nan, np.nan, 1e6]}
    )
    first, again = model.predict(asked), stored(model, TYPES).predict(asked)
    assert np.array_equal(first.survival, again.survival)
    assert np.array_equal(first.mean_count, again.mean_count)
    assert first.prior is not None
    assert first.prior.tolist() == [False, False, True, False]
    fresh = model.predict(histories([0], [0], [0], columns={"first_amount": [np.nan]}))
    assert first.survival[2] == pytest.approx(fresh.survival[0], rel=1e-9)
    assert first.model == learner.name == model.name
    assert ((model.alive(asked.table) >= 0) & (model.alive(asked.table) <= 1)).all()


@pytest.mark.parametrize("learner", all_learners(), ids=lambda learner: learner.name)
def test_the_order_of_customers_and_their_doubles_do_not_matter(learner):
    train = made_customers(200)
    turned = train.take(np.arange(len(train))[::-1].astype(np.int64))
    asked = made_customers(20, seed=8)
    assert learner.fit(train).predict(asked).survival == pytest.approx(learner.fit(turned).predict(asked).survival, abs=1e-6)
    again = learner.fit(train).predict(asked).survival
    assert np.array_equal(learner.fit(train).predict(asked).survival, again)


def test_only_the_latest_cutoff_of_each_user_is_learned_from():
    x, last, tenure = np.array([2, 0, 1, 5, 1.0]), np.array([20, 0, 9, 40, 10.0]), np.array([50, 60, 70, 80, 40.0])
    panel = histories(
        np.append(x, 99), np.append(last, 1), np.append(tenure, 2), code=[0, 1, 2, 3, 4, 0], cutoff_day=[90, 90, 90, 90, 90, 60]
    )
    alone = histories(x, last, tenure, cutoff_day=90)
    ours, theirs = BgNbd(GRID).fit(panel), BgNbd(GRID).fit(alone)
    assert (ours.r, ours.alpha, ours.a, ours.b) == (theirs.r, theirs.alpha, theirs.a, theirs.b)
    assert ours.known_until == 90 * DAY


def test_weights_count_like_doubles():
    x, last, tenure = np.array([2, 0, 1, 5, 1.0]), np.array([20, 0, 9, 40, 10.0]), np.array([50, 60, 70, 80, 40.0])
    twice = np.array([0, 1, 1, 2, 3, 3, 4])
    weighted = BgNbd(GRID).fit(histories(x, last, tenure, weight=np.array([1, 2, 1, 2, 1.0])))
    doubled = BgNbd(GRID).fit(histories(x[twice], last[twice], tenure[twice]))
    assert (weighted.r, weighted.a) == pytest.approx((doubled.r, doubled.a), rel=1e-6)


@pytest.mark.parametrize("learner", all_learners(), ids=lambda learner: learner.name)
@pytest.mark.parametrize(
    "train",
    [
        histories([0, 0, 0], [0, 0, 0], [10, 20, 30], columns={"first_amount": [1, 2, 3]}),
        histories([4], [9], [10], columns={"first_amount": [1]}),
        histories([np.nan] * 3, [np.nan] * 3, [np.nan] * 3, columns={"first_amount": [np.nan] * 3}),
        histories([], [], [], columns={"first_amount": []}),
    ],
    ids=["nobody repeats", "one user", "no purchase", "nobody"],
)
def test_too_little_to_learn_from_is_said_with_counts(learner, train):
    with pytest.raises(NotEnoughDataError, match=r"Of \d customers \d bought and \d came back.*base rate"):
        learner.fit(train)


def test_regular_customers_run_to_the_limit_of_the_model_not_into_an_error():
    regular = histories([10] * 50, [100] * 50, [101] * 50, columns={"first_amount": [5] * 50})
    for learner in all_learners():
        forecast = learner.fit(regular).predict(regular)
        assert forecast.count_at(28.0)[0] == pytest.approx(2.8, rel=0.1)


def test_an_unknown_covariate_is_named():
    with pytest.raises(ColumnError, match="first_quantity"):
        ParetoNbd(GRID, covariates=("first_quantity",)).fit(made_customers(50))


def test_a_forecast_from_before_the_training_cutoff_is_refused():
    model = BgNbdModel(*BG, modified=False, grid_days=DAYS, known_until=100 * DAY)
    earlier = histories([1], [5], [10], cutoff_day=50)
    with pytest.raises(LeakError):
        model.predict(earlier)
    assert model.predict(earlier, in_sample=True).in_sample


def test_a_search_that_ends_on_a_slope_is_an_error_that_tells_what_was_tried():
    with pytest.raises(NotEnoughDataError, match=r"2 searches ended.*slope"):
        maximise(lambda theta: (0.0, np.array([1.0])), [np.zeros(1), np.ones(1)], [(-5.0, 5.0)], "a broken model")


def test_nobody_asked_is_an_empty_forecast():
    none = histories([], [], [], columns={})
    empty = np.empty(0)
    assert len(ParetoNbdModel(*PARETO, empty, empty, (), empty, empty, DAYS, 0).predict(none)) == 0
    assert len(BgNbdModel(*BG, modified=True, grid_days=DAYS, known_until=0).predict(none)) == 0
