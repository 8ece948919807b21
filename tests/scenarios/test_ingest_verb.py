"""`whenbuy ingest`: from a file, a folder and a database into the shop's log, again and again, each event once."""

import json
import re
import sqlite3
import threading
import time
from datetime import UTC, datetime

import polars as pl
import pytest

from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.verbs.init import init
from whenbuy.serve.verbs_ingest import Asked, dead_letters, ingest, replay

NOW = 1_700_000_000_000_000
START = NOW / 1e6 - 40 * 86_400


def say(_: str) -> None:
    """Listen to nobody."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    times = [datetime.fromtimestamp(START + i * 7_000, UTC).isoformat() for i in range(300)]
    table = pl.DataFrame({"kunde": [f"u{i % 20}" for i in range(300)], "zeit": times, "ereignis": ["view", "buy", "view"] * 100})
    table.with_columns(betrag=pl.Series([f"{i},50" for i in range(300)])).write_csv(folder / "orders.csv", separator=";")
    init(folder / "shop", [folder / "orders.csv"], columns={}, kinds={}, say=say)
    return folder / "shop"


@pytest.fixture
def shop(made, tmp_path):
    import shutil

    shutil.copytree(made, tmp_path / "shop")
    return tmp_path / "shop"


def line(i: int, **more) -> str:
    time = datetime.fromtimestamp(NOW / 1e6 - 3_600 + i, UTC).isoformat()
    return json.dumps({"kunde": f"new{i}", "zeit": time, "ereignis": "buy", "betrag": f"{i},25 €", "event_id": f"e{i}"} | more) + "\n"


def run(shop, *sources, **more):
    return ingest(shop, [str(source) for source in sources], **{"say": say, "now": lambda: NOW} | more)


def test_new_events_come_into_the_log_once(shop, tmp_path) -> None:
    before = len(open_log(shop / "log").log)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("".join(line(i) for i in range(10)) + "garbage\n" + line(99, zeit="2023-01-01T00:00:00Z"))
    said = run(shop, tmp_path / "in")
    assert said.facts == {"sent": 12, "accepted": 10, "duplicate": 0, "dead": 1, "late": 1, "in_log": 10}
    log = open_log(shop / "log").log
    rows = log.frame().filter(pl.col("event_id").is_not_null()).sort("time")
    assert len(log) == before + 10
    assert rows["kind"].unique().to_list() == ["purchase"]
    assert rows["amount"].to_list() == [i + 0.25 for i in range(10)]
    assert run(shop, tmp_path / "in").facts["sent"] == 0
    (tmp_path / "in" / "b.jsonl").write_text(line(3) + line(10))
    assert run(shop, tmp_path / "in").facts == {"sent": 2, "accepted": 1, "duplicate": 1, "dead": 0, "late": 0, "in_log": 1}


def test_what_was_set_aside_is_listed_and_comes_back(shop, tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text(line(0) + line(1, wann=1, zeit="soon") + line(2, zeit="2023-11-10T00:00:00Z"))
    run(shop, tmp_path / "a.jsonl")
    listed = dead_letters(shop)
    assert listed.facts == {"dead": 2}
    assert listed.table["status"].to_list() == ["dead", "late"]
    assert json.loads(listed.table["raw"][0])["zeit"] == "soon"
    settings = shop / "whenbuy.toml"
    settings.write_text(re.sub(r"lateness_days = [\d.]+", "lateness_days = 30", settings.read_text()))
    said = replay(shop, say=say, now=lambda: NOW + 10**6)
    assert said.facts["replayed"] == 2
    assert dead_letters(shop).facts == {"dead": 1}
    log = open_log(shop / "log").log
    assert log.frame()["event_id"].drop_nulls().len() == 2


def test_a_database_is_read_behind_its_mark(shop, tmp_path) -> None:
    to = sqlite3.connect(tmp_path / "shop.db")
    to.execute("CREATE TABLE sales (id INTEGER, kunde TEXT, zeit TEXT, betrag REAL)")

    def add(*ids: int) -> None:
        rows = [(i, f"u{i}", datetime.fromtimestamp(NOW / 1e6 - 60 + i, UTC).isoformat(), 2.5) for i in ids]
        to.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", rows)
        to.commit()

    add(1, 2, 3)
    asked = Asked("SELECT id, kunde, zeit, betrag, 'buy' AS ereignis FROM sales", "id")
    address = f"sqlite:///{tmp_path / 'shop.db'}"
    assert run(shop, address, asked=asked).facts["accepted"] == 3
    add(4)
    assert run(shop, address, asked=asked).facts["sent"] == 1
    with pytest.raises(UsageError, match="no mark"):
        run(shop, address, asked=Asked("sales"), follow=True)


def test_sources_are_followed_until_it_is_stopped(shop, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    stop, done = threading.Event(), []
    sources = [str(tmp_path / "in"), str(tmp_path / "later.jsonl")]
    thread = threading.Thread(target=lambda: done.append(run(shop, *sources, follow=True, stop=stop)))
    thread.start()
    (tmp_path / "in" / "a.jsonl").write_text(line(0))
    (tmp_path / "later.jsonl").write_text(line(1))
    with (tmp_path / "in" / "a.jsonl").open("a") as file:
        file.write(line(2))
    end = time.monotonic() + 20
    while time.monotonic() < end and not _has(shop, 3):
        time.sleep(0.05)
    stop.set()
    thread.join()
    assert done[0].facts["accepted"] == 3
    assert open_log(shop / "log").log.frame()["event_id"].drop_nulls().len() == 3


def _has(shop, events: int) -> bool:
    from whenbuy.serve.sqlite_journal import SqliteJournal

    path = shop / "live" / "journal.sqlite"
    if not path.exists():
        return False
    journal = SqliteJournal(path)
    try:
        return journal.last() >= events
    finally:
        journal.close()


def test_what_is_wrong_is_told(shop, tmp_path) -> None:
    with pytest.raises(UsageError, match="No source"):
        run(shop)
    with pytest.raises(NotFoundError):
        run(shop, tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="no source that whenbuy knows"):
        run(shop, "ftp://host/file")
    with pytest.raises(NotFoundError):
        run(tmp_path / "no shop", tmp_path)
