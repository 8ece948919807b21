"""The live state: new names of every kind, late events, lines of orders, letting go, the log that moves on, snapshots."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.unit.serve.live_shop import apply_all, differences, events_after, joined, model, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import DamagedError, LeakError, NotFoundError, UsageError
from whenbuy.features import Count, Decayed, Features, Orders, Sum
from whenbuy.features.asked import OTHER, asked_log
from whenbuy.features.folds import Context
from whenbuy.ingest.reception import Event
from whenbuy.serve.live import LiveState
from whenbuy.serve.snapshot import NAME

HOUR = DAY // 24


@pytest.fixture(scope="module")
def world():
    history = shop()
    begin = history.end - 6 * DAY
    return stands_at(history, begin), events_after(history, begin)


def event(number, user, kind, at, late=0, **values):
    return Event("http", f"x{number}", user, kind, at - late, at, values)


def agree(state, base, events, users, at):
    so_far = joined(base, events)
    batch = state.model.features.table(so_far.before(so_far.keys(users, at))).values
    live = np.stack([state.features(user, at) for user in users])
    np.testing.assert_array_equal(live, batch)


# -------------------------------------------------------------------------------------------------- what is new


def test_new_customers_kinds_items_and_categories_are_a_normal_case(world):
    base, _ = world
    features = Features(
        (
            *model().features.spec,
            Orders("30d", where=("category", "brand new")),
            Count("waved", "7d", name="waved_7d"),
            Count(None, "7d", name="all_7d"),
            Sum("amount", window="7d", where=("channel", "pigeon"), name="by_pigeon"),
            Context("category", ("brand new", "older")),
        )
    )
    state = LiveState.of(base, replace(model(), features=features))
    program, at = state._coding.program, base.end
    events = [
        event(1, "new", "purchase", at, amount=12.5, category="brand new", item_id="i-new", channel="pigeon", weather="rain"),
        event(2, "new", "waved", at + 1),
        event(3, "new", "a kind that nobody asks about", at + 2, category="unheard of"),
        event(4, base.log.users.ids[0], "purchase", at + 3, amount=3, category="brand new"),
        event(5, None, "view", at + 4),
    ]
    apply_all(state, enumerate(events, 1))
    agree(state, base, events, ["new", *base.log.users.ids.to_list()[:5]], at + HOUR)
    assert state._coding.program is program
    names = list(features.names)
    told = dict(zip(names, state.features("new", at + HOUR).tolist(), strict=True))
    assert (told["waved_7d"], told["all_7d"], told["by_pigeon"]) == (1.0, 3.0, 12.5)
    assert told[names[-1]] == 2.0


def test_a_spec_is_compiled_for_what_it_asks_about_and_nothing_else():
    log = shop().log
    spec = Features((Orders("7d", where=("category", "c")), Decayed("waved", 3.0), Sum("quantity"), Context("channel", ("a", "b"))))
    asked = asked_log(spec, log, shop().clock)
    assert asked.kinds == ("purchase", "waved", OTHER)
    assert {name: None if c.dictionary is None else c.dictionary.ids.to_list() for name, c in asked.columns.items()} == {
        "quantity": None, "category": ["c"], "channel": ["a", "b"],
    }  # fmt: skip


def test_numbers_are_read_as_the_log_keeps_them(world):
    base, _ = world
    state, at, user = LiveState.of(base, model()), base.end, "new"
    amounts = [0.1, 19.99, 7, "3.5", "seven", float("nan"), 1e300, 2.675]
    events = [event(i, user, "purchase", at + i, amount=amount) for i, amount in enumerate(amounts)]
    apply_all(state, enumerate(events, 1))
    told = [replace_amount(one) for one in events]
    agree(state, base, told, [user], at + HOUR)


def replace_amount(one):
    """What compaction keeps: no number where there is none, or where it is too large."""
    values = {name: value for name, value in one.values.items() if value not in ("seven", 1e300) and str(value) != "nan"}
    return msgspec.structs.replace(one, values=values)


# ------------------------------------------------------------------------------------------------ order of events


def test_lines_of_one_order_count_once_whenever_they_come(world):
    base, _ = world
    at = base.end
    lines = [("o1", 0), ("o1", 0), (None, 5), (None, 5), ("o2", 9), ("o1", 3 * DAY), (None, 5)]
    events = [event(i, "new", "purchase", at + after + i, amount=1.0 + i) for i, (_, after) in enumerate(lines)]
    events = sorted(
        (
            msgspec.structs.replace(one, time=at + after, values={**one.values, **({"order_id": order} if order else {})})
            for one, (order, after) in zip(events, lines, strict=True)
        ),
        key=lambda one: one.known_at,
    )
    state = apply_all(LiveState.of(base, model()), enumerate(events, 1))
    agree(state, base, events, ["new"], at + 4 * DAY)
    assert dict(zip(model().features.names, state.features("new", at + 4 * DAY).tolist(), strict=True))["frequency"] == 2.0


def test_a_line_of_an_order_that_the_log_holds_is_no_new_order(world):
    base, _ = world
    log = base.log
    row = int(np.flatnonzero(log.kind == log.code("purchase"))[-1])
    user = log.users.ids[int(np.searchsorted(log.offsets, row, side="right")) - 1]
    order = log.columns["order_id"].series(slice(row, row + 1))[0]
    assert order is not None
    events = [event(1, user, "purchase", base.end + 1, order_id=order, amount=5.0)]
    state = apply_all(LiveState.of(base, model()), enumerate(events, 1))
    agree(state, base, events, [user], base.end + HOUR)


def test_an_event_that_was_known_before_others_of_the_log_is_put_in_its_place(world):
    base, _ = world
    user = base.log.users.ids[0]
    ahead = replace(base, log=joined(base, [event(0, user, "purchase", base.end + 9 * HOUR, amount=9.0)]).log)
    events = [event(1, user, "purchase", base.end + HOUR, amount=2.0), event(2, user, "view", base.end + 2 * HOUR)]
    state = LiveState.of(ahead, model())
    state.forecast(user, base.end + 10 * HOUR)
    apply_all(state, enumerate(events, 1))
    agree(state, ahead, events, [user], base.end + 10 * HOUR)
    assert differences(state, model(), joined(ahead, events), [user], base.end + 10 * HOUR) < 1e-9


# --------------------------------------------------------------------------------------------------- what holds


def test_an_event_is_applied_once_and_none_is_left_out(world):
    base, events = world
    state = apply_all(LiveState.of(base, model()), enumerate(events[:30], 1))
    before = state.forecasts([events[0].user], base.end + DAY)
    state.apply(7, events[6])
    assert state.forecasts([events[0].user], base.end + DAY) == before
    with pytest.raises(UsageError, match="without a gap"):
        state.apply(32, events[31])
    assert state.seq == 30


def test_silence_runs_no_model(world, monkeypatch):
    base, _ = world
    state, user = LiveState.of(base, model()), base.log.users.ids[1]
    first = state.forecast(user, base.end + HOUR)
    monkeypatch.setattr(state, "_curve", lambda *_: pytest.fail("a model ran"))
    later = state.forecast(user, base.end + 5 * HOUR)
    assert later.as_of > first.as_of
    assert later.p_purchase_7d != first.p_purchase_7d


def test_when_she_buys_is_a_part_of_everything(world):
    base, _ = world
    state, other = LiveState.of(base, model()), LiveState.of(base, model())
    for user in (*base.log.users.ids.to_list()[:20], "nobody"):
        for at in (base.end + HOUR, base.end + 5 * HOUR):
            when, whole = state.forecast(user, at, everything=False), other.forecast(user, at)
            assert set(when.__struct_fields__) < set(whole.__struct_fields__)
            for name in when.__struct_fields__:
                one, same = getattr(when, name), getattr(whole, name)
                if name.startswith("p_"):
                    assert one == pytest.approx(same, abs=1e-12)
                elif name.startswith("next") and one is not None:
                    assert abs((one - same).total_seconds()) < 0.01
                else:
                    assert one == same
            assert state.forecast(user, at).p_purchase_7d == whole.p_purchase_7d  # all the rest can be asked for afterwards


def test_the_past_is_refused_and_a_clock_that_differs_is_not(world):
    base, _ = world
    state = apply_all(LiveState.of(base, model()), [(1, event(1, "new", "view", base.end + DAY))])
    with pytest.raises(LeakError, match="before her last event"):
        state.forecast("new", base.end)
    told = state.forecast("new", base.end + DAY)
    assert told == state.forecast("new", base.end + DAY + 1)


def test_a_stranger_gets_the_priors_and_one_who_is_let_go_comes_back(world):
    base, events = world
    users = base.log.users.ids.to_list()
    small = LiveState(base, model(), most=7)
    large = LiveState.of(base, model())
    for state in (small, large):
        apply_all(state, enumerate(events[:100], 1))
    at = base.end + 5 * DAY
    for part in (users[:5], users[3:9], users[20:60], [users[0], "nobody"]):
        assert small.forecasts(part, at) == large.forecasts(part, at)
        assert [small.features(user, at).tobytes() for user in part] == [large.features(user, at).tobytes() for user in part]
    assert len(small._users) <= 41
    assert small.forecast("nobody", at).known_events == 0


def test_a_log_that_moves_on_changes_no_answer(world):
    base, events = world
    classes = model("rich")
    state = apply_all(LiveState.of(base, classes), enumerate(events[:200], 1))
    users, at = base.log.users.ids.to_list()[:20], base.end + 6 * DAY
    before = state.forecasts(users, at)
    state.rebase(joined(base, events[:150]), 150)
    assert {user for user in users if state.tail(user)} == {one.user for one in events[150:200]} & set(users)
    assert state.forecasts(users, at) == before
    apply_all(state, enumerate(events[:400], 1))
    fresh = apply_all(LiveState.of(base, classes), enumerate(events[:400], 1))
    assert state.forecasts(users, at + 1) == fresh.forecasts(users, at + 1)
    with pytest.raises(UsageError, match="Catch up first"):
        state.rebase(base, 10_000)


# ------------------------------------------------------------------------------------------------------ snapshots


def test_a_snapshot_comes_back_and_one_byte_less_does_not(world, tmp_path):
    base, events = world
    state = apply_all(LiveState.of(base, model()), enumerate(events[:80], 1))
    state.snapshot(tmp_path)
    back = LiveState.restore(tmp_path, base, model())
    users, at = base.log.users.ids.to_list()[:30], base.end + 6 * DAY
    assert (back.seq, back.forecasts(users, at)) == (80, state.forecasts(users, at))
    with pytest.raises(NotFoundError, match="stands on a log"):
        LiveState.restore(tmp_path, joined(base, events[:80]), model(), after=80)
    path = tmp_path / NAME
    data = bytearray(path.read_bytes())
    for place in (3, 20, len(data) // 2, len(data) - 1):
        path.write_bytes(bytes(data[:place]) + bytes([data[place] ^ 1]) + bytes(data[place + 1 :]))
        with pytest.raises(DamagedError, match="not what was written"):
            LiveState.restore(tmp_path, base, model())
    path.unlink()
    with pytest.raises(NotFoundError, match="no snapshot"):
        LiveState.restore(tmp_path, base, model())
