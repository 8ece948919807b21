"""What a notebook shows runs no script, is small, and comes through JupyterLab's sanitiser as it was."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.card import card
from whenbuy.core.forecast import Amount, Classes, Probability, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Column, Dictionary, EventLog
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.scores import Comparison, Duel, Score, Scores

# Of the lists in packages/apputils/src/sanitizer.ts of JupyterLab 4: what cards may use. Styles hold literal values only.
TAGS = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "img"}
ATTRIBUTES = {"img": {"alt", "src", "style"}, "th": {"scope", "style"}}
LENGTH = r"(0|[+-]?([0-9]*[.])?[0-9]+(px|em|%))"
STYLES = {
    "margin": rf"(({LENGTH}|auto)\s*){{1,4}}", "padding": rf"({LENGTH}\s*){{1,4}}", "max-width": LENGTH, "font-size": LENGTH,
    "border-top": r"1px solid #[0-9a-f]{6}", "border-collapse": "collapse|separate", "text-align": "left|right|center",
    "vertical-align": "top|middle|bottom", "white-space": "normal|pre|nowrap", "opacity": r"[+]?(1([.]0+)?|0([.][0-9]+)?)",
}  # fmt: skip
EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "x" * 100_000, "nul\0\u202e", "😀" * 3_000, "", "{{7*7}}"]
GRID = np.array([1.0, 7, 28])


class Sanitiser(HTMLParser):
    """Raises at whatever the sanitiser would take away; keeps the texts and the pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        given = {name: value or "" for name, value in attrs}
        assert set(given) <= ATTRIBUTES.get(tag, {"style"}), (tag, given)
        for style in filter(None, given.get("style", "").split(";")):
            name, _, value = style.partition(":")
            assert re.fullmatch(STYLES[name.strip()], value.strip(), re.IGNORECASE), style
        if tag == "img":
            assert given["alt"]
            kind, _, data = given["src"].partition(",")
            assert kind == "data:image/svg+xml;base64"
            self.pictures.append(b64decode(data).decode())
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.texts)


def keys(names: list[str]) -> Keys:
    return Keys("user", np.arange(len(names), dtype=np.int32), np.full(len(names), 17_532 * DAY), Dictionary.of(names))


def history(names: list[str], kinds: tuple[str, ...] = ("purchase", "<script>")) -> History:
    n = 4 * len(names)
    time = np.tile(np.arange(4) * 20 * DAY, len(names)) + 17_440 * DAY
    category = Column((np.arange(n) % 2).astype(np.int32), Dictionary.of(["<b>", "tea"]))
    amount = Column(np.arange(n, dtype=np.int64))
    kind = (np.arange(n) % len(kinds)).astype(np.uint8)
    offsets = 4 * np.arange(len(names) + 1)
    return History(EventLog(Dictionary.of(names), kinds, offsets, time, time, kind, {"category": category, "amount": amount}, 17_532 * DAY))


def things(names: list[str]) -> dict[str, Any]:
    k, n = keys(names), len(names)
    hazard = np.linspace(0.01, 0.5, n)[:, None] * GRID
    curve = TimeToEvent.of(k, GRID, np.exp(-hazard), hazard, "<b>model</b>")
    mean = np.linspace(5, 50, n)
    amount = Amount(k, mean, np.array([0.1, 0.5, 0.9]), mean[:, None] * np.array([0.5, 0.9, 2.0]), "m")
    classes = Classes(k, ("<i>", "tea", "y" * 99), np.tile(np.array([0.1, 0.5, 0.0]), (n, 1)), 7.0, "m")
    chance = Probability(k, np.linspace(0, 1, n), "m")
    answers = {"purchase": curve, "amount": amount, "classes": classes, "redemption": chance}
    duel = Duel("auc_7d", 0.8, 0.7, 0.1, 0.05, 0.15, "higher", 0.0, "better", "<b>", "")
    unknown = Score("<u>", float("nan"), float("nan"), float("nan"), "lower", 0.0, "", "nobody")
    made = history(names)
    outlook = Outlook(k, answers, (7.0, 28.0), {"redemption": 14.0})
    comparison, scores = Comparison("<b>", "floor", n, n, (duel,) * 60), Scores("<b>", n, n, (unknown,))
    return {
        "history": made, "log": made.log, "outlook": outlook, "curve": curve, "amount": amount, "classes": classes, "chance": chance,
        "comparison": comparison, "scores": scores,
    }  # fmt: skip


