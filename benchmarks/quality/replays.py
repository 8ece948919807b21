"""Histories of a journal: events, repetitions, late ones, garbage, crashes, replays and compactions in any order.

Whatever happened, the log in the end is the log that one import of the accepted events, in their order, makes; and the counts add up.
"""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from benchmarks.quality.kills import kept
from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.store import append, open_log, write_log
from whenbuy.serve import compaction
from whenbuy.serve.compaction import compact, lines_of
from whenbuy.serve.sqlite_journal import SqliteJournal

START = 1_600_000_000_000_000
LATENESS_DAYS = 2.0


class Crash(BaseException):
    """The process ends here."""


class FragileJournal(SqliteJournal):
    """A journal whose process may end right before or right after its next commit."""

    crash: str = ""

    def _transaction(self, work: Callable[[], Any]) -> Any:
        crash, self.crash = self.crash, ""

        def doomed() -> Any:
            result = work()
            if crash == "before":
                raise Crash
            return result

        result = super()._transaction(doomed)
        if crash == "after":
            raise Crash
        return result


class TwiceJournal(FragileJournal):
    """Planted bug: after each start it has forgotten how far the log reaches, and its keys."""

    def _known(self, wanted: Any) -> set[Any]:
        return set() if not self._sources else super()._known(wanted)

    def _prepare(self) -> None:
        super()._prepare()
        self._writer.executescript("DROP INDEX IF EXISTS events_key; DROP INDEX IF EXISTS aside_key;")


class SoftJournal(FragileJournal):
    """Planted bug: a replay forgets what is still refused."""

    def replay(self, ids: Any, reception: Reception, now: int) -> Any:
        receipt = super().replay(ids, reception, now)
        self._writer.execute("DELETE FROM aside")
        return receipt


class SilentJournal(FragileJournal):
    """Planted bug: what is no event leaves no trace."""

    def take(self, batch: Any, position: Any = None) -> Any:
        return super().take([row for row in batch if isinstance(row, Event)], position)


class GenerousJournal(FragileJournal):
    """Planted bug: a late event is set aside, and counted as new beside."""

    def _write(self, found: Any, numbers: Any = ()) -> None:
        late = sum(row.status == "late" for row in found.aside)
        super()._write(replace(found, state=replace(found.state, sent=found.state.sent + late)), numbers)


JOURNALS: dict[str, type[FragileJournal]] = {
    "right": FragileJournal, "twice": TwiceJournal, "soft": SoftJournal, "silent": SilentJournal, "generous": GenerousJournal,
}  # fmt: skip


