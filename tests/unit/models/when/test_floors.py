"""Floors: Kaplan-Meier by hand, strata, the Poisson rate, mean amounts, and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, UsageError
from whenbuy.models.how_much import amount_floors
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.when import floors
from whenbuy.models.when.floors import BaseRate, KaplanMeier, PoissonRate, product_limit

GRID = (1.0, 7.0, 14.0, 28.0)


def panel(n=300, seed=0):
    rng = np.random.default_rng(seed)
    recency = rng.uniform(0, 100, n)
    value = rng.exponential(5 + recency)
    orders = rng.poisson(28 / (5 + recency)).astype(float)
    amount = rng.gamma(2, 10, n)
    return examples(
        {
            "recency_days": recency,
            "tenure_days": recency + 5,
            "orders_84d": orders,
            "frequency": orders,
            "mean_amount": rng.gamma(2, 10, n),
        },
        labels={
            "purchase": (np.minimum(value, 28), value < 28, 128),
            "orders": (orders, np.ones(n, bool), 128),
            "amount": (np.where(value < 28, amount, 0), value < 28, 128),
        },
    )


def slow_product_limit(value, observed, weight, day):
    """One row at a time: at each event before the day, the share of those still watched who did not buy."""
    left = 1.0
    for moment in sorted(set(value[observed])):
        if moment >= day:
            break
        came = sum(w for v, o, w in zip(value, observed, weight, strict=True) if o and v == moment)
        at_risk = sum(w for v, o, w in zip(value, observed, weight, strict=True) if v > moment or (o and v == moment))
        left *= 1 - came / at_risk
    return left


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=40))
def test_product_limit_equals_its_slow_twin(rows):
    value, observed, weight = (np.array(part) for part in zip(*rows, strict=True))
    value = value.astype(float)
    days = np.arange(0.5, value.max() + 0.5, 0.5)
    days = days[days <= value.max()]
    slow = [slow_product_limit(value, observed, weight, day) for day in days]
    assert product_limit(value, observed, weight, days) == pytest.approx(slow, abs=1e-12)


def test_a_censored_row_is_not_at_risk_at_its_own_end():
    """Windows are half-open: who was watched on [0, 3) could not have been seen to buy at 3."""
    found = product_limit(np.array([1.0, 3.0, 3.0, 5.0]), np.array([True, True, False, False]), np.ones(4), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx([1, 3 / 4, 3 / 4, 3 / 8])


def test_beyond_the_watch_the_mean_hazard_continues():
    value, observed = np.array([2.0, 10.0, 10.0, 10.0]), np.array([True, False, False, False])
    found = product_limit(value, observed, np.ones(4), np.array([10.0, 20.0, 30.0]))
    assert found == pytest.approx([0.75, 0.75**2, 0.75**3])


def test_dropping_the_censored_would_flatter():
    rng = np.random.default_rng(4)
    moment, watched = rng.exponential(20, 20_000), rng.uniform(5, 28, 20_000)
    found = product_limit(np.minimum(moment, watched), moment < watched, np.ones(20_000), np.array(GRID[:3]))
    assert found == pytest.approx(np.exp(-np.array(GRID[:3]) / 20), abs=0.012)


def test_base_rate_is_one_curve_for_all_and_a_prior_for_strangers():
    model = BaseRate(GRID).fit(panel())
    forecast = model.predict(examples({"tenure_days": [3.0, np.nan]}, cutoff_day=128))
    assert np.array_equal(forecast.survival[0], forecast.survival[1])
    assert forecast.prior is not None
    assert forecast.prior.tolist() == [False, True]
    orders = panel().label("orders").value.mean()
    assert forecast.mean_count[0, -1] == pytest.approx(orders)
    assert model.known_until == 128 * DAY


def test_strata_are_ordered_as_the_column_is():
    model = KaplanMeier(GRID, "recency_days", strata=4).fit(panel(4_000))
    forecast = model.predict(examples({"recency_days": [1.0, 99.0, np.nan]}, cutoff_day=128))
    assert len(model.edges) == 3
    assert forecast.survival[0, 1] < forecast.survival[2, 1] < forecast.survival[1, 1]
    assert model.name == "kaplan-meier-recency"


def test_a_column_with_few_values_has_few_strata():
    train = panel()
    same = examples(
        {"frequency": np.zeros(300)}, labels={"purchase": (train.label("purchase").value, train.label("purchase").observed, 128)}
    )
    model = KaplanMeier(GRID, "frequency", strata=5).fit(same)
    pooled = BaseRate(GRID).fit(train)
    assert model.predict(examples({"frequency": [0.0]}, cutoff_day=128)).survival[0] == pytest.approx(pooled.survival[0])


def test_a_stratum_without_a_purchase_gets_the_pooled_curve():
    train = examples(
        {"recency_days": [1.0, 2.0, 50.0, 60.0]}, labels={"purchase": ([3.0, 4.0, 28.0, 28.0], [True, True, False, False], 128)}
    )
    model = KaplanMeier(GRID, "recency_days", strata=2).fit(train)
    assert np.array_equal(model.survival[1], model.survival[2])


def test_the_rate_is_the_stated_formula():
    asked = examples({"orders_84d": [0.0, 12.0, np.nan]})
    forecast = PoissonRate(GRID).fit(asked).predict(asked)
    assert forecast.probability(7.0) == pytest.approx(1 - np.exp(-7 * np.array([0.5, 12.5, 0.5]) / 84))
    assert forecast.mean_count[1, -1] == pytest.approx(28 * 12.5 / 84)
    assert forecast.model == "rate-84d"
    assert forecast.prior is not None
    assert forecast.prior.tolist() == [False, False, True]


def test_another_window_reads_another_column():
    with pytest.raises(ColumnError, match="orders_28d"):
        PoissonRate(GRID, window_days=28).fit(panel()).predict(panel())


def test_global_mean_gives_the_mean_and_the_quantiles_of_what_came():
    train = panel(2_000)
    came = train.label("amount").value[train.label("amount").observed]
    forecast = GlobalMean().fit(train).predict(examples({"frequency": [1.0, np.nan], "mean_amount": [99.0, np.nan]}, cutoff_day=128))
    assert forecast.mean == pytest.approx(np.full(2, came.mean()))
    assert forecast.quantile(0.5) == pytest.approx(np.full(2, np.median(came)), rel=0.02)


def test_own_mean_lends_many_orders_where_own_means_say_nothing_and_few_where_they_say_all():
    rng = np.random.default_rng(9)
    own = rng.gamma(3, 10, 3_000)
    noise, faith = (
        {"amount": (amount, np.ones(3_000, bool), 128)} for amount in (rng.gamma(3, 10, 3_000), own * rng.gamma(50, 0.02, 3_000))
    )
    columns = {"frequency": np.full(3_000, 4.0), "mean_amount": own}
    assert OwnMean().fit(examples(columns, labels=noise)).lent_orders >= 64
    model = OwnMean().fit(examples(columns, labels=faith))
    assert model.lent_orders < 1
    forecast = model.predict(examples({"frequency": [4.0] * 3, "mean_amount": [60.0, -3.0, np.nan]}, cutoff_day=128))
    assert forecast.mean[0] == pytest.approx(60, rel=0.05)
    assert forecast.mean[1:] == pytest.approx(model.centre, rel=0.05)


def test_equal_amounts_give_that_amount():
    train = examples({"frequency": [1.0, 2.0], "mean_amount": [5.0, 5.0]}, labels={"amount": ([5.0, 5.0], [True, True], 128)})
    for learner in (GlobalMean(), OwnMean()):
        forecast = learner.fit(train).predict(examples({"frequency": [9.0], "mean_amount": [5.0]}, cutoff_day=128))
        assert forecast.mean == pytest.approx(5.0)
        assert forecast.quantiles == pytest.approx(5.0)


@pytest.mark.parametrize("learner", [BaseRate(GRID), KaplanMeier(GRID), PoissonRate(GRID), GlobalMean(), OwnMean()], ids=lambda x: x.name)
def test_models_survive_storage_and_refuse_the_past(learner):
    train = panel()
    model = learner.fit(train)
    types = {**floors.TYPES, **amount_floors.TYPES}
    first, again = (m.predict(train, in_sample=True).frame() for m in (model, stored(model, types)))
    assert first.equals(again)
    earlier = examples({name: [1.0] for name in train.table.names}, cutoff_day=50)
    with pytest.raises(LeakError):
        model.predict(earlier)


@pytest.mark.parametrize("learner", [BaseRate(GRID), KaplanMeier(GRID)], ids=lambda x: x.name)
def test_no_purchase_at_all(learner):
    train = examples({"recency_days": [np.nan, np.nan]}, labels={"purchase": ([28.0, 28.0], [False, False], 128)})
    with pytest.raises(NotEnoughDataError, match="None of 2 training labels"):
        learner.fit(train)


@pytest.mark.parametrize("learner", [GlobalMean(), OwnMean()], ids=lambda x: x.name)
@pytest.mark.parametrize(
    ("amount", "observed"), [([0.0, 0.0], [False, False]), ([0.0, -4.0], [True, True])], ids=["none came", "nothing paid"]
)
def test_no_amount_to_learn_from(learner, amount, observed):
    train = examples({"frequency": [1.0, 1.0], "mean_amount": [3.0, 3.0]}, labels={"amount": (amount, observed, 128)})
    with pytest.raises(NotEnoughDataError, match="amount of a next order"):
        learner.fit(train)


def test_one_user_and_no_stratum():
    one = examples({"recency_days": [3.0]}, labels={"purchase": ([2.0], [True], 128)})
    assert KaplanMeier(GRID).fit(one).predict(examples({"recency_days": [3.0]}, cutoff_day=128)).survival[0].tolist() == [1, 0, 0, 0]
    with pytest.raises(UsageError, match="0 strata"):
        KaplanMeier(GRID, strata=0)
