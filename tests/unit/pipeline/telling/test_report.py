"""The report: one page, whole, escaped, accessible, and right in its numbers."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import AccessError
from whenbuy.core.forecast import Amount, Classes, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling import pictures
from whenbuy.pipeline.telling.evidence import COLUMNS, Evidence
from whenbuy.pipeline.telling.findings import Findings, Learned
from whenbuy.pipeline.telling.report import render, write
from whenbuy.pipeline.telling.words import Calendar

GRID = np.array([1.0, 3, 7, 14, 28, 56])
EVIL = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "{{7*7}}{% raw %}",
    "</svg></style><script>x</script>",
    "a&amp;b<b>", "javascript:alert(1)", "顧客 Ünï", "مرحبا\u202eabc", "x" * 100_000, "nul\0ctl\x1b[31m", "😀" * 3_000, "", "<!--", "]]>",
]  # fmt: skip
VOID = {"meta", "br", "img", "input", "link", "hr"}
NUMBERS = ("ours", "ours_low", "ours_high", "floor", "difference", "low", "high")
SCORE_ROWS = [
    (
        "purchase",
        "logloss_7d",
        0.5042,
        0.49,
        0.52,
        0.5191,
        -0.0149,
        -0.0181,
        -0.0118,
        "better",
        "lower",
        "Mean of −log of the chance given.",
    ),
    (
        "purchase",
        "auc_7d",
        0.8281,
        0.81,
        0.84,
        0.8201,
        0.0080,
        -0.0015,
        0.0107,
        "no clear difference",
        "higher",
        "Chance to rank a buyer first.",
    ),
    ("orders", "orders_rmse", 1.7062, 1.6, 1.8, 1.6641, 0.0421, 0.0122, 0.0731, "worse", "lower", "Root of the mean squared error."),
    ("amount", "amount_r2", 0.4119, None, None, None, None, None, None, None, "higher", "Share of variance explained."),
]
CALIBRATION = pl.DataFrame(
    {"horizon": [7.0, 7, 14], "mean_probability": [0.1, 0.6, 0.5], "share_bought": [0.0, 0.7, 0.4], "n": [30, 20, 50]}
)
CHOICES = (
    Choice("purchase", "boosted+logistic", "log-loss", 0.41, chosen=True, low=-0.03, high=-0.01),
    Choice("purchase", "rate-84d", "log-loss", 0.44, floor=True),
    Choice("purchase", "pareto-nbd", "log-loss", float("nan"), note="Left out: <b>the budget</b> was spent."),
)


def scored(rows: list[tuple[Any, ...]] = SCORE_ROWS) -> pl.DataFrame:
    numbers = dict.fromkeys(NUMBERS, pl.Float64)
    return pl.DataFrame(rows, schema={name: numbers.get(name, pl.String) for name in COLUMNS["scores"]}, orient="row")


def weekly() -> pl.DataFrame:
    moments = [datetime(2017, 12, 4, tzinfo=UTC) + timedelta(weeks=i) for i in range(3)]
    rows = [
        (moment, 20, name, 0.8 + i / 100, 0.7, 0.9, 0.75, verdict, better)
        for i, moment in enumerate(moments)
        for name, verdict, better in (("auc_14d", "better", "higher"), ("bias_14d", "", "near 1"))
    ]
    return pl.DataFrame(rows, list(COLUMNS["cutoffs"]), orient="row")


def sliced() -> pl.DataFrame:
    rows = [
        ("customer", "new <b>", 300, 200, "bias_14d", 1.4, 1.2, 1.6),
        ("customer", "new <b>", 300, 200, "auc_14d", 0.7, 0.6, 0.8),
        ("customer", "old", 900, 400, "bias_14d", 0.97, 0.95, 0.99),
        ("customer", "few", 9, 3, "bias_14d", 3.0, 2.0, 4.0),
        ("channel", "web", 900, 400, "bias_14d", 1.01, 0.95, 1.06),
        ("channel", "none came", 900, 400, "bias_14d", None, None, None),
    ]
    return pl.DataFrame(rows, list(COLUMNS["slices"]), orient="row")


def weak() -> pl.DataFrame:
    chance, loss = "chance to buy within 14 days", "log-loss of 14 days against the floor's"
    rows = [
        (chance, "tenure_days > 218.4 or unknown and orders_84d ≥ 7", 500, 90, 0.4, 0.5, 0.1, 0.05, 0.15, True),
        (chance, "recency_days ≤ 3", 500, 90, 0.4, 0.41, 0.01, -0.05, 0.15, False),
        (loss, "everybody", 500, 90, 0.5, 0.4, -0.1, -0.2, -0.05, True),
    ]
    return pl.DataFrame(rows, list(COLUMNS["weak_spots"]), orient="row")


OF_CLASSES = pl.DataFrame(
    [("tea & <b>cake</b>", "bias", 0.6, 0.5, 0.7), ("tea & <b>cake</b>", "auc", 0.7, 0.6, 0.8), ("cups", "bias", None, None, None)],
    list(COLUMNS["classes"]), orient="row",
)  # fmt: skip
EVIDENCE = Evidence(scored(), CALIBRATION, weekly(), sliced(), OF_CLASSES, weak())


def findings(
    names: list[str] | None = None,
    n: int = 20,
    kinds: tuple[str, ...] = ("view", "purchase"),
    days: int = 100,
    amounts: bool = True,
    **rest: Any,
) -> Findings:
    rng, n = np.random.default_rng(5), len(names or range(n))
    end = 17_532 * DAY
    count = rng.integers(1, 30 if n < 1_000 else 3, n)
    user = np.repeat(np.arange(n), count)
    time = end - rng.integers(1, days * DAY, len(user))
    kind = rng.integers(0, len(kinds), len(user)).astype(np.uint8)
    order = np.lexsort((time, user))
    users = Dictionary.of(names or [f"user-{i}" for i in range(n)])
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    time = time[order]
    history = History(EventLog(users, kinds, offsets, time, time, kind[order], {}, end), Clock("Europe/Berlin"))
    keys = history.keys()
    hazard = rng.gamma(1, 0.1, n)[:, None] * GRID
    answers: dict[str, Any] = {"purchase": TimeToEvent.of(keys, GRID, np.exp(-hazard), hazard, "pooled logistic")}
    if amounts:
        mean = rng.lognormal(3, 0.5, n)
        answers["amount"] = Amount(keys, mean, np.array([0.1, 0.5, 0.9]), mean[:, None] * np.array([0.5, 0.9, 1.8]), "Gamma-Gamma")
    names_of_classes = ("tea & <b>cake</b>", "x" * 90, "cups")
    answers["classes"] = Classes(keys, names_of_classes, rng.random((n, 3)) / 3, 7.0, "rates")
    given: dict[str, Any] = {
        "shop": "Tea & Co", "currency": "EUR", "evidence": EVIDENCE,
        "learned": Learned(CHOICES, ("Validated over 77 days.",), {"Model": "20260101-000000-abcdefab"}),
        "cleaning": ("12 duplicates <i>.",), "reading": ("Three columns were guessed.",),
        "reasons": {"user-3": "usual gap nearly over: +14 points"},
    }  # fmt: skip
    return Findings(history=history, outlook=Outlook(keys, answers, (7.0, 14.0, 28.0)), **(given | rest))


class Page(HTMLParser):
    """Reads a page: its elements with their attributes, its texts, and whether every element was closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts).replace("\u202f", " "))


