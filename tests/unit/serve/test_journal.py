"""One suite for both stores of the journal."""

import threading
from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services import postgres
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import AccessError, DamagedError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.serve.journal import Journal, plain
from whenbuy.serve.postgres_journal import PostgresJournal
from whenbuy.serve.sqlite_journal import SqliteJournal
from whenbuy.serve.store import open_journal

NOW = 1_700_000_000_000_000


def event(number: object, *, late_days: float = 0.0, known_at: int = NOW, source: str = "http") -> Event:
    values = {"item_id": "i1", "unit_price": 2.5, "note": "naïve ☕"}
    return Event(source, f"e{number}", f"u{number}", "view", known_at - int(late_days * DAY), known_at, values)


def refused(raw: bytes = b"\xff\x00 no event", reason: str = "It is nothing.") -> Refused:
    return Refused("http", raw, reason, NOW)


@pytest.fixture(scope="module")
def server():
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, tmp_path):
    if request.param == "sqlite":
        return tmp_path / "live" / "journal.sqlite"
    address = request.getfixturevalue("server")
    import psycopg

    with psycopg.connect(address, autocommit=True) as to:
        to.execute("DROP SCHEMA IF EXISTS whenbuy CASCADE")
    return address


@pytest.fixture
def journal(where):
    made = open_journal(where, lateness_days=2.0)
    yield made
    made.close()


def whole(journal: Journal) -> bool:
    """Whether the counts add up, and are those of the rows that are there."""
    counts, rows, aside = journal.counts(), list(journal.events(0, 10**6)), journal.dead(0, 10**6)
    there = Counter(row.status for row in aside)
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    assert len({(one.source, one.event_id) for _, one in rows}) == len(rows)
    assert [one.known_at for _, one in rows] == sorted(one.known_at for _, one in rows)
    assert (len(rows), there["dead"], there["late"]) == (counts.accepted, counts.dead, counts.late)
    return counts.whole


def test_a_batch_gets_a_receipt_row_by_row(journal) -> None:
    late, bad = event("late", late_days=2.1), refused()
    receipt = journal.take([event(1), event(2), event(1), bad, late, event(3, late_days=1.9)], ("files", "7"))
    assert receipt.statuses == ("accepted", "accepted", "duplicate", "dead", "late", "accepted")
    assert receipt.accepted == (1, 2, None, None, None, 3)
    assert [bool(reason) for reason in receipt.reasons] == [False, False, True, True, True, False]
    assert list(receipt.new()) == [(1, event(1)), (2, event(2)), (3, event(3, late_days=1.9))] == list(journal.events())
    assert journal.position("files") == "7"
    assert journal.position("other") is None
    assert whole(journal)


def test_what_was_sent_comes_back_as_it_was(journal) -> None:
    values = {"item_id": "x'); DROP TABLE events;--", "amount": -0.1, "quantity": 3, "text": "a\nb\t“c” 你好 \U0001f600", "n": 2**53}
    sent = Event("kafka:topic/0", "id \\ % _ \u2028", None, "own kind", NOW - 5, NOW, values)
    raw = bytes(range(256))
    journal.take([sent, refused(raw, "“quoted” 'reason'")])
    assert next(journal.events()) == (1, sent)
    (dead,) = journal.dead()
    assert (dead.raw, dead.reason, dead.source, dead.status, dead.known_at) == (raw, "“quoted” 'reason'", "http", "dead", NOW)


def test_a_journal_goes_on_where_it_was_closed(where) -> None:
    first = open_journal(where)
    first.take([event(1), refused()], ("a", "1"))
    first.mark_compacted(1)
    first.close()
    second = open_journal(where)
    assert second.take([event(1), event(2)]).statuses == ("duplicate", "accepted")
    assert (second.last(), second.compacted(), second.position("a")) == (2, 1, "1")
    assert whole(second)
    second.close()


