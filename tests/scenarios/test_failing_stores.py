"""R9 and R10 for the journal: where nothing can be made durable nothing is acknowledged, and everything goes on afterwards. K8: garbage."""

import json
import resource
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.lines import Line
from tests.services import postgres
from whenbuy.core.errors import AccessError, DependencyError
from whenbuy.ingest import reception
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.files import Files
from whenbuy.serve.journal import Receipt
from whenbuy.serve.postgres_journal import PostgresJournal
from whenbuy.serve.pump import pump
from whenbuy.serve.sqlite_journal import SqliteJournal

NOW = 1_700_000_000_000_000


def batch(i: int) -> list[Event]:
    return [Event("http", f"e{i}-{k}", "u", "view", NOW, NOW, {"text": "x" * 500}) for k in range(20)]


class CheerfulJournal(SqliteJournal):
    """Planted bug: it says that all is well whatever the disk says."""

    def take(self, batch, position=None) -> Receipt:
        try:
            return super().take(batch, position)
        except AccessError:
            return Receipt((0,) * len(batch), ("accepted",) * len(batch), ("",) * len(batch), tuple(batch))


@contextmanager
def full_disk(journal):
    """Let no file grow any more: the write-ahead log first."""
    size = Path(f"{journal.path}-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_file(journal):
    """Let the database have no further page, as where the disk is full."""
    (pages,) = journal._writer.execute("PRAGMA page_count").fetchone()
    journal._writer.execute(f"PRAGMA max_page_count = {pages + 5}")
    try:
        yield
    finally:
        journal._writer.execute("PRAGMA max_page_count = 1000000")


def lost(journal, breakdown, refusal) -> int:
    """Send batches before, during and after a breakdown; return how many acknowledged events are not there afterwards."""
    acknowledged, refused = [], []

    def send(i: int) -> None:
        try:
            journal.take(batch(i), ("source", str(i)))
            acknowledged.append(i)
        except refusal:
            refused.append(i)

    send(0)
    with breakdown:
        for i in range(1, 30):
            send(i)
        assert isinstance(journal, CheerfulJournal) or refused
    for i in list(refused):
        send(i)
    there = {event.event_id for _, event in journal.events(0, 10**6)}
    assert journal.counts().whole
    if not isinstance(journal, CheerfulJournal):
        assert sorted(acknowledged) == list(range(30))
    return sum(event.event_id not in there for i in acknowledged for event in batch(i))


@pytest.mark.parametrize("breakdown", [full_disk, full_file])
def test_a_full_disk_acknowledges_nothing_and_loses_nothing(tmp_path, breakdown) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    assert lost(journal, breakdown(journal), AccessError) == 0
    journal.close()
    again = SqliteJournal(tmp_path / "journal.sqlite")
    assert (again.last(), again.position("source")) == (600, "29")
    again.close()


@pytest.mark.parametrize("breakdown", [full_disk, full_file])
def test_the_harness_catches_a_journal_that_says_that_all_is_well(tmp_path, breakdown) -> None:
    journal = CheerfulJournal(tmp_path / "journal.sqlite")
    assert lost(journal, breakdown(journal), AccessError) > 0
    journal.close()


def test_a_reader_reads_while_the_disk_is_full(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    journal.take(batch(0))
    with full_file(journal):
        with suppress(AccessError):
            for i in range(1, 50):
                journal.take(batch(i))
        assert len(list(journal.events())) == journal.last() >= 20
    journal.close()


# ------------------------------------------------------------------------------------------------ PostgreSQL


@pytest.fixture
def line():
    with postgres() as address:
        made = Line(address.rpartition("host=")[2] + "/.s.PGSQL.5432")
        yield made
        made.close()


@contextmanager
def black_hole(line):
    line.silent.set()
    try:
        yield
    finally:
        line.silent.clear()
        line.cut()


def test_postgres_away_or_silent_acknowledges_nothing_and_loses_nothing(line) -> None:
    journal = PostgresJournal(f"postgresql://postgres@127.0.0.1:{line.port}/postgres", patience_s=0.5)
    journal.take(batch(0))
    with black_hole(line), pytest.raises(DependencyError, match="did not keep"):
        journal.take(batch(1))
    line.cut()
    for _ in range(2):
        with suppress(DependencyError):
            journal.take(batch(1))
    assert set(journal.take(batch(1)).statuses) == {"duplicate"}
    assert [event.event_id for _, event in journal.events()] == [event.event_id for i in (0, 1) for event in batch(i)]
    assert journal.counts().whole
    journal.close()


def test_a_follower_waits_for_a_store_that_is_away(line, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("whenbuy.serve.pump._FIRST_WAIT_S", 0.01)
    journal = PostgresJournal(f"postgresql://postgres@127.0.0.1:{line.port}/postgres", patience_s=0.5)
    rows = [json.dumps({"event_id": f"e{i}", "user_id": "u", "kind": "view", "time": NOW / 1e6}) for i in range(300)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    stop, told = threading.Event(), []

    def say(words: str) -> None:
        told.append(words)
        if len(told) == 3:
            line.silent.clear()

    real = journal.take

    def take(rows, position=None):
        if journal_calls.append(1) or len(journal_calls) in (2, 5):
            line.cut()
        receipt = real(rows, position)
        if position is not None and '"row": 300' in position[1]:
            stop.set()
        return receipt

    journal_calls: list[int] = []
    monkeypatch.setattr(journal, "take", take)
    done = pump(journal, Files(tmp_path, Reception(), follow=True), follow=True, now=lambda: NOW, stop=stop, most=40, say=say)
    assert told
    assert (journal.last(), journal.counts().whole) == (300, True)
    assert done.accepted + done.duplicate == 300
    journal.close()


# --------------------------------------------------------------------------------------------------- garbage


def fed_garbage(folder: Path, journal: SqliteJournal) -> None:
    """Pump rows of which one in a hundred is garbage; raises where one of them is lost, changed, or stops the line."""
    good = [json.dumps({"event_id": f"e{i}", "user_id": f"u{i}", "kind": "view", "time": NOW / 1e6}).encode() for i in range(3_000)]
    bad = {i: b"\xff\x00 garbage %d" % i for i in range(0, 3_000, 100)}
    bad |= {50: b'{"event_id": "fixed", "kind": "view", "moment": 1700000000}'}
    (folder / "rows.jsonl").write_bytes(b"\n".join(bad.get(i, row) for i, row in enumerate(good)) + b"\n")
    done = pump(journal, Files(folder / "rows.jsonl", Reception()), follow=False, now=lambda: NOW, stop=threading.Event())
    dead = journal.dead(0, 10**4)
    assert (done.accepted, done.dead) == (3_000 - len(bad), len(bad))
    assert [row.raw for row in dead] == [bad[i] for i in sorted(bad)]
    assert all(row.reason.count(". ") >= 2 for row in dead)
    fixed = Reception(columns={"time": "moment"})
    journal.replay([row.id for row in dead], fixed, NOW)
    assert "fixed" in {event.event_id for _, event in journal.events(0, 10**6)}
    assert journal.counts().whole
    assert journal.counts().dead == len(dead) - 1


def test_one_row_in_a_hundred_is_garbage(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    fed_garbage(tmp_path, journal)
    journal.close()


class TidyJournal(SqliteJournal):
    """A planted bug: dead letters are kept as text."""

    def _write(self, found, numbers=()):
        aside = [replace(row, raw=row.raw.decode(errors="replace").encode()) for row in found.aside]
        super()._write(replace(found, aside=aside), numbers)


class StrictJournal(SqliteJournal):
    """A planted bug: garbage stops the line."""

    def take(self, batch, position=None):
        assert not any(isinstance(row, Refused) for row in batch)
        return super().take(batch, position)


class ShyJournal(SqliteJournal):
    """A planted bug: a replay that mends one row of many forgets the others."""

    def replay(self, ids, reception, now):
        receipt = super().replay(ids, reception, now)
        self._writer.execute("DELETE FROM aside")
        return receipt


@pytest.mark.parametrize("bug", [TidyJournal, StrictJournal, ShyJournal])
def test_the_harness_finds_a_line_that_garbage_harms(tmp_path, bug) -> None:
    journal = bug(tmp_path / "journal.sqlite")
    with pytest.raises(AssertionError):
        fed_garbage(tmp_path, journal)
    journal.close()


def worth_of_the_line(reception: Reception) -> float:
    """Return how fast rows are understood of which one in a hundred is garbage, as a share of the speed without."""
    row = json.dumps({"event_id": "e", "user_id": "u", "kind": "purchase", "time": "2023-11-14T20:00:00Z", "amount": 12.5}).encode()
    garbage = [b"\xff no", b'{"time": "soon"}', row.replace(b"12.5", b'"12,50 of what?"'), row.replace(b"2023", b"9999")]
    clean = [row] * 400
    dirty = garbage + [row] * 396

    def seconds(rows: list[bytes]) -> float:
        start = time.process_time()
        for raw in rows:
            reception.one(raw, "http", NOW)
        return time.process_time() - start

    # short turns side by side: whatever else the machine does can only add to some of them, never to the quickest of each
    turns = [(seconds(clean), seconds(dirty)) for _ in range(100)]
    return min(turn[0] for turn in turns) / min(turn[1] for turn in turns)


def test_garbage_hardly_slows_the_line() -> None:
    assert worth_of_the_line(Reception()) > 0.75


def test_the_harness_finds_a_line_that_garbage_slows(monkeypatch) -> None:  # a planted bug
    said = reception._said

    def slow(*parts: str) -> str:
        return [said(*parts) for _ in range(1_000)][-1]

    monkeypatch.setattr(reception, "_said", slow)
    assert worth_of_the_line(Reception()) < 0.75
