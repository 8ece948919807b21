"""Random logs for property tests."""

import numpy as np
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog, order_by_time

KINDS = ("view", "purchase", "refund")


def make(rows, users=3, late=True, end=None):
    """Return a history of (user, time, delay, kind, amount, head) rows; a user of -1 is nobody."""
    rows = sorted(rows, key=lambda row: (row[0] if row[0] >= 0 else users, row[1] + (row[2] if late else 0)))
    column = [np.array(part, np.int64) for part in zip(*rows, strict=True)] if rows else [np.empty(0, np.int64)] * 6
    user, time, delay, kind, amount, head = column
    known_at = time + delay if late else time
    owner = np.where(user < 0, users, user)
    offsets = np.searchsorted(owner, np.arange(users + 1)).astype(np.int64)
    log = EventLog(
        Dictionary.of([f"u{i}" for i in range(users)]), KINDS, offsets, known_at, time if late else known_at, kind.astype(np.uint8),
        {"amount": Column(amount, scale=100), ORDERS: Column(np.where(kind == 1, head, 0))},
        int(known_at.max()) + DAY if end is None and rows else end or 0,
        order_by_time(offsets, time) if late else None,
    )  # fmt: skip
    return History(log)


def rows(users=3, size=25, span=20 * DAY):
    """Return a strategy for the rows of ``make``: ties, late events and missing amounts included."""
    step = st.integers(0, 20).map(lambda place: place * (span // 20))
    return st.lists(
        st.tuples(
            st.integers(-1, users - 1), step, st.sampled_from([0, 0, DAY, 5 * DAY]), st.integers(0, 2),
            st.one_of(st.integers(0, 1000), st.just(MISSING)), st.integers(0, 1),
        ),
        max_size=size,
    )  # fmt: skip