@pytest.fixture(scope="module")
def shown() -> dict[str, tuple[str, Sanitiser]]:
    names = [*EVIL, *(f"u{i}" for i in range(30))]
    found = {name: thing._repr_html_() for name, thing in things(names).items()}
    return {name: (html, Sanitiser(html)) for name, html in found.items()}


@pytest.mark.parametrize("name", list(things(["a"])))
def test_a_card_survives_the_sanitiser_and_is_small(name: str, shown: dict[str, tuple[str, Sanitiser]]) -> None:
    html, seen = shown[name]
    assert len(html.encode()) < 150_000
    assert "<script" not in html
    assert "None" not in seen.words
    assert "nan" not in seen.words.lower()
    assert len(seen.pictures) == (0 if name in ("log", "comparison", "scores") else 1)
    assert all(picture.startswith("<svg") and "<script" not in picture for picture in seen.pictures)
    assert html.count("<tr>") <= 26


@pytest.mark.parametrize("name", list(things(["a"])))
def test_one_customer_is_shown(name: str) -> None:
    Sanitiser(things(["a"])[name]._repr_html_())


@pytest.mark.parametrize("name", ["outlook", "curve", "amount", "classes", "chance"])
def test_nobody_is_shown(name: str) -> None:
    thing = things(["a"])[name]
    nobody = thing.take(slice(0, 0))
    assert Sanitiser(nobody._repr_html_()).pictures == []


def test_a_history_without_events_is_shown() -> None:
    empty = np.empty(0, np.int64)
    none = History(EventLog(Dictionary.of([]), (), np.zeros(1, np.int64), empty, empty, np.empty(0, np.uint8), {}, 17_532 * DAY))
    assert "0 events of 0 users" in Sanitiser(none._repr_html_()).words
    assert "0 events" in Sanitiser(none.log._repr_html_()).words


def test_what_is_said_is_what_the_thing_holds(shown: dict[str, tuple[str, Sanitiser]]) -> None:
    outlook = things([*EVIL, *(f"u{i}" for i in range(30))])["outlook"]
    words = shown["outlook"][1].words
    assert f"About {outlook.purchase.probability(28.0).sum():.0f} of 37 customers will buy within 28 days" in words
    assert "u29" in words  # the highest expected spend
    assert "<script>alert(1)</script>" not in words  # the lowest
    assert "<i> 10 %" in shown["classes"][1].words
    assert "0.7" in shown["comparison"][1].words


def test_everything_says_in_one_short_line_what_it_is() -> None:
    for thing in things([f"u{i}" for i in range(500)]).values():
        if not isinstance(thing, Scores | Comparison):
            assert len(repr(thing)) < 160
            assert type(thing).__name__ in repr(thing)


def test_cells_are_written_as_people_read_them() -> None:
    table = pl.DataFrame({
        "n": [1_234_567], "x": [0.123456], "big": [1.5e9], "gone": [None], "yes": [True], "list": [["a", "b", "c", "d", "e"]],
        "nan": [float("nan")],
    })  # fmt: skip
    words = Sanitiser(card("t", "s", table)).words
    for said in ("1,234,567", "0.1235", "1.5e+09", "–", "yes", "a, b, c, d …"):
        assert said in words
    wide = pl.DataFrame({f"c{i}": [i] for i in range(30)})
    assert "18 further columns" in Sanitiser(card("t", "s", wide)).words
    assert "The first 10 of 5,000 rows" in Sanitiser(card("t", "s", pl.DataFrame({"a": range(50)}), rows=5_000)).words
