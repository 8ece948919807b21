from functools import cache

import numpy as np
import polars as pl
import pytest

import whenbuy as wb
from tests.unit.core.logs import make
from tests.unit.pipeline.quick import learn, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.codec import encode
from whenbuy.core.errors import LeakError, NotEnoughDataError, UsageError
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.segmenting.answers import with_answers
from whenbuy.pipeline.segmenting.moves import moves
from whenbuy.pipeline.segmenting.segmentation import TYPES, segment

WAYS = ("rfm", "k-means", "mixture", "density")
every = pytest.mark.parametrize("by", WAYS)
K = {"k-means": 4, "mixture": 3}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("whenbuy.models.segment.stability.RESAMPLES", 3)


@cache
def learned(by, as_of=None):
    return segment(shop(), by, K.get(by), as_of)


@every
def test_everybody_belongs_somewhere_and_each_segment_has_words(by):
    found = learned(by).of(shop())
    assert len(found) == 150
    assert all(one.words and one.name for one in found.segments)
    assert 0 <= learned(by).stability <= 1
    assert found.profiles()["customers"].sum() == 150


@every
def test_nothing_later_is_looked_at(by):
    cutoff = shop().end - 40 * DAY
    one, other = segment(shop(), by, K.get(by), cutoff), segment(shop().cut(cutoff), by, K.get(by))
    first, second = {}, {}
    assert encode(one, first) == encode(other, second)
    assert {path: each.tobytes() for path, each in first.items()} == {path: each.tobytes() for path, each in second.items()}
    assert one.of(shop(), cutoff).frame().equals(other.of(shop().cut(cutoff)).frame())
    with pytest.raises(LeakError):
        learned(by).of(shop(), cutoff)


@every
def test_it_is_kept_as_data(by, tmp_path):
    bundle.save(tmp_path / "kept", learned(by), {})
    again, _ = bundle.load(tmp_path / "kept", {**types(), **TYPES})
    assert again.of(shop()).frame().equals(learned(by).of(shop()).frame())


@pytest.mark.parametrize("by", ["k-means", "mixture", "density"])
def test_ids_and_names_stay_when_it_is_learned_again(by):
    earlier = learned(by, shop().end - 7 * DAY)
    now = segment(shop(), by, K.get(by), earlier=earlier, seed=5)
    kept = {one.id: one.name for one in earlier.segments}
    stayed = [one for one in now.segments if one.id in kept]
    assert len(stayed) >= len(now.segments) - 1
    assert all(kept[one.id] == one.name for one in stayed)
    assert now.next_id > max(one.id for one in (*now.segments, *earlier.segments))
    before, after = earlier.of(shop()), now.of(shop())
    ids = [np.array([one.id for one in each.segments])[each.code] for each in (before, after)]
    assert (ids[0] == ids[1]).mean() > 0.6


def test_an_id_is_never_given_twice():
    earlier = segment(shop(), "k-means", 4)
    now = segment(shop(), "k-means", 8, earlier=earlier)
    fresh = [one.id for one in now.segments if one.id >= earlier.next_id]
    assert len(fresh) >= 4
    assert len({one.id for one in now.segments}) == 8


def test_wrong_numbers_of_segments_are_refused():
    with pytest.raises(UsageError, match="customers"):
        segment(shop(), "k-means", 151)
    with pytest.raises(UsageError, match="rfm"):
        segment(shop(), "rfm", 3)
    with pytest.raises(UsageError, match="There are"):
        segment(shop(), "magic")
    with pytest.raises(NotEnoughDataError):
        segment(shop(), as_of="1999-01-01")


@every
def test_small_and_dull_shops_divide_too(by):
    two = make([(0, 0, 0, 1, 100, 1), (1, DAY, 0, 1, 900, 1)], users=2)
    assert len(segment(two, by).of(two)) == 2
    alike = make([(user, 0, 0, 0, 0, 0) for user in range(9)], users=9)  # one kind, no purchase
    found = segment(alike, by).of(alike)
    assert len(set(found.code.tolist())) == 1
    assert found.segments[int(found.code[0])].name in {"no order yet", "like everybody"}


def test_a_log_without_amounts_divides_by_orders():
    history = wb.simulate(users=60, days=100, seed=2).history
    columns = {name: each for name, each in history.log.columns.items() if name not in {"amount", "unit_price"}}
    log = type(history.log)(**{name: getattr(history.log, name) for name in history.log.__slots__} | {"columns": columns})
    bare = type(history)(log, history.clock)
    assert "mean_amount" not in segment(bare).of(bare).figures


@every
def test_the_outlook_speaks_by_segment(by):
    forecaster = learn(shop())
    found = learned(by).of(shop())
    told = with_answers(found, forecaster.answer(shop(), found.keys))
    assert {"p_purchase_7d", "p_purchase_14d", "expected_orders", "clv"} <= set(told.figures)
    group = int(found.code[0])
    rows = np.flatnonzero(found.code == group)
    mean = forecaster.answer(shop(), found.keys.take(rows)).purchase.probability(7).mean()
    assert told.figures["p_purchase_7d"][group] == pytest.approx(mean)
    assert all(" within " in one.words for one, size in zip(told.segments, told.sizes, strict=True) if size)


def test_moves_add_up():
    moved = moves(learned("rfm"), shop(), shop().end - 30 * DAY)
    assert moved["customers"].sum() == 150
    shares = moved.group_by("from_segment").agg(pl.col("share").sum())["share"]
    assert shares.to_list() == pytest.approx([1.0] * len(shares))
    with pytest.raises(UsageError):
        moves(learned("rfm"), shop(), shop().end)
