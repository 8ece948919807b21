"""From the journal to the log: exactly once, wherever it is stopped."""

import polars as pl
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.store import open_log, write_log
from whenbuy.serve import compaction
from whenbuy.serve.compaction import OTHER, compact, held, key_of
from whenbuy.serve.sqlite_journal import SqliteJournal

START = 1_600_000_000_000_000


def shop() -> History:
    rows = [{"user_id": f"u{i % 4}", "time": START // 10**6 + i * 3600, "kind": "view", "amount": None, "age": i} for i in range(20)]
    return read(pl.DataFrame(rows), now=START + 10 * DAY).history


def event(i: int, **more) -> Event:
    known_at = START + 2 * DAY + i * 60_000_000
    values = {"item_id": f"i{i % 3}", "amount": i / 4, "colour": "red"} | more.pop("values", {})
    return Event(
        "http", f"e{i}", more.get("user", f"u{i % 6}"), more.get("kind", "purchase"), known_at - 1_000_000 * (i % 3), known_at, values
    )


@pytest.fixture
def folder(tmp_path):
    write_log(shop(), tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def journal(tmp_path):
    made = SqliteJournal(tmp_path / "journal.sqlite")
    yield made
    made.close()


def ids(folder) -> list[str]:
    return sorted(open_log(folder).log.frame()["event_id"].drop_nulls())


def test_the_log_holds_what_the_journal_holds(folder, journal) -> None:
    journal.take([event(i) for i in range(30)] + [Refused("http", b"", "no", START)])
    before = len(open_log(folder).log)
    done = compact(journal, folder)
    history = open_log(folder)
    assert (done.added, done.seq, journal.compacted(), len(history.log)) == (30, 30, 30, before + 30)
    rows = history.log.frame().filter(pl.col("event_id").is_not_null()).sort("known_at")
    kept = [one for _, one in journal.events()]
    assert rows["event_id"].to_list() == [key_of(one) for one in kept]
    assert rows["user_id"].to_list() == [one.user for one in kept]
    assert rows["time"].to_physical().to_list() == [one.time for one in kept]
    assert rows["known_at"].to_physical().to_list() == [one.known_at for one in kept]
    assert rows["amount"].to_list() == [round(one.values["amount"], 2) for one in kept]
    assert rows["colour"].unique().to_list() == ["red"]
    assert history.end == kept[-1].known_at + 1
    assert compact(journal, folder).added == 0


def test_parts_give_the_log_of_one_step(folder, journal, tmp_path) -> None:
    journal.take([event(i) for i in range(23)])
    write_log(shop(), tmp_path / "other")
    compact(journal, folder, part=5)
    compact(journal, tmp_path / "other")
    one, other = open_log(folder).log.frame(), open_log(tmp_path / "other").log.frame()
    assert one.equals(other)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_on_either_side_of_the_step_changes_nothing(folder, journal, monkeypatch, when) -> None:
    journal.take([event(i) for i in range(10)])
    compact(journal, folder)
    journal.take([event(i) for i in range(10, 20)])
    real = compaction.append

    def crash(*arguments):
        if when == "after":
            real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(compaction, "append", crash)
    with pytest.raises(KeyboardInterrupt):
        compact(journal, folder)
    monkeypatch.setattr(compaction, "append", real)
    assert journal.compacted() == 10
    assert held(journal, open_log(folder).log) == (20 if when == "after" else 10)
    compact(journal, folder)
    assert ids(folder) == sorted(key_of(event(i)) for i in range(20))
    assert journal.compacted() == 20


def test_a_log_made_anew_gets_everything_again(folder, journal) -> None:
    journal.take([event(i) for i in range(10)])
    compact(journal, folder)
    write_log(shop(), folder)
    assert held(journal, open_log(folder).log) == 0
    assert compact(journal, folder).added == 10
    assert len(ids(folder)) == 10


def test_one_id_from_two_sources_is_two_events(folder, journal) -> None:
    sources = ("http", "folder:/a b", "folder", "x%3Ay", "x:y", "http:")
    journal.take([Event(source, "1", "u", "view", START, START, {}) for source in sources])
    compact(journal, folder)
    assert len(set(ids(folder))) == len(sources)


def test_columns_that_contradict_the_log_do_not_stop_it(folder, journal) -> None:
    journal.take([event(0, values={"age": "old"}), event(1, values={"age": "41"}), event(2, values={"age": 7, "new": "x"})])
    done = compact(journal, folder)
    rows = open_log(folder).log.frame().filter(pl.col("event_id").is_not_null()).sort("known_at")
    assert rows["age"].to_list() == [None, 41, 7]
    assert done.emptied == {"age": 1}
    assert rows["new"].to_list() == [None, None, "x"]


def test_too_many_kinds_do_not_stop_it(folder, journal) -> None:
    journal.take([event(i, kind=f"kind {i}") for i in range(400)])
    assert compact(journal, folder).added == 400
    log = open_log(folder).log
    assert len(log.kinds) == 256
    assert log.count(OTHER) == 400 - 254


def test_an_attribute_sent_as_anything_stays_text(folder, journal) -> None:
    reception = Reception()
    for i, value in enumerate(["a", 1, 2.5, True, None, ""]):
        row = {"event_id": f"x{i}", "user_id": "u", "kind": "view", "time": START / 1e6, "mood": value}
        journal.take([reception.row(row, "http", START + DAY // 2 + i)])
        compact(journal, folder)
    rows = open_log(folder).log.frame().filter(pl.col("event_id").is_not_null()).sort("known_at")
    assert rows["mood"].to_list() == ["a", "1", "2.5", "true", None, None]


def test_rows_of_nobody_are_kept(folder, journal) -> None:
    journal.take([Event("http", "n", None, "view", START, START + DAY, {})])
    compact(journal, folder)
    log = open_log(folder).log
    assert log.offsets[-1] == len(log) - 1
