"""Several workers over one store: what one is told all know; without the store they say so, and the journal tells them."""

import pytest

from tests.scenarios.lines import Line
from tests.services import valkey
from tests.unit.serve.live_shop import apply_all, events_after, joined, model, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import UsageError
from whenbuy.serve import remote_state
from whenbuy.serve.live import LiveState
from whenbuy.serve.remote_state import SharedState, connect, name_of


@pytest.fixture(scope="module")
def address():
    with valkey() as found:
        yield found


class World:
    """Two workers; each follows the journal when it is told to, and one that is alone knows what must be answered."""

    def __init__(self, address, name):
        history = shop()
        begin = history.end - 4 * DAY
        self.base = stands_at(history, begin)
        self.events = list(enumerate(events_after(history, begin), 1))
        self.users = [*history.log.users.ids.to_list()[:30], "nobody"]
        self.at = history.end + 1
        self.time = 0
        self.one, self.other = (SharedState(LiveState.of(self.base, model()), connect(address), name, lambda: self.time) for _ in range(2))
        self.alone = LiveState.of(self.base, model())

    def send(self, worker, lo, hi):
        """Let a worker keep some events; the one that keeps events has caught up with the journal before."""
        apply_all(worker, self.events[worker.seq : hi])
        worker.publish()
        apply_all(self.alone, self.events[lo:hi])

    def agree(self, worker):
        return worker.forecasts(self.users, self.at) == self.alone.forecasts(self.users, self.at)


def test_a_worker_knows_what_another_one_publishes(address):
    world = World(address, "one")
    assert world.agree(world.other)
    for lo, hi in ((0, 50), (50, 51), (51, 200)):
        world.send(world.one, lo, hi)
        assert world.agree(world.other)
        assert world.other.seq == 0  # it did not look into the journal
    world.send(world.other, 200, 230)  # now it does, and meets what it knows already
    assert world.agree(world.other)
    assert world.agree(world.one)
    assert world.one.seq == 200


def test_workers_that_take_turns_know_all(address):
    world = World(address, "turns")
    for turn in range(12):
        world.send((world.one, world.other)[turn % 2], turn * 15, turn * 15 + 15)
        assert world.agree((world.other, world.one)[turn % 2])


def test_what_is_older_replaces_nothing(address):
    world = World(address, "older")
    world.send(world.one, 0, 40)
    world.send(world.other, 40, 120)
    world.one._learned = dict.fromkeys(user for user in world.users)
    world.one.publish()  # as if it had been on its way for long
    assert world.agree(world.one)
    third = SharedState(LiveState.of(world.base, model()), connect(address), "older", lambda: 0)
    touched = {event.user for _, event in world.events[40:120]}
    users = [user for user in world.users if user in touched]
    assert users
    assert third.forecasts(users, world.at) == world.alone.forecasts(users, world.at)


def test_logs_may_move_on_one_after_the_other(address, tmp_path):
    world = World(address, "logs")
    world.send(world.one, 0, 100)
    assert world.agree(world.other)
    world.one.rebase(joined(world.base, [event for _, event in world.events[:80]]), 80)
    world.send(world.one, 100, 160)
    apply_all(world.other, world.events[:90])  # it stands on the old log still, and knows what the new one holds
    assert world.agree(world.other)
    world.other.rebase(joined(world.base, [event for _, event in world.events[:90]]), 90)
    assert world.agree(world.other)
    world.other.snapshot(tmp_path)  # up to its own place: the rest comes from the journal
    again = LiveState.restore(tmp_path, world.other.state.history, model(), after=90)
    assert again.seq == 90
    apply_all(again, world.events[90:160])
    assert again.forecasts(world.users, world.at) == world.alone.forecasts(world.users, world.at)


def test_what_the_store_loses_the_journal_tells(address):
    world = World(address, "lost")
    world.send(world.one, 0, 100)
    connect(address).flushall()
    assert not world.agree(world.other)
    apply_all(world.other, world.events[:100])
    assert world.agree(world.other)


def broken_for_a_while(address, how, forget=False):
    """Tell and ask while the store is away; return the answers that do not say so, and whether all agree after its return."""
    line = Line(int(address.rpartition(":")[2].partition("/")[0]))
    world = World(f"redis://127.0.0.1:{line.port}/0", f"line {how} {forget}")
    if forget:
        world.other._ask = lambda users, ask=world.other._ask: ask(users) and None
    world.send(world.one, 0, 80)
    assert world.agree(world.other)
    line.wait_s = 1.0 if how == "slow" else 0.0
    if how != "slow":
        getattr(line, how).set()
    if how == "away":
        line.cut()
    world.send(world.one, 80, 120)
    known = world.other.forecasts(world.users, world.at)
    line.well()
    line.cut()
    world.time += 2_000_000
    apply_all(world.other, world.events[:120])
    world.send(world.one, 120, 160)
    agree = world.agree(world.other)
    line.close()
    return sum(one.degraded is None for one in known), agree


@pytest.mark.parametrize("how", ["away", "silent", "slow"])
def test_a_store_that_is_down_silent_or_slow_is_told_of_and_all_is_well_after(address, how):
    assert broken_for_a_while(address, how) == (0, True)


def test_the_harness_finds_a_worker_that_does_not_say_so(address):  # a planted bug
    unmarked, _ = broken_for_a_while(address, "away", forget=True)
    assert unmarked > 0


def test_the_harness_finds_workers_that_let_the_older_win(address, monkeypatch):  # a planted bug
    monkeypatch.setattr(remote_state, "_ONLY_NEWER", remote_state._ONLY_NEWER.replace("if held <", "if held ~= '' or held <"))
    with pytest.raises(AssertionError):
        test_what_is_older_replaces_nothing(address)


def test_an_address_that_is_none_is_refused():
    for told in ("http://127.0.0.1:1", "redis://127.0.0.1:port/0"):
        with pytest.raises(UsageError, match=r"redis://"):
            connect(told)


def test_workers_of_one_journal_find_each_other_whatever_their_password(tmp_path):
    assert name_of("postgresql://a:x@h:5432/shop") == name_of("postgresql://b@h:5432/shop") != name_of("postgresql://b@h:5432/other")
    assert name_of(tmp_path / "x" / ".." / "j") == name_of(tmp_path / "j")
