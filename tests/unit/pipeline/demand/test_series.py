"""Forecasts of series: what odd series are told, the same whoever else is asked, and better than the floor."""

from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest

from tests.unit.pipeline.demand.logs import START, log, offers, steady
from whenbuy.core.errors import UsageError
from whenbuy.pipeline.demand.choose import BLEND, choose, families, origins_of, truth
from whenbuy.pipeline.demand.panels import Closed, near_holidays, panel
from whenbuy.pipeline.demand.series import forecast_series, roll, series_forecast
from whenbuy.pipeline.demand.trend import events, hot, peaks, trends

DAYS = 120


@cache
def odd():
    """Steady items beside odd ones: one sale, given up, brand new."""
    return log(
        steady(0, DAYS)
        | {
            "one": [0] * 60 + [3] + [0] * (DAYS - 61),
            "given up": [6] * 50 + [0] * (DAYS - 50),
            "brand new": [0] * (DAYS - 3) + [5, 4, 6],
        },
        further=[{"user_id": "u1", "item_id": "never", "time": START + timedelta(10), "kind": "view"}],
    )  # fmt: skip


@cache
def told():
    return forecast_series(odd(), "item", 28)


def test_odd_items_are_told_what_is_stated():
    found = told().forecast
    mean = {name: found.of(name).mean.mean() for name in ("one", "given up", "brand new", "never", "i05")}
    assert mean["one"] < 0.2
    assert found.of("one").sum_quantile(0.95)[0, -1] > 1
    assert mean["given up"] < 0.5
    assert 1 < mean["brand new"] < 8
    assert mean["never"] == 0
    assert found.of("never").prior[0]
    assert not found.of("never").quantiles.any()
    assert mean["i05"] == pytest.approx(7, rel=0.2)
    assert not found.of("i05").prior[0]


def test_a_stranger_is_told_what_newcomers_sell_and_the_order_is_the_callers():
    found = forecast_series(odd(), "item", 14, names=["i07", "unheard", "one", "unheard"]).forecast
    assert found.keys.ids().to_list() == ["i07", "unheard", "one", "unheard"]
    assert found.prior.tolist() == [False, True, False, True]
    assert found.mean[1].mean() > 0
    assert found.models[1] == "newcomers"
    assert "unheard" in found.frame()["item_id"].to_list()


def test_a_forecast_does_not_depend_on_which_others_are_asked():
    whole, one = forecast_series(odd(), "item", 14).forecast, forecast_series(odd(), "item", 14, names=["i03"]).forecast
    np.testing.assert_array_equal(whole.of("i03").mean, one.mean)
    np.testing.assert_array_equal(whole.of("i03").quantiles, one.quantiles)
    np.testing.assert_array_equal(forecast_series(odd(), "item", 14).forecast.sums, whole.sums)


def test_a_horizon_longer_than_the_history_has_an_answer_whose_range_grows():
    found = forecast_series(log(steady(0, 35, 4)), "item", 90).forecast
    assert found.horizon == 90
    width = (found.sum_quantile(0.9) - found.sum_quantile(0.1)).mean(axis=0)
    assert width[-1] > width[10]


def test_a_history_of_days_has_an_answer():
    found = forecast_series(log(steady(0, 6, 4)), "item", 14).forecast
    assert np.isfinite(found.quantiles).all()
    assert (found.quantile(0.9) > found.quantile(0.1)).any()
    week = forecast_series(log(steady(0, 9, 4)), "item", 14, "week").forecast
    assert week.mean.shape == (4, 2)


def test_a_closed_day_sells_nothing():
    shut = START + timedelta(DAYS + 3)
    history = odd()
    end = date.fromordinal(date(1970, 1, 1).toordinal() + int(told().forecast.start))
    shut = end + timedelta(3)
    found = forecast_series(history, "item", 7, days=Closed((shut,))).forecast
    assert not found.mean[:, 3].any()
    assert not found.quantiles[:, 3].any()
    assert found.mean[:, 4].any()


def test_a_year_without_a_christmas_invents_none():
    shut = Closed(holidays=(date(2030, 12, 25),))
    history = odd()
    plain, holiday = (forecast_series(history, "item", 14, days=days).forecast for days in (Closed(), shut))
    np.testing.assert_allclose(plain.mean, holiday.mean, rtol=0.05)
    found = events(panel(history, "item", ahead=14, days=shut))
    assert found.filter(event="holiday")["factor"].null_count() == len(found.filter(event="holiday"))


def test_gaps_do_not_pull_a_forecast_down():
    sales = steady(0, DAYS, 8)
    whole = series_forecast(log(sales), "item", 14)
    torn = series_forecast(
        log({name: [0 if 90 <= day < 110 else one for day, one in enumerate(units)] for name, units in sales.items()}), "item", 14
    )
    assert torn.mean.sum() == pytest.approx(whole.mean.sum(), rel=0.1)


def test_what_cannot_be_asked_is_refused():
    for wrong in ({"horizon_days": 0}, {"horizon_days": 10_000}, {"step": "month"}, {"measure": "love"}, {"dear": ("Prophet",)}):
        with pytest.raises(UsageError):
            forecast_series(odd(), "item", **wrong)


