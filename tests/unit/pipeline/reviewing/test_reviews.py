"""What is read of a log: only what was known, only ratings on the scale."""

import numpy as np
import pytest

from tests.unit.pipeline.reviewing.shop import START, history
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.reviewing.reviews import Reviews

ROWS = [("a", 3, "mug", 5, "soft"), ("b", 1, "lamp", 1, None), ("a", 2, "mug", None, "warm"), ("c", 4, "lamp", 4, "soft")]


def test_they_come_in_their_order():
    reviews = Reviews.of(found := history(ROWS), found.end)
    assert [reviews.names["item"].ids[int(code)] for code in reviews.group["item"]] == ["lamp", "mug", "mug", "lamp"]
    assert [reviews.users.ids[int(code)] for code in reviews.user] == ["b", "a", "a", "c"]
    assert np.array_equal(reviews.rating, [1, np.nan, 5, 4], equal_nan=True)
    assert reviews.texts.known.tolist() == [False, True, True, True]
    assert (reviews.scale, reviews.outside) == ((1.0, 5.0), 0)
    assert len(reviews.take(np.array([0, 2]))) == 2


def test_only_what_was_known_is_read():
    found = history(ROWS)
    cutoff = int(START.timestamp() * 1e6) + 3 * DAY
    assert len(Reviews.of(found, cutoff)) == 2
    assert len(Reviews.of(found, cutoff + 1)) == 3
    with pytest.raises(NotEnoughDataError, match="no reviews before"):
        Reviews.of(found, cutoff - 2 * DAY)


def test_a_log_without_reviews_says_so():
    log = simulate(20, 30, 1).history.log
    with pytest.raises(NotEnoughDataError, match="kind 'review'"):
        Reviews.of(History(log.take(np.flatnonzero(log.kind != log.code("review")))), log.end)


@pytest.mark.parametrize(
    ("ratings", "scale", "outside"),
    [
        ([1, 2, 3, 4, 5] * 20 + [50, -1, 0], (1, 5), 3),
        ([7, 8, 10, 2] * 20, (1, 10), 0),
        ([0, 3, 5, 4] * 20, (0, 5), 0),
        ([80, 95, 20, 100] * 20, (1, 100), 0),
        ([5] * 30, (1, 5), 0),
    ],
)
def test_ratings_outside_the_scale_are_not_used(ratings, scale, outside):
    found = history([(f"u{i % 9}", i / 10, "mug", rating, None) for i, rating in enumerate(ratings)])
    reviews = Reviews.of(found, found.end)
    assert (reviews.scale, reviews.outside) == (scale, outside)
    assert np.isnan(reviews.rating).sum() == outside
    assert reviews.texts is None
    assert Reviews.of(found, found.end, (0, 100)).scale == (0, 100)


def test_a_category_is_that_of_the_item():
    found = history([*ROWS, ("d", 5, "vase", 3, "fine")], category=["crockery", None, None, "light", None])
    reviews = Reviews.of(found, found.end)
    names = reviews.names["category"]
    assert names.names(reviews.group["category"]).to_list() == ["light", "crockery", "crockery", "light", None]
    early = Reviews.of(found, int(START.timestamp() * 1e6) + 4 * DAY)  # that lamps are lights was not known yet
    assert early.names["category"].names(early.group["category"]).to_list() == [None, "crockery", "crockery"]