@pytest.fixture(scope="module")
def some() -> Findings:
    return findings()


@pytest.fixture(scope="module")
def text(some: Findings) -> str:
    return render(some)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures empty: drawing is most of the time, and these tests are about words."""
    monkeypatch.setattr(pictures.look, "svg", lambda picture: f'<svg role="img" aria-label="{len(str(picture.description))}"></svg>')


def harmless(page: Page) -> None:
    assert not {tag for tag, _ in page.elements} & {
        "script",
        "img",
        "iframe",
        "object",
        "link",
        "base",
        "form",
        "foreignobject",
        "use",
        "b<b",
    }
    for _, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on")]
        assert all((attrs.get(name) or "#").startswith("#") for name in ("href", "src", "xlink:href"))
    assert all("url(" not in (attrs.get("style") or "") for _, attrs in page.elements)


def test_the_page_is_one_quiet_file(page: Page, text: str) -> None:
    harmless(page)
    assert len(text.encode()) < 600_000
    assert "http" not in re.sub(r"http://www\.w3\.org/[\w/]+|http-equiv", "", text)
    policy = next(attrs["content"] for attrs in page.named("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_same_findings_same_bytes(some: Findings, text: str) -> None:
    assert render(some) == text


def test_the_headline_is_the_sum_of_the_curves(some: Findings, page: Page) -> None:
    chance, orders = some.outlook.purchase.probability(14), some.outlook.purchase.count_at(14)
    amount = some.outlook.amount
    assert amount is not None
    assert f"About {chance.sum():.0f} of 20 customers will buy within 14 days" in page.words.replace(".0 of", " of")
    assert (
        f"{orders.sum():.0f} orders worth about €{(orders * amount.mean).sum() / 1000:.3g}k" in page.words
        or (orders * amount.mean).sum() < 1000
    )
    assert "Tea & Co, 1 Jan 2018, 01:00: who buys next" in page.words


def test_customers_stand_in_the_order_of_their_revenue(some: Findings, page: Page) -> None:
    amount = some.outlook.amount
    assert amount is not None
    worth = some.outlook.purchase.count_at(14) * amount.mean
    expected = some.outlook.keys.ids().gather(np.argsort(-worth)).to_list()
    order = re.findall(r"user-\d+", page.words[page.words.index("Who to look at first") : page.words.index("When they will buy")])
    assert order == expected


def test_a_reader_without_eyes_finds_everything(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.named("caption")) == len(page.named("table"))
    assert all(attrs.get("scope") for attrs in page.named("th"))
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in page.named("svg"))
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert {(attrs["href"] or "")[1:] for attrs in page.named("a")} <= set(ids)
    assert page.named("html")[0]["lang"] == "en"


def test_words_read_on_every_background(text: str) -> None:
    schemes = [dict(re.findall(r"--([\w-]+):(#\w+)", block)) for block in re.findall(r":root \{([^}]*)\}", text)]
    assert len(schemes) == 3  # light, dark, paper
    pairs = [(ink, ground) for ink in ("ink", "quiet", "axis", "accent") for ground in ("page", "card")]
    pairs += [("good", "good-soft"), ("bad", "bad-soft"), ("quiet", "even-soft"), ("tag", "tag-soft")]
    for scheme in schemes:
        assert all(contrast(scheme[ink], scheme[ground]) >= 4.5 for ink, ground in pairs)
        assert contrast(scheme["grid"], scheme["card"]) >= 3


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_ink_of_the_charts_is_repainted(page: Page, text: str) -> None:
    painted = {attrs[name] for _, attrs in page.elements for name in ("fill", "stroke") if (attrs.get(name) or "").startswith("#")}
    assert painted
    assert all(f'svg [fill="{ink}"]' in text and f'svg [stroke="{ink}"]' in text for ink in painted)


def test_scores_are_said_in_words_and_signs(page: Page) -> None:
    words = page.words
    assert "clearly better on 1 of 3 scores, clearly worse on 1, too close to call on 1" in words
    for verdict in ("▲ better", "▼ worse", "≈ no clear difference", "not compared"):
        assert verdict in words
    assert "log-loss, 7 days" in words
    assert "0.490 to 0.520" in words
    assert "−0.015 (−0.018 to −0.012)" in words
    assert "nan" not in words.lower().replace("finance", "")
    assert "None" not in words


def test_a_better_score_lies_on_the_right(some: Findings, text: str) -> None:
    places = [float(place) for place in re.findall(r'<b style="left:([\d.]+)%"', text)]
    assert [place > 50 for place in places] == [True, True, False]
    assert all(0 <= place <= 100 for place in places)


def test_weeks_segments_and_weak_spots_are_said(page: Page) -> None:
    words = page.words
    assert "clearly better in 3 of 3" in words
    assert "should be near 1" in words
    for said in ("new <b>", "▲ promised too much", "≈ nearly right", "✓ right", "too few to say", "Channel"):
        assert said in words
    assert "days since the first order > 218.4 (or unknown) and orders in 84 days ≥ 7" in words
    assert "Each of 2 categories" in words
    assert "everybody" not in words[words.index("Weak spots") : words.index("What is in the data")]  # there we are better than the floor
    assert "recency_days" not in words


def test_what_was_tried_is_said(page: Page) -> None:
    words = page.words
    assert "boosted + logistic" in words
    assert "−6.8 %" in words
    assert "Left out: <b>the budget</b> was spent." in words
    assert "All 3 candidates tried" in words
    assert "20260101-000000-abcdefab" in words


def test_what_they_buy_and_why(page: Page) -> None:
    words = page.words
    assert "tea & <b>cake</b>" in words
    assert "usual gap nearly over: +14 points" in words
    assert "What they will buy" in words


def test_names_cannot_leave_their_text() -> None:
    kinds = ("view", "purchase", "<b onclick=x>cart</b>", "</svg><script>k</script>", "y" * 100_000, "z\0")
    evil = findings(
        EVIL, kinds=kinds, shop="</title><script>s</script>", tag="<i>", currency="<u>",
        learned=Learned(
            (Choice("<script>a</script>", "<script>m</script>" * 90, "<u>", 1.0, chosen=True),), ("<script>n</script>",), {"<b>": "<i>"}
        ),
        reasons=dict.fromkeys(EVIL, "<script>why</script>" * 40),
    )  # fmt: skip
    text = render(replace(evil, reading=("<script>r</script>" + "w" * 100_000,), cleaning=("{{ shop }}\0",)))
    page = Page(text)
    harmless(page)
    assert len(text.encode()) < 700_000
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    for words in ("<script>alert(1)</script>", "{{7*7}}{% raw %}", "a&amp;b<b>", "顧客 Ünï", "{{ shop }}", "<b onclick=x>cart</b>"):
        assert words in page.words
    assert all(len(attrs.get("title") or "") <= 300 for attrs in page.named("bdi"))


@pytest.mark.usefixtures("undrawn")
def test_without_amounts_or_scores() -> None:
    bare = findings(amounts=False, currency="", evidence=Evidence(), learned=Learned(), cleaning=(), reading=(), reasons={})
    words = Page(render(bare)).words
    assert "highest chance to buy" in words
    assert "whenbuy backtest forecasts past weeks" in words
    assert "Nothing was removed or changed." in words
    for absent in (
        "Revenue",
        "worth about",
        "Do the chances keep their word?",
        "Beats the floor",
        "Week by week",
        "For whom",
        "How it was learned",
        "Why",
    ):
        assert absent not in words


def test_before_anything_was_learned_the_data_are_shown(some: Findings) -> None:
    page = Page(render(replace(some, outlook=None, evidence=Evidence(), learned=Learned())))
    harmless(page)
    assert "Nothing was learned from this log yet" in page.words
    assert "whenbuy fit learns who buys when" in page.words
    assert "What is in the data" in page.words
    assert "By weekday" in page.words
    assert "Who to look at first" not in page.words
    links = {(attrs["href"] or "")[1:] for attrs in page.named("a")}
    assert links <= {attrs["id"] for _, attrs in page.elements if attrs.get("id")}


@pytest.mark.usefixtures("undrawn")
def test_a_backtest_that_could_score_nothing(some: Findings) -> None:
    assert "No score could be computed" in Page(render(replace(some, evidence=Evidence(scored([]))))).words


@pytest.mark.usefixtures("undrawn")
def test_scores_without_any_floor() -> None:
    rows = scored([(*SCORE_ROWS[0][:3], None, None, None, float("nan"), None, None, None, *SCORE_ROWS[0][10:])])
    words = Page(render(findings(n=3, evidence=Evidence(rows)))).words
    assert "not compared" in words
    assert "clearly better" not in words
    assert "nan" not in words.lower()


@pytest.mark.usefixtures("undrawn")
def test_one_customer_in_a_log_of_days() -> None:
    words = Page(render(findings(n=1, days=9))).words
    assert "The one known customer buys within 14 days with a chance of" in words
    assert "the only customer" in words
    assert "events, per day" in words


def test_nobody_and_nothing(some: Findings) -> None:
    words = Page(render(replace(some, outlook=some.outlook.take(slice(0, 0))))).words
    assert "nobody to forecast" in words
    empty = np.empty(0, np.int64)
    log = EventLog(Dictionary.of([]), (), np.zeros(1, np.int64), empty, empty, np.empty(0, np.uint8), {}, 17_532 * DAY)
    history = History(log)
    keys = history.keys()
    outlook = Outlook(keys, {"purchase": TimeToEvent.of(keys, GRID, np.ones((0, 6)), None, "prior")}, (7.0,))
    assert "0 events of 0 customers" in Page(render(Findings("s", "", history, outlook))).words


@pytest.mark.usefixtures("undrawn")
def test_strangers_are_marked() -> None:
    known = findings(n=3)
    keys = known.history.keys(["user-1", "stranger"])
    curve = TimeToEvent.of(keys, GRID, np.exp(-0.1 * np.vstack([GRID, GRID])), None, "given", prior=np.array([False, True]))
    words = Page(render(replace(known, outlook=Outlook(keys, {"purchase": curve}, (7.0, 14.0, 28.0))))).words
    assert "stranger prior" in words
    assert "never" in words


@pytest.mark.usefixtures("undrawn")
def test_a_hundred_thousand_customers_stay_small() -> None:
    assert len(render(findings(n=100_000, evidence=Evidence())).encode()) < 200_000


def test_orders_are_counted_once_and_expected_beyond() -> None:
    end, day = 17_532 * DAY, DAY
    time = np.array([end - 10 * day, end - 2 * day, end - 2 * day + 1, end - 1])
    lines = Column(np.array([1, 1, 0, 1]))
    log = EventLog(Dictionary.of(["a"]), ("purchase",), np.array([0, 4]), time, time, np.zeros(4, np.uint8), {ORDERS: lines}, end)
    history = History(log)
    keys = history.keys()
    outlook = Outlook(keys, {"purchase": TimeToEvent.of(keys, GRID, np.exp(-GRID / 10)[None], GRID[None] / 10, "given")}, (7.0, 28.0))
    found = pictures.daily(history, outlook, Calendar(history.clock, end))
    assert (found["back"], found["counted"], found["ahead"]) == (10, 3.0, 28)
    assert found["expected"] == pytest.approx(2.8)


def test_the_calibration_of_a_perfect_promise_lies_inside_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[pl.DataFrame] = []
    monkeypatch.setattr(pictures.scores, "reliability", lambda frame, *rest: drawn.append(frame))
    monkeypatch.setattr(pictures.look, "svg", lambda picture: "")
    given = pl.DataFrame(
        {"horizon": [7.0] * 4, "mean_probability": [0.0, 0.5, 1.0, 0.3], "share_bought": [0.0, 0.5, 1.0, 0.3], "n": [10, 10, 10, 0]}
    )
    (found,) = pictures.reliability(given)
    assert (found["points"], found["n"]) == ("0.0", 30.0)
    assert drawn[0].select((pl.col("share_bought").is_between(pl.col("low") - 1e-12, pl.col("high") + 1e-12)).all()).item()
    assert drawn[0]["high"][0] == pytest.approx(0.2775, abs=1e-4)  # Wilson: z2 / (n + z2)
    assert drawn[0]["low"].min() >= 0


def test_a_reader_finds_the_old_page_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: Findings) -> None:
    monkeypatch.setattr("whenbuy.pipeline.telling.report.render", lambda _: "new")
    target = tmp_path / "reports" / "index.html"
    assert write(some, target) == target
    assert target.read_text(encoding="utf-8") == "new"
    target.write_text("old", encoding="utf-8")

    def broken(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(AccessError, match="No space left"):
        write(some, target)
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in target.parent.iterdir()] == ["index.html"]


def test_a_folder_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: Findings) -> None:
    monkeypatch.setattr("whenbuy.pipeline.telling.report.render", lambda _: "new")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(AccessError, match="could not be written"):
        write(some, tmp_path / "file" / "index.html")
