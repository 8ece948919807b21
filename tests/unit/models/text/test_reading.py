"""What is read off texts; and what every learner promises (tests/contracts), of those that learn from texts."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.models.text.examples import asked, drawn, examples
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.core.examples import Labels
from whenbuy.core.texts import Texts
from whenbuy.models.text.reading import STEPS, TextChance, TextRating
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

LATER = 400.0


def good(found):
    label = found.label("rating")
    return replace(found, labels={"good": Labels((label.value > 3).astype(float), label.observed, label.end), **found.labels})


LEARNERS = {"text-chance": TextChance("good"), "text-rating": TextRating()}
every = pytest.mark.parametrize("name", LEARNERS)


def fitted(name, **rest):
    return LEARNERS[name].fit(good(examples(**rest)))


def told(forecast):
    return forecast.chance if hasattr(forecast, "chance") else np.column_stack([forecast.mean, forecast.quantiles])


@every
def test_the_promises_of_a_learner(name, tmp_path):
    model, later = fitted(name), examples(60, 1, LATER)
    assert model.name == LEARNERS[name].name == name
    with pytest.raises(LeakError):
        model.predict(examples(60, 1))
    assert model.predict(examples(60, 1), in_sample=True).in_sample
    answer = told(model.predict(later))
    rows = np.random.default_rng(0).permutation(len(later))[:20]
    assert np.array_equal(told(model.predict(later.take(rows))), answer[rows])  # bit for bit, whatever else is asked
    for folder, one in (("one", model), ("other", fitted(name))):
        bundle.save(tmp_path / folder, one, {})
    for file in (bundle.MANIFEST, bundle.MODEL, bundle.ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    loaded, _ = bundle.load(tmp_path / "one", types())
    assert np.array_equal(told(loaded.predict(later)), answer)
    assert decode(encode(LEARNERS[name], {}), {}, types()) == LEARNERS[name]


def test_ratings_are_read():
    later = examples(200, 1, LATER)
    found, rating = fitted("text-rating").predict(later), later.label("rating").value
    assert np.abs(found.mean - rating).mean() < 0.5
    assert ((found.quantiles[:, 0] <= rating) & (rating <= found.quantiles[:, 2])).mean() > 0.8
    chance = fitted("text-chance").predict(later).chance
    assert chance[rating > 3].min() > chance[rating <= 3].max()


def test_a_stranger_gets_the_base_rate():
    found = asked(Texts.of(text=["zzz", None, "很好看", "love it"], title=[None] * 4), day=LATER)
    chance = fitted("text-chance").predict(found)
    base = (examples().label("rating").value > 3).mean()
    assert chance.prior.tolist() == [True, True, True, False]
    assert np.allclose(chance.chance[:3], base)
    rating = fitted("text-rating").predict(found).mean
    assert np.allclose(rating[:3], examples().label("rating").value.mean())


def test_a_field_that_is_not_there_is_empty():
    _, body, _ = drawn(50, 3)
    model = fitted("text-rating")
    with_title = model.predict(asked(Texts.of(text=body, title=[None] * 50), day=LATER)).mean
    assert np.array_equal(model.predict(asked(Texts.of(text=body), day=LATER)).mean, with_title)


def test_the_title_counts():
    rating, _, title = drawn(400, 4)
    blank = ["the same words"] * 400
    train = asked(Texts.of(text=blank, title=title), rating)
    later = asked(Texts.of(text=["the same words"] * 3, title=["love the colour", "it is fine", "broke after a day"]), day=LATER + 1)
    mean = TextRating().fit(train).predict(later).mean
    assert mean[0] > mean[1] > mean[2]


def test_what_teaches_nothing_is_refused():
    rating, body, _ = drawn(40)
    with pytest.raises(NotEnoughDataError, match="same rating"):
        TextRating().fit(asked(Texts.of(text=body), np.full(40, 5.0)))
    with pytest.raises(NotEnoughDataError, match="None of 40 texts"):
        TextRating().fit(asked(Texts.of(text=body), np.full(40, np.nan)))
    with pytest.raises(NotEnoughDataError, match="comes again"):
        TextRating().fit(asked(Texts.of(text=[f"w{i}" for i in range(40)]), rating))
    with pytest.raises(NotEnoughDataError, match="same good"):
        TextChance("good").fit(good(asked(Texts.of(text=["a bad one"]), np.array([1.0]))))


def test_a_fine_scale_is_read_in_steps():
    rating, body, _ = drawn(300)
    fine = 20 * rating - np.random.default_rng(0).integers(0, 15, 300)
    model = TextRating().fit(asked(Texts.of(text=body), fine))
    assert len(model.levels) == STEPS + 1
    assert np.abs(model.predict(asked(Texts.of(text=body), day=LATER)).mean - fine).mean() < 12


def test_out_of_fold_a_text_does_not_tell_its_own_rating():
    rating, body, _ = drawn(200)
    noise = np.random.default_rng(1).permutation(rating)
    lying = [f"{text} own{i} own{i}x" for i, text in enumerate(body)]
    found = asked(Texts.of(text=lying), noise)
    levels, above = TextRating().out_of_fold(found, np.arange(200) % 4)
    assert levels.tolist() == [1.0, 3.0, 5.0]
    assert abs(np.corrcoef(levels[0] + above @ np.diff(levels), noise)[0, 1]) < 0.3
    assert (np.diff(above, axis=1) <= 0).all()
    with pytest.raises(NotEnoughDataError):
        TextRating().out_of_fold(found, np.zeros(200, np.int64))
    honest = asked(Texts.of(text=body), rating)
    for most in (90, 200):  # sampled and in blocks, and at once
        levels, above = TextRating(most=most).out_of_fold(honest, np.arange(200) % 4)
        assert np.corrcoef(levels[0] + above @ np.diff(levels), rating)[0, 1] > 0.8


def test_many_texts_are_sampled_by_the_seed():
    train = examples(300)
    few = TextRating(most=100).fit(train)
    assert few.fields.terms[0].names == TextRating(most=100).fit(train).fields.terms[0].names
    assert len(few.fields.terms[0]) < len(TextRating().fit(train).fields.terms[0])
