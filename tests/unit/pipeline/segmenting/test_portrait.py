import numpy as np
import pytest

from tests.unit.core.logs import make
from tests.unit.pipeline.quick import learn, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotFoundError
from whenbuy.core.log import Column, Dictionary
from whenbuy.core.segments import Segment
from whenbuy.features import Features
from whenbuy.features.folds import Gaps
from whenbuy.pipeline.segmenting.portrait import portrait

LOYAL = Segment(1, "loyal", "buys often")


def busiest():
    return shop().log.frame().filter(kind="purchase")["user_id"].value_counts(sort=True)["user_id"][0]


def test_a_portrait_is_in_words():
    found = portrait(shop(), busiest(), LOYAL, shop().end, learn(shop()).predict(shop(), users=[busiest()]))
    said = dict(found.words)
    assert said["segment"] == "loyal: buys often"
    assert "orders every" in said["rhythm"]
    assert "per order over" in said["spending"]
    assert "within 7 days" in said["next"]
    assert said["interests"] == ", ".join(found.tags)
    assert found.plain()["segment"]["id"] == 1


def test_her_usual_gap_is_the_one_that_models_read_and_reasons_quote():
    for user in shop().log.frame().filter(kind="purchase")["user_id"].value_counts(sort=True)["user_id"].to_list()[:20]:
        said = dict(portrait(shop(), user, LOYAL, shop().end).words)["rhythm"]
        past = shop().before(shop().keys([user]))
        read = float(Features((Gaps("mean", once_a_day=True),)).table(past).values[0, 0])
        assert float(said.split(" every ")[1].split(" ")[0]) == pytest.approx(read, abs=1.1), user  # it counts whole days, and rounds


def test_it_looks_at_nothing_later():
    cutoff = shop().end - 3 * DAY
    assert portrait(shop(), busiest(), LOYAL, cutoff) == portrait(shop().cut(cutoff), busiest(), LOYAL, cutoff)


def test_interests_and_hours_are_what_sets_her_apart():
    hour = DAY // 24
    rows = [(0, day * DAY + 20 * hour, 0, 1, 100, 1) for day in range(12)] + [
        (user, day * DAY + (user * 7 + day * 5) % 24 * hour, 0, 1, 100, 1) for user in range(1, 30) for day in range(12)
    ]
    history = make(rows, users=30, late=False)
    log = history.log
    owner = np.searchsorted(log.offsets, np.arange(len(log)), side="right") - 1
    tea = np.where(owner == 0, 1, np.arange(len(log)) % 2 * 2).astype(np.int32)
    log.columns["category"] = Column(tea, Dictionary.of(["milk", "tea", "bread"]))
    said = portrait(history, "u0", LOYAL, history.end)
    assert said.tags == ("tea",)
    assert dict(said.words)["time"] == "evenings"
    assert portrait(history, "u5", LOYAL, history.end).tags == ()


def test_little_known_people_have_short_portraits():
    history = make([(0, 0, 0, 0, 0, 0), (1, 0, 0, 1, 5, 1)])
    assert dict(portrait(history, "u0", LOYAL, history.end).words)["rhythm"] == "no order yet"
    assert "ordered on one day" in dict(portrait(history, "u1", LOYAL, history.end).words)["rhythm"]
    with pytest.raises(NotFoundError):
        portrait(history, "u2", LOYAL, history.end)
    with pytest.raises(NotFoundError):
        portrait(history, "nobody", LOYAL, history.end)
