"""What customers say: a fall is found and told, the future is not read, bad input is said aloud."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.unit.pipeline.reviewing.shop import GOOD, START, drawn, history, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError
from whenbuy.models.text import fields
from whenbuy.models.text.vectors import LENGTH, at_hand
from whenbuy.pipeline.reviewing import opinions as home
from whenbuy.pipeline.reviewing.opinions import opinions


@cache
def found():
    return opinions(shop())


def test_a_fall_is_found_and_told():
    table = found().frame()
    assert table.filter(pl.col("falling"))["item_id"].to_list() == ["shoe"]
    shoe = table.row(0, named=True)
    assert shoe["item_id"] == "shoe"
    assert abs((shoe["since"].replace(tzinfo=None) - START).days - 60) <= 6
    assert shoe["before"] > shoe["after"] + 1
    assert "Falls from" in shoe["words"]
    assert "small" in shoe["words"] or "tight" in shoe["words"]
    assert table["words"].null_count() == 3
    assert table["reviews"].to_list() == [60] * 4


def test_texts_are_read():
    opinion = found()
    assert np.corrcoef(opinion.read, opinion.reviews.rating)[0, 1] > 0.8
    good = opinion.reviews.rating >= 4
    assert opinion.sentiment[good].min() > opinion.sentiment[~good].mean()
    assert np.array_equal(opinion.score, (opinion.read + opinion.reviews.rating) / 2)
    topics = opinion.topic_frame()
    assert topics["share"].sum() == pytest.approx(1)
    assert topics.sort("mean_score")["topic"][0] != topics.sort("mean_score")["topic"][-1]
    by_month = opinion.topic_frame("month")
    assert by_month["month"].unique().sort().to_list() == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert by_month.group_by("month").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1] * 4)
    assert set(opinion.topic_frame("item")["item_id"]) == {"mug", "lamp", "vase", "shoe"}
    months = opinion.frame("month")
    assert months["reviews"].sum() == 240
    assert "falling" not in months.columns
    assert "falling" in opinion._repr_html_()


def test_the_future_is_not_read():
    rows = drawn()
    cutoff = "2024-02-20"
    later = [(user, day, item, 6 - rating, "another text") if day > 60 else row for row in rows for user, day, item, rating, _ in [row]]
    one, other = (opinions(history(part), cutoff) for part in (rows, later))
    assert one.frame().equals(other.frame())
    assert one.topic_frame().equals(other.topic_frame())
    assert one.reviews.known_at.max() < int(START.timestamp() * 1e6) + 60 * DAY


def test_the_same_seed_gives_the_same_bytes():
    assert opinions(shop()).frame().equals(found().frame())


def test_one_review():
    opinion = opinions(history([("a", 1, "mug", 5, "soft 😍 <b>mug</b>")]))
    row = opinion.frame().row(0, named=True)
    assert (row["reviews"], row["mean_rating"], row["expected_rating"], row["sentiment"], row["falling"]) == (1, 5.0, 5.0, None, False)
    assert len(opinion.notes) == 2
    assert opinion.topic_frame().is_empty()
    assert opinion._repr_html_()


def test_ratings_alone_and_texts_alone():
    rows = drawn()
    ratings = opinions(history([(*row[:4], None) for row in rows]))
    assert "no texts" in ratings.notes[0]
    assert ratings.frame()["sentiment"].null_count() == 4
    assert ratings.frame().filter(pl.col("falling"))["item_id"].to_list() == ["shoe"]
    texts = opinions(history([(*row[:3], None, row[4]) for row in rows]))
    assert "sentiment" in texts.notes[0]
    assert texts.frame()["mean_rating"].null_count() == texts.frame()["expected_rating"].null_count() == 4
    assert texts.frame()["topics"].null_count() == 0


def test_all_ratings_alike():
    opinion = opinions(history([(f"u{i}", i / 3, "mug", 5, GOOD[i % 4]) for i in range(60)]))
    row = opinion.frame().row(0, named=True)
    assert (row["mean_rating"], row["expected_rating"], row["trend"], row["falling"]) == (5.0, 5.0, None, False)
    assert "same rating" in opinion.notes[0]


def test_strange_texts_and_ratings():
    strange = ["x" * 1_000_000, "<div>" * 200_000, "很好看\uff0c质量不错", "شكرا جزيلا", "👍" * 5000, "\x00\ufffd", " ", "soft " * 200_000]
    rows = [*drawn(120), *((f"s{i}", 100 + i / 9, "mug", 99, text) for i, text in enumerate(strange))]
    opinion = opinions(history(rows))
    assert opinion.reviews.outside == len(strange)
    assert "outside the scale of 1 to 5" in opinion.notes[0]
    assert np.isfinite(opinion.read[-len(strange) :]).sum() >= len(strange) - 2
    assert opinion.frame().filter(pl.col("item_id") == "mug")["rated"].item() == 30


def test_what_is_not_named_cannot_be_grouped():
    found = history([(f"u{i}", i / 3, None, 5, None) for i in range(9)])
    opinion = opinions(found)
    with pytest.raises(ColumnError, match="category"):
        opinion.frame("category")
    assert opinion.frame("month")["reviews"].to_list() == [9]


def ciphered(text):
    """The same text in a language of its own: every letter is another one."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return text.translate(str.maketrans(letters, "qwfpgjluyarstdhneiozxcvbkm"))


@pytest.mark.skipif(not at_hand(), reason="the extra text is not installed")
def test_sentence_vectors_are_read_where_they_help_in_whatever_language(monkeypatch):
    rows = [(*row[:4], ciphered(row[4])) for row in drawn()]
    foreign = opinions(history(rows))
    assert np.corrcoef(foreign.read, foreign.reviews.rating)[0, 1] > 0.8
    assert foreign.frame().filter(pl.col("falling"))["item_id"].to_list() == ["shoe"]
    noise = np.random.default_rng(0)
    monkeypatch.setattr(fields, "vectors", lambda texts: 3 * noise.normal(size=(len(texts), LENGTH)).astype(np.float32))
    misled = opinions(history(rows))
    assert any("Sentence vectors are not read" in note for note in misled.notes)
    monkeypatch.setattr(home, "at_hand", lambda: False)
    assert np.array_equal(misled.read, opinions(history(rows)).read)
