"""The live engine as a running system meets it."""

import numpy as np
import pytest

from tests.unit.features.test_engines import EVERYTHING, START, bits, random_log, random_past, same
from whenbuy import features as f
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, LeakError, UsageError
from whenbuy.core.history import History


def fed(late=True, n=400):
    log = random_log(np.random.default_rng(1), 4, n, late=late, heads=True)
    live = f.Live(EVERYTHING.compile(log, Clock()))
    live.feed(slice(None))
    return log, live


def test_events_entered_one_by_one_equal_the_sweep():
    log, _ = fed()
    program = EVERYTHING.compile(log, Clock())
    live = f.Live(program)
    time, kind, values = program.read(slice(None))
    for user in range(4):
        for row in range(log.offsets[user], log.offsets[user + 1]):
            live.update(user, int(log.known_at[row]), int(time[row]), int(kind[row]), values[: len(program.columns), row])
    past = History(log).before(History(log).keys())
    read = np.array([live.read(int(user), int(at)) for user, at in zip(past.keys.code, past.at, strict=True)])
    same(read, f.sweep(past, program).values, program.names)


def test_a_snapshot_goes_on_bit_for_bit():
    log, live = fed()
    again = f.Live(live.program, live.snapshot())
    program, at = live.program, log.end + DAY
    row = np.full(len(program.columns), MISSING)
    for engine in (live, again):
        engine.update(2, at, at - DAY, program.kind("purchase", head=False), row)
    for user in range(4):
        np.testing.assert_array_equal(bits(live.read(user, at + 1)), bits(again.read(user, at + 1)))
    before = live.snapshot()
    live.update(0, at + 5, at + 5, program.kind("view"), row)
    assert not np.array_equal(before["users"], live.snapshot()["users"])


def test_a_snapshot_of_another_spec_is_refused():
    log, live = fed()
    with pytest.raises(DamagedError):
        f.Live(f.Features((f.Count("view"),)).compile(log, Clock()), live.snapshot())


def test_knowledge_never_goes_back():
    log, live = fed()
    last = int(log.known_at[log.offsets[1] - 1])
    with pytest.raises(LeakError):
        live.read(0, last)
    with pytest.raises(UsageError):
        live.update(0, last - 1, last - 1, 0, np.zeros(len(live.program.columns), np.int64))
    live.read(0, last + 1)


def test_a_stranger_is_read_and_becomes_known():
    log, live = fed()
    past = random_past(np.random.default_rng(0), History(log), 60)
    stranger = past.take(np.flatnonzero(past.keys.code == 4)[:1])
    at = int(stranger.at[0])
    np.testing.assert_array_equal(bits(live.read(1000, at)), bits(EVERYTHING.table(stranger).values[0]))
    live.update(1000, at, at, live.program.kind("view"), np.full(len(live.program.columns), MISSING))
    assert live.read(1000, at + 1)[EVERYTHING.names.index("event_count")] == 1
    assert not live.heavy(1000)
    assert not live.heavy(10**6)


def test_an_unknown_kind_is_refused():
    _, live = fed()
    with pytest.raises(UsageError):
        live.program.kind("unheard-of")


def test_memory_is_used_again():
    log, _ = fed(n=10)
    live = f.Live(f.Features((f.Count("view", "1d"),)).compile(log, Clock()))
    none = np.zeros(0, np.int64)
    for i in range(20_000):
        live.update(i % 3, START + i * DAY // 100, START + i * DAY // 100, 0, none)
    at = START + 200 * DAY
    assert [live.read(user, at)[0] for user in range(3)] == [33.0, 34.0, 33.0] or sum(live.read(user, at)[0] for user in range(3)) == 100
    assert live.snapshot()["memory"].nbytes < 64_000


def test_without_windows_nothing_is_kept():
    log, _ = fed(n=10)
    live = f.Live(f.Features((f.Count("view"), f.Recency())).compile(log, Clock()))
    size = live.snapshot()["memory"].nbytes
    for i in range(2000):
        live.update(0, START + i, START + i, 0, np.zeros(0, np.int64))
    assert live.read(0, START + DAY)[0] == 2000
    assert live.snapshot()["memory"].nbytes == size


@pytest.mark.parametrize("late", [True, False])
def test_a_path_of_silence_is_read_as_instant_by_instant(late):
    """Days of 23 and 25 hours are among those ahead."""
    log = random_log(np.random.default_rng(1), 4, 400, late=late, heads=True)
    live = f.Live(EVERYTHING.compile(log, Clock("Europe/Berlin")))
    live.feed(slice(None))
    for user in range(5):
        for step, count in ((DAY, 250), (DAY // 4, 9), (3 * DAY, 30)):
            at = int(log.known_at.max()) + 1 + user * 5 * DAY // 7
            instants = at + np.arange(count) * step
            wanted = live.table(np.full(count, user), instants, np.full(count, at)).values
            same(live.path(user, at, step, count).T, wanted, live.program.names)
            same(live.read(user, at)[None], wanted[:1], live.program.names)
    with pytest.raises(LeakError):
        live.path(1, START, DAY, 2)
