"""SIGTERM under load: what was acknowledged is there, once, and who was not answered sends again to the next server."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios import small
from tests.scenarios.real_server import serving
from whenbuy.serve.sqlite_journal import SqliteJournal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("orderly"))


def send(name: int, address: list[str], stop: threading.Event, acknowledged: set[str]) -> None:
    """Send one event after the other, each until it is acknowledged."""
    number = 0
    with httpx.Client(timeout=30) as client:
        while not stop.is_set():
            id = f"{name}-{number}"
            event = {"event_id": id, "user_id": f"u{number % 7}", "kind": "view", "time": int(time.time())}
            try:
                answer = client.post(f"{address[0]}/v1/events?forecast={number % 2}", json=event)
            except httpx.TransportError:
                time.sleep(0.02)
                continue  # the same again
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                acknowledged.add(id)
                number += 1


def ended_under_load(shop: Path, folder: Path, ends: int, **options: Any) -> tuple[set[str], list[str], bool, list[int]]:
    """End a server so often while six senders send; return what was acknowledged, what is there, whether it adds up, and the exit codes."""
    here = folder / "shop"
    shutil.copytree(shop, here)
    address, stop = [""], threading.Event()
    acknowledged: set[str] = set()
    senders: list[threading.Thread] = []
    codes = []
    with serving(here, **options) as server:
        for last in range(ends):
            address[0] = server.url
            if not senders:
                senders = [threading.Thread(target=send, args=(name, address, stop, acknowledged)) for name in range(6)]
                for sender in senders:
                    sender.start()
            before, deadline = len(acknowledged), time.monotonic() + 60
            while len(acknowledged) < before + 50 and time.monotonic() < deadline:
                time.sleep(0.01)
            codes.append(server.end())
            if last + 1 < ends:
                server.start()
        stop.set()
        for sender in senders:
            sender.join()
    journal = SqliteJournal(here / "live" / "journal.sqlite")
    there, whole = [event.event_id for _, event in journal.events(0, 10**6)], journal.counts().whole
    journal.close()
    return acknowledged, there, whole, codes


def require_kept(found: tuple[set[str], list[str], bool, list[int]]) -> None:
    acknowledged, there, whole, codes = found
    assert len(acknowledged) > 10
    assert acknowledged <= set(there)
    assert len(there) == len(set(there))
    assert whole
    assert set(codes) == {0}


def test_an_end_under_load_loses_and_doubles_nothing(shop: Path, tmp_path: Path) -> None:
    require_kept(ended_under_load(shop, tmp_path, 1))


def test_the_harness_finds_a_server_that_acknowledges_too_early(shop: Path, tmp_path: Path) -> None:  # a planted bug
    with pytest.raises(AssertionError):
        require_kept(ended_under_load(shop, tmp_path, 1, bug="early"))


@pytest.mark.nightly
def test_many_ends_under_load_lose_and_double_nothing(shop: Path, tmp_path: Path) -> None:
    require_kept(ended_under_load(shop, tmp_path, 10))
