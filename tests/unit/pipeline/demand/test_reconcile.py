"""One demand forecast that adds up, and why so many."""

from datetime import date

import numpy as np
import pytest

from tests.unit.pipeline.demand.shop_with_model import shop, told
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, NotFoundError, UsageError
from whenbuy.pipeline.demand.panels import Closed
from whenbuy.pipeline.demand.reconcile import demand
from whenbuy.pipeline.demand.why import reasons, split, words


@pytest.mark.parametrize(("entity", "step"), [("category", "week"), ("category", "day"), ("item", "week"), ("shop", "week")])
def test_every_level_adds_up(entity, step):
    found = told(entity, step)
    tree = found.nodes.tree
    assert np.abs(tree.add_up(found.agreed.ahead[tree.leaves]) - found.agreed.ahead).max() < 1e-6
    assert (tree.add_up(found.units[tree.leaves]) == found.units).all()
    values = np.nan_to_num(found.nodes.values)
    assert np.allclose(tree.add_up(values[tree.leaves]), values, atol=1e-3)
    for level in found.levels.values():
        assert (level.quantile(0.9) >= level.quantile(0.1)).all()
        assert level.sums is not None
    assert set(found.levels) == {"shop", *({"category"} & {entity} or {"category"} if entity != "shop" else set()), entity}


def test_the_joined_total_is_no_worse_than_the_worst_view():
    scores = told().scores.filter(level="shop")
    joined = scores.filter(view="agreed")["wape"][0]
    assert joined < scores.filter(scores["view"] != "agreed")["wape"].max()


def test_nothing_that_happens_later_moves_it():
    history, model = shop()
    cutoff = int(history.end - 28 * DAY)
    again = demand(history.cut(cutoff), model, "category", 14, "week", cutoff, origins=4)
    assert np.array_equal(again.agreed.ahead, told().agreed.ahead)
    assert np.array_equal(again.of("category").quantiles, told().of("category").quantiles)


def test_without_a_model_the_series_speak_alone():
    history, _ = shop()
    found = demand(history, None, "category", 14, "week", int(history.end - 28 * DAY), origins=4)
    assert len(found.views) == 1
    with pytest.raises(NotEnoughDataError):
        split(found, "category")


def test_the_customers_weeks_fall_on_the_days_of_each_series():
    by_day, by_week = told("category", "day"), told("category", "week")
    series, leaves = by_day.views[0], by_day.nodes.tree.leaves
    for view, week in zip(by_day.views[1:], by_week.views[1:], strict=True):
        for told_, own, whole in ((view.ahead, series.ahead, week.ahead), (view.told[:, 0], series.told[:, 0], week.told[:, 0])):
            days, usual = (part[leaves].reshape(len(leaves), 2, 7) for part in (told_, own))
            assert np.allclose(days.sum(axis=2), whole[leaves])
            sold = usual.sum(axis=2) > 0
            assert np.allclose((days / days.sum(axis=2, keepdims=True))[sold], (usual / usual.sum(axis=2, keepdims=True))[sold])


def test_nothing_is_told_of_closed_days():
    history, model = shop()
    cutoff = int(history.end - 28 * DAY)
    closed = date.fromordinal(date(1970, 1, 1).toordinal() + int(history.clock.days(np.array([cutoff]))[0]) + 9)
    found = demand(history, model, "category", 14, "day", cutoff, origins=2, days=Closed(closed=(closed,)))
    assert not found.agreed.ahead[:, 9].any()
    assert (found.agreed.ahead[0, :9] > 0).all()


def test_why_so_many_adds_up_and_reads():
    found = told()
    parts = split(found, "category")
    assert (parts.sum(axis=0) == found.units[found.nodes.rows["category"]].sum(axis=1)).all()
    table = reasons(found, "category")
    assert (table["units"] == table.select("due", "regular", "other", "newcomer").sum_horizontal()).all()
    name = table.sort("units")["category"][-1]
    said = words(found, "category", name)
    assert said.startswith(f"{name}: ")
    assert "usual gap is nearly over" in said
    with pytest.raises(NotFoundError):
        words(found, "category", "no such thing")


def test_the_frame_holds_whole_units():
    frame = told().frame("category")
    assert (frame["units"] - frame["mean"]).abs().max() <= 2
    with pytest.raises(NotFoundError):
        told().of("item")


def test_a_horizon_without_a_day_and_other_entities_are_refused():
    history, _ = shop()
    for entity, days in (("category", 0), ("user", 14)):
        with pytest.raises(UsageError):
            demand(history, None, entity, days)
