import numpy as np
import polars as pl
import pytest

from whenbuy.core.errors import ColumnError, WhenbuyError
from whenbuy.core.log import Dictionary
from whenbuy.core.texts import Texts


def test_texts_are_held_once():
    texts = Texts.of(text=["soft", None, "soft", "warm"], title=pl.Series([None, None, "ok", ""]))
    assert len(texts) == 4
    assert texts.known.tolist() == [True, False, True, True]
    written, place = texts.distinct("text")
    assert [written[i] for i in place] == ["soft", "", "soft", "warm"]
    assert len(written) == 3
    some = texts.take(np.array([3, 1]))
    written, place = some.distinct("text")
    assert [written[i] for i in place] == ["warm", ""]
    with pytest.raises(ColumnError, match="'summary'"):
        texts.distinct("summary")


def test_parts_must_agree():
    words = Dictionary.of(["soft"])
    with pytest.raises(WhenbuyError):
        Texts({"text": np.zeros(2, np.int32)}, {})
    with pytest.raises(WhenbuyError):
        Texts({"text": np.zeros(2, np.int32), "title": np.zeros(1, np.int32)}, {"text": words, "title": words})
    with pytest.raises(WhenbuyError):
        Texts({}, {})