def test_an_event_is_the_same_only_from_the_same_source(journal) -> None:
    assert journal.take([event(1), event(1, source="folder:x")]).statuses == ("accepted", "accepted")
    assert journal.take([event(1), event(1, source="folder:x")]).statuses == ("duplicate", "duplicate")


def test_a_late_repetition_is_a_duplicate_and_a_late_event_is_counted_once(journal) -> None:
    journal.take([event(1)])
    again = msgspec.structs.replace(event(1), known_at=NOW + 30 * DAY)
    late = event("late", late_days=3.0)
    assert journal.take([again, late, late]).statuses == ("duplicate", "late", "duplicate")
    assert journal.take([late]).statuses == ("duplicate",)
    assert whole(journal)


def test_arrivals_never_fall_even_where_the_clock_does(journal) -> None:
    journal.take([event(1, known_at=NOW)])
    receipt = journal.take([event(2, known_at=NOW - 60_000_000), event(3, known_at=NOW + 1)])
    assert [one.known_at for _, one in receipt.new()] == [NOW, NOW + 1]
    assert whole(journal)


def test_pages_follow_each_other(journal) -> None:
    journal.take([event(i) for i in range(25)])
    pages, after = [], 0
    while page := list(journal.events(after, 10)):
        pages.append(len(page))
        after = page[-1][0]
    assert (pages, after, journal.last()) == ([10, 10, 5], 25, 25)
    journal.take([refused(str(i).encode()) for i in range(7)])
    ids = [row.id for row in journal.dead(0, 5)]
    assert len(ids) == 5
    assert [row.raw for row in journal.dead(ids[-1], 5)] == [b"5", b"6"]


