"""The boosted hazard: its person-periods, the sampling of survivors, and the curve of one walk."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import stored
from tests.unit.models.when.test_hazard import drawn
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Table
from whenbuy.models import trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when import hazard_trees
from whenbuy.models.when.hazard_trees import BoostedHazard, person_periods

GRID = (0.25, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 28.0)
TYPES = {**hazard_trees.TYPES, **trees.TYPES}
LEARNER = BoostedHazard(GRID, Boosting(trees=30, learning_rate=0.2, min_leaf=20, feature_fraction=1.0), stretches=5)


def later(made: Examples) -> Examples:
    return replace(made, keys=replace(made.keys, cutoff=made.keys.cutoff + 100 * DAY), labels={})


@pytest.mark.parametrize(("reach", "cutoffs"), [(28.0, (100,)), (14.0, (100, 107)), (9.5, (100, 105))])
def test_person_periods_equal_a_slow_loop(reach, cutoffs):
    made, ends = drawn(reach=reach, cutoffs=cutoffs), np.array([1.0, 2.0, 4.0, 7.0, 10.0])
    label, slow = made.label("purchase"), []
    for row in range(len(made)):
        watched, start = (label.end[row] - made.keys.cutoff[row]) / DAY, 0.0
        for place, end in enumerate(ends):
            if end > watched or label.value[row] < start:
                break  # cut by the censoring, whether she bought in it or not; or she had bought before it began
            slow.append((row, place, bool(label.observed[row] and label.value[row] < end)))
            start = end
    row, stretch, bought = person_periods(made, ends)
    assert list(zip(row.tolist(), stretch.tolist(), bought.tolist(), strict=True)) == slow
    assert 0 < bought.sum() < len(bought)


def test_the_curve_is_the_product_over_the_stretches():
    model = LEARNER.fit(drawn(n=1500, reach=28.0, cutoffs=(100,)))
    asked = later(drawn(n=4, seed=5))
    forecast = model.predict(asked)
    for row in range(4):
        silent = 1.0
        for end, usual in zip(model.ends, model.usual, strict=True):
            values = np.concatenate([[end], asked.table.values[row]]).astype(np.float32)[None, :]
            silent *= 1 - 1 / (1 + np.exp(-(usual + model.trees.raw(values)[0])))
            assert forecast.survival_at(float(end))[row] == pytest.approx(silent, rel=1e-9)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_sampled_survivors_leave_the_chances_as_they_were(share):
    model = replace(LEARNER, survivors=share).fit(drawn(n=5000, seed=1, reach=28.0, cutoffs=(100,)))
    fresh = drawn(n=5000, seed=2, reach=28.0, cutoffs=(100,))
    forecast, label = model.predict(later(fresh)), fresh.label("purchase")
    truth = 1 - (1 - 1 / (2 + fresh.table.column("recency_days"))) ** 7
    assert np.corrcoef(forecast.probability(7.0), truth)[0, 1] > 0.9
    for days in (1.0, 7.0, 28.0):
        assert forecast.probability(days).mean() == pytest.approx((label.observed & (label.value < days)).mean(), abs=0.03)


def test_a_stranger_gets_the_usual_hazard():
    made = drawn(n=1500, reach=28.0, cutoffs=(100,))
    model = LEARNER.fit(made)
    asked = later(drawn(n=3))
    forecast = model.predict(replace(asked, table=Table(asked.table.names, np.full_like(asked.table.values, np.nan))))
    assert forecast.prior.all()
    bought = made.label("purchase").observed & (made.label("purchase").value < 7)
    assert forecast.probability(7.0) == pytest.approx(bought.mean(), abs=0.05)


def test_it_survives_storage():
    made = drawn(n=600, reach=28.0, cutoffs=(100,))
    model = LEARNER.fit(made)
    assert stored(LEARNER, TYPES) == LEARNER
    assert stored(model, TYPES).predict(later(made)).survival.tobytes() == model.predict(later(made)).survival.tobytes()
    with pytest.raises(LeakError):
        model.predict(made)


def test_poor_data_and_senseless_settings_are_said():
    made = drawn(n=60, cutoffs=(100,), reach=28.0)
    label = made.label("purchase")
    for bought in (False, True):
        alike = replace(label, observed=np.full(60, bought), value=np.zeros(60) if bought else np.full(60, 28.0))
        with pytest.raises(NotEnoughDataError, match="stretches of days"):
            LEARNER.fit(replace(made, labels={"purchase": alike}))
    for none in (made.take(slice(0, 0)), drawn(n=60, cutoffs=(100,), reach=0.1)):
        with pytest.raises(NotEnoughDataError):
            LEARNER.fit(none)
    for wrong in ({"stretches": 0}, {"survivors": 0.0}, {"max_rows": 0}, {"grow": Boosting("l2")}):
        with pytest.raises(UsageError):
            BoostedHazard(GRID, **wrong)
