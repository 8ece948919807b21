"""A few events as a log are what the way of many events makes of them."""

from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.serve.test_entrance import START, begun
from whenbuy.core.log import ORDERS
from whenbuy.ingest.group import arrange, group
from whenbuy.ingest.reception import Event
from whenbuy.serve.compaction import lines_of
from whenbuy.serve.small_log import scales_of, small_log

CELLS = {
    "item_id": st.sampled_from(["i1", "i2", "ä"]), "order_id": st.sampled_from(["o1", "o2"]), "channel": st.sampled_from(["web", "test"]),
    "amount": st.floats(-1e9, 1e9) | st.integers(-10, 10), "quantity": st.floats(0, 1e4), "unit_price": st.integers(0, 10**6),
}  # fmt: skip
SENT = st.tuples(
    st.sampled_from(["u1", "u2", None]), st.sampled_from(["view", "purchase"]), st.integers(0, 5), st.integers(0, 5),
    st.fixed_dictionaries({}, optional=CELLS),
)  # fmt: skip


@given(st.lists(SENT, min_size=1, max_size=8))
def test_a_small_log_is_the_log_of_these_events(sent):
    events = [Event("", f"e{n}", user, kind, START + at, START + at + wait, cells) for n, (user, kind, at, wait, cells) in enumerate(sent)]
    log, rows = small_log(events, CELLS, scales_of(begun().log))
    lines, _ = lines_of(events, begun().log)
    expected = group(lines, max(event.known_at for event in events) + 1)
    wanted = expected.frame().drop("event_id", ORDERS, strict=False)
    assert_frame_equal(log.frame().select(wanted.columns), wanted, categorical_as_str=True)
    assert set(log.columns) == set(expected.columns) - {"event_id", ORDERS}
    assert log.end == expected.end
    assert rows.tolist() == arrange(lines.user, len(lines.users), lines.known_at)[0].tolist()
