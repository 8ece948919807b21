"""Sentence vectors: what a text means by what its words mean elsewhere."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.text.examples import asked, drawn, examples
from whenbuy.core.errors import DependencyError
from whenbuy.core.examples import Labels
from whenbuy.core.texts import Texts
from whenbuy.models.text import vectors as home
from whenbuy.models.text.fields import MEANING
from whenbuy.models.text.reading import TextChance, TextRating
from whenbuy.models.text.vectors import LENGTH, at_hand, vectors
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

LATER = 400.0
extra = pytest.mark.skipif(not at_hand(), reason="the extra text is not installed")


@extra
def test_texts_that_mean_the_same_lie_near_each_other():
    found = vectors(
        ["The colour is lovely", "what a pretty shade", "it arrived late and damaged", "", "<b>it arrived late and damaged</b>"]
    )
    assert found.shape == (5, LENGTH)
    assert np.allclose((found**2).sum(axis=1), [1, 1, 1, 0, 1], atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2]
    assert found[2] @ found[4] > 0.99
    assert vectors([]).shape == (0, LENGTH)
    assert vectors(["很好看 🙂", "x" * 1_000_000]).shape == (2, LENGTH)


@extra
def test_a_vector_is_the_mean_of_its_pieces():
    pieces, table = home._learned()
    text = "soft and perfect"
    mean = np.mean([table[code] for code in pieces.encode(text, add_special_tokens=False).ids], axis=0)
    assert np.allclose(vectors([text])[0], mean / np.linalg.norm(mean), atol=1e-5)
    several = vectors(["another text", text, "a third one"])
    assert np.array_equal(several[1], vectors([text])[0])  # bit for bit, whatever else is asked


@extra
def test_a_word_that_was_never_seen_says_something(tmp_path):
    rating = np.tile([1.0, 5.0], 40)
    body = [f"the dress is {'awful' if stars < 3 else 'wonderful'} number {place}" for place, stars in enumerate(rating)]
    train = asked(Texts.of(text=body), rating)
    later = asked(Texts.of(text=["the dress is horrible", "the dress is fantastic", None]), day=LATER)
    plain, read = (TextRating(meaning=meaning).fit(train).predict(later).mean for meaning in (0.0, 3.0))
    assert plain[0] == plain[1]
    assert read[0] < read[1]
    assert read[2] == pytest.approx(rating.mean())
    model = TextRating(meaning=MEANING).fit(train)
    bundle.save(tmp_path / "one", model, {})
    assert np.array_equal(bundle.load(tmp_path / "one", types())[0].predict(later).mean, model.predict(later).mean)


@extra
def test_where_few_teach_vectors_help():
    train = good(examples(60))
    later = good(examples(200, 1, LATER))
    came = later.label("good").value > 0
    losses = []
    for meaning in (0.0, MEANING):
        chance = np.clip(TextChance("good", meaning=meaning).fit(train).predict(later).chance, 1e-6, 1 - 1e-6)
        losses.append(-np.where(came, np.log(chance), np.log(1 - chance)).mean())
    assert losses[1] < losses[0]


def test_without_the_extra_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(home, "at_hand", lambda: False)
    home._learned.cache_clear()
    _, body, _ = drawn(30)
    with pytest.raises(DependencyError, match=r"whenbuy\[text\]"):
        TextRating(meaning=MEANING).fit(asked(Texts.of(text=body), np.tile([1.0, 5.0], 15)))
    assert "wordllama" not in sys.modules  # its two data files are read, its code is not


def good(found):
    label = found.label("rating")
    return replace(found, labels={"good": Labels((label.value > 3).astype(float), label.observed, label.end)})
