"""R6: three times as much as a server can do. It refuses at once, grows by what it has to remember and no more, and is well again soon."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios import small
from tests.scenarios.crowd import Told, ask, events, share
from tests.scenarios.real_server import RealServer, serving
from whenbuy.serve.sqlite_journal import SqliteJournal

MIB = 1 << 20
REMEMBERED = 1_200
"""Bytes that a server may hold of an event that is not in its log yet: the state grows by these, and they are counted apart."""
pytestmark = pytest.mark.skipif(os.name != "posix", reason="/proc and signals")


@dataclass
class Found:
    """What an overload did."""

    told: Told
    grown: float
    well_after_s: float
    acknowledged: int
    kept: int
    whole: bool
    core: float
    """Which share of a processor the server had; one that is asked too much has a whole one where nobody else wants it."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("overload"))


def remembered(server: RealServer) -> float:
    """How many events the state holds that the log does not."""
    text = httpx.get(f"{server.url}/metrics", timeout=60).text
    return float(next(line for line in text.splitlines() if line.startswith("whenbuy_events_remembered ")).split()[1])


def overload(shop: Path, seconds: float, run: str, **options: Any) -> Found:
    """Ask a server three times as much as it can for so long; return what became of it."""
    with serving(shop, **options) as server:
        ask(server.url, events(f"{run}-warm", 5), seconds / 8, 8)
        can = ask(server.url, events(f"{run}-can", 5), max(1.0, seconds / 16), 8)
        per_second = can.count(200) / max(1.0, seconds / 16)
        before, held = server.own_bytes(), remembered(server)
        begun, worked = time.monotonic(), server.worked_s()
        told = ask(server.url, events(run, 5), seconds, 256, 3 * per_second)
        core = min((server.worked_s() - worked) / (time.monotonic() - begun), 1.0)
        grown = server.own_bytes() - before - REMEMBERED * max(remembered(server) - held, 0.0)
        well = normal_after(server, run)
        assert server.end() == 0
    journal = SqliteJournal(shop / "live" / "journal.sqlite")
    counts, there = journal.counts(), sum(1 for _ in journal.events(0, 10**9))
    journal.close()
    acknowledged = 5 * (told.count(200) + can.count(200))
    return Found(told, grown, well, acknowledged, there, counts.whole and counts.accepted == there, core)


def normal_after(server: RealServer, run: str) -> float:
    """Seconds until twenty answers in a row are good."""
    begun, good, number = time.monotonic(), 0, 0
    last = begun
    with httpx.Client(timeout=60) as client:
        while good < 20 and time.monotonic() < begun + 30:
            number += 1
            body = {"event_id": f"{run}-after-{number}", "user_id": "u01", "kind": "view", "time": int(time.time())}
            answer = client.post(f"{server.url}/v1/events?forecast=1", json=body)
            good = good + 1 if answer.status_code == 200 else 0
            last = last if answer.status_code == 200 else time.monotonic()
    return last - begun if good >= 20 else float("inf")


def require_well(found: Found, refused_s: float) -> None:
    told = found.told
    assert {status for status, _, _ in told.answers} == {200, 503}
    assert told.count(503) > 0
    assert all(named for status, _, named in told.answers if status == 503)
    assert (told.dropped, found.whole) == (0, True)
    assert found.kept >= found.acknowledged
    assert found.grown <= 64 * MIB
    assert found.well_after_s <= 5
    assert share(told.seconds(503), 0.5) <= refused_s / found.core


def test_what_is_too_much_is_refused_and_nothing_is_lost(shop: Path) -> None:
    require_well(overload(shop, 3.0, "short"), refused_s=float("inf"))


@pytest.mark.nightly
def test_the_harness_finds_a_server_that_lets_everything_in(shop: Path) -> None:  # a planted bug
    found = overload(shop, 2.0, "bug", bug="open gate", limits={"most_waiting": 1_000_000, "most_lag_s": 60.0})
    with pytest.raises(AssertionError):
        require_well(found, refused_s=float("inf"))


@pytest.mark.nightly
def test_a_minute_of_three_times_too_much(shop: Path) -> None:
    require_well(overload(shop, 60.0, "minute"), refused_s=0.05)
