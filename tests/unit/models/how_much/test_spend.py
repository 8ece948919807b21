"""The simple ways to say what is spent: the rate of the last days, and count times amount."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import stored
from tests.unit.models.spenders import law, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.core.examples import Labels, Table
from whenbuy.models.how_much import amount_floors, ladder, spend
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.how_much.spend import CountTimesAmount, SpendRate
from whenbuy.models.when import floors
from whenbuy.models.when.floors import PoissonRate

TYPES = {**spend.TYPES, **ladder.TYPES, **floors.TYPES, **amount_floors.TYPES}
PRODUCT = CountTimesAmount(PoissonRate((7.0, 28.0)), OwnMean())


def rated(*shape, **more):
    """A shop with the orders of the last 84 days."""
    made = shop(*shape, **more)
    orders = (made.table.column("spend_84d") / made.table.column("mean_amount"))[:, None].astype(np.float32)
    return replace(made, table=made.table.beside(Table(("orders_84d",), orders)))


def test_the_rate_is_the_spend_of_the_window_in_the_horizon_of_the_labels():
    model = SpendRate().fit(rated(1000))
    asked = rated(20, 7, cutoff_day=200)
    assert model.predict(asked).mean == pytest.approx(asked.table.column("spend_84d") * 7 / 84)


def test_the_product_is_count_times_amount():
    train, asked = rated(1000), rated(20, 7, cutoff_day=200)
    count, amount = (learner.fit(train).predict(asked) for learner in (PRODUCT.orders, PRODUCT.amount))
    told = PRODUCT.fit(train).predict(asked)
    assert told.mean == pytest.approx(count.count_at(7.0) * amount.mean)
    assert told.model == "rate-84d x own-mean-amount"


@pytest.mark.parametrize("learner", [SpendRate(), PRODUCT], ids=lambda learner: learner.name)
def test_its_quantiles_hold(learner):
    told, came = learner.fit(rated(8000)).predict(rated(8000, 7, cutoff_day=200)), shop(8000, 7).label("spend").value
    below = (came[:, None] <= told.quantiles).mean(axis=0)
    assert below == pytest.approx(np.maximum(told.levels, (came == 0).mean()), abs=0.05)
    _, rate, each = law(8000, 7)
    assert np.corrcoef(told.mean, rate * each)[0, 1] > 0.8


@pytest.mark.parametrize("learner", [SpendRate(), PRODUCT], ids=lambda learner: learner.name)
def test_promises(learner):
    train, asked = rated(600), rated(4, 7, cutoff_day=200)
    model = learner.fit(train)
    values = asked.table.values.copy()
    values[2:] = np.nan
    told = model.predict(replace(asked, table=Table(asked.table.names, values)))
    assert told.mean[2:] == pytest.approx(train.label("spend").value.mean())
    assert (stored(model, TYPES).predict(asked).quantiles == model.predict(asked).quantiles).all()
    assert stored(learner, TYPES) == learner
    assert model.known_until >= 107 * DAY
    with pytest.raises(LeakError):
        model.predict(rated(5))
    label = train.label("spend")
    for value, observed in ((0.0, True), (1.0, False)):
        nothing = Labels(np.full(600, value), np.full(600, observed), label.end)
        with pytest.raises(NotEnoughDataError):
            learner.fit(replace(train, labels={**train.labels, "spend": nothing}))
