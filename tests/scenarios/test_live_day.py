"""A shop's days, sent to its server with kills, duplicates and late events, end with the forecasts of the batch run over the same log."""

import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.serve.compaction import compact
from whenbuy.serve.sqlite_journal import SqliteJournal

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400_000_000


class Clock:
    """The shop's clock, which other processes read."""

    def __init__(self, path, now):
        path.write_bytes(struct.pack("<q", now))
        self.path, self.now = path, now
        with path.open("r+b") as file:
            self._held = mmap.mmap(file.fileno(), 8)

    def set(self, now):
        assert now >= self.now
        self.now = now
        self._held[:8] = struct.pack("<q", now)


class Process:
    """The server as a process of its own."""

    def __init__(self, shop, clock):
        self.shop, self.clock = shop, clock
        self.http = httpx.Client(timeout=60)  # one for all: to make one costs more than to ask
        self.start()

    def start(self):
        port = self.shop / "port"
        port.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.scenarios.clocked_server", str(self.shop), str(self.clock.path), str(port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300  # kernels may have to be compiled on a busy machine
        while not (port.exists() and port.read_text()):
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.url = port.read_text()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(shop, clock):
    server = Process(shop, clock)
    try:
        yield server
    finally:
        server.http.close()
        if server.process.poll() is None:
            server.kill()


def made(folder):
    """A shop that learned from all but its last two days, a second model, and the rows of these days as its till would send them."""
    frame = simulate(60, 150, 5).history.log.frame().drop("orders", "text").sort("known_at", maintain_order=True)
    last = frame["known_at"].max() - timedelta(days=2)
    file = folder / "till.csv"
    frame.filter(pl.col("known_at") < last).write_csv(file)
    ok("init", file, "--shop", folder / "shop", "--currency", "EUR")
    with small.quick():
        ok("fit", "--shop", folder / "shop")
        ok("fit", "--shop", folder / "shop", "--as-of", str((last - timedelta(days=7)).date()))
    day = frame.filter(pl.col("known_at") >= last).drop("known_at", "currency")
    rows = [{name: cell for name, cell in row.items() if cell is not None} for row in day.iter_rows(named=True)]
    for number, row in enumerate(rows):
        row["event_id"] = f"d{number}"
        row["time"] = row["time"].isoformat()
    return folder / "shop", rows, instant(last)


