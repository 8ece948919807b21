"""Trails, trends and the shelf: equal to slow loops, and blind to the future."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from tests.unit.features.test_interactions import keys_of
from tests.unit.features.things import THINGS, things
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.log import ORDERS
from whenbuy.core.profile import Profile
from whenbuy.features.shelf import shelf_of
from whenbuy.features.trails import Trail
from whenbuy.features.trends import Trend

STRENGTHS = {"purchase": 1.0, "view": 0.25}
CUTOFFS = (3 * DAY, 11 * DAY, 30 * DAY)


def slow_trail(past, row, length):
    log, steps, order = past._history.log, [], 0
    for event in range(int(past.start[row]), int(past.stop[row])):
        kind, item = log.kinds[log.kind[event]], int(log.columns["item_id"].values[event])
        order += kind != "purchase" or bool(log.columns[ORDERS].values[event])
        if kind in STRENGTHS and item >= 0:
            steps.append((item, int(min(log.time[event], log.known_at[event])), order, STRENGTHS[kind]))
    return steps[-length:]


@given(rows(), st.sampled_from([1, 3, 100]))
def test_trails_equal_a_slow_loop(events, length):
    history = things(events)
    past = history.before(keys_of(history, CUTOFFS))
    found = Trail(shelf_of(history), STRENGTHS, length).block(past)
    for row in range(len(past)):
        part = slice(int(found.offsets[row]), int(found.offsets[row + 1]))
        slow = slow_trail(past, row, length)
        assert found.item[part].tolist() == [step[0] for step in slow]
        assert found.time[part].tolist() == [step[1] for step in slow]
        assert np.diff(found.order[part]).tolist() == np.diff([step[2] for step in slow]).tolist()
        assert found.strength[part].tolist() == [step[3] for step in slow]
    order = np.random.default_rng(len(events)).permutation(len(past))
    moved = Trail(shelf_of(history), STRENGTHS, length).block(past.take(order))
    assert moved.item.tolist() == found.take(order).item.tolist()


@given(rows())
def test_nothing_known_later_is_read(events):
    history = things(events, end=40 * DAY)
    for cutoff in CUTOFFS:
        keys = keys_of(history, [cutoff])
        shelf, cut = shelf_of(history.cut(cutoff)), things(events, end=40 * DAY).cut(cutoff)
        whole, part = (Trail(shelf).block(one.before(keys)) for one in (history, cut))
        assert (whole.item.tolist(), whole.time.tolist()) == (part.item.tolist(), part.time.tolist())
        late, early = (Trend(shelf).block(one.before(keys)).rate for one in (history, cut))
        assert np.array_equal(late, early)
        assert np.array_equal(shelf_of(cut).attributes["category"], shelf.attributes["category"])


@given(rows())
def test_trends_equal_a_slow_sum(events):
    history = things(events)
    past = history.before(keys_of(history, CUTOFFS))
    found = Trend(shelf_of(history), (2.0, 10.0), STRENGTHS).block(past)
    log = history.log
    for row in range(len(past)):
        day = int(past.keys.cutoff[row]) // DAY * DAY
        slow = np.zeros((len(THINGS), 2))
        for event in range(len(log)):
            item, kind = int(log.columns["item_id"].values[event]), log.kinds[log.kind[event]]
            if item >= 0 and kind in STRENGTHS and log.known_at[event] < day:
                for h, halflife in enumerate((2.0, 10.0)):
                    speed = math.log(2) / halflife
                    slow[item, h] += STRENGTHS[kind] * speed * math.exp(-speed * (day - int(log.known_at[event])) / DAY)
        assert np.allclose(found.rate[found.row[row]], slow, rtol=1e-5)


def test_a_log_without_things_has_empty_trails_and_no_shelf():
    history = make([(0, DAY, 0, 1, 1, 1)])
    shelf = shelf_of(things([(0, DAY, 0, 1, 1, 1)]))
    past = history.before(history.keys())
    assert len(Trail(shelf).block(past).item) == 0
    assert not Trend(shelf).block(past).rate.any()
    with pytest.raises(ColumnError, match="item_id"):
        shelf_of(history)


def test_settings_that_make_no_sense_are_refused():
    shelf = shelf_of(things([]))
    for make_it in (
        lambda: Trail(shelf, length=0),
        lambda: Trail(shelf, {"view": 2.0}),
        lambda: Trend(shelf, ()),
        lambda: Trend(shelf, (3, 2)),
    ):
        with pytest.raises(SettingsError):
            make_it()


def test_the_profile_of_the_items_counts_more_and_brings_new_things():
    history = things([(0, DAY, 0, 1, 1, 1), (0, 2 * DAY, 0, 1, 2, 1)])
    from datetime import UTC, datetime

    told = pl.DataFrame({
        "id": ["i1", "new", "later"], "category": ["fresh", "even", "odd"],
        "valid_from": [datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC), datetime(1990, 1, 1, tzinfo=UTC)],
    })  # fmt: skip
    shelf = shelf_of(replace(history, items=Profile("item", told)))
    assert shelf.names.ids.to_list() == [*THINGS, "new"]
    words = shelf.words["category"].names(shelf.attributes["category"]).to_list()
    assert (words[0], words[1], words[5]) == ("even", "fresh", "even")
    assert shelf.price.tolist()[:2] == [pytest.approx(0.01), pytest.approx(0.02)]
    assert math.isnan(shelf.price[5])
