"""What each ranker finds in a shop whose truth is known."""

import numpy as np
import pytest

from tests.unit.features.things import things
from tests.unit.models.ranking.shops import asked, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import DependencyError, NotEnoughDataError, SettingsError, UsageError
from whenbuy.core.log import Dictionary
from whenbuy.core.ranking import Shelf
from whenbuy.models.ranking.content import Content
from whenbuy.models.ranking.due import DueItems, visits
from whenbuy.models.ranking.factors import Factors
from whenbuy.models.ranking.hybrid import Hybrid
from whenbuy.models.ranking.item_item import ItemItem
from whenbuy.models.ranking.neighbours import Neighbours
from whenbuy.models.ranking.own import OwnItems
from whenbuy.models.ranking.popularity import Popularity
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.questions.items import NextItems


def test_popularity_names_what_is_bought_most():
    train = asked(as_of=80)
    found = Popularity(first=3).fit(train).predict(train)
    assert (found.item[:, 0] == found.item[0, 0]).all()
    assert found.names.ids[int(found.item[0, 0])] == "i0"


def test_a_thing_is_due_when_its_gap_is_over():
    """i1 is bought every ten days: the chance of the next three days rises as they pass, and falls when it was just bought."""
    rows = [(user, day * DAY, 0, 1, 2, 1) for user in range(10) for day in range(0, 80, 10)]
    history = things(rows, users=10, late=False, end=100 * DAY)
    model = DueItems(3.0).fit(asked(history, as_of=80, horizon=1.0))
    chances = []
    for day in (71, 75, 79):
        trails = Asking.of(model.shelf).trail.block(history.before(history.keys(["u0"], day * DAY)))
        chances.append(float(model.chance(visits(trails))[0]))
    assert chances[0] < chances[1] < chances[2]
    assert chances[2] > 0.5
    assert model.mean_days[1] == pytest.approx(10.0)


def test_i2_leads_to_i3():
    model = ItemItem(reach=0).fit(asked(as_of=80))
    assert model.between(2, 3) > max(model.between(2, other) for other in (0, 1, 4))


def test_content_names_a_thing_that_nobody_bought():
    shelf = shop().cut(80 * DAY)
    names = Dictionary.of((*(f"i{i}" for i in range(5)), "new"))
    words = Dictionary.of(("even", "odd", "rare"))
    codes = np.array([0, 1, 0, 1, 2, 2], np.int32)
    model = Content(first=6).fit(asked(shelf=Shelf(names, {"category": codes}, {"category": words}), as_of=80))
    history = things([(0, 85 * DAY, 0, 1, 5, 1)], users=1, late=False, end=100 * DAY)
    found = model.predict(Asking.of(model.shelf).examples(history, history.keys(as_of=90 * DAY)))
    assert found.of("u0")[:2] == ["i4", "new"]
    assert len(shelf.log)
    with pytest.raises(NotEnoughDataError, match="category"):
        Content().fit(asked(shelf=Shelf(names), as_of=80))


def test_factors_and_neighbours_find_who_is_alike():
    """Two groups with two things each: who met one of a group is shown its other one."""
    rows = [(user, day * DAY, 0, 1, (user % 2) * 2 + 1 + day % 2, 1) for user in range(20) for day in range(6)]
    history = things(rows, users=20, late=False, end=10 * DAY)
    train = asked(history, as_of=8, horizon=1.0)
    fresh = things([(0, DAY, 0, 1, 1, 1), (1, DAY, 0, 1, 3, 1)], users=2, late=False, end=10 * DAY)
    for learner in (Factors(width=2), Factors("bpr", width=4, rounds=30), Neighbours()):
        model = learner.fit(train)
        found = model.predict(Asking.of(model.shelf).examples(fresh, fresh.keys(as_of=9 * DAY)))
        assert set(found.of("u0")[:2]) >= {"i1"}, learner.name
        assert set(found.of("u1")[:2]) >= {"i3"}, learner.name


def test_the_hybrid_beats_its_parts_and_learns_on():
    from whenbuy.evaluate.ranking import ranking_measures

    train, late = asked(as_of=60, horizon=20.0), asked(as_of=90, horizon=20.0)
    model = Hybrid(grow=Boosting(trees=60, min_leaf=20), first=5).fit(train)
    assert model.known_until == 80 * DAY
    later = model.update(late)
    assert later.known_until == 90 * DAY
    taken = late.label("items")

    def ndcg(answer):
        return ranking_measures(answer.item.astype(np.int64), taken.owner, taken.item.astype(np.int64), 3)[1].value()

    floors = [learner.fit(late).predict(late) for learner in (Popularity(first=5), OwnItems(first=5))]
    assert ndcg(later.predict(late)) > max(map(ndcg, floors))
    assert sum(model.importance().values()) > 0
    with pytest.raises(UsageError, match="end before"):
        model.update(asked(as_of=50))


def test_a_share_of_what_was_not_taken_tells_the_same_chances():
    train, late = asked(as_of=60, horizon=20.0), asked(as_of=90, horizon=20.0)
    grow = Boosting(trees=40, min_leaf=20)
    whole, part = (Hybrid(grow=grow, share=share, first=5).fit(train) for share in (1.0, 0.3))
    said = [model.update(late).predict(late).score for model in (whole, part)]
    assert not np.array_equal(*said)
    assert np.nanmean(said[1]) == pytest.approx(np.nanmean(said[0]), rel=0.15)
    assert Hybrid(grow=grow, share=0.3, first=5).fit(train).trees.predict(part.told(late)[2]) == pytest.approx(
        part.trees.predict(part.told(late)[2]), abs=0
    )


def test_a_hybrid_without_labels_or_teachers_says_so():
    history = things([(0, DAY, 0, 1, 1, 1), (1, DAY, 0, 1, 2, 1)], users=2, late=False, end=100 * DAY)
    with pytest.raises(NotEnoughDataError, match="took anything"):
        Hybrid().fit(asked(history, as_of=50))
    silent = Hybrid((Content(),))
    with pytest.raises(NotEnoughDataError, match="content"):
        silent.fit(asked(shelf=Shelf(Dictionary.of([f"i{i}" for i in range(5)])), as_of=80))


@pytest.mark.parametrize(
    "make",
    [
        lambda: OwnItems(0.0), lambda: DueItems(0.0), lambda: ItemItem(steps=0), lambda: Neighbours(count=0), lambda: Content(()),
        lambda: Factors("svd"), lambda: Hybrid(()), lambda: Hybrid(grow=Boosting("l2")), lambda: Hybrid(share=0.0),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(SettingsError):
        make()


def test_lists_without_a_place_are_refused():
    with pytest.raises(UsageError):
        Popularity(first=0)


def test_factors_without_the_library_say_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "implicit.cpu", None)
    with pytest.raises(DependencyError, match="implicit"):
        Factors().fit(asked(as_of=80))


def test_horizon_of_the_question_is_kept():
    assert NextItems(3.0).horizon_days == 3.0
