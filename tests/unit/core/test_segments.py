import math

import numpy as np
import pytest

from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.segments import Segment, Segments

TWO = (Segment(1, "loyal", "buys often"), Segment(4, "lapsed", "has not bought for long"))


def made(code=(0, 1, 0), segments=TWO, **rest):
    users = Dictionary.of(["a", "b", "c"])
    keys = Keys("user", np.arange(3, dtype=np.int32), np.full(3, 10**15), users)
    return Segments(keys, np.array(code, np.int32), segments, "rfm", **rest)


def test_it_says_who_belongs_where_and_what_each_segment_is_like():
    found = made(figures={"orders_84d": np.array([3.0, math.nan])})
    assert found.frame().select("user_id", "segment", "name").rows() == [("a", 1, "loyal"), ("b", 4, "lapsed"), ("c", 1, "loyal")]
    assert found.profiles().rows() == [(1, "loyal", 2, 2 / 3, "buys often", 3.0), (4, "lapsed", 1, 1 / 3, "has not bought for long", None)]
    assert found.of("b") == TWO[1]
    assert len(found.take(np.array([1]))) == 1
    with pytest.raises(NotFoundError):
        found.of("nobody")


def test_it_shows_itself():
    found = made(stability=0.91)
    assert "0.91" in found._repr_html_()
    assert "<img" in found._repr_html_()
    assert "loyal" in str(found.plot().to_dict())
    assert not len(made().take(slice(0, 0)).frame())


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": (0, 1)},
        {"code": (0, 2, 0)},
        {"segments": (TWO[0], Segment(1, "other", "x"))},
        {"segments": (TWO[0], Segment(2, "loyal", "x"))},
        {"figures": {"n": np.zeros(3)}},
    ],
)
def test_it_checks_itself(wrong):
    with pytest.raises(WhenbuyError):
        made(**wrong)


def test_a_segment_has_an_id_and_a_name():
    for id, name in ((0, "a"), (1, " ")):
        with pytest.raises(WhenbuyError):
            Segment(id, name, "")