def test_it_is_better_than_the_floor_and_covers():
    history = log(steady(3, 200, 40))
    cutoff = history.clock.midnights(np.array([history.clock.days(np.array([history.end]))[0] - 28]))[0]
    found = forecast_series(history, "item", 28, as_of=int(cutoff))
    whole = panel(history, "item")
    at = whole.steps - 28
    came = truth(whole, np.array([at]), 28)[:, 0]
    naive = whole.values[:, at - 7 + np.arange(28) % 7]
    assert np.abs(found.forecast.mean - came).mean() < 0.85 * np.abs(naive - came).mean()
    inside = (came >= found.forecast.quantile(0.1)) & (came <= found.forecast.quantile(0.9))
    assert 0.75 <= inside.mean() <= 0.9
    table = found.backtest
    assert table.columns == ["model", "error", "mae", "series", "chosen", "seconds"]
    assert table["chosen"].sum() == 40
    assert BLEND in table["model"].to_list()


def test_dear_models_are_tried_where_they_matter():
    found = panel(log(steady(0, 60, 6)), "item", "week")
    places = origins_of(found)
    tried = families(found, dear=("optimised Theta",))
    chosen = choose(found, places, 2, tried, budget_s=0.0016 * len(places) * 2)
    assert chosen.backtest.filter(model="optimised Theta")["series"].to_list() in ([2], [0])
    told_, names = roll(found, places, 2)
    assert told_.shape == (6, len(places), 2)
    assert len(names) == 6


def test_what_answers_at_an_earlier_origin_was_chosen_before_it():
    found = panel(log(steady(0, DAYS, 6)), "item")
    places = origins_of(found)
    first = choose(found, places, 14, families(found))
    changed = replace(found, values=found.values.copy())
    changed.values[:, places[-4] :] *= 5  # what comes later than this origin
    again = choose(changed, places, 14, families(changed))
    np.testing.assert_array_equal(first.told[:, :-3], again.told[:, :-3])
    assert (first.told[:, -1] != again.told[:, -1]).any()


def test_ranges_are_wider_near_a_holiday():
    end = date.fromordinal(date(1970, 1, 1).toordinal() + int(told().forecast.start))
    holidays = Closed(holidays=(end + timedelta(10),))
    found = forecast_series(odd(), "item", 14, days=holidays).forecast
    plain = forecast_series(odd(), "item", 14).forecast
    width, usual = ((part.quantile(0.9) - part.quantile(0.1)).sum(axis=0) for part in (found, plain))
    assert width[7:].sum() / usual[7:].sum() > 1.1
    assert width[:7].sum() / usual[:7].sum() == pytest.approx(1, abs=0.05)
    near = near_holidays(panel(odd(), "item", "week"), np.array([1]), 3, Closed(holidays=(START,)))
    assert near.shape == (1, 3)


# ------------------------------------------------------------------------------------ trend and peaks


def test_trends_say_level_growth_and_when_it_changed():
    days = 210
    sales = steady(0, days, 5) | {"z9": [10] * 105 + [25] * 105, "y8": [round(20 + 0.1 * day) for day in range(days)]}
    found = trends(panel(log(sales), "item"))
    jump, grown = found.filter(item_id="z9").row(0, named=True), found.filter(item_id="y8").row(0, named=True)
    assert jump["level"] == pytest.approx(175)
    assert len(jump["changed"]) == 1
    assert abs((jump["changed"][0] - (START + timedelta(105))).days) <= 7
    assert grown["growth_low"] > 0
    assert found.filter(item_id="i04")["season_strength"][0] > 0.2
    short = trends(panel(log(steady(0, 20, 2)), "item"))
    assert short["growth"].null_count() == 2


def test_hot_items_have_a_chance_and_peaks_a_date():
    found = told()
    warm = hot(found.forecast, found.panel, 1.2)
    assert warm["chance"].is_between(0, 1).all()
    assert warm["chance"].is_sorted(descending=True)
    assert "never" not in warm["item_id"].to_list()
    sure = hot(found.forecast, found.panel, 0.01).filter(item_id="i11")["chance"][0]
    assert sure > 0.9
    high = peaks(found.forecast).filter(item_id="i11")
    assert set(high["begins"].dt.weekday().to_list()) == {6}


def test_the_effect_of_offers_has_an_interval_that_holds_the_truth():
    rng = np.random.default_rng(0)
    runs = [range(20, 24), range(48, 52), range(70, 74), range(101, 105)]
    on = np.isin(np.arange(DAYS), np.concatenate(runs))
    sales = {f"i{k}": rng.poisson(np.where(on, 30, 20)).tolist() for k in range(8)}
    begin = [START + timedelta(run[0]) for run in runs]
    told_ = offers(*[((b.year, b.month, b.day), ((e := b + timedelta(4)).year, e.month, e.day)) for b in begin])
    found = events(panel(log(sales, offers=told_), "item", ahead=1))
    assert found["occurrences"].to_list() == [4] * 8
    assert found["factor"].mean() == pytest.approx(1.5, rel=0.1)
    assert ((found["low"] <= 1.5) & (found["high"] >= 1.5)).sum() >= 5
    holiday = events(panel(log(sales), "item", ahead=1, days=Closed(holidays=(START + timedelta(22),))))
    assert holiday["occurrences"].to_list() == [1] * 8
    assert holiday["low"].null_count() == 8
    assert not len(events(panel(log(sales), "item", "week", ahead=1)))
