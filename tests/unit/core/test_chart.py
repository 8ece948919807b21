"""Charts become SVG that stands alone, reads on both backgrounds and cannot be broken by a name."""

import os
import subprocess
import sys
from datetime import date
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.chart import answers, look, records, scores
from whenbuy.core.text import label, printable

EVIL = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</svg><b>", "a&amp;b", "顧客 مرحبا",
    "x" * 100_000, "x" * 99_999 + "!" + "x" * 40,
    "nul\0\x1b[31m\u202e", "😀" * 3_000, "", " ", "\x7f\x85\ufffe",
]  # fmt: skip
DRAWN = {"svg", "g", "path", "text", "tspan", "rect", "line", "circle", "defs", "clipPath"}
DAYS = [0.0, 7.0, 14.0, 28.0, 56.0]
CURVE = pl.DataFrame({"day": DAYS, "probability": [0.0, 0.3, 0.5, 0.7, 0.9], "average": [0.0, 0.2, 0.3, 0.4, 0.5]})
WEEKS = [date(2017, 12, day) for day in (4, 11, 18, 25)]


def long(users: list[str]) -> pl.DataFrame:
    rows = [(user, day, day / (10 + i + day)) for i, user in enumerate(users) for day in DAYS[1:]]
    return pl.DataFrame(rows, schema=["user_id", "day", "probability"], orient="row")