def instant(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def batches_of(rows, rng):
    """The rows as they are sent: most at once, some hours later, some twice, some that are none and some that come a week too late."""
    sent = []
    for row in rows:
        at = instant(datetime.fromisoformat(row["time"]))
        sent.append((at + rng.choice((1, 1, 1, 1_000_000, 3_600_000_000, 9 * 3_600_000_000)), row))
        if rng.random() < 0.1:
            sent.append((at + rng.randrange(DAY), row))  # again, as it was
        if rng.random() < 0.03:
            sent.append((at + 2, {"user_id": "u01", "kind": "view"}))  # without a time
        if rng.random() < 0.03:
            old = datetime.fromisoformat(row["time"]) - timedelta(days=7)
            sent.append((at + 3, {**row, "event_id": f"old {row['event_id']}", "time": old.isoformat()}))
    sent.sort(key=lambda pair: pair[0])
    found = []
    while sent:
        size = rng.choice((1, 1, 1, 2, 3, 5))
        found.append((sent[min(size, len(sent)) - 1][0], [row for _, row in sent[:size]]))
        sent = sent[size:]
    return found


def send(server, body, forecast):
    """Send until it is acknowledged; a server that was killed is started again by who killed it."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        try:
            answer = server.http.post(f"{server.url}/v1/events{'?forecast=1' * forecast}", json=body)
        except httpx.TransportError:
            time.sleep(0.02)
            continue
        if answer.status_code in (200, 422):
            return answer.json()
        assert answer.status_code == 503, answer.text
        time.sleep(0.02)
    raise AssertionError("it was never acknowledged")


def replay(server, clock, batches, kills, rng):
    """Send the day; return how often each status was told."""
    told = dict.fromkeys(("accepted", "duplicate", "dead", "late"), 0)
    strikes = set(rng.sample(range(len(batches) // 4, len(batches)), kills))
    for place, (at, rows) in enumerate(batches):
        clock.set(max(at, clock.now) + 1)
        killer = None
        if place in strikes:
            killer = threading.Thread(target=strike, args=(server, rng.random() * 0.02))
            killer.start()
        answer = send(server, rows[0] if len(rows) == 1 else rows, rng.random() < 0.3)
        if killer is not None:
            killer.join()
        for status in told:
            told[status] += answer[status]
    return told


def strike(server, wait):
    """Kill the server while it is at work, and start it again."""
    time.sleep(wait)
    server.kill()
    server.start()


def live(server, users):
    answer = server.http.post(f"{server.url}/v1/forecasts", json={"users": users})
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_equal(told, frame):
    """The forecasts of the server are those of the batch run: to the last digits that their arithmetic leaves open."""
    for answer, row in zip(told, frame.iter_rows(named=True), strict=True):
        for name, batch in row.items():
            found = answer[name]
            if isinstance(batch, datetime):
                moment = datetime.fromisoformat(found)
                assert abs((moment - batch.replace(tzinfo=batch.tzinfo or UTC)).total_seconds()) < 1e-3, (
                    answer["user_id"],
                    name,
                    found,
                    batch,
                )
            elif isinstance(batch, float):
                assert found == pytest.approx(batch, rel=1e-9, abs=1e-9), (answer["user_id"], name)
            else:
                assert found == batch, (answer["user_id"], name)


def batch(shop, model, at, users):
    forecaster = Registry(shop / "models").load(model, types())[0]
    return forecaster.predict(open_log(shop / "log"), at, users).frame()


def day(folder, kills, seed):
    shop, rows, begin = made(folder)
    rng, clock = random.Random(seed), Clock(folder / "clock", begin)
    ids = Registry(shop / "models").ids()
    first = Registry(shop / "models").champion()
    users = sorted({row["user_id"] for row in rows if "user_id" in row} | {"u01", "u02", "u03", "a stranger"})
    sent = batches_of(rows, rng)
    with running(shop, clock) as server:
        told = replay(server, clock, sent, kills, rng)
        at = clock.now + 1_000_000
        clock.set(at)
        answers = live(server, users)
        assert (answers["model_id"], answers["degraded"]) == (first, None)
        (other,) = {id for id in ids if id != first}
        ok("models", "promote", other, "--force", "--shop", shop)
        deadline = time.monotonic() + 30
        while (after := live(server, users))["model_id"] != other:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert server.http.get(f"{server.url}/v1/health/ready").json()["ready"]
        assert server.end() == 0
    journal = SqliteJournal(shop / "live" / "journal.sqlite")
    compact(journal, shop / "log")
    counts = journal.counts()
    journal.close()
    assert counts.whole
    assert counts.accepted == len(rows)  # each once, however often it was sent
    assert told["accepted"] <= counts.accepted  # of those whose acknowledgement was lost
    assert counts.late == len({row["event_id"] for _, batch in sent for row in batch if str(row.get("event_id", "")).startswith("old ")})
    log = open_log(shop / "log").log.frame()
    held = log.filter(pl.col("event_id").str.starts_with("http:d"))["event_id"].to_list()
    assert sorted(held) == sorted(f"http:{row['event_id']}" for row in rows)
    assert_equal(answers["forecasts"], batch(shop, first, at, users))
    assert_equal(after["forecasts"], batch(shop, other, at, users))
    return json.dumps(told)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_day_of_events_ends_where_the_batch_run_does(tmp_path):
    day(tmp_path, kills=1, seed=1)


def test_the_comparison_finds_a_forecast_that_differs():
    frame = pl.DataFrame({"user_id": ["u"], "p": [0.25], "next": [datetime(2026, 1, 1, tzinfo=UTC)], "top": [None]})
    right = {"user_id": "u", "p": 0.25, "next": "2026-01-01T00:00:00Z", "top": None}
    assert_equal([right], frame)
    for name, wrong in {"p": 0.2500001, "next": "2026-01-01T00:00:01Z", "top": "c", "user_id": "v"}.items():
        with pytest.raises(AssertionError):
            assert_equal([{**right, name: wrong}], frame)


@pytest.mark.nightly
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("seed", range(2, 6))
def test_days_with_many_kills_end_where_the_batch_run_does(tmp_path, seed):
    day(tmp_path, kills=8, seed=seed)
