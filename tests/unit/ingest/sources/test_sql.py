"""Databases: the whole table as `read` takes it, and what is new behind a mark, each row once."""

import sqlite3
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import duckdb
import pytest

from tests.services import mariadb, postgres
from whenbuy.core.errors import DependencyError, EmptyError, NotFoundError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.database import Database
from whenbuy.ingest.sources.sql import SqlRows, table

NOW = 1_700_000_000_000_000
NOON = datetime(2023, 11, 14, 12, 0, 0)


class Shop:
    """A database with one table of events, and how to write to it."""

    def __init__(self, address, connect) -> None:
        self.address, self.connect = address, connect

    def run(self, *statements: str) -> None:
        to = self.connect()
        cursor = to.cursor()
        for statement in statements:
            cursor.execute(statement)
        to.commit()
        to.close()

    def make(self) -> None:
        kind = "TEXT" if self.address.startswith("sqlite") else "TIMESTAMP" + ("" if "mysql" not in self.address else "(6)")
        self.run(
            "DROP TABLE IF EXISTS sales",
            f"CREATE TABLE sales (id INTEGER, customer VARCHAR(20), happened {kind}, day DATE, amount DECIMAL(10, 2), note VARCHAR(20))",
        )

    def add(self, *ids: int, customer: str | None = None) -> None:
        values = (
            f"({i}, '{customer or f'u{i}'}', '{NOON + timedelta(seconds=i)}', '{date(2023, 11, 1 + i // 10)}', {i}.50, '50%')" for i in ids
        )
        self.run(f"INSERT INTO sales VALUES {', '.join(values)}")


@pytest.fixture(scope="module")
def server():
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "duckdb", "postgres", pytest.param("mysql", marks=pytest.mark.nightly)])
def shop(request, tmp_path):
    if request.param == "mysql":
        import pymysql

        with mariadb() as address:
            made = Shop(address, lambda: pymysql.connect(host="127.0.0.1", port=urlsplit(address).port, user="root", database="test"))
            made.make()
            yield made
        return
    if request.param == "postgres":
        import psycopg

        address = request.getfixturevalue("server")
        made = Shop(address, lambda: psycopg.connect(address))
    elif request.param == "sqlite":
        made = Shop(f"sqlite:///{tmp_path / 'shop.db'}", lambda: sqlite3.connect(tmp_path / "shop.db"))
    else:
        made = Shop(f"duckdb:///{tmp_path / 'shop.duckdb'}", lambda: duckdb.connect(str(tmp_path / "shop.duckdb")))
    made.make()
    yield made


class Reader:
    """Reads a source to its end, as the pump does, and remembers how far it came."""

    def __init__(self, shop, mark, **more) -> None:
        self.positions, self.made = (
            {},
            lambda: SqlRows(shop.address, more.pop("query", "sales"), mark, Reception(columns={"time": "happened", "day": "day"}), **more),
        )
        self.stream = self.made()

    def rows(self, most=7, chunks=10**6) -> list[Event | Refused]:
        found = []
        for _ in range(chunks):
            chunk = self.stream.read(self.positions.get, most, NOW)
            if chunk is None:
                break
            self.positions[chunk.source] = chunk.position
            found += chunk.rows
        return found

    def users(self, **more) -> list[str]:
        return [row.user for row in self.rows(**more)]


