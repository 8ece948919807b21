"""Two servers of one shop, one journal and one store between them: what one was told the other answers by, whoever is killed."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios import small
from tests.scenarios.lines import Line
from tests.scenarios.real_server import RealServer, serving
from tests.scenarios.test_live_day import assert_equal, batch
from tests.services import valkey
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.serve.compaction import compact
from whenbuy.serve.entrance import rules_of
from whenbuy.serve.sqlite_journal import SqliteJournal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
USERS = ["u01", "u02", "u03", "u04", "somebody new"]
TURNS = 24


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("workers"))


@pytest.fixture
def line() -> Iterator[Line]:
    with valkey() as address:
        made = Line(int(address.rpartition(":")[2].partition("/")[0]))
        yield made
        made.close()


def ask(server: RealServer, path: str, **options: Any) -> Any:
    answer = httpx.request(options.pop("method", "GET"), f"{server.url}{path}", timeout=60, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(number: int) -> dict[str, Any]:
    kind = "purchase" if number % 5 == 0 else "view"
    more = {"amount": 9.5, "order_id": f"w{number}"} if kind == "purchase" else {}
    return {"event_id": f"w{number}", "user_id": USERS[number % len(USERS)], "kind": kind, "item_id": f"i{number}",
            "time": datetime.now(UTC).isoformat(), **more}  # fmt: skip


def known(server: RealServer, user: str) -> tuple[int, str | None]:
    told = ask(server, f"/v1/forecasts/{user}")
    return told["forecast"]["known_events"], told["forecast"]["degraded"]


def all_at(servers: list[RealServer]) -> list[Any]:
    """What each worker answers as of one instant, once all have caught up with the journal."""
    deadline = time.monotonic() + 60
    while any(ask(server, "/v1/health/ready")["degraded"] for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    moment = datetime.fromtimestamp(time.time() + 3_600, UTC).isoformat()
    return [ask(server, "/v1/forecasts", method="POST", json={"users": USERS, "at": moment})["forecasts"] for server in servers]


def test_what_one_worker_was_told_the_other_answers_by(shop: Path, line: Line, tmp_path: Path) -> None:
    here = tmp_path / "shop"
    shutil.copytree(shop, here)
    rng, address = random.Random(3), f"redis://127.0.0.1:{line.port}/0"
    with ExitStack() as stack:
        workers = [stack.enter_context(serving(here, state=address, port=f"port {n}")) for n in range(2)]
        for number in range(TURNS):
            if number == TURNS // 2:  # one is killed, and comes back
                workers[0].kill()
                workers[0].start()
            one, other = rng.sample(workers, 2)
            user = sent(number)["user_id"]
            before, _ = known(one, user)
            assert ask(one, "/v1/events", method="POST", json=sent(number))["accepted"] == 1
            assert known(other, user) == known(one, user) == (before + 1, None)
        line.away.set()
        line.cut()
        user = sent(TURNS)["user_id"]
        assert ask(workers[0], "/v1/events", method="POST", json=sent(TURNS))["accepted"] == 1  # it is kept all the same
        assert "does not answer" in str(known(workers[1], user)[1])
        line.well()
        time.sleep(1.2)
        answers = all_at(workers)
        assert answers[0] == answers[1]
        assert all(answer["degraded"] is None for answer in answers[0])
        assert [worker.end() for worker in workers] == [0, 0]
    journal = SqliteJournal(here / "live" / "journal.sqlite")
    assert (journal.counts().accepted, journal.counts().whole) == (TURNS + 1, True)
    compact(journal, here / "log", then=rules_of(Shop(here)).finish)
    journal.close()
    moment = round(datetime.fromisoformat(answers[0][0]["as_of"]).timestamp() * 1e6)
    assert_equal(answers[0], batch(here, Registry(here / "models").champion(), moment, USERS))
