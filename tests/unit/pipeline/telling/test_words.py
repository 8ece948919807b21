"""How the report says numbers, dates and names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.clock import Clock
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.telling.words import Calendar, Name, count, money, percent, score_words, signed


@given(st.floats(0, 1))
def test_nothing_is_certain(share: float) -> None:
    words = percent(share).replace("\u202f", " ")
    assert words == "<1 %" if share < 0.01 else words == ">99 %" if share > 0.99 else 1 <= int(words.split()[0]) <= 99


@pytest.mark.parametrize(
    ("value", "currency", "short", "words"),
    [
        (43_217, "USD", True, "$43.2k"), (999_700, "EUR", True, "€1m"), (999.4, "GBP", True, "£999"), (999.6, "GBP", True, "£1k"),
        (15_000, "USD", True, "$15k"), (1_234_567_890, "USD", True, "$1.23bn"), (4.2e16, "USD", True, "$42,000tn"),
        (12.345, "CHF", False, "CHF 12.35"),
        (1_234.5, "USD", False, "$1,234"), (99.996, "", False, "100"), (-5, "USD", False, "−$5.00"), (0, "", True, "0.00"),
    ],
)  # fmt: skip
def test_money(value: float, currency: str, short: bool, words: str) -> None:
    assert money(value, currency, short).replace("\u202f", " ") == words


@given(st.floats(0, 1e18))
def test_short_money_says_the_amount(value: float) -> None:
    words = money(value, "", short=True).replace(",", "")
    digits = words.rstrip("kmbnt")
    power = {"": 0, "k": 1, "m": 2, "bn": 3, "tn": 4}[words[len(digits) :]]
    assert float(digits) * 1000.0**power == pytest.approx(value, rel=6e-3, abs=0.006)


def test_counts_and_differences() -> None:
    assert [count(number) for number in (0, 0.04, 0.06, 6.02, 9.94, 9.96, 1_213.6)] == ["0", "<0.1", "0.1", "6", "9.9", "10", "1,214"]
    assert [signed(number, 2) for number in (1.234, -0.5, 0)] == ["+1.23", "−0.50", "+0.00"]


@given(st.text(max_size=200))
def test_names_are_short_and_whole_elsewhere(text: str) -> None:
    name = Name.of(text)
    assert 0 < len(name.short) <= 30
    assert "\0" not in name.short + name.full
    assert name.short == text or not text.strip() or name.full


def test_dates_leave_out_the_year_of_the_page_only() -> None:
    clock = Clock("America/New_York")
    calendar = Calendar(clock, clock.instant("2017-12-26"))
    assert calendar.date(clock.instant("2017-12-31T23:30")) == "31 Dec"
    assert calendar.date(clock.instant("2018-01-01")) == "1 Jan 2018"
    assert calendar.moment(calendar.cutoff) == "26 Dec 2017"
    assert calendar.moment(clock.instant("2017-12-26T09:05")) == "26 Dec 2017, 09:05"


def test_dates_beyond_the_grid_are_said_as_such() -> None:
    clock = Clock()
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, clock.instant("2018-03-01")), Dictionary.of("abc"))
    curve = TimeToEvent.of(keys, np.array([10.0, 20.0]), np.array([[0.5, 0.05], [0.7, 0.6], [0.99, 0.98]]), None, "given")
    outlook, calendar = Outlook(keys, {"purchase": curve}, (7.0,)), Calendar(clock, clock.instant("2018-03-01"))
    said = [calendar.expected(outlook.take(slice(row, row + 1))) for row in range(3)]
    assert said == [("11 Mar", "2 Mar – 17 Mar"), ("after 21 Mar", "3 Mar – later"), ("after 21 Mar", "later")]


def test_scores_have_names() -> None:
    said = {
        "auc_7d": "AUC, 7 days", "logloss_14d": "log-loss, 14 days", "auc": "AUC", "mae": "mean error",
        "mae_28d": "date off by, days (within 28)",
        "coverage_80": "inside the 80\u202f% range", "bias_0.5d": "promised ÷ came, 0.5 days", "unheard_of_7d": "unheard_of_7d", "": "",
        "c_index": "C-index", "precision_at_3": "right among the 3 likeliest", "_7d": "_7d",
    }  # fmt: skip
    assert {name: score_words(name) for name in said} == said