def test_a_whole_table_is_read(shop) -> None:
    from whenbuy.ingest.read import read

    shop.add(*range(30))
    frame = table(shop.address, "SELECT * FROM sales WHERE note LIKE '50%' ORDER BY id")
    assert frame["customer"].to_list() == [f"u{i}" for i in range(30)]
    history = read(shop.address, query="SELECT customer, happened, amount FROM sales", columns={"time": "happened"}, now=NOW).history
    assert len(history.log) == 30
    assert history.log.frame()["amount"].sum() == sum(i + 0.5 for i in range(30))
    assert history.log.start == int(NOON.replace(tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize("mark", ["id", "happened", "day"])
def test_what_is_new_is_read_once(shop, mark) -> None:
    shop.add(*range(20))
    reader = Reader(shop, mark)
    assert sorted(reader.users(), key=lambda u: int(u[1:])) == [f"u{i}" for i in range(20)]
    assert reader.rows() == []
    shop.add(20, 19, customer="again")
    assert reader.users() == ["again"] * 2
    reader.stream = reader.made()
    assert reader.rows() == []
    shop.add(21)
    assert reader.users() == ["u21"]


def test_rows_are_events(shop) -> None:
    shop.add(3)
    (event,) = Reader(shop, "id", query="SELECT * FROM sales WHERE note LIKE '50%';").rows()
    assert isinstance(event, Event)
    assert (event.user, event.kind, event.values["amount"], event.values["note"]) == ("u3", "purchase", 3.5, "50%")
    assert event.time == int((NOON + timedelta(seconds=3)).replace(tzinfo=UTC).timestamp() * 1e6)


def test_a_restart_after_any_chunk_reads_each_row_once(shop) -> None:
    shop.add(*range(40))
    reader, found = Reader(shop, "day"), []
    for _ in range(30):
        found += reader.users(chunks=1, most=3)
        reader.stream = reader.made()
    assert sorted(found) == sorted(f"u{i}" for i in range(40))


def test_equal_rows_are_as_many_events(shop) -> None:
    shop.add(5, 5, 5)
    reader = Reader(shop, "id")
    assert len({row.event_id for row in reader.rows(most=2)}) == 3
    shop.add(5)
    reader.stream = reader.made()
    assert len(reader.rows()) == 1


def test_rows_that_appear_below_the_mark_need_an_overlap(shop) -> None:
    shop.add(*range(0, 20, 2))
    plain, wide = Reader(shop, "id"), Reader(shop, "id", overlap=5)
    assert len(plain.rows()) == len(wide.rows()) == 10
    shop.add(15, 17, 3)
    assert plain.rows() == []
    wide.stream = wide.made()
    assert wide.users() == ["u15", "u17"]
    assert wide.rows() == []


def test_an_overlap_of_times_is_in_seconds(shop) -> None:
    if shop.address.startswith("sqlite"):
        shop.add(1)
        reader = Reader(shop, "happened", overlap=5)
        with pytest.raises(UsageError, match="text"):
            reader.rows()
        return
    shop.add(0, 10, 20)
    reader = Reader(shop, "happened", overlap=8)
    assert len(reader.rows()) == 3
    shop.add(5, 15)
    assert reader.users() == ["u15"]


def test_without_a_mark_everything_is_read_once(shop) -> None:
    shop.add(*range(20))
    reader = Reader(shop, None)
    assert len({row.event_id for row in reader.rows()}) == 20
    assert reader.rows() == []


def test_rows_that_are_no_events_are_refused_with_their_content(shop) -> None:
    shop.add(1)
    shop.run("INSERT INTO sales VALUES (2, 'u2', NULL, NULL, 1.5, 'lost')")
    reader = Reader(shop, "id")
    event, refused = reader.rows()
    assert isinstance(event, Event)
    assert isinstance(refused, Refused)
    assert b"lost" in refused.raw
    assert "no time" in refused.reason


def test_what_is_wrong_is_told(shop) -> None:
    shop.add(1)
    with pytest.raises(UsageError, match="did not understand"):
        table(shop.address, "SELECT nothing FROM sales")
    with pytest.raises(UsageError, match=r"no column 'nothing'|did not understand"):
        Reader(shop, "nothing").rows()
    with pytest.raises(UsageError, match="no query"):
        table(shop.address, " ; ")
    with pytest.raises(EmptyError):
        table(shop.address, "SELECT * FROM sales WHERE id > 100")
    with pytest.raises((UsageError, DependencyError)):
        table(shop.address, "DELETE FROM sales RETURNING id")
    assert len(table(shop.address, "sales")) == 1


def test_a_database_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(NotFoundError):
        table(f"sqlite:///{tmp_path / 'none.db'}", "sales")
    with pytest.raises(DependencyError, match="did not answer"):
        table("postgresql://postgres@127.0.0.1:1/none", "sales")
    with pytest.raises(DependencyError, match="did not answer"):
        table("mysql://root@127.0.0.1:1/none", "sales")
    with pytest.raises(UsageError):
        Database("oracle://x")


def test_names_hold_no_password() -> None:
    for address in ("postgresql://me:secret@host:5433/shop", "mysql://me:secret@host/shop"):
        made = SqlRows(address, "sales", "id", Reception())
        assert "secret" not in made.name
        assert "host" in made.name


def test_a_table_that_grows_between_pages_loses_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.sources.sql._PAGE", 3)
    shop = Shop(f"sqlite:///{tmp_path / 'shop.db'}", lambda: sqlite3.connect(tmp_path / "shop.db"))
    shop.make()
    shop.add(*range(10))
    reader, found = Reader(shop, "day"), []
    for i in range(20):
        found += reader.users(chunks=1, most=2)
        shop.add(10 + i % 3, customer=f"new{i}")
    found += reader.users()
    assert sorted(found) == sorted([f"u{i}" for i in range(10)] + [f"new{i}" for i in range(20)])


def test_what_a_position_cannot_remember_the_journal_does(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.sources.sql._MOST_SEEN", 4)
    shop = Shop(f"sqlite:///{tmp_path / 'shop.db'}", lambda: sqlite3.connect(tmp_path / "shop.db"))
    shop.make()
    shop.add(*range(9))
    reader = Reader(shop, "day")
    first = reader.rows()
    reader.stream = reader.made()
    assert {row.event_id for row in reader.rows()} == {row.event_id for row in first}
