"""Grouping: the log of some lines equals what a plain stable sort makes of them."""

from __future__ import annotations

import sys
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import EmptyError
from whenbuy.core.log import ORDERS, Column, Dictionary, order_by_time
from whenbuy.ingest.group import arrange, gather, group, in_time
from whenbuy.ingest.lines import Lines

KINDS = ("view", "purchase")


def lines(rows, users=3):
    """Return lines of (user, kind, time, known_at) rows that carry their number of arrival."""
    user, kind, time, known_at = (np.array(part, np.int64) for part in zip(*rows, strict=True)) if rows else [np.empty(0, np.int64)] * 4
    names = Dictionary.of([f"u{i}" for i in range(users)])
    known_at = time if (known_at == time).all() else known_at
    arrival = Column(np.arange(len(rows), dtype=np.int64))
    return Lines(names, user.astype(np.int32), KINDS, kind.astype(np.uint8), time, known_at, {"arrival": arrival})


def sorted_rows(rows, users=3):
    """The slow twin: numbers of the rows by user (nobody last), then by known_at, then by arrival."""
    return sorted(range(len(rows)), key=lambda i: (rows[i][0] if rows[i][0] >= 0 else users, rows[i][3]))


few = st.integers(0, 5).map(lambda place: place * DAY)
arrivals = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 1), few, st.one_of(st.none(), few)), min_size=1, max_size=40)


@given(arrivals, st.booleans(), st.booleans())
def test_a_log_equals_a_stable_sort(rows, late, ordered):
    rows = [(user, kind, time, time + (delay or 0) if late else time) for user, kind, time, delay in rows]
    if ordered:
        rows.sort(key=lambda row: row[3])
    log, wanted = group(lines(rows)), sorted_rows(rows)
    assert log.columns["arrival"].values.tolist() == wanted
    assert log.known_at.tolist() == [rows[i][3] for i in wanted]
    assert log.time.tolist() == [rows[i][2] for i in wanted]
    assert log.kind.tolist() == [rows[i][1] for i in wanted]
    assert log.offsets.tolist() == [sum(0 <= row[0] < user for row in rows) for user in range(4)]
    assert log.end == max(row[3] for row in rows) // DAY * DAY + DAY
    assert log.late == any(row[2] != row[3] for row in rows)
    if log.late:
        assert log.by_time is not None
        assert log.by_time.tolist() == order_by_time(log.offsets, log.time).tolist()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 10, 1000]), st.sampled_from([1, 7, 300, 10**6]))
def test_long_slices_equal_a_stable_sort(seed, users, instants):
    rng = np.random.default_rng(seed)
    user, known_at = rng.integers(-1, users, 3_000).astype(np.int32), rng.integers(0, instants, 3_000)
    owner = np.where(user < 0, users, user)
    rows, edges = arrange(user, users, known_at)
    assert rows.tolist() == np.lexsort((known_at, owner)).tolist()
    assert edges.tolist() == np.searchsorted(np.sort(owner), np.arange(users + 2)).tolist()
    time = rng.integers(0, instants, 3_000)
    assert in_time(edges, time).tolist() == order_by_time(edges[:-1], time).tolist()


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=20),
    st.sampled_from([np.int64, np.int32, np.uint8]),
    st.sampled_from([np.int64, np.int32]),
)
def test_gather_picks_rows(rows, dtype, kind_of_rows):
    values = (np.arange(100) * 2).astype(dtype)
    found = gather(values, np.array(rows, kind_of_rows))
    assert found.dtype == dtype
    assert found.tolist() == [2 * row for row in rows]


def test_the_end_is_the_shops_midnight_unless_given():
    at_ten = lines([(0, 0, 10 * 3_600_000_000, 10 * 3_600_000_000)])
    assert group(at_ten).end == DAY
    assert group(at_ten, clock=Clock("America/New_York")).end == DAY + 5 * 3_600_000_000
    assert group(at_ten, end=7).end == 7


def test_lines_of_one_order_are_marked_where_there_are_some():
    bought = [(0, 1, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0)]
    assert group(lines(bought)).columns[ORDERS].values.tolist() == [1, 0, 0, 1]
    assert ORDERS not in group(lines(bought[1:])).columns


def test_only_nobody():
    log = group(lines([(-1, 0, 5, 5), (-1, 1, 3, 3)], users=0))
    assert (log.offsets.tolist(), log.known_at.tolist(), len(log.users)) == ([0], [3, 5], 0)


def test_no_line_is_no_log():
    with pytest.raises(EmptyError, match="hold no event"):
        group(lines([]))


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_lines_without_a_name_are_let_go():
    """What nobody else holds is gone when the log stands; the peak is tested by a benchmark."""
    given_away, kept = lines([(0, 0, 2, 3), (0, 1, 1, 4)]), []
    watched = [weakref.ref(array) for array in (given_away.time, given_away.known_at, given_away.columns["arrival"].values)]

    def clock(known_at):  # the clock is asked when all columns have been moved
        kept.extend(ref() is None for ref in watched)
        return Clock().next_midnight(known_at)

    class Watching(Clock):
        __slots__ = ()
        next_midnight = staticmethod(clock)

    parts = [given_away]
    del given_away
    group(parts.pop(), clock=Watching())
    assert kept == [True] * 3