def test_set_aside_rows_come_back_after_a_fix(journal) -> None:
    good = b'{"event_id": "e9", "user_id": "u", "kind": "view", "time": %d}' % (NOW // 10**6)
    twin = b'{"event_id": "e1", "user_id": "u", "kind": "view", "time": %d}' % (NOW // 10**6)
    journal.take([event(1), refused(good), refused(b"never"), refused(twin), event("late", late_days=5.0)])
    ids = [row.id for row in journal.dead()]
    receipt = journal.replay(ids, Reception(lateness_days=9.0), NOW + DAY)
    assert receipt.statuses == ("accepted", "dead", "duplicate", "accepted")
    assert [(one.event_id, one.known_at) for _, one in receipt.new()] == [("e9", NOW + DAY), ("elate", NOW + DAY)]
    assert [(row.id, row.raw) for row in journal.dead()] == [(ids[1], b"never")]
    assert whole(journal)
    assert journal.counts().sent == 5
    assert journal.replay([ids[0], 10**9], Reception(), NOW).statuses == ()
    assert whole(journal)


def test_an_empty_batch_moves_a_position(journal) -> None:
    assert journal.take([], ("a", "3")).statuses == ()
    assert journal.position("a") == "3"
    assert journal.take([], ("a", "4")).statuses == ()
    assert (journal.position("a"), journal.counts().sent) == ("4", 0)


def test_many_threads_lose_and_double_nothing(journal) -> None:
    seqs: list[int] = []

    def send(start: int) -> None:
        for i in range(start, start + 30):  # neighbours overlap by half
            seqs.extend(seq for seq, _ in journal.take([event(i), event(i + 1)]).new())

    threads = [threading.Thread(target=send, args=(15 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 15 * 7 + 31 + 1))
    assert journal.counts().sent == 8 * 30 * 2
    assert whole(journal)


def test_two_journals_at_one_place_share_it(where) -> None:
    one, other = open_journal(where), open_journal(where)
    for i in range(20):
        assert (one, other)[i % 2].take([event(i // 2)]).statuses == (("accepted", "duplicate")[i % 2],)
    assert other.last() == one.last() == 10
    assert whole(other)
    one.close()
    other.close()


rows = st.lists(
    st.one_of(
        st.builds(lambda i, late: event(i, late_days=late), st.integers(0, 12), st.sampled_from([0.0, 1.0, 2.5])),
        st.builds(refused, st.binary(max_size=8)),
    ),
    max_size=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, max_size=6))
def test_a_journal_is_the_set_of_what_was_sent(journal, batches) -> None:
    before = journal.counts()
    held = {one.event_id for _, one in journal.events(0, 10**6)} | {_id(row) for row in journal.dead(0, 10**6) if row.status == "late"}
    told = Counter()
    for batch in batches:
        for row, status in zip(batch, journal.take(batch).statuses, strict=True):
            told[status] += 1
            expected = "dead" if isinstance(row, Refused) else "duplicate" if row.event_id in held else ""
            assert status == (expected or ("late" if row.known_at - row.time > 2 * DAY else "accepted"))
            if not isinstance(row, Refused):
                held.add(row.event_id)
    assert whole(journal)
    after = journal.counts()
    assert {name: getattr(after, name) - getattr(before, name) for name in ("accepted", "duplicate", "dead", "late")} == {
        name: told[name] for name in ("accepted", "duplicate", "dead", "late")
    }


def _id(row) -> str:
    return msgspec.json.decode(row.raw, type=Event).event_id


# ------------------------------------------------------------------------------------------- the stores apart


def test_a_file_that_is_no_journal_is_refused(tmp_path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is no database " * 100)
    with pytest.raises(DamagedError, match="damaged"):
        SqliteJournal(path)


def test_a_place_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessError):
        SqliteJournal(tmp_path / "file" / "journal.sqlite")


def test_only_the_owner_reads_the_file(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "live" / "journal.sqlite")
    journal.take([event(1)])
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "live").iterdir())
    journal.close()


def test_every_commit_reaches_the_disk(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    asked = {name: journal._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert asked == {"journal_mode": "wal", "synchronous": 2}
    journal.close()


def test_those_who_wait_share_a_commit(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    commits: list[str] = []
    journal._writer.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    journal._writing.acquire()  # as if a commit were on its way
    threads = [threading.Thread(target=journal.take, args=([event(i)],)) for i in range(20)]
    for thread in threads:
        thread.start()
    while len(journal._waiting) < 20:
        pass
    journal._writing.release()
    for thread in threads:
        thread.join()
    assert (len(commits), journal.last()) == (1, 20)
    journal.close()


def test_one_bad_batch_does_not_fail_those_beside_it(tmp_path) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    failed: list[BaseException] = []
    bad = Event("http", "bad", "u", "view", NOW, NOW, {"x": object()})  # no reception makes such a value

    def send(row: Event) -> None:
        try:
            journal.take([row])
        except TypeError as error:
            failed.append(error)

    journal._writing.acquire()
    threads = [threading.Thread(target=send, args=(row,)) for row in (event(1), bad, event(2))]
    for thread in threads:
        thread.start()
    while len(journal._waiting) < 3:
        pass
    journal._writing.release()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert {one.event_id for _, one in journal.events()} == {"e1", "e2"}
    assert whole(journal)
    journal.close()


def test_postgres_comes_back_after_its_connection_is_lost(server) -> None:
    import psycopg

    from whenbuy.core.errors import DependencyError

    with psycopg.connect(server, autocommit=True) as to:
        to.execute("DROP SCHEMA IF EXISTS whenbuy CASCADE")
        journal = PostgresJournal(server)
        journal.take([event(1)])
        to.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'whenbuy'")
    with pytest.raises(DependencyError, match="did not keep"):
        journal.take([event(2)])
    assert journal.take([event(2)]).statuses == ("accepted",)
    assert whole(journal)
    journal.close()


def test_a_database_that_does_not_answer_is_told() -> None:
    from whenbuy.core.errors import DependencyError

    with pytest.raises(DependencyError, match="did not keep"):
        PostgresJournal("postgresql://postgres@127.0.0.1:1/postgres")


# ------------------------------------------------------------------------------------------------ in two steps


def in_two_steps(journal, batch):
    """Keep a batch as a server does, in two steps where it can be done so."""
    end = journal.begin(batch)
    return journal.take(batch) if end is None else end()


ROWS = st.lists(
    st.one_of(
        st.builds(
            event, st.integers(0, 60), late_days=st.sampled_from([0.0, 0.0, 0.0, 3.0]), known_at=st.sampled_from([NOW, NOW, NOW, NOW - 5]),
            source=st.sampled_from(["http", "http:till"]),
        ),
        st.builds(refused),
    ),
    max_size=8,
)  # fmt: skip


class Wary:
    """An entrance that suspects everything and takes nothing out: with it a journal asks about every row."""

    seq = 0

    def suspects(self, batch):
        return frozenset(range(len(batch)))

    def verdicts(self, fresh, places):
        return {}

    def learn(self, events):
        self.seq = max([self.seq, *(seq for seq, _ in events)])


def alike(folder, batches):
    """Whether two journals say and hold the same: one asks about every row, the other keeps in two steps what it can."""
    one, other = SqliteJournal(folder / "one.sqlite", 2.0, Wary()), SqliteJournal(folder / "two.sqlite", 2.0)
    same = all(one.take(batch) == in_two_steps(other, batch) for batch in batches)
    same &= list(one.events()) == list(other.events()) and one.dead() == other.dead() and one.counts() == other.counts()
    same &= whole(other)
    one.close()
    other.close()
    return same


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=8))
def test_two_steps_do_what_one_does(tmp_path_factory, batches):
    assert alike(tmp_path_factory.mktemp("two"), [*batches, [event(i) for i in range(100, 300)]])


def test_the_comparison_finds_steps_that_look_at_less(tmp_path, monkeypatch):  # a planted bug
    monkeypatch.setattr("whenbuy.serve.sqlite_journal.plain", lambda batch, state, _: plain(batch, state, 10**6))
    assert not alike(tmp_path, [[event(1)], [event(2, late_days=3.0)]])


def test_before_the_second_step_nothing_is_there_and_nobody_is_waited_for(tmp_path):
    journal, other = SqliteJournal(tmp_path / "journal.sqlite"), SqliteJournal(tmp_path / "journal.sqlite")
    end = journal.begin([event(1), event(2)])
    assert end is not None
    assert (other.last(), list(other.events())) == (0, [])
    assert other.begin([event(3)]) is None  # another process is writing
    assert journal.begin([event(3)]) is None
    assert end().accepted == (1, 2)
    assert other.last() == 2
    assert other.begin([event(2)]) is None  # it is held
    assert other.take([event(2), event(3)]).statuses == ("duplicate", "accepted")
    assert in_two_steps(journal, [event(4)]).accepted == (4,)
    assert whole(journal)
    other.close()
    journal.close()


def test_a_writer_waits_for_another_ones_second_step(tmp_path):
    journal, other = SqliteJournal(tmp_path / "journal.sqlite"), SqliteJournal(tmp_path / "journal.sqlite")
    end = journal.begin([event(1)])
    found = []
    waiting = [threading.Thread(target=lambda j=j: found.append(j.take([event(1), event(f"{id(j)}")]).statuses)) for j in (journal, other)]
    for thread in waiting:
        thread.start()
    waiting[0].join(0.05)
    assert found == []
    end()
    for thread in waiting:
        thread.join(10)
    assert found == [("duplicate", "accepted")] * 2
    assert whole(journal)
    other.close()
    journal.close()


def test_what_two_steps_cannot_keep_is_said_by_one(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    (pages,) = journal._writer.execute("PRAGMA page_count").fetchone()
    journal._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    batch = [event(i) for i in range(500)]
    assert journal.begin(batch) is None
    with pytest.raises(AccessError):
        journal.take(batch)
    journal._writer.execute("PRAGMA max_page_count = 1000000")
    assert in_two_steps(journal, batch).accepted[-1] == 500
    journal.close()
