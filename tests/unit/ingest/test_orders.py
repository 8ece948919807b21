"""Orders from lines, against a plain loop with a set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.log import Column, Dictionary, order_by_time
from whenbuy.ingest.orders import orders

VIEW, PURCHASE = 0, 1


def marks(rows, by_id=True, users=2, late=False, purchase=PURCHASE):
    """Return the marks of (user, kind, time, order) rows, given in the order of the log, or None."""
    rows = sorted(rows, key=lambda row: row[0] if row[0] >= 0 else users)
    user, kind, time, order = (np.array(part, np.int64) for part in zip(*rows, strict=True)) if rows else [np.empty(0, np.int64)] * 4
    offsets = np.searchsorted(np.where(user < 0, users, user), np.arange(users + 1)).astype(np.int64)
    by_time = order_by_time(offsets, time) if late else None
    column = Column(order.astype(np.int32), Dictionary.of(["a", "b", "c"])) if by_id else None
    found = orders(offsets, kind.astype(np.uint8), purchase, time, by_time, column)
    return rows, None if found is None else found.values.tolist()


def slow_marks(rows, by_id):
    """The slow twin: the first row, in the order in which it became known, of every (user, order id) or (user, instant)."""
    seen, found = set(), []
    for number, (user, kind, time, order) in enumerate(rows):
        key = (user, "id", order) if by_id and order >= 0 else (user, "instant", time if user >= 0 else number)
        found.append(int(kind == PURCHASE and key not in seen))
        seen |= {key} if kind == PURCHASE else set()
    return found if sum(found) < sum(kind == PURCHASE for _, kind, _, _ in rows) else None


log_rows = st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 2), st.integers(0, 3), st.integers(-1, 2)), max_size=25)


@given(log_rows, st.booleans())
def test_marks_equal_the_slow_twin(rows, by_id):
    rows.sort(key=lambda row: row[2])
    rows, found = marks(rows, by_id)
    assert found == slow_marks(rows, by_id)


@given(log_rows, st.booleans())
def test_late_marks_equal_the_slow_twin(rows, by_id):
    rows, found = marks(rows, by_id, late=True)
    assert found == slow_marks(rows, by_id)


def test_interleaved_orders_are_told_apart():
    assert marks([(0, PURCHASE, 1, 0), (0, PURCHASE, 1, 1), (0, PURCHASE, 1, 0), (0, PURCHASE, 2, 1), (1, PURCHASE, 1, 0)])[1] == [
        1,
        1,
        0,
        0,
        1,
    ]


def test_a_day_log_has_one_order_per_day():
    assert marks([(0, PURCHASE, 0, -1), (0, VIEW, 0, -1), (0, PURCHASE, 0, -1), (0, PURCHASE, 9, -1)], by_id=False)[1] == [1, 0, 0, 1]


def test_lines_without_an_order_id_go_by_their_instant():
    assert marks([(0, PURCHASE, 1, 0), (0, PURCHASE, 1, -1), (0, PURCHASE, 1, -1), (0, PURCHASE, 1, 0)])[1] == [1, 1, 0, 0]


def test_strangers_who_buy_at_one_instant_are_not_one():
    assert marks([(-1, PURCHASE, 1, -1), (-1, PURCHASE, 1, -1)])[1] is None
    assert marks([(-1, PURCHASE, 1, 2), (-1, PURCHASE, 5, 2)])[1] == [1, 0]


def test_a_view_with_an_order_id_is_no_line():
    assert marks([(0, VIEW, 1, 0), (0, PURCHASE, 1, 0), (0, VIEW, 1, 0), (0, PURCHASE, 1, 0)])[1] == [0, 1, 0, 0]


def test_nothing_is_marked_where_every_purchase_is_an_order_or_nothing_was_bought():
    assert marks([(0, PURCHASE, 1, 0), (0, PURCHASE, 1, 1), (1, PURCHASE, 1, 0)])[1] is None
    assert marks([(0, VIEW, 1, 0), (0, VIEW, 1, 0)], purchase=-1)[1] is None
    assert marks([])[1] is None
