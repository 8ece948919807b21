"""Paths as tables, each beside a plain slow count."""

from itertools import combinations, groupby, pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.pipeline.quick import shop
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import ColumnError, EmptyError, NotEnoughDataError, UsageError
from whenbuy.core.log import Column, Dictionary
from whenbuy.pipeline.segmenting import funnel as funnels
from whenbuy.pipeline.segmenting import sequences as mined
from whenbuy.pipeline.segmenting import together as pairs
from whenbuy.pipeline.segmenting.funnel import funnel
from whenbuy.pipeline.segmenting.sequences import sequences
from whenbuy.pipeline.segmenting.together import together
from whenbuy.pipeline.segmenting.transitions import END, START, transitions
from whenbuy.pipeline.segmenting.walks import SILENCE, Walks

TABLES = (transitions, funnel, sequences, together)


@settings(max_examples=40, deadline=None)
@given(rows())
def test_walks_follow_time_and_break_at_silence(events):
    history = make(events)
    if not any(user >= 0 and (kind != 1 or head == 1) for user, _, _, kind, _, head in events):
        with pytest.raises(EmptyError):
            Walks.of(history)
        return
    walks = Walks.of(history)
    for (user, time, session), (next_user, next_time, next_session) in pairwise(zip(walks.user, walks.time, walks.session, strict=True)):
        assert user < next_user or (user == next_user and time <= next_time)
        assert (session != next_session) == (user != next_user or next_time - time > SILENCE)


def test_transitions_count_each_step_once():
    found = transitions(shop())
    walks = Walks.of(shop())
    kinds = [
        [START, *(shop().log.kinds[kind] for kind, _ in session), END]
        for session in ([*part] for _, part in groupby(zip(walks.kind, walks.session, strict=True), key=lambda one: one[1]))
    ]
    slow: dict[tuple[str, str], int] = {}
    for path in kinds:
        for step in pairwise(path):
            slow[step] = slow.get(step, 0) + 1
    assert {(before, after): count for before, after, count in found.select("from", "to", "count").iter_rows()} == slow
    shares = found.group_by("from").agg(pl.col("share").sum())["share"]
    assert shares.to_list() == pytest.approx([1.0] * len(shares))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=8), min_size=1, max_size=5))
def test_the_funnel_s_kernel_equals_a_plain_loop(units):
    begins = np.concatenate([[0], np.cumsum([len(unit) for unit in units])]).astype(np.int64)
    step, time = (np.array([event[place] for unit in units for event in unit], np.int64) for place in (0, 1))
    reached, seen = funnels._reached(begins, step, time, 3)
    for row, unit in enumerate(units):
        wanted, when = 0, [MISSING] * 3
        for each, moment in unit:
            if each == wanted:
                when[wanted], wanted = moment, wanted + 1
        assert reached[row].tolist() == when
        assert seen[row].tolist() == [int(any(each == place for each, _ in unit)) for place in range(3)]


def test_a_funnel_loses_people_on_the_way():
    for unit in ("session", "user"):
        found = funnel(shop(), unit=unit)
        assert found["step"].to_list() == ["view", "cart", "purchase"]
        assert found["reached"].is_sorted(descending=True)
        assert (found["at_all"] >= found["reached"]).all()
        assert found["median_s"].null_count() == 1
    by = funnel(shop(), unit="user", by="category", most=3)
    assert by["group"].n_unique() == 3
    assert by["reached"].max() <= funnel(shop(), unit="user")["reached"].max()
    assert funnel(shop(), steps=("cart", "purchase"))["step"].to_list() == ["cart", "purchase"]
    with pytest.raises(NotEnoughDataError, match="--steps"):
        funnel(shop(), steps=("view", "teleport"))
    with pytest.raises(ColumnError):
        funnel(shop(), by="amount")


things = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=7), min_size=1, max_size=6)


def holds(unit, pattern):
    """Whether some events of a unit, each later than the one before, are the pattern."""
    return any(
        all(unit[place][0] == thing for place, thing in zip(places, pattern, strict=True))
        and all(unit[before][1] < unit[after][1] for before, after in pairwise(places))
        for places in combinations(range(len(unit)), len(pattern))
    )


@settings(max_examples=60, deadline=None)
@given(things, st.integers(1, 3))
def test_sequences_are_those_of_a_plain_search(units, least):
    units = [sorted(unit, key=lambda one: one[1]) for unit in units]
    offsets = np.concatenate([[0], np.cumsum([len(unit) for unit in units])]).astype(np.int64)
    code = np.array([thing for unit in units for thing, _ in unit], np.int32)
    moment = np.array([when for unit in units for _, when in unit], np.int64)
    found = mined._mined(mined.Walked(offsets, code, moment), 4, least, 10_000, 3)
    slow = {}
    for length in (2, 3):
        for pattern in np.ndindex(*[4] * length):
            count = sum(holds(unit, pattern) for unit in units)
            if count >= least:
                slow[tuple(pattern)] = count
    assert {pattern: count for count, _, pattern in found} == slow
    assert [count for count, _, _ in found] == sorted((count for count, _, _ in found), reverse=True)
    first = mined._mined(mined.Walked(offsets, code, moment), 4, least, 3, 3)
    assert first == found[:3]


def test_sequences_of_a_shop():
    found = sequences(shop(), support=0.05)
    assert found["sequence"][0] == "view → cart"
    assert found["support"].is_sorted(descending=True)
    assert found["support"].min() >= 0.05
    bought = sequences(shop(), of="category", support=0.05, most=5)
    assert len(bought) == 5
    with pytest.raises(ColumnError):
        sequences(shop(), of="amount")
    with pytest.raises(UsageError):
        sequences(shop(), support=0.0)


def test_what_is_bought_together_is_found_and_what_is_not_is_left_out():
    rng = np.random.default_rng(3)
    lines = []
    for order in range(400):
        basket = {int(thing) for thing in rng.integers(2, 12, 2)} | ({0, 1} if rng.random() < 0.3 else set())
        for place, thing in enumerate(sorted(basket)):
            lines.append((order % 40, order * DAY // 10, thing, place == 0))
    frame = pl.DataFrame(lines, schema=["user", "time", "thing", "head"], orient="row")
    history = make([(user, time, 0, 1, 0, int(head)) for user, time, _, head in lines], users=40, late=False)
    log = history.log
    ordered = frame.sort("user", "time", maintain_order=True)["thing"].to_numpy().astype(np.int32)
    named = {**log.columns, "item_id": Column(ordered, Dictionary.of([f"i{place}" for place in range(12)]))}
    history = type(history)(type(log)(log.users, log.kinds, log.offsets, log.known_at, log.time, log.kind, named, log.end))
    found = together(history, support=0.01)
    first = found.row(0, named=True)
    assert (first["first"], first["second"]) == ("i0", "i1")
    assert first["confidence"] == first["back"] == 1.0
    assert len(found) <= 3
    assert (found["q"] <= pairs.FALSE).all()
    with pytest.raises(ColumnError):
        together(make([(0, 0, 0, 1, 0, 1)]))


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one.__name__)
def test_nothing_later_is_looked_at(table):
    cutoff = shop().end - 50 * DAY
    assert table(shop(), cutoff).equals(table(shop().cut(cutoff)))
    with pytest.raises(EmptyError):
        table(shop(), "1999-01-01")


@pytest.mark.parametrize("table", [transitions, sequences], ids=lambda one: one.__name__)
def test_one_kind_of_event_is_enough(table):
    assert table(make([(0, 0, 0, 0, 0, 0), (0, DAY, 0, 0, 0, 0)])) is not None
