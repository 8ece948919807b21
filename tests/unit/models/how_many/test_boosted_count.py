"""Boosted counts: they find a known law at every horizon, and join the stretches into one curve."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import stored
from tests.unit.models.spenders import law, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Labels, Table
from whenbuy.models.fitting import log_line, terms
from whenbuy.models.how_many import boosted_count
from whenbuy.models.how_many.boosted_count import BoostedCount
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.boosting import Boosting

TYPES = {**boosted_count.TYPES, **log_line.TYPES, **terms.TYPES, **TREES}
DAYS = (1.0, 7.0, 14.0, 28.0, 56.0)
SMALL = Boosting("poisson", trees=30)


def only(made, *names):
    return replace(made, labels={name: made.label(name) for name in names})


@pytest.mark.parametrize("line", [True, False])
def test_it_finds_the_law(line):
    told = BoostedCount(DAYS, line=line, grow=SMALL).fit(shop()).predict(shop(4000, 7, cutoff_day=200))
    _, rate, _ = law(4000, 7)
    for days in (7.0, 28.0):
        assert told.count_at(days).sum() == pytest.approx((rate * days / 7).sum(), rel=0.05)
        assert np.corrcoef(told.count_at(days), rate)[0, 1] > 0.95
    assert told.survival == pytest.approx(np.exp(-told.mean_count))


def test_between_horizons_it_is_straight_and_beyond_them_the_last_rate_goes_on():
    told = BoostedCount(DAYS, grow=SMALL).fit(shop(1000)).predict(shop(20, 7, cutoff_day=200))
    at = told.count_at(np.array(DAYS)).T
    assert at[0] == pytest.approx(at[1] / 7)
    assert at[2] == pytest.approx(at[1] + (at[3] - at[1]) / 3)
    assert at[4] == pytest.approx(at[3] + 28 * (at[3] - at[1]) / 21)


def test_one_horizon_is_enough():
    train = only(shop(1000), "orders")
    told = BoostedCount(DAYS, grow=SMALL).fit(train).predict(shop(2000, 7, cutoff_day=200))
    assert told.count_at(28.0).mean() == pytest.approx(train.label("orders").value.mean(), rel=0.1)
    assert told.count_at(7.0) == pytest.approx(told.count_at(28.0) / 4)


def test_a_stretch_without_orders_is_left_to_the_next():
    train = shop(1000)
    label = train.label("orders_7d")
    silent = replace(train, labels={**train.labels, "orders_7d": Labels(np.zeros(1000), label.observed, label.end)})
    model = BoostedCount(DAYS, grow=SMALL).fit(silent)
    assert model.horizons.tolist() == [28.0]


def test_only_windows_that_have_closed_teach():
    train = shop(1000)
    label, closed = train.label("orders"), np.arange(1000) % 2 == 0
    end = np.where(closed, label.end, label.end - 10 * DAY)
    cut = replace(train, labels={**train.labels, "orders": Labels(np.where(closed, label.value, 99.0), closed, end)})
    told = BoostedCount(DAYS, grow=SMALL).fit(cut).predict(shop(2000, 7, cutoff_day=200))
    assert told.count_at(28.0).mean() == pytest.approx(label.value[closed].mean(), rel=0.15)


@pytest.mark.parametrize("observed", [True, False])
def test_no_order_is_refused_in_words(observed):
    train = only(shop(100), "orders")
    label = train.label("orders")
    empty = replace(train, labels={"orders": Labels(np.zeros(100), np.full(100, observed), label.end)})
    with pytest.raises(NotEnoughDataError, match="hold no order"):
        BoostedCount(DAYS).fit(empty)


def test_somebody_of_whom_nothing_is_known_gets_the_mean():
    asked = shop(3, 7, cutoff_day=200)
    values = asked.table.values.copy()
    values[1:] = np.nan
    train = shop(1000)
    told = BoostedCount(DAYS, grow=SMALL).fit(train).predict(replace(asked, table=Table(asked.table.names, values)))
    assert told.prior.tolist() == [False, True, True]
    assert told.count_at(28.0)[1:] == pytest.approx(train.label("orders").value.mean())


def test_it_comes_back_from_the_codec_and_keeps_its_secret():
    model = BoostedCount(DAYS, grow=SMALL).fit(shop(600))
    asked = shop(50, 7, cutoff_day=200)
    assert (stored(model, TYPES).predict(asked).mean_count == model.predict(asked).mean_count).all()
    assert stored(BoostedCount(DAYS, grow=SMALL), TYPES) == BoostedCount(DAYS, grow=SMALL)
    assert model.known_until == 128 * DAY
    with pytest.raises(LeakError):
        model.predict(shop(5))


@pytest.mark.parametrize("settings", [{"grow": Boosting("binary")}, {"max_rows": 0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        BoostedCount(DAYS, **settings)
