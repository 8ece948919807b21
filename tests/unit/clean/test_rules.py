"""What each causal rule does, on logs small enough to read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.clean.logs import HOUR, START, drawn, make
from whenbuy.clean import (
    Bots,
    Cleaned,
    Currencies,
    DoubleClicks,
    Duplicates,
    Impossible,
    Missing,
    MixedUnits,
    Outliers,
    Rate,
    Refunds,
    Rescale,
    Rule,
    ShiftClock,
    StrangeRows,
    TestOrders,
    clean,
    replay,
)  # fmt: skip
from whenbuy.core.clock import Clock
from whenbuy.core.errors import EmptyError, SettingsError
from whenbuy.core.log import EventLog


def ran(rows: list[dict[str, object]], *rules: Rule, now: str | None = None) -> Cleaned:
    return clean(make(rows), rules, now)


def values(log: EventLog, column: str) -> list[object]:
    return log.frame()[column].to_list()


def view(user: str, at: float, **more: object) -> dict[str, object]:
    return {"user": user, "kind": "view", "at": at, **more}


def bought(user: str, at: float, amount: float | None = 10, **more: object) -> dict[str, object]:
    return {"user": user, "kind": "purchase", "at": at, "amount": amount, **more}


def back(user: str, at: float, amount: float | None = 10, **more: object) -> dict[str, object]:
    return {"user": user, "kind": "refund", "at": at, "amount": amount, **more}


def test_the_row_known_first_is_kept_of_rows_with_one_event_id() -> None:
    rows = [view("b", 0, known=50, event_id="x"), view("a", 5, event_id="x"), view("a", 9, event_id="y"), view("a", 9)]
    done = ran(rows, Duplicates())
    assert values(done.history.log, "user_id") == ["a", "a", "a"]
    assert done.quarantine["user_id"].to_list() == ["b"]
    assert "same event_id" in done.quarantine["reason"][0]


def test_rows_without_an_id_are_duplicates_when_all_columns_are_equal() -> None:
    rows = [view("a", 5, item_id="i", dwell_s=3), view("a", 5, item_id="i", dwell_s=3, known=9), view("a", 5, item_id="i", dwell_s=4)]
    done = ran(rows, Duplicates())
    assert values(done.history.log, "dwell_s") == [3, 4]
    assert done.quarantine["known_at"][0].timestamp() * 1e6 == START + 9e6


def test_a_double_click_is_one_click() -> None:
    rows = [view("a", t, item_id="i") for t in (0, 1, 2.5, 4)] + [view("a", 1, item_id="j"), view("a", 0.5), view("b", 1, item_id="i")]
    done = ran(rows, DoubleClicks(2))
    assert sorted(done.quarantine["time"].dt.second()) == [1, 4]  # 0 is kept, 2.5 is more than two seconds after it, 4 is not after 2.5


def test_double_clicks_leave_lines_of_different_orders_and_day_logs_alone() -> None:
    midnight = (Clock().instant("2017-01-02") - START) / 1e6
    rows = [bought("a", 0, item_id="i", order_id="o"), bought("a", 1, item_id="i", order_id="o"), bought("a", 1, item_id="i", order_id="p")]
    rows += [bought("a", 1, item_id="i"), view("a", midnight, item_id="i"), view("a", midnight, item_id="i")]
    done = ran(rows, DoubleClicks(2, ("view", "purchase")))
    assert done.quarantine["order_id"].to_list() == ["o"]


def test_impossible_values_go_and_negative_purchases_become_refunds() -> None:
    rows = [
        bought("a", 0, 10, quantity=0), bought("a", 1, 0, unit_price=0), bought("a", 2, None, unit_price=-1),
        bought("a", 3, -5, quantity=-1, unit_price=5), bought("a", 4, None), back("a", 5, -3), bought("a", 6, 0),
        bought("a", 7, 7, quantity=1, unit_price=7),
    ]  # fmt: skip
    done = ran(rows, Impossible())
    log = done.history.log
    assert values(log, "kind") == ["refund", "purchase", "refund", "purchase"]
    assert values(log, "amount") == [5, None, 3, 7]
    assert values(log, "quantity") == [1, None, None, 1]
    assert len(ran(rows, Impossible(free=True)).history.log) == 6


def test_absurd_instants_go_and_the_end_of_the_log_comes_back() -> None:
    year = 365 * 86_400
    rows = [view("a", 0), view("a", -40 * year), view("a", 100 * year), view("a", 10, known=-2 * 86_400)]
    done = ran(rows, Impossible(), now="2018-01-01")
    assert len(done.history.log) == 1
    assert done.quarantine["reason"].n_unique() == 3
    assert done.history.end == Clock().instant("2017-01-02")


def test_a_refund_keeps_its_purchase_and_points_at_it() -> None:
    rows = [
        bought("a", 0, 10, item_id="i"), bought("a", 1, 10, item_id="i"), bought("a", 2, 30, item_id="j", order_id="o"),
        bought("a", 3, 5, item_id="k", order_id="o"), *(back("a", t, 8, item_id="i") for t in (4, 5, 6)),
        back("a", 7, 35, order_id="o"), back("a", 8, 1, order_id="o"), back("b", 9, 8, item_id="i"),
        back("a", 10, None, item_id="i"),
    ]  # fmt: skip
    done = ran(rows, Refunds())
    assert len(done.history.log) == len(rows)
    assert values(done.history.log, "refund_of") == [None] * 4 + [1, 0, None, 3, None, 1, None]
    assert dict(done.report.rules[0].facts) == {"refunds matched to their purchase": 4, "refunds without a known purchase": 3}


def test_a_refund_belongs_to_no_purchase_that_was_known_later() -> None:
    rows = [bought("a", 0, 10, item_id="i", known=99), back("a", 5, 10, item_id="i")]
    assert values(ran(rows, Refunds()).history.log, "refund_of") == [None, None]


def test_links_follow_their_rows_when_others_leave() -> None:
    rows = [view("a", 0, event_id="x"), view("a", 1, event_id="x"), bought("a", 2, item_id="i"), back("a", 3, item_id="i")]
    log = clean(make(rows), [Refunds(), Duplicates()]).history.log
    assert values(log, "refund_of") == [None, None, 1]
    assert values(log, "kind")[1] == "purchase"


def test_test_orders_are_found_by_pattern() -> None:
    told = [("test", "1", "web"), ("tess", "TEST-7", "web"), ("contest", "2", "qa"), ("testa", "3", "x")]
    rows = [bought(user, 0, order_id=order, channel=channel) for user, order, channel in told]
    done = ran(rows, TestOrders())
    assert values(done.history.log, "user_id") == ["testa"]
    assert len(ran(rows, TestOrders({"text": "x"})).history.log) == 4
    with pytest.raises(SettingsError, match="regular expression"):
        TestOrders({"user_id": "("})


def test_a_busy_user_gets_a_verdict_and_loses_nothing() -> None:
    rows = [view("a", t * 10) for t in range(20)] + [view("b", t * 1000) for t in range(20)]
    done = ran(rows, Bots(per_hour=9))
    log = done.history.log
    assert len(log) == 41
    assert log.count("bot") == 1
    assert log.known_at[log.kind == log.code("bot")] == START + 90e6
    assert done.quarantine["done"].to_list() == ["added"]
    again = clean(done.history, [Bots(per_hour=9)])
    assert again.history.log.count("bot") == 1


def test_a_user_without_a_pause_gets_a_verdict() -> None:
    rows = [view("a", t * 1200) for t in range(100)] + [view("b", t * 2400) for t in range(100)]
    done = ran(rows, Bots(hours=24))
    log = done.history.log
    assert log.known_at[log.kind == log.code("bot")] == START + 24 * HOUR
    assert "without a pause" in done.quarantine["reason"][0]


def test_amounts_are_converted_by_the_rate_of_the_day() -> None:
    rates = (Rate("GBP", "2017-01-01", 1.2), Rate("GBP", "2017-01-02", 1.5))
    told = [(0, "GBP"), (86_400, "GBP"), (1, "USD"), (2, None), (-86_400, "GBP")]
    done = ran([bought("a", at, 10, currency=currency) for at, currency in told], Currencies("EUR", rates))
    assert values(done.history.log, "amount") == [12, 10, 15]
    assert values(done.history.log, "currency") == ["EUR", None, "EUR"]
    assert sorted(done.quarantine.filter(done.quarantine["done"] == "removed")["currency"]) == ["GBP", "USD"]


@pytest.mark.parametrize(
    ("action", "prices", "amounts"), [("mend", [2, 2, 2, 2, 3], [2, 2, 2, 4, 3]), ("remove", [2, 2, 2, 3], [2, 2, 2, 3])]
)
def test_cents_among_units_are_found_by_the_median_so_far(action: str, prices: list[float], amounts: list[float]) -> None:
    rows = [bought("a", t, 2, unit_price=2, item_id="i") for t in range(3)]
    rows += [bought("b", 3, 400, unit_price=200, quantity=2, item_id="i"), bought("b", 4, 3, unit_price=3, item_id="i")]
    log = ran(rows, MixedUnits(action, least=3)).history.log
    assert values(log, "unit_price") == prices
    assert values(log, "amount") == amounts


def test_mixed_units_are_flagged_without_a_change() -> None:
    rows = [bought("a", t, 2, unit_price=p, item_id="i") for t, p in enumerate([2, 2, 0.02, 200])]
    log = ran(rows, MixedUnits(least=2)).history.log
    assert values(log, "mixed_units") == [0, 0, 1, 1]


def test_milliseconds_among_seconds_are_rescaled() -> None:
    rows = [view("a", 0, dwell_s=30, channel="app"), view("a", 1, dwell_s=30_000, channel="web"), view("a", 2)]
    assert values(ran(rows, Rescale("dwell_s", 0.001, above=14_400)).history.log, "dwell_s") == [30, 30, None]
    assert values(ran(rows, Rescale("dwell_s", 2, source=("channel", "app"))).history.log, "dwell_s") == [60, 30_000, None]


def test_a_clock_in_another_zone_is_moved_without_knowing_anything_earlier() -> None:
    rows = [view("a", 0, channel="app"), view("a", 1800, channel="web"), view("a", 7200, channel="app")]
    log = ran(rows, ShiftClock(-1, ("channel", "app"))).history.log
    assert (log.time - START).tolist() == [-3600e6, 1800e6, 3600e6]
    assert (log.known_at - START).tolist() == [0, 1800e6, 7200e6]
    log = ran(rows, ShiftClock(1, ("channel", "app"))).history.log
    assert (log.time - START).tolist() == (log.known_at - START).tolist() == [1800e6, 3600e6, 10_800e6]


def test_missing_cells_are_filled_from_the_past() -> None:
    told = [(0, None, None), (1, 2, "x"), (3, 6, None), (4, None, "y"), (5, None, None)]
    rows = [bought("a", t, v, item_id="i", category=c) for t, v, c in told]
    assert values(ran(rows, Missing("amount", "last")).history.log, "amount") == [None, 2, 6, 6, 6]
    assert values(ran(rows, Missing("amount", "line")).history.log, "amount") == [None, 2, 6, 8, 10]
    assert values(ran(rows, Missing("amount", "constant", 1.5)).history.log, "amount") == [1.5, 2, 6, 1.5, 1.5]
    assert values(ran(rows, Missing("amount", "remove")).history.log, "amount") == [2, 6]
    assert values(ran(rows, Missing("category", "last", by="user_id")).history.log, "category") == [None, "x", "x", "y", "y"]
    assert values(ran(rows, Missing("category", "constant", "none")).history.log, "category") == ["none", "x", "none", "y", "none"]
    assert dict(ran(rows, Missing("amount", "last")).report.rules[0].facts) == {"cells of amount that stay empty": 1}


DAY_S = 86_400.0
"""Seconds of a day; START lies ten hours into one, so these rows fall into terms of one day each."""


@pytest.mark.parametrize(
    ("how", "filled"), [("mean", 4.0), ("median", 3.0), ("mode", 2.0), ("nearest", 9.0), ("knn", 9.0), ("model", 9.8)],
)  # fmt: skip
def test_a_fill_learns_from_what_was_known_before_its_day(how: str, filled: float) -> None:
    known = [(2, 1), (2, 1), (3, 1.5), (4, 2), (9, 4.5)]
    rows = [bought("a", DAY_S * t, v, item_id="i", unit_price=p) for t, (v, p) in enumerate(known)]
    rows += [bought("b", DAY_S * 10, None, unit_price=4.9), bought("c", DAY_S * 10, 1000.0, unit_price=4.9)]
    fill = Missing("amount", how, every_days=1, neighbours=1 if how == "knn" else 5)
    found = ran(rows, fill)
    new = found.history.log.frame().filter(user_id="b")["amount"][0]
    assert new == pytest.approx(filled, abs=1.5 if how == "model" else 0.006)  # the thousand of the same day teaches nothing
    assert found.quarantine.select("done", "column", "original").rows() == [("changed", "amount", None)]
    assert "was filled" in found.quarantine["reason"][0]
    first = ran([bought("b", 0, None, unit_price=1.0)], fill)
    assert values(first.history.log, "amount") == [None]
    assert dict(first.report.rules[0].facts) == {"cells of amount that stay empty": 1}


def test_names_are_filled_by_the_commonest_or_the_nearest() -> None:
    told = [("web", 1), ("app", 50), ("web", 2)]
    rows = [bought("a", DAY_S * t, v, channel=c) for t, (c, v) in enumerate(told)] + [bought("b", DAY_S * 5, 48, channel=None)]
    assert values(ran(rows, Missing("channel", "mode", every_days=1)).history.log, "channel")[-1] == "web"
    assert values(ran(rows, Missing("channel", "nearest", every_days=1)).history.log, "channel")[-1] == "app"
    with pytest.raises(SettingsError, match="holds names"):
        Missing("channel", "mean")


def test_interpolation_waits_for_the_later_value_and_counts_from_then_on() -> None:
    told = [(0, 10), (1, None), (4, 18), (5, None)]
    cleaned = ran([bought("a", t, v, item_id="i") for t, v in told], Missing("amount", "interpolate"))
    log = cleaned.history.log
    assert values(log, "amount") == [10, 12, 18]
    assert ((log.time - START) // 1_000_000).tolist() == [0, 1, 4]
    assert ((log.known_at - START) // 1_000_000).tolist() == [0, 4, 4]  # the filled cell is known with the value after it
    waits = cleaned.quarantine.filter(done="removed")
    assert waits["reason"].to_list() == ["its amount is missing and waits for the next value of its item"]


@pytest.mark.parametrize("method", ["isolation", "local"])
def test_a_strange_row_is_flagged_clipped_or_taken_out(method: str) -> None:
    rng = np.random.default_rng(0)
    usual = [bought("a", DAY_S * t / 8, 10 + rng.random(), quantity=1 + t % 3) for t in range(80)]
    rows = [*usual, bought("b", DAY_S * 15, 500.0, quantity=40), bought("c", DAY_S * 15, 10.5, quantity=2)]
    rule = StrangeRows(method, ("amount", "quantity"), every_days=1, least=20, share=0.1, neighbours=10)
    flagged = ran(rows, rule)
    assert values(flagged.history.log, "strange")[-2:] == [1, 0]
    assert len(flagged.history.log) == len(rows)
    taken = ran(rows, replace(rule, action="remove"))
    assert taken.quarantine.filter(user_id="b")["done"].to_list() == ["removed"]
    assert "unlike those known before" in taken.quarantine["reason"][0]
    clipped = ran(rows, replace(rule, action="clip"))
    at = clipped.history.log.frame().filter(user_id="b").select("amount", "quantity").row(0)
    assert (10 < at[0] <= 11, at[1]) == (True, 3)
    assert len(replay(clipped).log.frame().filter(amount=500.0)) == 1


@pytest.mark.parametrize("method", ["zscore", "iqr"])
def test_outliers_are_measured_by_earlier_rows(method: str) -> None:
    amounts = [10, 11, 12, 13, 14, 1000, 12]
    rows = [bought("a", t, v) for t, v in enumerate(amounts)]
    assert values(ran(rows, Outliers("amount", method, 3, least=4)).history.log, "outlier_amount") == [0, 0, 0, 0, 0, 1, 0]
    assert values(ran(rows, Outliers("amount", method, 3, action="remove", least=4)).history.log, "amount") == [10, 11, 12, 13, 14, 12]
    clipped = values(ran(rows, Outliers("amount", method, 3, action="clip", least=4)).history.log, "amount")
    assert clipped[5] == {"iqr": 19, "zscore": 16.74}[method]
    assert 1000 in ran(rows, Outliers("amount", method, 3, action="clip", least=4)).quarantine["amount"].to_list()


def test_rules_that_find_no_column_find_nothing() -> None:
    rows = [view("a", 0), view("b", 1)]
    done = ran(
        rows, Currencies("EUR", ()), MixedUnits(), Rescale("dwell_s", 2, 1), ShiftClock(1, ("channel", "app")), Missing("amount", "last"),
        Outliers("amount"),
    )  # fmt: skip
    assert len(done.history.log) == 2
    assert len(done.quarantine) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DoubleClicks(0), lambda: DoubleClicks(1, ()), lambda: Bots(per_hour=0), lambda: Rate("GBP", "2017-01-01", -1),
        lambda: MixedUnits("delete"), lambda: MixedUnits(factor=1), lambda: Rescale("dwell_s", 2), lambda: Rescale("item_id", 2, 1),
        lambda: ShiftClock(0, ("channel", "app")), lambda: ShiftClock(1, ("channel",)), lambda: Missing("amount", "guess"),
        lambda: Missing("amount", "constant"), lambda: Missing("brand", "line"), lambda: Outliers("brand"),
        lambda: Outliers("amount", "mad"),
        lambda: Outliers("amount", least=0), lambda: clean(make([bought("a", 0, None)]), [Missing("amount", "constant", "much")]),
        lambda: clean(make([bought("a", 0, channel="web")]), [Outliers("amount", by="amount")]),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_words(wrong: object) -> None:
    with pytest.raises(SettingsError) as caught:
        wrong()  # type: ignore[operator]
    assert caught.value.need


def test_a_log_that_is_empty_after_cleaning_names_the_rule() -> None:
    rows = [bought("test", t) for t in range(3)] + [bought("a", 9, 0, quantity=0)]
    with pytest.raises(EmptyError, match=r"all 4 events \(impossible 1: the quantity is zero; test_orders 3: the user_id"):
        ran(rows, Impossible(), TestOrders())


def test_an_empty_log_stays_empty() -> None:
    empty = clean(drawn(1).cut(START - 10**15))
    assert len(empty.history.log) == 0
    assert len(empty.quarantine) == 0


def test_one_user_without_a_purchase_is_cleaned() -> None:
    done = clean(make([view("a", t, event_id=str(t)) for t in range(5)]))
    assert len(done.history.log) == 5
    assert done.report.sentences()[-1] == "5 rows came in, 5 went on."
