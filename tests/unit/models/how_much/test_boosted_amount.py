"""Boosted amounts: they find a known law, and say what they do with poor amounts."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import stored
from tests.unit.models.spenders import law, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Labels, Table
from whenbuy.models.fitting import log_line, terms
from whenbuy.models.how_much import boosted_amount, ladder
from whenbuy.models.how_much.boosted_amount import BoostedAmount
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.boosting import Boosting

TYPES = {**boosted_amount.TYPES, **ladder.TYPES, **log_line.TYPES, **terms.TYPES, **TREES}
SMALL = {"mean": Boosting("tweedie", trees=30), "median": Boosting("l1", trees=30)}


def later(n=4000, seed=7):
    """Other customers of the same shop, after all labels."""
    return shop(n, seed, cutoff_day=200)


def with_amounts(made, question, value):
    label = made.label(question)
    return replace(made, labels={**made.labels, question: Labels(value, label.observed, label.end)})


@pytest.mark.parametrize(("question", "line"), [("amount", True), ("spend", True), ("spend", False)])
def test_it_finds_the_law(question, line):
    told = BoostedAmount(question, line=line, **SMALL).fit(shop()).predict(later())
    _, rate, each = law(4000, 7)
    truth = each if question == "amount" else rate * each
    assert told.mean.sum() == pytest.approx(truth.sum(), rel=0.06)
    assert np.corrcoef(told.mean, truth)[0, 1] > 0.9
    came = later().label(question)
    for place, level in enumerate(told.levels):
        below = (came.value <= told.quantiles[:, place])[came.observed].mean()
        assert max(level, (came.value[came.observed] == 0).mean()) == pytest.approx(below, abs=0.06)


def test_the_median_beats_the_mean_at_the_mean_distance():
    told, came = BoostedAmount("spend", **SMALL).fit(shop()).predict(later()), later().label("spend").value
    assert np.abs(told.quantile(0.5) - came).mean() < np.abs(told.mean - came).mean()
    assert ((told.mean - came) ** 2).mean() < ((told.quantile(0.5) - came) ** 2).mean()


def test_the_currency_only_scales_the_answer():
    train = shop(1500)
    cents = with_amounts(train, "spend", train.label("spend").value * 100)
    one, other = (BoostedAmount("spend", **SMALL).fit(made).predict(later(300)) for made in (train, cents))
    assert other.mean == pytest.approx(100 * one.mean, rel=1e-4)
    assert other.quantiles == pytest.approx(100 * one.quantiles, rel=1e-3, abs=1e-6)


def test_amounts_below_zero_count_as_zero():
    train = shop(800)
    value = train.label("spend").value
    lost, nothing = (with_amounts(train, "spend", np.where(np.arange(800) % 2, value, floor)) for floor in (-50.0, 0.0))
    one, other = (BoostedAmount("spend", **SMALL).fit(made).predict(later(100)) for made in (lost, nothing))
    assert (one.mean == other.mean).all()
    assert (one.quantiles == other.quantiles).all()
    assert one.quantiles.min() >= 0


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_amounts_that_bring_nothing_are_refused_in_words(value):
    with pytest.raises(NotEnoughDataError, match="none of them is above 0"):
        BoostedAmount("spend").fit(with_amounts(shop(100), "spend", np.full(100, value)))


def test_somebody_of_whom_nothing_is_known_gets_what_everybody_got():
    train = shop(800)
    asked = later(3)
    values = asked.table.values.copy()
    values[1:] = np.nan
    told = BoostedAmount("spend", **SMALL).fit(train).predict(replace(asked, table=Table(asked.table.names, values)))
    assert told.mean[1:] == pytest.approx(train.label("spend").value.mean())
    assert told.quantiles[1, 3] == pytest.approx(np.median(train.label("spend").value), rel=0.02)


def test_many_rows_are_sampled_by_the_seed():
    train = shop(600)
    few = [BoostedAmount("spend", max_rows=200, seed=seed, **SMALL).fit(train).predict(later(50)).mean for seed in (0, 0, 1)]
    assert (few[0] == few[1]).all()
    assert (few[0] != few[2]).any()


def test_it_comes_back_from_the_codec_and_keeps_its_secret():
    model = BoostedAmount("spend", **SMALL).fit(shop(600))
    back = stored(model, TYPES)
    assert (back.predict(later(50)).quantiles == model.predict(later(50)).quantiles).all()
    assert stored(BoostedAmount("spend", **SMALL), TYPES) == BoostedAmount("spend", **SMALL)
    assert model.known_until == 107 * DAY
    with pytest.raises(LeakError):
        model.predict(shop(5))
    asked = later(5)
    poor = replace(asked, table=Table(("event_recency_days",), asked.table.values[:, 3:4]))
    with pytest.raises(ColumnError):
        model.predict(poor)


@pytest.mark.parametrize("settings", [{"levels": (0.1, 0.9)}, {"mean": Boosting("l2")}, {"median": Boosting("tweedie")}, {"max_rows": 0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        BoostedAmount(**settings)
