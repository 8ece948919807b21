"""Writers that are killed: what they were told is kept must be there, once, and what a source held must be there, once.

A writer is a process with clients and a pump on one journal. It is killed (SIGKILL) at a random moment, again and again. Outside of it a
history says what each client sent and what was acknowledged. Clients send again what was not acknowledged, and now and then what was. The
checker reads the journal when all is over.
"""

import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.files import Files
from whenbuy.serve.journal import Journal, Receipt
from whenbuy.serve.pump import pump
from whenbuy.serve.sqlite_journal import SqliteJournal

NOW = 1_700_000_000_000_000
CLIENTS = 3
ROWS = 20_000
"""Rows of the file that the pump reads."""


@dataclass(frozen=True)
class Verdict:
    """What a checker found: acknowledged or sourced events that are not there, and events that are there more than once."""

    acknowledged: int
    lost: int
    doubled: int
    whole: bool


# -------------------------------------------------------------------------------------- journals with a bug


class HastyJournal(SqliteJournal):
    """Planted bug: it says that it has a batch, and writes it a little later."""

    def begin(self, batch: Any) -> None:
        return None

    def take(self, batch: Any, position: Any = None) -> Receipt:
        def later() -> None:
            time.sleep(0.01)
            SqliteJournal.take(self, batch, position)

        threading.Thread(target=later, daemon=True).start()
        return Receipt((None,) * len(batch), ("accepted",) * len(batch), ("",) * len(batch), (None,) * len(batch))


class ForgetfulJournal(SqliteJournal):
    """Planted bug: it does not ask what it has had already."""

    def _prepare(self) -> None:
        super()._prepare()
        self._writer.execute("DROP INDEX IF EXISTS events_key")

    def _known(self, wanted: Any) -> set[Any]:
        return set()


class EagerJournal(SqliteJournal):
    """Planted bug: it keeps the position of a source before it keeps the rows."""

    def take(self, batch: Any, position: Any = None) -> Receipt:
        super().take([], position)
        time.sleep(0.02)
        return super().take(batch)


JOURNALS: dict[str, Callable[[Path], Journal]] = {
    "sqlite": SqliteJournal, "hasty": HastyJournal, "forgetful": ForgetfulJournal, "eager": EagerJournal,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------- the writer


def write(folder: str, kind: str, seed: int) -> None:
    """Send and pump until killed."""
    place = Path(folder)
    journal = JOURNALS[kind](place / "journal.sqlite")
    handle = os.open(place / "history", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    acknowledged = read_history(place)
    threads = [threading.Thread(target=_client, args=(journal, handle, n, seed, acknowledged[n])) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=_pump, args=(journal, place)))
    for thread in threads:
        thread.start()


def _client(journal: Journal, handle: int, name: int, seed: int, known: set[int]) -> None:
    rng = random.Random(seed * CLIENTS + name)
    number = 1 + max(known, default=-1)
    while True:
        size = rng.choice([1, 1, 3, 20])
        numbers = list(range(number, number + size))
        extra = [n for n in rng.sample(range(number + 1), min(3, number + 1)) if n not in numbers]  # again, though it was acknowledged
        if rng.random() < 0.5:
            kept(journal, [_event(name, n) for n in numbers])
        else:
            journal.take([_event(name, n) for n in numbers + extra] + [Refused("http", b"?", "It is nothing.", NOW)])
        os.write(handle, f"{name} {number} {size}\n".encode())
        number += size


def kept(journal: Journal, batch: list[Event | Refused]) -> Receipt:
    """Keep a batch as the server does: in two steps where it can be done so."""
    end = journal.begin(batch)
    return journal.take(batch) if end is None else end()


def _event(client: int, number: int) -> Event:
    return Event("http", f"{client}-{number}", f"u{number % 50}", "view", NOW, NOW, {"item_id": f"i{number % 9}"})


def _pump(journal: Journal, place: Path) -> None:
    pump(journal, Files(place / "rows.jsonl", Reception()), follow=False, now=lambda: NOW, stop=threading.Event(), most=25)


def read_history(place: Path) -> list[set[int]]:
    """Return the numbers that each client was told are kept."""
    told: list[set[int]] = [set() for _ in range(CLIENTS)]
    path = place / "history"
    for line in path.read_text().splitlines() if path.exists() else ():
        client, first, size = map(int, line.split())
        told[client].update(range(first, first + size))
    return told


# ------------------------------------------------------------------------------------------------ the harness


def kill(kills: int, kind: str = "sqlite", seed: int = 0, rows: int = ROWS) -> Verdict:
    """Kill writers of one journal so many times, let a last pump finish, and return what the checker finds."""
    rng = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.quality.kills"])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = (json.dumps({"user_id": f"u{i}", "kind": "view", "time": NOW / 1e6}) for i in range(rows))
        (place / "rows.jsonl").write_text("\n".join(lines) + "\n")
        for i in range(kills):
            process = context.Process(target=write, args=(folder, kind, seed + i))
            process.start()
            _wait_for_work(place, process)
            time.sleep(rng.uniform(0.0, 0.1))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        journal = JOURNALS[kind](place / "journal.sqlite")
        _pump(journal, place)
        time.sleep(0.1 if kind == "hasty" else 0)
        verdict = check(journal, read_history(place), rows)
        journal.close()
        return verdict


def _wait_for_work(place: Path, process: Any) -> None:
    """Wait until this writer has done something, or has died by itself."""
    path = place / "history"
    before, end = path.stat().st_size if path.exists() else 0, time.monotonic() + 20
    while time.monotonic() < end and process.is_alive() and (path.stat().st_size if path.exists() else 0) == before:
        time.sleep(0.002)


def check(journal: Journal, told: list[set[int]], rows: int) -> Verdict:
    """Return what is lost and what is doubled in a journal."""
    wanted = {f"{client}-{number}" for client, numbers in enumerate(told) for number in numbers}
    there = Counter[str]()
    read = Counter[str]()
    places = []
    for seq, event in journal.events(0, 10**9):
        places.append(seq)
        if event.source == "http":
            there[event.event_id] += 1
        else:
            read[event.event_id] += 1
    lost = len(wanted - there.keys()) + max(0, rows - len(read))
    doubled = sum(n - 1 for n in there.values()) + sum(n - 1 for n in read.values()) + max(0, len(read) - rows)
    counts = journal.counts()
    whole = counts.whole and counts.accepted == len(places) and places == list(range(1, len(places) + 1))
    return Verdict(len(wanted), lost, doubled, whole)
