"""Conformal intervals: coverage on rows that were not learned from, against a slow oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from tests.unit.models.spenders import shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount
from whenbuy.evaluate.amount import amount_measures
from whenbuy.models.fitting import log_line, terms
from whenbuy.models.how_much import conformal as home
from whenbuy.models.how_much import ladder, spend
from whenbuy.models.how_much.conformal import Adjustment, ConformalModel, conformal, orders_known
from whenbuy.models.how_much.spend import SpendRate

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
TYPES = {**home.TYPES, **spend.TYPES, **ladder.TYPES, **log_line.TYPES, **terms.TYPES}


def told(mean, ratios):
    made = examples({"event_recency_days": np.zeros(len(mean))})
    return Amount(made.keys, mean, LEVELS, mean[:, None] * np.asarray(ratios), "told")


def came(value, observed=None):
    n = len(value)
    return Labels(np.asarray(value, float), np.ones(n, bool) if observed is None else observed, np.full(n, 107 * DAY))


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(2, 20, n)
    return mean, mean * rng.gamma(1.5, 1 / 1.5, n)


@pytest.mark.parametrize("ratios", [(0.9, 0.95, 1.0, 1.05, 1.1), (0.0, 0.0, 0.5, 5.0, 9.0), (0.1, 0.3, 0.7, 1.3, 2.1)])
def test_intervals_that_were_wrong_hold_on_later_rows(ratios):
    mean, value = drawn(4000, 0)
    adjustment = conformal(told(mean, ratios), came(value))
    mean, value = drawn(20_000, 1)
    after = adjustment.apply(told(mean, ratios))
    scores = {measure.name: measure.value() for measure in amount_measures(after, came(value))}
    assert scores["amount_coverage_80"] == pytest.approx(0.8, abs=0.02)
    assert scores["amount_coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert (after.quantiles[:, 2] == told(mean, ratios).quantiles[:, 2]).all()


def test_customers_are_shifted_apart_by_the_orders_known_of_them():
    """After one order little is known: intervals that fit all others are too narrow for her, and hold when they are learned apart."""

    def amounts(n, seed):
        rng = np.random.default_rng(seed)
        orders, mean = rng.choice([0.0, 1.0, 2.0, 4.0, 9.0], n, p=[0.02, 0.18, 0.2, 0.2, 0.4]), rng.gamma(2, 20, n)
        return orders, mean, mean * np.exp(rng.normal(0, np.where(orders <= 1, 1.2, 0.3)))

    ratios = (0.4, 0.7, 1.0, 1.4, 2.0)
    orders, mean, value = amounts(6000, 0)
    adjustment = conformal(told(mean, ratios), came(value), orders)
    assert (adjustment.shift == conformal(told(mean, ratios), came(value)).shift).all()
    assert (adjustment.apart[0] == adjustment.shift).all()  # too few of them to speak for themselves
    later, mean, value = amounts(20_000, 1)
    apart, alike = adjustment.apply(told(mean, ratios), later), adjustment.apply(told(mean, ratios))
    for known in (1.0, 2.0, 4.0, 9.0):
        rows = later == known
        held = [((one.quantiles[:, 0] <= value) & (value <= one.quantiles[:, 4]))[rows].mean() for one in (apart, alike)]
        assert held[0] == pytest.approx(0.8, abs=0.03)
        assert abs(held[1] - 0.8) > 0.1


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=40))
def test_the_shift_is_the_least_one_that_is_safe(errors):
    """The slow oracle: of all shifts that are an error of some row, the one with enough rows on its safe side (Romano et al. 2019)."""
    n, value = len(errors), 1.0 + np.array(errors)
    found = conformal(told(np.ones(n), np.ones(5)), came(value)).shift
    errors = value - 1.0
    for level, shift in zip(LEVELS, found, strict=True):
        if level == 0.5:
            assert shift == 0
            continue
        upper = level > 0.5
        share = level if upper else 1 - level
        safe = [e for e in errors if sum((other <= e) if upper else (other >= e) for other in errors) >= share * (n + 1) - 1e-9]
        assert shift == ((min(safe) if upper else max(safe)) if safe else 0.0)


def test_only_observed_amounts_count():
    mean, value = drawn(300, 0)
    seen = np.arange(300) % 3 == 0
    ratios = (0.1, 0.3, 0.7, 1.3, 2.1)
    part = conformal(told(mean[seen], ratios), came(value[seen]))
    whole = conformal(told(mean, ratios), came(np.where(seen, value, np.nan), seen))
    assert (part.shift == whole.shift).all()
    with pytest.raises(NotEnoughDataError):
        conformal(told(mean, ratios), came(value, np.zeros(300, bool)))


def test_nothing_falls_below_zero_and_nothing_crosses():
    mean, _ = drawn(50, 0)
    for shift in (np.full(5, -9.0), np.array([9.0, 0, 0, 0, -9.0])):
        after = Adjustment(LEVELS, shift * (LEVELS != 0.5), 0.5).apply(told(mean, (0.1, 0.3, 0.7, 1.3, 2.1)))
        assert after.quantiles.min() >= 0
        assert (np.diff(after.quantiles, axis=1) >= 0).all()
        assert (after.quantiles[:, 2] == mean * 0.7).all()


def test_zero_means_and_too_few_rows_change_nothing_by_infinity():
    nothing = conformal(told(np.zeros(30), np.ones(5)), came(np.zeros(30)))
    assert (nothing.shift == 0).all()
    assert np.isfinite(conformal(told(np.array([0.0, 5.0]), np.ones(5)), came([7.0, 3.0])).shift).all()


def test_other_levels_and_other_rows_are_refused():
    mean, value = drawn(5, 0)
    with pytest.raises(WhenbuyError, match="learned at"):
        Adjustment(LEVELS[1:], np.zeros(4), 1.0).apply(told(mean, np.ones(5)))
    with pytest.raises(WhenbuyError, match="5 amounts were given 4 labels"):
        conformal(told(mean, np.ones(5)), came(value[:4]))


def test_the_model_carries_it_and_knows_as_late_as_both():
    model = SpendRate().fit(shop(600))
    valid = shop(600, 3, cutoff_day=150)
    adjustment = conformal(model.predict(valid), valid.label("spend"))
    adjusted = ConformalModel(model, adjustment, int(valid.label("spend").end.max()))
    assert (adjusted.name, adjusted.known_until) == (model.name, 157 * DAY)
    asked = shop(30, 7, cutoff_day=200)
    expected = adjustment.apply(model.predict(asked)).quantiles
    assert (adjusted.predict(asked).quantiles == expected).all()
    assert (stored(adjusted, TYPES).predict(asked).quantiles == expected).all()
    with pytest.raises(LeakError):
        adjusted.predict(valid)


def test_who_ordered_nothing_is_not_taken_for_who_ordered_once():
    made = examples({"frequency": np.array([0.0, 0.0, 4.0]), "recency_days": np.array([np.nan, 3.0, 1.0])})
    assert orders_known(made).tolist() == [0, 1, 5]
    assert orders_known(examples({"recency_days": np.zeros(2)})).tolist() == [0, 0]
