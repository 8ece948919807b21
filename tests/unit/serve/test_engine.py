"""The engine: durable before known, known in order, and answers that say what is wrong."""

import asyncio

import pytest

from tests.unit.serve.doubles import NOW, Bench, Counting, played
from whenbuy.core.errors import AccessError, BusyError
from whenbuy.ingest.reception import Event, Refused
from whenbuy.serve.sqlite_journal import SqliteJournal


def event(i, user="u1"):
    return Event("http", str(i), user, "view", NOW - 1000, NOW, {})


def test_what_is_acknowledged_is_durable_and_known(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        receipts = await asyncio.gather(*(bench.engine.take([event(i, f"u{i % 3}")]) for i in range(50)))
        assert {status for receipt in receipts for status in receipt.statuses} == {"accepted"}
        assert bench.live.seq == 50
        assert sum(bench.live.events.values()) == 50
        assert bench.engine._commits < 50  # those who came together shared a commit
        again = SqliteJournal(tmp_path / "journal.sqlite")
        assert [seq for seq, _ in again.events()] == list(range(1, 51))
        again.close()

    played(bench, play)


def test_receipts_go_to_those_who_sent(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        batches = [[event(1)], [event(1), event(2)], [Refused("http", b"x", "why", NOW)], [event(3)]]
        found = await asyncio.gather(*map(bench.engine.take, batches))
        assert [receipt.statuses for receipt in found] == [("accepted",), ("duplicate", "accepted"), ("dead",), ("accepted",)]
        assert bench.engine.counts().whole

    played(bench, play)


def test_what_another_process_wrote_is_learned_of(tmp_path):
    bench = Bench(tmp_path)
    other = SqliteJournal(tmp_path / "journal.sqlite")

    async def play(client):
        await bench.engine.take([event(1)])
        other.take([event(2, "u2"), event(3, "u2")])
        await bench.engine.take([event(4)])  # a gap: what lies between is read
        async with asyncio.timeout(5):
            while bench.live.seq < 4:
                await asyncio.sleep(0.01)
        assert bench.live.events == {"u1": 2, "u2": 2}
        other.take([event(5, "u2")])
        watch = asyncio.ensure_future(bench.engine.watch_journal())
        async with asyncio.timeout(5):
            while bench.live.seq < 5:
                await asyncio.sleep(0.01)
        watch.cancel()
        assert bench.engine.standing(NOW).degraded is None

    try:
        played(bench, play)
    finally:
        other.close()


def test_workers_that_share_a_state_tell_each_other_before_they_acknowledge(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Counting, "publish", lambda live: told.append(live.seq), raising=False)
    bench = Bench(tmp_path)
    other = SqliteJournal(tmp_path / "journal.sqlite")

    async def play(client):
        for number in range(0, 40, 2):
            other.take([event(number, "u2")])
            await bench.engine.take([event(number + 1)])  # a gap each time: what another worker wrote is told with it
            assert (bench.live.seq, told[-1]) == (number + 2, number + 2)

    try:
        played(bench, play)
    finally:
        other.close()


def test_a_full_disk_acknowledges_nothing_and_is_said(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        await bench.engine.take([event(1)])
        bench.journal.full = True
        with pytest.raises(AccessError):
            await bench.engine.take([event(2)])
        assert (bench.live.seq, bench.journal.counts().sent) == (1, 1)
        assert "cannot be kept" in str(bench.engine.standing(NOW).degraded)
        bench.journal.full = False
        await bench.engine.take([event(2)])
        assert bench.engine.standing(NOW).degraded is None

    played(bench, play)


def test_one_callers_fault_is_not_anothers(tmp_path):
    class Picky(SqliteJournal):
        def begin(self, batch):
            return None

        def take(self, batch, position=None):
            if any(row.event_id == "bad" for row in batch):
                raise RuntimeError("bug")
            return super().take(batch, position)

    bench = Bench(tmp_path, journal=Picky)

    async def play(client):
        found = await asyncio.gather(*(bench.engine.take([event(i)]) for i in (1, "bad", 2)), return_exceptions=True)
        assert [type(each).__name__ for each in found] == ["Receipt", "RuntimeError", "Receipt"]

    played(bench, play)


def test_an_event_that_cannot_be_applied_does_not_stop_the_line(tmp_path):
    class Fragile(Counting):
        def apply(self, seq, event):
            super().apply(seq, event)
            if event.event_id == "2":
                raise ZeroDivisionError

    bench = Bench(tmp_path, live=Fragile())

    async def play(client):
        for i in (1, 2, 3):
            await bench.engine.take([event(i)])
        assert bench.live.seq == 3
        assert "could not be applied" in str(bench.engine.standing(NOW).degraded)

    played(bench, play)


def test_another_model_starts_from_everything_that_is_known(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        await bench.engine.take([event(i) for i in range(5)])
        fresh = Counting("second")
        await bench.engine.take_up("m2", fresh, NOW)
        assert (fresh.seq, bench.engine.model) == (5, "m2")
        await bench.engine.take([event(9)])
        assert fresh.events == {"u1": 6}
        assert bench.live.events == {"u1": 5}

    played(bench, play)


def test_too_many_waiting_events_are_refused(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        many = [bench.engine.take([event(f"{i}-{j}") for j in range(1000)]) for i in range(12)]
        found = await asyncio.gather(*many, return_exceptions=True)
        assert sum(isinstance(each, BusyError) for each in found) == 2
        assert bench.journal.counts().sent == 10_000

    played(bench, play)


def test_the_end_keeps_what_waits_and_takes_no_more(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        waiting = [asyncio.ensure_future(bench.engine.take([event(i)])) for i in range(20)]
        await asyncio.sleep(0)
        await bench.engine.stop()
        assert [receipt.statuses for receipt in await asyncio.gather(*waiting)] == [("accepted",)] * 20
        assert bench.live.seq == 20
        with pytest.raises(BusyError):
            await bench.engine.take([event(99)])

    played(bench, play)
