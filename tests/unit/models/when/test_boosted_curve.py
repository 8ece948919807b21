"""Direct horizons: which rows teach which horizon, the chain of classifiers, and how they are joined into one curve."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import stored
from tests.unit.models.when.test_hazard import drawn
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Table
from whenbuy.models import trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest
from whenbuy.models.when import boosted_curve
from whenbuy.models.when.boosted_curve import DirectHorizons, joined, monotone, spread

GRID = (0.25, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 28.0)
TYPES = {**boosted_curve.TYPES, **trees.TYPES}
FEW = Boosting(trees=20, learning_rate=0.2, min_leaf=20, feature_fraction=1.0)
BOOSTED = DirectHorizons(GRID, FEW, horizons=5)
FOREST = DirectHorizons(GRID, Forest(trees=15, leaves=16), horizons=4)
both = pytest.mark.parametrize("learner", [BOOSTED, FOREST], ids=lambda learner: learner.name)


def later(made: Examples) -> Examples:
    """The same people long after all labels, as they are asked: without labels."""
    return replace(made, keys=replace(made.keys, cutoff=made.keys.cutoff + 100 * DAY), labels={})


# ----------------------------------------------------------------------------------------------------- which horizons


def test_ten_horizons_of_a_shop_that_counts_in_days():
    grid = (1 / 24, 0.25, 0.5, *map(float, range(1, 29)), 35.0, 42.0, 56.0)
    assert spread(grid, 28.0, 10) == (1, 2, 3, 4, 5, 7, 10, 14, 20, 28)
    assert spread(grid, 9.9, 10) == (1, 2, 3, 4, 5, 6, 7, 9)
    assert spread(tuple(7.0 * np.arange(1, 40)), 273.0, 10) == (7, 14, 21, 28, 42, 63, 91, 133, 189, 273)
    assert spread((0.25, 0.5, 2.0), 0.6, 10) == (0.25, 0.5)
    assert spread((0.25, 0.5, 2.0), 0.1, 10) == ()


@given(st.lists(st.floats(0.01, 400), min_size=1, max_size=40, unique=True), st.floats(0.01, 500), st.integers(1, 12))
def test_horizons_are_days_of_the_grid_within_reach(days, reach, count):
    days = sorted(days)
    chosen = spread(days, reach, count)
    within = [day for day in days if day <= reach]
    assert set(chosen) <= set(within)
    assert list(chosen) == sorted(chosen)
    assert len(chosen) <= count + 1
    assert bool(chosen) == bool(within)
    if within:
        assert chosen[-1] == within[-1]


# -------------------------------------------------------------------------------------------------------- the joining


def slow_monotone(row):
    found = []
    for i in range(len(row)):
        found.append((max(row[: i + 1]) + min(row[i:])) / 2)
    return found


def slow_joined(fallen, horizons, day):
    """The cumulative hazard at one day: the same hazard all through a stretch, and that of the last one for ever."""
    total, before, hazard, start = 0.0, 0.0, 0.0, 0.0
    for end, at in zip(horizons, fallen, strict=True):
        hazard = (at - before) / (end - start)
        if day <= end:
            return total + hazard * (day - start)
        total, before, start = at, at, end
    return total + hazard * (day - start)


chances = st.lists(st.lists(st.floats(0.001, 0.999), min_size=4, max_size=4), min_size=1, max_size=6)


@given(chances)
def test_monotone_equals_a_slow_loop_and_keeps_what_never_fell(rows):
    rows = np.array(rows)
    found = monotone(rows)
    assert np.allclose(found, [slow_monotone(row) for row in rows.tolist()], rtol=1e-15)
    assert (np.diff(found, axis=1) >= 0).all()
    rising = np.sort(rows, axis=1)
    assert np.array_equal(monotone(rising), rising)


@given(chances)
def test_joined_equals_a_slow_loop(rows):
    horizons, days = np.array([1.0, 2.0, 7.0, 28.0]), np.array([0.25, 1.0, 1.5, 6.0, 7.0, 20.0, 28.0, 56.0])
    fallen = -np.log1p(-np.sort(np.array(rows), axis=1))
    slow = [[slow_joined(row, horizons.tolist(), day) for day in days] for row in fallen.tolist()]
    assert np.allclose(joined(fallen, horizons, days), slow, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- the learning


def slow_target(made: Examples, days: float):
    """Rows watched for the whole horizon, and whether they bought in it, row by row."""
    label, rows, bought = made.label("purchase"), [], []
    for row in range(len(made)):
        if (label.end[row] - made.keys.cutoff[row]) / DAY >= days:
            rows.append(row)
            bought.append(float(label.observed[row] and label.value[row] < days))
    return rows, bought


@pytest.mark.parametrize("days", [1.0, 7.0, 10.0, 14.0])
def test_a_horizon_is_taught_by_the_rows_watched_for_all_of_it(days):
    made = drawn(reach=14.0, cutoffs=(100, 107))
    target = boosted_curve._Target.of(made, days)
    rows, bought = slow_target(made, days)
    assert (target.rows.tolist(), target.bought.tolist()) == (rows, bought)
    assert len(rows) < len(made) or days <= 7


@both
def test_rows_that_the_censoring_cut_teach_a_horizon_nothing(learner):
    """A buyer of the last week says as little of 14 days as somebody who was silent in it."""
    made = drawn(n=900, reach=14.0, cutoffs=(100, 107))
    label, cut = made.label("purchase"), made.keys.cutoff == 107 * DAY
    other = replace(label, observed=label.observed ^ cut, value=np.where(cut, 1.0, label.value))
    learner = replace(learner, grid_days=(14.0,), key_days=14.0)
    assert bytes_of(learner.fit(made), made) == bytes_of(learner.fit(replace(made, labels={"purchase": other})), made)


def bytes_of(model, made):
    return model.predict(later(made)).survival.tobytes()


def test_rows_that_weigh_nothing_say_nothing():
    made = drawn(n=800, reach=14.0, cutoffs=(100,))
    heavy = np.arange(800) % 2 == 0
    weighed = BOOSTED.fit(replace(made, weight=heavy * 1.0))
    alone = BOOSTED.fit(made.take(np.flatnonzero(heavy)))
    assert np.allclose(weighed.share, alone.share)


@both
def test_the_chances_are_those_of_the_trees_in_their_chain(learner):
    made = drawn(n=900, reach=28.0, cutoffs=(100,))
    model = learner.fit(made)
    found = model.chances(made.table.values[:5])
    for i in range(len(model.horizons)):
        raw, at = np.zeros(5), i
        while at >= 0:
            raw, at = raw + model.trees[at].raw(made.table.values[:5]), model.before[at]
        slow = 1 / (1 + np.exp(-raw)) if learner.name == "boosted" else raw
        assert np.allclose(found[:, i], slow, atol=0.05)  # as far as they never fell
    if learner.name == "boosted":
        key = model.before.index(-1)
        assert model.horizons[key] == 7.0
        few = round(0.15 * FEW.trees)
        assert [len(trees) for trees in model.trees] == [FEW.trees if i == key else few for i in range(len(model.trees))]


@both
def test_it_finds_out_who_buys_sooner(learner):
    """Buyers wait 2 + recency days on average: the chances of strangers to the model are right and in the right order."""
    model = learner.fit(drawn(n=4000, seed=1, reach=28.0, cutoffs=(100,)))
    fresh = drawn(n=4000, seed=2, reach=28.0, cutoffs=(100,))
    forecast = model.predict(later(fresh))
    truth = 1 - (1 - 1 / (2 + fresh.table.column("recency_days"))) ** 7
    assert np.corrcoef(forecast.probability(7.0), truth)[0, 1] > 0.9
    for days in (1.0, 7.0, 14.0, 28.0):
        bought = fresh.label("purchase").observed & (fresh.label("purchase").value < days)
        assert forecast.probability(days).mean() == pytest.approx(bought.mean(), abs=0.03)
    assert (forecast.mean_count >= 1 - forecast.survival - 1e-12).all()


@both
def test_a_stranger_gets_the_shares_of_everybody(learner):
    model = learner.fit(drawn(n=900, reach=28.0, cutoffs=(100,)))
    asked = later(drawn(n=3))
    asked = replace(asked, table=Table(asked.table.names, np.full_like(asked.table.values, np.nan)))
    forecast = model.predict(asked)
    assert forecast.prior.all()
    assert np.allclose(forecast.probability(model.horizons), model.share, atol=1e-9)


@both
def test_it_survives_storage_and_reads_columns_by_name(learner):
    made = drawn(n=600, reach=28.0, cutoffs=(100,))
    model = learner.fit(made)
    assert stored(learner, TYPES) == learner
    assert bytes_of(stored(model, TYPES), made) == bytes_of(model, made)
    turned = replace(made, table=Table(made.table.names[::-1], np.ascontiguousarray(made.table.values[:, ::-1])))
    assert bytes_of(model, turned) == bytes_of(model, made)
    with pytest.raises(ColumnError, match="views_7d"):
        model.predict(later(replace(made, table=Table(made.table.names[:-1], made.table.values[:, :-1]))))


# ------------------------------------------------------------------------------------------------------------ poor data


@both
@pytest.mark.parametrize("bought", [False, True], ids=["nobody", "everybody"])
def test_a_class_alone_teaches_nothing(learner, bought):
    made = drawn(n=60, cutoffs=(100,), reach=28.0)
    label = made.label("purchase")
    made.labels["purchase"] = replace(label, observed=np.full(60, bought), value=np.zeros(60) if bought else np.full(60, 28.0))
    with pytest.raises(NotEnoughDataError, match="some of 60 training examples"):
        learner.fit(made)


@both
def test_a_handful_of_rows_and_a_constant_table_give_the_shares(learner):
    made = drawn(n=12, cutoffs=(100,), reach=28.0)
    few = learner.fit(made)
    assert np.allclose(few.predict(later(made)).probability(few.horizons), few.share, atol=1e-6)
    many = drawn(n=500, cutoffs=(100,), reach=28.0)
    same = replace(many, table=Table(many.table.names, np.ones_like(many.table.values)))
    model = learner.fit(same)
    assert np.allclose(model.predict(later(same)).probability(model.horizons), model.share, atol=1e-6)


def test_of_too_many_rows_some_are_left_out_by_chance():
    made = drawn(n=900, cutoffs=(100,), reach=28.0)
    few = boosted_curve.thinned(made, 300, seed=1)
    assert len(few) == 300
    assert few.keys.code.tolist() == sorted(set(few.keys.code.tolist()))
    assert boosted_curve.thinned(made, 900, seed=1) is made
    assert bytes_of(replace(BOOSTED, max_rows=300).fit(made), made) == bytes_of(BOOSTED.fit(boosted_curve.thinned(made, 300, 0)), made)


def test_nothing_watched_and_nobody_at_all_are_said():
    made = drawn(n=60, cutoffs=(100,), reach=0.1)
    with pytest.raises(NotEnoughDataError):
        BOOSTED.fit(made)
    with pytest.raises(NotEnoughDataError):
        BOOSTED.fit(made.take(slice(0, 0)))


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"horizons": 0}, {"further": 1.5}, {"stride": 0.0}, {"max_rows": 0}):
        with pytest.raises(UsageError):
            DirectHorizons(GRID, **wrong)
    with pytest.raises(UsageError, match="poisson"):
        DirectHorizons(GRID, Boosting("poisson"))


def test_it_refuses_cutoffs_that_it_has_seen():
    made = drawn(n=300, cutoffs=(100,), reach=28.0)
    with pytest.raises(LeakError):
        BOOSTED.fit(made).predict(made)
