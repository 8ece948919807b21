"""Topics: found, named by their words, the same under a seed."""

import numpy as np
import pytest

from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.models.text.topics import Topics
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

ABOUT = {"size": "small large waist tight", "post": "parcel late courier box", "cloth": "soft cotton warm wool"}


def texts(n=300, seed=0):
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(ABOUT), n)
    return kinds, ["the and " + " ".join(rng.choice(ABOUT[kind].split(), 3)) for kind in kinds]


def test_topics_are_found(tmp_path):
    kinds, said = texts()
    model = Topics(3).fit(said)
    share = model.shares(said)
    assert np.allclose(share.sum(axis=1), 1)
    for kind, words in ABOUT.items():
        place = int(share[kinds == kind].mean(axis=0).argmax())
        assert set(model.names[place].split(", ")) <= set(words.split())
        assert share[kinds == kind, place].mean() > 0.95
    assert np.array_equal(Topics(3).fit(said).weight, model.weight)
    bundle.save(tmp_path / "model", model, {})
    loaded, _ = bundle.load(tmp_path / "model", types())
    assert np.array_equal(loaded.shares(said[:7]), share[:7])  # and each text for itself alone
    assert model.shares(["", "zzz"]).tolist() == [[0.0] * 3] * 2
    assert model.shares([]).shape == (0, 3)


def test_names_differ_and_few_texts_have_few_topics():
    _, said = texts(50)
    model = Topics(10).fit(said)
    assert len(model) == 2
    assert len(set(model.names)) == 2


def test_what_has_no_topics_is_refused():
    with pytest.raises(NotEnoughDataError):
        Topics().fit(["soft and warm"] * 19)
    with pytest.raises(NotEnoughDataError):
        Topics().fit([f"w{i}" for i in range(100)])
    with pytest.raises(NotEnoughDataError):
        Topics().fit(["the same words"] * 100)  # what all say tells nothing apart
    with pytest.raises(SettingsError):
        Topics(0)
