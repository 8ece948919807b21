"""What is shown to whom: rules hold, lists are filled, reasons are true, and the better ranker answers."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.unit.core.logs import make
from tests.unit.features.things import things
from tests.unit.models.ranking.shops import DAYS, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, NotFoundError, SettingsError, UsageError
from whenbuy.core.log import Column, Dictionary
from whenbuy.core.profile import Profile
from whenbuy.core.ranking import Shelf
from whenbuy.models.ranking.hybrid import Hybrid
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.pipeline.recommending.because import because
from whenbuy.pipeline.recommending.recommender import TYPES, learn
from whenbuy.pipeline.recommending.rules import Rules
from whenbuy.pipeline.recommending.variety import varied

SMALL = Hybrid(grow=Boosting(trees=30, min_leaf=20))


@cache
def learned():
    return learn(shop(), horizon_days=20.0, hybrid=SMALL, rounds=100)


def profile(**columns):
    table = pl.DataFrame({"id": ["i0", "i1", "i2", "i3", "i4"], **columns})
    return replace(shop(), items=Profile("item", table, timeless=True))


def test_the_better_ranker_answers_and_says_how_it_fared():
    tried = learned().tried
    assert {one.name for one in tried} == {"popularity-2", "own-frequency", "hybrid"}
    assert sum(one.chosen for one in tried) == 1
    best = next(one for one in tried if one.chosen)
    assert best.difference == 0 or best.low > 0
    assert learned().model.name == best.name
    assert all(0 < one.coverage <= 1 for one in tried)
    assert all(0 <= one.diversity <= 1 for one in tried)
    popular = next(one for one in tried if one.name == "popularity-2")
    assert popular.coverage == min(one.coverage for one in tried)  # it shows everybody the same


def test_a_short_or_empty_log_answers_with_a_floor_or_a_clear_error():
    few = things([(0, day * DAY, 0, 1, day % 3 + 1, 1) for day in range(9)], users=1, late=False, end=9 * DAY)
    found = learn(few, hybrid=SMALL, rounds=50)
    assert found.horizon_days == 3.0
    assert len(found.recommend(few, ["u0"]).frame())
    with pytest.raises(NotEnoughDataError):
        learn(things([(0, DAY, 0, 1, 1, 1)], users=1, late=False, end=60 * DAY), hybrid=SMALL)
    with pytest.raises(ColumnError, match="item_id"):
        learn(make([(0, DAY, 0, 1, 1, 1)]), hybrid=SMALL)


def test_one_thing_in_the_shop():
    rows = [(user, day * DAY, 0, 1, 1, 1) for user in range(5) for day in range(0, 60, 3)]
    history = things(rows, users=5, late=False, end=60 * DAY)
    history = replace(history, log=replace(history.log, columns={
        "item_id": Column(np.zeros(len(history.log), np.int32), Dictionary.of(("only",)))
    }))  # fmt: skip
    found = learn(history, horizon_days=10.0, hybrid=SMALL, rounds=50).recommend(history, ["u1", "nobody"])
    assert found.ranking.of("u1") == found.ranking.of("nobody") == ["only"]


def test_rules_hold_and_lists_are_filled():
    model, everybody = learned(), learned().recommend(shop(), top=3)
    assert (everybody.ranking.item >= 0).all()
    assert len(everybody.frame()) == 3 * len(everybody)
    odd = model.recommend(shop(), top=5, rules=Rules(only={"category": ("odd",)})).frame()
    assert set(odd["item_id"]) == {"i1", "i3"}
    without = model.recommend(shop(), top=5, rules=Rules(without=("i0", "unheard of"))).frame()
    assert "i0" not in set(without["item_id"])
    kept = model.recommend(shop(), top=5, rules=Rules(not_within_days=3.0)).frame()
    log = shop().log
    for user, item in kept.select("user_id", "item_id").iter_rows():
        code = int(log.users.codes([user])[0])
        part = slice(int(log.offsets[code]), int(log.offsets[code + 1]))
        late = (log.known_at[part] > shop().end - 3 * DAY) & (log.kind[part] == log.code("purchase"))
        assert item not in log.columns["item_id"].series(part).filter(pl.Series(late)).to_list()


def test_who_bought_everything_lately_is_shown_nothing_of_it():
    rows = [(0, 10 * DAY + i, 0, 1, i + 1, 1) for i in range(5)]
    rows += [(u, day * DAY, 0, 1, 1 + (u + day) % 5, 1) for u in range(1, 6) for day in range(12)]
    history = things(rows, users=6, late=False, end=12 * DAY)
    found = learn(history, hybrid=SMALL, rounds=50).recommend(history, ["u0", "u1"], rules=Rules(not_within_days=30.0))
    assert found.ranking.of("u0") == []
    assert found.frame()["user_id"].unique().to_list() in ([], ["u1"])


def test_stock_and_deleted_things_come_from_the_profile():
    model = learned()
    stocked = profile(in_stock=[0, 3, 0, 1, None])
    assert set(model.recommend(stocked, top=5, rules=Rules(in_stock=True)).frame()["item_id"]) == {"i1", "i3"}
    deleted = profile(deleted=[True, False, False, False, None])
    assert "i0" not in set(model.recommend(deleted, top=5).frame()["item_id"])
    with pytest.raises(ColumnError, match="in_stock"):
        model.recommend(shop(), rules=Rules(in_stock=True))
    with pytest.raises(ColumnError, match="brand"):
        model.recommend(shop(), rules=Rules(only={"brand": ("x",)}))
    with pytest.raises(NotFoundError, match="fresh"):
        model.recommend(shop(), rules=Rules(only={"category": ("fresh",)}))
    with pytest.raises(SettingsError):
        Rules(not_within_days=-1)


def test_a_question_that_makes_no_sense_is_refused():
    for wrong in ({"top": 0}, {"diverse": 2.0}, {"novel": -1.0}):
        with pytest.raises(UsageError):
            learned().recommend(shop(), ["u1"], **wrong)
    with pytest.raises(LeakError):
        learned().recommend(shop(), ["u1"], as_of=50 * DAY)
    assert len(learned().recommend(shop(), [])) == 0


def test_a_stranger_is_told_so():
    frame = learned().recommend(shop(), ["u1", "stranger"], top=2).frame()
    assert frame["known"].to_list() == [True, True, False, False]
    assert set(frame.filter(~pl.col("known"))["why"]) == {"many buy it these days"}


def test_what_is_kept_answers_the_same(tmp_path):
    bundle.save(tmp_path / "recommender", learned(), {})
    kept, _ = bundle.load(tmp_path / "recommender", {**types(), **TYPES})
    assert kept.recommend(shop(), top=3).frame().equals(learned().recommend(shop(), top=3).frame())


def test_reasons_are_those_of_her_own_trail():
    model = learned()
    rows = [(0, 60 * DAY, 0, 1, 2, 1), (0, 70 * DAY, 0, 1, 2, 1), (0, 90 * DAY, 0, 0, 5, 1)]
    history = things(rows, users=1, late=False, end=DAYS * DAY)
    trail = Asking.of(model.shelf).trail.block(history.before(history.keys(["u0"], 98 * DAY)))
    said = because(trail, np.arange(5), model.near, model.due)
    assert said[1] == "because she bought it 28 days ago, usual gap 10 days"
    assert said[4] == "because she looked at it 8 days ago"
    assert "which she" in said[3] or "what she takes" in said[3]
    alone = things([(0, 60 * DAY, 0, 1, 3, 1)], users=1, late=False, end=DAYS * DAY)
    trail = Asking.of(model.shelf).trail.block(alone.before(alone.keys(["u0"], 98 * DAY)))
    led, own = because(trail, np.array([3, 2]), model.near, model.due)
    assert led == "often bought with i2, which she bought 38 days ago"
    assert own.startswith("because she bought it 38 days ago; others come back to it after")
    assert because(trail.take(slice(0, 0)), np.array([0]), model.near, model.due) == ("many buy it these days",)


def test_variety_spreads_the_categories():
    shelf = Shelf(Dictionary.of("abcd"), {"category": np.array([0, 0, 0, 1], np.int32)}, {"category": Dictionary.of(("x", "y"))})
    item, score = np.array([[0, 1, 2, 3], [3, -1, -1, -1]], np.int32), np.array([[4.0, 3, 2, 1], [1, np.nan, np.nan, np.nan]])
    assert varied(item, score, shelf, 2, 0.0).tolist() == [[0, 1], [3, -1]]
    assert varied(item, score, shelf, 2, 0.5).tolist() == [[0, 3], [3, -1]]
    wanted = np.array([100.0, 1, 1, 1])
    assert varied(item, score, shelf, 2, 0.0, 1.0, wanted).tolist()[0][0] == 1
    assert varied(item[:0], score[:0], shelf, 2, 0.5).shape == (0, 2)
    assert varied(item, score, Shelf(shelf.names), 4, 0.5).tolist()[0] == [0, 1, 2, 3]


def test_notebooks_show_it():
    found = learned().recommend(shop(), ["u1"], top=2)
    assert "1 customer" in found._repr_html_()
    assert "2 things each" in repr(found)


def test_where_nothing_is_bought_what_is_looked_at_teaches():
    rows = [(user, day * DAY, 0, 0, 1 + (user + day) % 5, 1) for user in range(8) for day in range(30)]
    history = things(rows, users=8, late=False, end=30 * DAY)
    assert len(learn(history, hybrid=SMALL, rounds=50).recommend(history, ["u1"], top=3).frame()) == 3
