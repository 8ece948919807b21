"""What was cut short still counts: against a slow loop, and against the truth of visits that a log's end cuts off."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make
from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount
from whenbuy.core.log import Column
from whenbuy.models.how_much import amount_floors
from whenbuy.models.how_much.amount_floors import GlobalMean
from whenbuy.models.how_much.boosted_amount import BoostedAmount
from whenbuy.models.how_much.conformal import conformal
from whenbuy.models.wrapping import cut_short
from whenbuy.models.wrapping.cut_short import CutShort, standing
from whenbuy.questions import NextDwell

MINUTE = 60_000_000
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def labels(value, observed):
    return Labels(np.asarray(value, float), np.asarray(observed, bool), np.zeros(len(value), np.int64))


def slow(value, observed):
    """The inverse of the chance not to have been cut before, by its definition."""
    stand = []
    for mine, seen in zip(value, observed, strict=True):
        kept = 1.0
        for end in sorted({v for v, o in zip(value, observed, strict=True) if not o and 0 < v < mine}):
            watched = sum((v > end) if o else (v >= end) for v, o in zip(value, observed, strict=True))
            kept *= 1 - sum(v == end and not o for v, o in zip(value, observed, strict=True)) / watched
        stand.append(1 / kept if seen else 0.0)
    return stand


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25))
def test_weights_equal_a_slow_loop(rows):
    value, observed = zip(*rows, strict=True)
    found = standing(labels(value, observed))
    assert found == pytest.approx(slow(value, observed))
    if all(o or v == 0 for v, o in rows):
        assert (found == observed).all()


def cut_visits(n, hours, seed=3):
    """Visits of log-normal length that begin at any time of the last day of a log, told act by act, and how long each really was."""
    rng = np.random.default_rng(seed)
    begin, long = rng.integers(0, DAY, n), np.ceil(rng.lognormal(np.log(hours * 12), 0.8, n)).astype(int)
    rows = [(user, 10 * DAY + begin[user] + 5 * MINUTE * act, 0, 0, 0, 1) for user in range(n) for act in range(long[user])]
    history = make([row for row in rows if row[1] < 11 * DAY] + [(user, DAY, 0, 0, 0, 1) for user in range(n)], users=n, end=11 * DAY)
    told = Column(np.full(len(history.log.time), 300_000, np.int64), scale=1000)
    log = replace(history.log, kinds=("view", *history.log.kinds[1:]), columns={"dwell_s": told})
    return replace(history, log=log), long * 300.0


def test_visits_that_the_logs_end_cuts_off_count():
    history, truth = cut_visits(3_000, 3.0)
    keys = history.keys(as_of=10 * DAY)
    label = NextDwell(1.0).label(history.before(keys), history.within(keys, 1.0))
    cut = ~label.observed & (label.value > 0)
    assert (label.value[label.observed] == truth[label.observed]).all()
    assert (label.value[cut] < truth[cut]).all()
    assert 0.1 < cut.mean() < 0.3
    whole, stand = label.value[label.observed], standing(label)[label.observed]
    right = np.quantile(truth, LEVELS)
    assert np.quantile(whole, LEVELS, weights=stand, method="inverted_cdf") == pytest.approx(right, rel=0.05)
    assert np.quantile(whole, 0.9) < 0.9 * right[-1]
    assert np.average(whole, weights=stand) == pytest.approx(truth.mean(), rel=0.05)
    assert whole.mean() < 0.9 * truth.mean()


def drawn(n, seed):
    """Amounts with a covariate, a third of them cut short at an unrelated place."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.normal(4, 0.7, n))
    value, end = mean * rng.gamma(2.0, 0.5, n), rng.exponential(150, n)
    seen = value <= end
    made = examples(
        {"event_recency_days": np.zeros(n), "mean": mean}, labels={"amount": (np.where(seen, value, end), seen, 107)}, cutoff_day=100
    )
    return made, value, mean


@pytest.mark.parametrize("learner", [GlobalMean(LEVELS), BoostedAmount(line=False, levels=LEVELS)], ids=["floor", "trees"])
def test_what_is_learned_is_what_nothing_cut_would_teach(learner):
    train, _, _ = drawn(8_000, 1)
    later, value, _ = drawn(8_000, 2)
    asked = replace(later, keys=replace(later.keys, cutoff=later.keys.cutoff + 9 * DAY))
    naive, ours = (one.fit(train).predict(asked) for one in (learner, CutShort(learner, "amount")))
    assert naive.mean.mean() < 0.85 * value.mean()
    assert ours.mean.mean() == pytest.approx(value.mean(), rel=0.05)
    below = (value[:, None] <= ours.quantiles).mean(axis=0)
    assert below == pytest.approx(LEVELS, abs=0.03)
    assert (value[:, None] <= naive.quantiles).mean(axis=0)[-1] < 0.87


def test_intervals_are_shifted_by_what_was_cut_too():
    made, value, mean = drawn(8_000, 4)
    told = Amount(made.keys, mean, np.array(LEVELS), mean[:, None] * np.array([0.5, 0.8, 1.0, 1.1, 1.2]), "told")
    after = conformal(told, made.label("amount")).apply(told)
    assert ((value >= after.quantile(0.1)) & (value <= after.quantile(0.9))).mean() == pytest.approx(0.8, abs=0.02)


def test_it_is_kept_and_goes_by_the_name_of_who_learns():
    learner = CutShort(GlobalMean(), "amount")
    kept = stored(learner, {**cut_short.TYPES, **amount_floors.TYPES})
    assert kept == learner
    assert kept.name == GlobalMean().name


def test_weights_of_the_examples_are_heeded():
    made, _, _ = drawn(400, 5)
    odd = np.arange(400) % 2.0
    weighed = CutShort(GlobalMean(), "amount").fit(replace(made, weight=odd))
    label = made.label("amount")
    stand = standing(label) * odd
    assert weighed.centre == pytest.approx(np.average(label.value, weights=stand))
