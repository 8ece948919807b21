import math

import pytest

from whenbuy.reasons.families import TITLES, Facts, Family, Said, Shown, compare, number, say, span
from whenbuy.reasons.mixture import Part

NAN = math.nan


def told(name, shown, now, usual, weekday=0):
    return say(Family(Part(name, tuple(now)), tuple(shown)), Facts(now, usual, weekday))


GAP = (Shown("recency", "recency_days", "purchase"), Shown("gap", "gap_mean_days"))


@pytest.mark.parametrize(
    ("recency", "gap", "state", "detail"),
    [
        (26, 28, "usual gap nearly over", "last order 26 days ago, usually every 28"),
        (3, 28, "ordered just now", "last order 3 days ago, usually every 28"),
        (14, 28, "usual gap not over yet", "last order 14 days ago, usually every 28"),
        (30, 28, "usual gap just over", "last order 30 days ago, usually every 28"),
        (60, 28, "silent for longer than usual", "last order 60 days ago, usually every 28"),
        (280, 28, "silent for 10 usual gaps", "last order 280 days ago, usually every 28"),
        (0.25, 2.5, "ordered just now", "last order 6 hours ago, usually every 2.5 days"),
        (1, 0.5, "silent for longer than usual", "last order 1 day ago, usually every 12 hours"),
        (26, NAN, "only one order so far", "26 days ago"),
        (26, 0, "only one order so far", "26 days ago"),
        (NAN, NAN, "no order yet", ""),
    ],
)
def test_a_silence_is_counted_in_usual_gaps(recency, gap, state, detail):
    now = {"recency_days": recency, "gap_mean_days": gap}
    found = told("gap", GAP, now, {"recency_days": 9.0, "gap_mean_days": 7.0})
    assert (found.state, found.detail) == (state, detail)
    assert found.feature == "recency_days"
    assert found.usual == 9.0


OFTEN = (Shown("count", "orders_84d", "purchase", 84.0), Shown("count", "orders_14d", "purchase", 14.0))


@pytest.mark.parametrize(
    ("season", "lately", "state", "detail"),
    [
        (9, 2, "orders as often as most", "9 orders in 84 days, typical 9"),
        (1, 0, "orders less often than most", "1 order in 84 days, typical 9"),
        (18, 2, "orders more often than most, lately like most", "18 orders in 84 days, typical 9; 2 orders in 14 days, typical 2"),
        (9, 0, "orders as often as most, less lately", "9 orders in 84 days, typical 9; 0 orders in 14 days, typical 2"),
        (9, 4, "orders as often as most, more lately", "9 orders in 84 days, typical 9; 4 orders in 14 days, typical 2"),
    ],
)
def test_orders_are_compared_with_what_is_usual(season, lately, state, detail):
    found = told("often", OFTEN, {"orders_84d": season, "orders_14d": lately}, {"orders_84d": 9.0, "orders_14d": 2.0})
    assert (found.state, found.detail) == (state, detail)


def week(*rates):
    return {f"w{i}": rate for i, rate in enumerate(rates)}


WEEK = tuple(Shown("weekday", f"w{i}", "", 64.0) for i in range(7))


def test_a_weekday_of_her_own_is_named():
    usual = week(*[0.1] * 7)
    found = told("weekday", WEEK, week(0, 0, 0, 6, 2, 1, 1), usual, weekday=2)
    assert found == Said("orders mostly on Saturdays", "60 % of her recent orders; the next one is in 3 days", "w3", 6, 0.1)
    assert told("weekday", WEEK, week(5, 0, 0, 0, 0, 0, 0), usual, weekday=6).detail.endswith("is today")
    assert told("weekday", WEEK, week(0, 5, 0, 0, 0, 0, 0), usual, weekday=6).state == "orders mostly on Mondays"
    assert told("weekday", WEEK, week(*[1] * 7), usual).state == "orders on any weekday"
    assert told("weekday", WEEK, week(*[0] * 7), usual).state == "no weekday of hers known"
    assert told("weekday", (), {}, {}).state == TITLES["weekday"]


def test_money_and_tenure():
    amount = (Shown("amount", "mean_amount", "amount"),)
    assert told("money", amount, {"mean_amount": 52.7}, {"mean_amount": 24.16}) == Said(
        "spends more per order than most", "52.7 an order, typical 24.2", "mean_amount", 52.7, 24.16
    )
    assert told("money", amount, {"mean_amount": NAN}, {"mean_amount": 24.16}).state == "no amount of hers known"
    tenure = (Shown("tenure", "tenure_days", "purchase"),)
    found = told("known", tenure, {"tenure_days": 12.0}, {"tenure_days": 400.0})
    assert (found.state, found.detail) == ("known for less long than most", "for 12 days, typical 400 days")


def test_what_is_most_unusual_is_told():
    shown = (Shown("count", "view_7d", "view", 7.0), Shown("count", "cart_7d", "cart", 7.0), Shown("number", "rate", "orders per view"))
    usual = {"view_7d": 2.0, "cart_7d": 0.0, "rate": 0.1}
    found = told("browsing", shown, {"view_7d": 14.0, "cart_7d": 1.0, "rate": 0.1}, usual)
    assert (found.state, found.detail) == ("more views than most", "14 in 7 days, typical 2")
    found = told("browsing", shown, {"view_7d": 2.0, "cart_7d": 3.0, "rate": NAN}, usual)
    assert (found.state, found.detail) == ("more things put into the cart than most", "3 in 7 days, typical 0")
    assert told("browsing", shown[:1], {"view_7d": 0.0}, usual).state == "no views lately"
    assert told("other", (Shown("count", "x", "wish"),), {"x": 3.0}, {"x": 3.0}).state == "as many events “wish” as most"
    found = told("other", shown[2:], {"rate": 0.4}, usual)
    assert (found.state, found.detail) == ("orders per view higher than most", "0.4, typical 0.1")
    assert told("other", shown[2:], {"rate": NAN}, usual) == Said(TITLES["other"])


def test_numbers_as_people_say_them():
    assert [span(days) for days in (0.0, 1 / 24, 0.5, 0.97, 1.0, 2.25, 9.96, 1234.5, NAN)] == [
        "a moment", "an hour", "12 hours", "1 day", "1 day", "2.2 days", "10 days", "1,234 days", "unknown",
    ]  # fmt: skip
    assert [number(value) for value in (0.0, 3.0, 24.157, 1234.5, -0.123456, NAN)] == ["0", "3", "24.2", "1,234", "-0.123", "unknown"]
    assert [compare(*pair) for pair in ((1, 0), (0, 0), (0, 1), (10, 9.5), (NAN, 1), (1, NAN))] == [1, 0, -1, 0, 0, 0]
