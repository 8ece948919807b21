"""R10 over HTTP: while the journal's database is down, slow or silent nothing is acknowledged that is not durable, answers say that they
are degraded, and after its return everything is as if it had never been away."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios import small
from tests.scenarios.lines import Line
from tests.scenarios.real_server import RealServer, serving
from tests.scenarios.test_live_day import assert_equal, batch
from tests.services import postgres
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.serve.compaction import compact
from whenbuy.serve.postgres_journal import PostgresJournal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
USERS = ["u01", "u02", "u03", "a stranger"]
EACH = 4


@dataclass
class Found:
    """What senders were told, and what was there afterwards."""

    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    unmarked: int = 0
    marked: int = 0
    there: list[str] = field(default_factory=list)
    whole: bool = False
    well: bool = False
    forecasts: list[Any] = field(default_factory=list)
    at: int = 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def line() -> Iterator[Line]:
    with postgres() as address:
        made = Line(address.rpartition("host=")[2] + "/.s.PGSQL.5432")
        yield made
        made.close()


def rows(number: int) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat()
    return [{"event_id": f"{number}-{i}", "user_id": USERS[i], "kind": "view", "time": now, "item_id": f"i{number}"} for i in range(EACH)]


def send(client: httpx.Client, number: int, found: Found) -> bool:
    """Send some events once; return whether they were acknowledged."""
    answer = client.post("/v1/events", json=rows(number))
    if answer.status_code == 200:
        told = answer.json()
        assert told["accepted"] + told["duplicate"] == EACH
        found.acknowledged |= {row["event_id"] for row in rows(number)}
        return True
    assert answer.status_code == 503, answer.text
    assert "retry-after" in answer.headers
    found.refused += 1
    return False


def breakdown(server: RealServer, line: Line, how: str, found: Found) -> None:
    """Send before, during and after; ask for forecasts all the while."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        waiting = [number for number in range(5) if not send(client, number, found)]
        line.wait_s = 0.05 if how == "slow" else 0.0
        if how in ("down", "silent"):
            getattr(line, "away" if how == "down" else "silent").set()
        if how == "down":
            line.cut()
        senders = [threading.Thread(target=lambda n=n: waiting.append(n) if not send(client, n, found) else None) for n in range(5, 10)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        if how != "slow":  # after the first refusal every answer says so
            for _ in range(10):
                degraded = client.get("/v1/forecasts/u01").json()["degraded"]
                found.marked += degraded is not None
                found.unmarked += degraded is None
                time.sleep(0.05)
        line.well()
        deadline = time.monotonic() + 60
        while waiting and time.monotonic() < deadline:
            waiting = [number for number in waiting if not send(client, number, found)]
        while time.monotonic() < deadline and not found.well:
            found.well = client.get("/v1/health/ready").json()["degraded"] is None
            time.sleep(0.05)
        found.at = time.time_ns() // 1000 + 3_600_000_000
        asked = client.post("/v1/forecasts", json={"users": USERS, "at": datetime.fromtimestamp(found.at / 1e6, UTC).isoformat()})
        found.forecasts = asked.json()["forecasts"]


def run(shop: Path, line: Line, how: str, folder: Path, **options: Any) -> tuple[Found, Path]:
    here = folder / "shop"
    shutil.copytree(shop, here)
    found, address = Found(), f"postgresql://postgres@127.0.0.1:{line.port}/postgres"
    with serving(here, {"WHENBUY_JOURNAL": address}, **options) as server:
        breakdown(server, line, how, found)
        assert server.end() == 0
    journal = PostgresJournal(address)
    found.there = [event.event_id for _, event in journal.events(0, 10**6)]
    found.whole = journal.counts().whole
    compact(journal, here / "log")
    journal.close()
    return found, here


def require_safe(found: Found, how: str) -> None:
    assert found.acknowledged == {row["event_id"] for number in range(10) for row in rows(number)}
    assert sorted(found.there) == sorted(found.acknowledged)
    assert (found.whole, found.well, found.unmarked) == (True, True, 0)
    if how != "slow":
        assert found.refused > 0
        assert found.marked > 0


@pytest.mark.parametrize("how", ["down", *(pytest.param(how, marks=pytest.mark.nightly) for how in ("slow", "silent"))])
def test_nothing_is_acknowledged_that_is_not_kept_and_all_is_well_after(shop: Path, line: Line, how: str, tmp_path: Path) -> None:
    found, here = run(shop, line, how, tmp_path)
    require_safe(found, how)
    at = [answer["as_of"] for answer in found.forecasts]
    moment = int(datetime.fromisoformat(at[0]).timestamp() * 1e6)
    assert_equal(found.forecasts, batch(here, Registry(here / "models").champion(), moment, USERS))


@pytest.mark.nightly
def test_the_harness_finds_a_server_that_says_that_all_is_well(shop: Path, line: Line, tmp_path: Path) -> None:  # a planted bug
    found, _ = run(shop, line, "down", tmp_path, bug="hasty")
    with pytest.raises(AssertionError):
        require_safe(found, "down")
