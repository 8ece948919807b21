"""Rolled counts: the kernel beside its slow twin, what a Poisson customer must get, and bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.models.how_many import rolled_counts
from whenbuy.models.how_many.rolled_counts import RolledCounts, _steps, _terms, rate, roll
from whenbuy.models.when import buy_till_you_die

GRID = (7.0, 10.0, 14.0, 28.0)
TYPES = buy_till_you_die.TYPES | rolled_counts.TYPES
STATE = st.tuples(
    st.floats(0, 300), st.floats(0, 300), st.integers(-1, 40), st.floats(0, 200), st.floats(0, 200), st.floats(0, 200)
)  # fmt: skip


def weeks(per_week, weeks_seen=20, n=400, seed=0, *, cutoff_every=7, columns=("mean_amount", "first_amount", "last_amount")):
    """A panel with one row per customer and week: each buys a Poisson number a week, at random moments."""
    rng = np.random.default_rng(seed)
    rates = np.broadcast_to(per_week, n)
    rows = {name: [] for name in ("recency_days", "tenure_days", "frequency", *columns)}
    code, day = [], []
    for user in range(n):
        moments = np.sort(rng.uniform(0, 7 * weeks_seen, rng.poisson(rates[user] * weeks_seen)))
        size = rng.gamma(3, 5)
        for cutoff in range(cutoff_every, 7 * weeks_seen + 1, cutoff_every):
            past = moments[moments < cutoff]
            code.append(user)
            day.append(cutoff)
            rows["recency_days"].append(cutoff - past[-1] if len(past) else np.nan)
            rows["tenure_days"].append(cutoff - past[0] if len(past) else np.nan)
            rows["frequency"].append(len(past) - 1 if len(past) else np.nan)
            for name in columns:
                rows[name].append(size if len(past) else np.nan)
    return examples(rows, code=code, cutoff_day=day)


def slow_rate(weights, intercept, unit, recency, tenure, repeats, amounts):
    """The same formula, term by term, from the table that training reads."""
    row = {"recency_days": recency, "tenure_days": tenure, "frequency": repeats}
    row |= dict(zip(("mean_amount", "first_amount", "last_amount"), amounts, strict=True))
    if repeats < 0:
        row = dict.fromkeys(row, np.nan)
    table = examples({name: [value] for name, value in row.items()}).table
    return math.exp(float((_terms(table, unit) @ weights)[0]) + intercept)


def slow_roll(weights, intercept, unit, step, steps, highest, state):
    """One customer, with states in a dictionary by the step of the last purchase: (probability, repeats, day of the first order)."""
    recency, tenure, repeats, *amounts = state
    alive = {0: (1.0, repeats, -tenure)}
    count, fallen = [0.0], [0.0]
    for k in range(steps):
        came, orders = [], 0.0
        for j, (chance, many, first) in list(alive.items()):
            if j and chance < 1e-9:
                continue
            new = j == 0 and repeats < 0
            since = recency + k * step if j == 0 else (k - j) * step
            c = min(rate(weights, intercept, unit, since, max(k * step - first, 0.0), many, np.array(amounts)), highest)
            p = 1 - math.exp(-c)
            orders += chance * c
            came.append((chance * p, chance * (p * many + c), chance * p * ((k + 1) * step if new else first)))
            alive[j] = (chance * (1 - p), many, first)
            if j == 0:
                fallen.append(fallen[-1] + c)
        total, more, day = (sum(part) for part in zip(*came, strict=True))
        alive[k + 1] = (total, max(more / total, 0.0) if total > 0 else 0.0, day / total if total > 0 else 0.0)
        count.append(count[-1] + orders)
    return count, fallen


@settings(max_examples=40)
@given(STATE, st.integers(0, 1000))
def test_the_rate_equals_the_terms_of_training(state, seed):
    weights = np.random.default_rng(seed).normal(0, 0.1, 20)
    recency, tenure, repeats, *amounts = (float(np.float32(value)) for value in state)
    fast = rate(weights, -2.0, 15.0, recency, tenure, repeats, np.array(amounts))
    assert fast == pytest.approx(slow_rate(weights, -2.0, 15.0, recency, tenure, repeats, amounts), rel=1e-9)


@settings(max_examples=40)
@given(STATE, st.integers(0, 1000), st.integers(1, 12))
def test_the_roll_out_equals_its_slow_twin(state, seed, steps):
    weights = np.random.default_rng(seed).normal(0, 0.1, 20)
    state = [float(value) for value in state]
    count, fallen = roll(weights, -2.0, 15.0, 7.0, steps, 3.0, np.array([state]))
    slow_count, slow_fallen = slow_roll(weights, -2.0, 15.0, 7.0, steps, 3.0, state)
    assert count[0] == pytest.approx(slow_count, rel=1e-9)
    assert fallen[0] == pytest.approx(slow_fallen, rel=1e-9)


def test_the_roll_out_agrees_with_simulated_customers():
    """The mean of repeats stands for their distribution: what that costs is small beside the noise of ten thousand paths."""
    weights = np.zeros(20)
    weights[[0, 1, 2]] = -0.5, -0.2, 0.6
    state, steps, rng = np.array([[10.0, 60.0, 2.0, 0.0, 0.0, 0.0]]), 20, np.random.default_rng(1)
    n = 10_000
    repeats, recency, bought = np.full(n, 2.0), np.full(n, 10.0), np.zeros(n)
    for k in range(steps):
        c = np.exp(-1.0 - 0.5 * np.log1p(recency / 15) - 0.2 * np.log1p((60 + 7 * k) / 15) + 0.6 * np.log1p(repeats))
        orders = rng.poisson(np.minimum(c, 3.0))
        bought, repeats, recency = bought + orders, repeats + orders, np.where(orders > 0, 0.0, recency + 7)
    count, _ = roll(weights, -1.0, 15.0, 7.0, steps, 3.0, state)
    assert count[0, -1] == pytest.approx(bought.mean(), rel=0.05)


def test_constant_customers_get_their_rate():
    train = weeks(0.6)
    model = RolledCounts(GRID).fit(train)
    last = train.take(np.flatnonzero(train.keys.cutoff == train.keys.cutoff.max()))
    forecast = model.predict(last)
    assert model.step_days == 7
    assert forecast.mean_count[:, -1].mean() == pytest.approx(4 * 0.6, rel=0.1)
    assert forecast.probability(7.0).mean() == pytest.approx(1 - np.exp(-0.6), rel=0.1)


def test_unlike_customers_are_told_apart():
    rates = np.where(np.arange(400) % 2, 0.1, 1.2)
    train = weeks(rates)
    last = train.take(np.flatnonzero(train.keys.cutoff == train.keys.cutoff.max()))
    told = RolledCounts(GRID).fit(train).predict(last).mean_count[:, -1]
    often = rates[last.keys.code] > 1
    assert told[often].mean() == pytest.approx(4.8, rel=0.15)
    assert told[~often].mean() < told[often].mean() / 4


def test_steps_are_what_lies_between_cutoffs():
    train = examples(
        {"frequency": [np.nan, 0, 3, 3, 1, 2], "recency_days": [np.nan, 1, 1, 8, 1, 1], "tenure_days": [np.nan, 1, 8, 15, 5, 30]},
        code=[0, 0, 0, 0, 1, 1],
        cutoff_day=[7, 14, 21, 28, 7, 40],
    )
    rows, orders, step = _steps(train)
    assert step == 7
    assert rows.tolist() == [0, 1, 2]  # the second customer's cutoffs lie further apart
    assert orders.tolist() == [1, 3, 0]


def test_a_shop_without_amounts_and_a_stranger():
    train = weeks(0.4, columns=())
    model = RolledCounts(GRID).fit(train)
    asked = examples({"recency_days": [np.nan, 3], "tenure_days": [np.nan, 50], "frequency": [np.nan, 4]}, cutoff_day=200)
    forecast = model.predict(asked)
    assert forecast.prior is not None
    assert forecast.prior.tolist() == [True, False]
    assert (forecast.mean_count >= 1 - forecast.survival - 1e-12).all()


def test_the_same_seed_gives_the_same_bytes_and_the_codec_keeps_them():
    train = weeks(0.5, n=100)
    learner = RolledCounts(GRID, max_rows=500)
    model, again = learner.fit(train), learner.fit(train)
    last = train.take(np.flatnonzero(train.keys.cutoff == train.keys.cutoff.max()))
    told = model.predict(last)
    assert told.mean_count.tobytes() == again.predict(last).mean_count.tobytes()
    kept = stored(model, TYPES)
    assert kept.name == "rolled-counts"
    assert kept.predict(last).mean_count.tobytes() == told.mean_count.tobytes()
    assert stored(learner, TYPES) == learner


def test_earlier_cutoffs_are_refused():
    train = weeks(0.5, n=50)
    model = RolledCounts(GRID).fit(train)
    first = train.take(np.flatnonzero(train.keys.cutoff == train.keys.cutoff.min()))
    with pytest.raises(LeakError):
        model.predict(first)
    assert model.predict(first, in_sample=True).in_sample


def test_too_little_to_learn_from():
    one = {"recency_days": [3.0, 10.0], "tenure_days": [9.0, 16.0], "frequency": [1.0, 1.0]}
    for code, day in (([0, 1], [7, 7]), ([0, 0], [7, 14])):
        with pytest.raises(NotEnoughDataError, match="hold no order"):
            RolledCounts(GRID).fit(examples(one, code=code, cutoff_day=day))
