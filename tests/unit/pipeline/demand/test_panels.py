"""Series from the log: days of the shop, gaps, stock, weeks, offers known in time, and nothing from after the cutoff."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.demand.logs import START, log, offers, steady
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.profile import Profile
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.demand.bottom_up import Lines
from whenbuy.pipeline.demand.panels import MEASURES, MOST_POOLED, Closed, panel, pool_of


def row(found, name):
    return found.values[found.keys.ids().to_list().index(name)]


def test_a_series_holds_units_by_day_from_the_first_sale_on():
    history = log({"a": [0, 0, 3, 0, 1], "b": [2, 0, 0, 0, 4]}, users=3)
    found = panel(history, "item")
    assert found.values.tolist() == [[0, 0, 3, 0], [2, 0, 0, 0]] or found.steps == 5
    assert row(found, "a")[:5].tolist() == [0, 0, 3, 0, 1][: found.steps]
    assert found.first.tolist() == [2, 0]
    assert panel(history, "shop").values[0, :4].tolist() == [2, 0, 3, 0]


def test_what_comes_back_is_no_demand():
    history = log({"a": [3, -2, 4, 1], "b": [1, 1, -5, 1]}, users=3)
    found = panel(history, "item")
    assert row(found, "a")[:3].tolist() == [3, 0, 4]
    assert row(found, "b")[:3].tolist() == [1, 1, 0]
    assert panel(history, "shop").values[0, :3].tolist() == [4, 1, 4]
    assert Lines.of(history, "item").units.sum() == 11  # and so it is in the view of the customers


def test_what_is_known_later_changes_nothing():
    shop = simulate(200, 120, 3).history
    cutoff = shop.clock.midnights(np.array([shop.clock.days(np.array([shop.end]))[0] - 40]))[0]
    for measure in MEASURES:
        entity = "campaign" if measure in ("shown", "opened", "clicked", "redeemed") else "category"
        whole, cut = (panel(one, entity, as_of=int(cutoff), measure=measure, ahead=7) for one in (shop, shop.cut(int(cutoff))))
        np.testing.assert_array_equal(whole.values, cut.values)
        for name, part in whole.calendar.items():
            np.testing.assert_array_equal(part, cut.calendar[name])


def test_a_day_of_25_hours_is_one_day():
    days = 40
    history = log({"a": [5] * days}, timezone="Europe/Berlin", start=date(2024, 10, 1))
    found = panel(history, "item")
    assert found.values[0].tolist() == [5.0] * found.steps
    assert found.steps >= days - 1


def test_a_gap_in_the_log_is_unknown_and_a_closed_day_is_not():
    sales = {name: [9 * (day not in (30, 31)) for day in range(60)] for name in ("a", "b", "c", "d", "e", "f")}
    history = log(sales)
    found = panel(history, "item")
    assert np.isnan(found.values[:, 30:32]).all()
    assert np.isfinite(np.delete(found.values, [30, 31], axis=1)).all()
    closed = panel(history, "item", days=Closed((START + timedelta(30),)), ahead=5)
    assert (closed.values[:, 30] == 0).all()
    assert np.isnan(closed.values[:, 31]).all()
    assert closed.calendar["closed"].shape == (closed.steps + 1, 5)
    assert closed.calendar["closed"][28, 2] == 1
    weeks = panel(history, "item", "week")
    assert weeks.values.max() == pytest.approx(63)
    assert weeks.values.min() == pytest.approx(63)


def test_a_quiet_log_has_no_gaps():
    assert np.isfinite(panel(log({"a": [1, 0, 0, 1, 0, 0, 0, 2]}), "item").values).all()


def test_a_week_with_too_few_known_days_is_unknown():
    sales = {name: [9 * (day not in range(29, 34)) for day in range(56)] for name in ("a", "b", "c", "d", "e", "f")}
    values = panel(log(sales), "item", "week").values
    assert np.isnan(values).sum() >= 6
    assert np.nanmax(values) == pytest.approx(63)


def test_days_without_stock_are_unknown():
    at = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 10, 12, tzinfo=UTC), datetime(2024, 1, 14, tzinfo=UTC)]
    stock = Profile("item", pl.DataFrame({"id": ["a"] * 3, "valid_from": at, "stock": [5, 0, 7]}))
    sales = steady(0, 30) | {"a": [4] * 9 + [2] + [0] * 3 + [4] * 17}
    found = panel(log(sales, items=stock), "item")
    assert np.isnan(row(found, "a")[10:13]).all()
    assert np.isfinite(np.delete(row(found, "a"), [10, 11, 12])).all()
    before = panel(log(sales, items=stock), "item", as_of="2024-01-12")
    assert np.isnan(row(before, "a")[10])
    timeless = Profile("item", pl.DataFrame({"id": ["a"], "stock": [0]}), timeless=True)
    assert np.isfinite(panel(log(sales, items=timeless), "item").values).all()


def test_offers_are_known_from_when_they_were_told():
    history = log(steady(0, 40), offers=offers(((2024, 1, 20), (2024, 1, 25))))
    found = panel(history, "item", ahead=10)
    told = found.calendar["offers"]
    assert told[19, :6].tolist() == [1, 1, 1, 1, 1, 0]
    assert told[17, 2] == 1
    assert told[15].sum() == 0


def test_visits_and_clicks_of_things_and_answers_to_campaigns_are_counted():
    noon = datetime(2024, 1, 2, 12)
    extra = [
        {"user_id": "u1", "item_id": "i00", "time": noon, "kind": kind, "offer_id": "mail"}
        for kind in ("view", "click", "click", "shown", "shown", "clicked", "redeemed")
    ]  # fmt: skip
    history = log(steady(0, 20, 6), further=extra)
    assert row(panel(history, "item", measure="clicks"), "i00")[1] == 2
    assert row(panel(history, "item", measure="views"), "i00")[1] == 1
    assert row(panel(history, "campaign", measure="shown"), "mail")[1] == 2
    assert row(panel(history, "campaign", measure="redeemed"), "mail")[1] == 1
    assert panel(history, "shop", measure="orders").values[0, 3] <= panel(history, "shop").values[0, 3]


def test_what_cannot_be_asked_is_refused():
    history = log(steady(0, 20, 3))
    for wrong in ({"measure": "love"}, {"step": "month"}):
        with pytest.raises(UsageError):
            panel(history, "item", **wrong)
    with pytest.raises(UsageError):
        panel(history, "user")
    with pytest.raises(NotEnoughDataError):
        panel(history, "item", "week", "2024-01-05")


def test_the_pool_is_those_that_sold_evenly_by_size():
    values = np.zeros((MOST_POOLED + 500, 3), np.float32)
    values[:, 0] = np.arange(len(values))
    pool = pool_of(values)
    assert len(pool) == MOST_POOLED
    assert 0 not in pool
    assert {1, len(values) - 1} <= set(pool.tolist())
