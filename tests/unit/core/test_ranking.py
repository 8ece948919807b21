"""Rankings check themselves, and read as a table."""

import numpy as np
import pytest

from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.ranking import Ranking, Shelf, Taken, Trails, Trends, place_on

NAMES = Dictionary.of(("tea", "milk", "beer"))
KEYS = Keys("user", np.array([0, 1], np.int32), np.array([0, 0], np.int64), Dictionary.of(("ann", "bob")))


def ranking(item=((2, 0), (1, -1)), score=((2.0, 1.0), (0.5, np.nan)), prior=None):
    return Ranking(KEYS, NAMES, np.array(item, np.int32), np.array(score), "test", prior)


def test_it_reads_as_a_table_best_first():
    frame = ranking().frame()
    assert frame.columns == ["user_id", "as_of", "rank", "item_id", "score"]
    assert frame["user_id"].to_list() == ["ann", "ann", "bob"]
    assert frame["item_id"].to_list() == ["beer", "tea", "milk"]
    assert frame["rank"].to_list() == [1, 2, 1]
    assert ranking().of("ann") == ["beer", "tea"]
    assert ranking().top(1).item.tolist() == [[2], [1]]
    assert ranking(prior=np.array([False, True])).take(np.array([1])).prior.tolist() == [True]
    with pytest.raises(NotFoundError):
        ranking().of("eve")


@pytest.mark.parametrize(
    ("item", "score"),
    [
        (((2, 2), (1, 0)), ((2, 1), (2, 1))),  # twice
        (((2, 0), (-1, 1)), ((2, 1), (np.nan, 1))),  # a gap before the end
        (((2, 0), (1, 0)), ((1, 2), (2, 1))),  # rising
        (((2, 0), (1, 0)), ((np.inf, 2), (2, 1))),
        (((3, 0), (1, 0)), ((2, 1), (2, 1))),  # no such thing
        (((2, 0),), ((2, 1),)),  # too few
    ],
)
def test_a_ranking_that_breaks_its_promise_is_never_made(item, score):
    with pytest.raises(WhenbuyError):
        ranking(item, score)


def test_notebooks_show_it():
    assert "beer" in ranking()._repr_html_()
    assert "2 keys" in ranking()._repr_html_()
    assert repr(ranking()) == "Ranking(2 keys, 2 of 3 things, model='test')"
    empty = Ranking(KEYS.take(slice(0, 0)), NAMES, np.empty((0, 2), np.int32), np.empty((0, 2)), "test")
    assert "0 keys" in empty._repr_html_()
    assert not len(empty.frame())


def test_parts_that_do_not_fit_are_refused():
    shelf = Shelf(NAMES)
    none = np.empty(0, np.int32)
    with pytest.raises(WhenbuyError):
        Shelf(NAMES, {"category": np.zeros(2, np.int32)}, {"category": NAMES})
    with pytest.raises(WhenbuyError):
        Shelf(NAMES, price=np.zeros(1, np.float32))
    with pytest.raises(WhenbuyError):
        Trails(shelf, np.array([0, 1]), none, np.empty(0, np.int64), none, np.empty(0, np.float32), np.zeros(1, np.int64))
    with pytest.raises(WhenbuyError):
        Trails(shelf, np.array([0, 1]), none + 5, *(np.zeros(1, kind) for kind in (np.int64, np.int32, np.float32)), np.zeros(1, np.int64))
    with pytest.raises(WhenbuyError):
        Trends(shelf, np.array([1]), (1.0,), np.zeros((1, 3, 1), np.float32))
    with pytest.raises(WhenbuyError):
        Taken(np.ones(1), np.ones(1, bool), np.ones(1, np.int64), np.array([0, 2]), none, NAMES)


def test_names_find_their_place_on_another_shelf():
    assert place_on(NAMES, Dictionary.of(("beer", "wine", "tea"))).tolist() == [2, -1, 0, -1]
    assert place_on(NAMES, NAMES).tolist() == [0, 1, 2, -1]


def test_what_was_taken_is_cut_by_rows():
    taken = Taken(
        np.array([2.0, 0, 1]), np.ones(3, bool), np.ones(3, np.int64), np.array([0, 2, 2, 3]), np.array([0, 1, 2], np.int32), NAMES
    )
    assert taken.owner.tolist() == [0, 0, 2]
    part = taken.take(np.array([2, 0]))
    assert (part.offsets.tolist(), part.item.tolist()) == ([0, 1, 3], [2, 0, 1])