@cache
def shop() -> History:
    """Return the small log that a history begins with."""
    rows = [{"user_id": f"u{i % 5}", "time": START // 10**6 + i * 3600, "kind": "view"} for i in range(10)]
    return read(pl.DataFrame(rows), now=START + DAY).history


@dataclass
class Machine:
    """A journal and its log beside a plain list of what must be in them.

    Parameters
    ----------
    folder
        Where they lie.
    kind
        Which journal.
    """

    folder: Path
    kind: str = "right"
    now: int = START + DAY
    next: int = 0
    sent: int = 0
    accepted: list[Event] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    late: dict[str, Event] = field(default_factory=dict)
    dead: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begun = shop()
        write_log(self.begun, self.folder / "log")
        self.open()

    def open(self) -> None:
        """Start anew, as after a crash."""
        self.journal = JOURNALS[self.kind](self.folder / "journal.sqlite", LATENESS_DAYS)

    def events(self, sizes: int, rng: random.Random) -> list[Event | Refused]:
        """Return new events, repetitions, late events and garbage."""
        rows: list[Event | Refused] = []
        for _ in range(sizes):
            what = rng.random()
            if what < 0.15 and self.accepted:
                rows.append(rng.choice(self.accepted))
            elif what < 0.3:
                good = b'{"event_id": "g%d", "user_id": "u1", "kind": "view", "time": %d}' % (self.next, self.now // 10**6)
                rows.append(Refused("http", rng.choice([b"\xff%d" % self.next, good]), "It is not understood.", self.now))
            else:
                time = self.now - int(rng.choice([0, 0, 0.5, 1.9, 2.5, 30]) * DAY)
                values: dict[str, Any] = {"item_id": f"i{rng.randrange(4)}", "amount": rng.randrange(500) / 100}
                kind = rng.choice(["view", "purchase", "own kind"])
                rows.append(Event("http", f"e{self.next}", f"u{rng.randrange(8)}", kind, time, self.now, values))
            self.next += 1
        return rows

    def take(self, rows: list[Event | Refused], crash: str = "") -> None:
        """Send a batch; after a crash start anew and, as a client does, send it again."""
        self.journal.crash = crash
        try:
            self.journal.take(rows) if crash else kept(self.journal, rows)
        except Crash:
            if crash == "after":  # it was kept, and nobody was told
                self._expect(rows)
            self.open()
            self.journal.take(rows)
        self._expect(rows)

    def compact(self, crash: str = "") -> None:
        """Compact; a crash falls before or after the log's one step, or before the journal is told."""
        real = compaction.append

        def doomed(*arguments: Any) -> Any:
            if crash == "before":
                raise Crash
            result = real(*arguments)
            if crash == "after":
                raise Crash
            return result

        compaction.append = doomed  # type: ignore[assignment]
        try:
            compact(self.journal, self.folder / "log", part=15)
        except Crash:
            self.open()
        finally:
            compaction.append = real

    def replay(self, lateness_days: float) -> None:
        """Receive everything again that was set aside."""
        found = self.journal.dead(0, 10**6)
        self.journal.replay([row.id for row in found], Reception(lateness_days=lateness_days), self.now)
        reception = Reception(lateness_days=lateness_days)
        sent, late = self.sent, dict(self.late)
        dead, self.dead = list(self.dead), []
        order: list[Event | Refused] = []
        for row in found:
            if row.status == "dead":
                order.append(reception.one(row.raw, row.source, self.now, f"dead letter {row.id}"))
            else:
                event = late[msgspec.json.decode(row.raw)["event_id"]]
                order.append(Event(event.source, event.event_id, event.user, event.kind, event.time, self.now, event.values))
        for event in late.values():
            self.keys.discard(event.event_id)
        self.late = {}
        self._expect(order, lateness_days)
        self.sent = sent
        assert len(found) == len(dead) + len(late), (len(found), len(dead), len(late))

    def _expect(self, rows: list[Event | Refused], lateness_days: float = LATENESS_DAYS) -> None:
        self.sent += len(rows)
        for row in rows:
            if isinstance(row, Refused):
                self.dead.append(row.raw)
            elif row.event_id not in self.keys:
                self.keys.add(row.event_id)
                if self.now - row.time > lateness_days * DAY:
                    self.late[row.event_id] = row
                else:
                    self.accepted.append(row)

    def check(self) -> bool:
        """Return whether the journal and, after a compaction, the log are what they must be."""
        there = [event for _, event in self.journal.events(0, 10**6)]
        counts = self.journal.counts()
        if there != self.accepted or not counts.whole or counts.sent != self.sent:
            return False
        if sorted(row.raw for row in self.journal.dead(0, 10**6) if row.status == "dead") != sorted(self.dead):
            return False
        self.compact()
        write_log(self.begun, self.folder / "straight")
        if self.accepted:
            lines, _ = lines_of(self.accepted, self.begun.log)
            append(self.folder / "straight", lines, self.accepted[-1].known_at + 1)
        ours, theirs = (open_log(self.folder / name).log for name in ("log", "straight"))
        return ours.frame().equals(theirs.frame()) and ours.end == theirs.end


def breaks(histories: int, steps: int, kind: str = "right", seed: int = 0) -> int:
    """Return how many random histories end with another log, or other counts, than they must."""
    broken = 0
    for i in range(histories):
        rng = random.Random(seed * 1_000 + i)
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(Path(folder), kind)
            try:
                for _ in range(steps):
                    step(machine, rng)
                broken += not machine.check()
            except (AssertionError, KeyError):  # what was set aside is not what must be
                broken += 1
            machine.journal.close()
    return broken


def step(machine: Machine, rng: random.Random) -> None:
    """Do one thing at random."""
    machine.now += rng.randrange(1, 3 * 3_600_000_000)
    what, crash = rng.random(), rng.choice(["", "", "before", "after"])
    if what < 0.75:
        machine.take(machine.events(rng.randrange(1, 9), rng), crash)
    elif what < 0.9:
        machine.compact(crash)
    else:
        machine.replay(rng.choice([LATENESS_DAYS, 10.0]))