CHARTS = {
    "curves": lambda: answers.curves(long(["a", "b", "c"])),
    "curve": lambda: answers.curves(long(["a"])),
    "purchase": lambda: answers.purchase_curve(CURVE, (7.0, 14.0, 28.0), "one curve"),
    "histogram": lambda: records.histogram(
        pl.DataFrame({"low": [0.0, 0.5], "high": [0.5, 1.0], "customers": [3, 1_500]}), "chance", "buckets"
    ),
    "daily": lambda: records.daily_orders(
        pl.DataFrame({"day": WEEKS, "orders": [3.0, 4.0, 2.5, 2.4], "part": ["counted"] * 2 + ["expected"] * 2}), "orders"
    ),
    "activity": lambda: records.activity(pl.DataFrame({"day": WEEKS, "events": [5, 0, 7, 1]}), "week", "events"),
    "activities": lambda: records.activities(
        {"view": pl.DataFrame({"day": WEEKS, "events": [5, 0, 7, 1]}), "x" * 90: pl.DataFrame({"day": WEEKS, "events": [1, 0, 2, 1]})},
        "week",
    ),
    "spread": lambda: records.spread(
        pl.DataFrame({"low": [0.0, 5], "high": [5.0, 10], "orders": [3, 1]}), "amount (EUR)", "orders", "amounts"
    ),
    "habit": lambda: records.habit(
        pl.DataFrame({"name": ["Mon", "Tue"], "orders": [0.3, 0.7], "visits": [0.5, 0.5]}), "share of orders", ["Mon", "Tue"], "weekdays"
    ),
    "habit of orders alone": lambda: records.habit(pl.DataFrame({"name": ["0"], "orders": [1.0]}), "share of orders", ["0"], "hours"),
    "monthly": lambda: records.monthly(
        pl.DataFrame({"day": [date(2017, 11, 1), date(2017, 12, 1)], "rate": [1.5, 2.5]}), "a day", "months"
    ),
    "by cutoff": lambda: scores.by_cutoff(
        pl.DataFrame(
            {"day": WEEKS, "ours": [0.8] * 4, "low": [0.7, None, 0.7, 0.7], "high": [0.9, None, 0.9, 0.9], "floor": [0.75, 0.8, None, 0.7]}
        ),
        "weeks",
        1.0,
    ),
    "one cutoff": lambda: scores.by_cutoff(
        pl.DataFrame({"day": WEEKS[:1], "ours": [0.8], "low": [0.8], "high": [0.8], "floor": [0.8]}), "one week"
    ),
    "ranges": lambda: answers.ranges(
        pl.DataFrame({"user_id": ["a", "b"], "low": [1.0, 2], "middle": [2.0, 3], "high": [5.0, 9], "mean": [2.5, 4]}), "amount"
    ),
    "chances": lambda: answers.chances(pl.DataFrame({"user_id": ["a", "b"], "probability": [0.0, 1.0]}), "chance"),
    "classes": lambda: answers.classes(
        pl.DataFrame({"user_id": ["a", "a", "b", "b"], "class": ["tea", "x" * 90] * 2, "probability": [0.0, 1.0, 0.5, 0.2]}), "classes"
    ),
    "one day": lambda: records.activity(pl.DataFrame({"day": WEEKS[:1], "events": [5]}), "day", "events"),
    "reliability": lambda: scores.reliability(
        pl.DataFrame({"mean_probability": [0.1, 0.8], "share_bought": [0.2, 0.7], "low": [0.1, 0.5], "high": [0.3, 0.9], "n": [9, 40]}),
        "kept",
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_stands_alone_and_names_itself(name: str) -> None:
    drawing = CHARTS[name]()
    text = look.svg(drawing)
    root = ElementTree.fromstring(text)
    elements = list(root.iter())
    assert {element.tag.partition("}")[2] for element in elements} <= DRAWN
    assert root.get("role") == "img"
    assert root.get("aria-label") == drawing.description
    assert not [element for element in elements if element.get("id")]  # many charts share a page
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert len(text) < 30_000
    assert text == look.svg(CHARTS[name]())


def test_names_cannot_leave_their_text() -> None:
    text = look.svg(answers.curves(long(EVIL)))
    root = ElementTree.fromstring(text)
    assert {element.tag.partition("}")[2] for element in root.iter()} <= DRAWN
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    said = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert EVIL[0] in said
    assert "顧客 مرحبا" in said
    assert {"xxxxxxxxxxxxxxxxxxxx…xxxxxxx", "xxxxxxxxxxxxxxxxxxxx…xxxxxxx (7)", "nul\ufffd\ufffd[31m\ufffd", "“”", "“ ”"} <= set(said)


@given(st.text(max_size=100))
def test_a_label_is_short_and_seen(name: str) -> None:
    short = label(name)
    assert 0 < len(short) <= 30
    assert short == printable(short)
    assert short == name or len(name) > 28 or not name.strip() or printable(name) != name


def test_twenty_lines_are_told_apart_by_more_than_colour() -> None:
    root = ElementTree.fromstring(look.svg(answers.curves(long([f"u{i}" for i in range(20)]))))
    lines = [
        element for element in root.iter() if element.get("fill") is None and element.get("stroke-width") == "2" and element.get("stroke")
    ]
    looks = [(element.get("stroke"), element.get("stroke-dasharray")) for element in lines]
    assert len(set(looks)) == 20


def test_the_inks_read_on_both_backgrounds() -> None:
    for ink in (look.INK, *look.LINES):
        assert contrast(ink, "#ffffff") >= 4.5
        assert contrast(ink, "#111111") >= 3.5
    assert all(contrast(look.PEN, ground) >= 4.5 for ground in look.PAPER)


def test_the_zone_of_the_machine_moves_nothing() -> None:
    code = (
        "from datetime import date; import polars as pl; from whenbuy.core.chart import look, records\n"
        "days = [date(2017, 12, day) for day in (4, 11, 18, 25)]\n"
        "print(look.svg(records.activity(pl.DataFrame({'day': days, 'events': [5, 0, 7, 1]}), 'week', 'events')), end='')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TZ": "Pacific/Kiritimati", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert run.stdout == look.svg(CHARTS["activity"]())


@pytest.mark.parametrize("name", ["chances", "ranges", "classes"])
def test_customers_and_classes_cannot_leave_their_text(name: str) -> None:
    rows = pl.DataFrame({"user_id": EVIL, "class": EVIL[::-1], "probability": 0.5, "low": 1.0, "middle": 2.0, "high": 3.0, "mean": 2.0})
    root = ElementTree.fromstring(look.svg(getattr(answers, name)(rows, "chance")))
    assert {element.tag.partition("}")[2] for element in root.iter()} <= DRAWN
    said = {"".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")}
    assert "<script>alert(1)</script>" in said


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, 1.4.3)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
