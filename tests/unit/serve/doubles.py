"""A shop without a model: what stands in for the live state, and an application around it."""

import asyncio
import threading
from contextlib import contextmanager

import httpx
import msgspec

from whenbuy.core.errors import AccessError
from whenbuy.ingest.reception import Reception
from whenbuy.serve.api import application
from whenbuy.serve.engine import Engine
from whenbuy.serve.keys import KeyFile, Keys
from whenbuy.serve.limits import Limits
from whenbuy.serve.sqlite_journal import SqliteJournal

NOW = 1_793_440_800_000_000
"""A Saturday in 2026, as an instant."""


class Told(msgspec.Struct):
    """A forecast that says what the state knows."""

    user_id: str
    as_of: int
    events: int
    model: str
    degraded: str | None = None


class Counting:
    """A live state that counts the events of each user."""

    answer, when, whole, base, reach_days = Told, Told, Told, 0, 28.0

    def __init__(self, name="first"):
        self.name, self.seq, self.events, self.everything = name, 0, {}, None

    def apply(self, seq, event):
        assert seq == self.seq + 1, "each event once, in its order"
        self.seq = seq
        if event.user is not None:
            self.events[event.user] = self.events.get(event.user, 0) + 1

    def forecasts(self, users, at, *, everything=True):
        self.everything = everything
        return [Told(user, at, self.events.get(user, 0), self.name) for user in users]

    def further(self, said):
        self.everything = "further"
        return said


class Failing(SqliteJournal):
    """A journal whose disk can be full."""

    full = False

    def begin(self, batch):
        return None if self.full else super().begin(batch)

    def take(self, batch, position=None):
        if self.full:
            raise AccessError("The disk is full.", "Room is needed.", "Make room.")
        return super().take(batch, position)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


class Bench:
    """An application in memory, with all its parts at hand."""

    def __init__(self, folder, *, required=False, limits=None, journal=Failing, live=None, reception=None, **more):
        self.folder, self.clock = folder, Clock()
        self.journal = journal(folder / "journal.sqlite")
        self.live = live or Counting()
        self.engine = Engine(self.journal, reception or Reception(), "m1", self.live, None, self.clock)
        self.file = KeyFile(folder / "keys")
        self.keys = Keys(self.file, required)
        self.app = application(self.engine, self.keys, limits or Limits(), **more)

    def key(self, *scopes, expires=None, name="test"):
        return self.file.issue(name, scopes, self.clock.now, expires)


def client(bench, **options):
    transport = httpx.ASGITransport(bench.app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", **options)


def played(bench, play):
    """Run a coroutine function with a client, the engine started before and stopped after."""

    async def whole():
        await bench.engine.start()
        try:
            async with client(bench) as asked:
                return await play(asked)
        finally:
            await bench.engine.stop()
            bench.journal.close()

    return asyncio.run(whole())


@contextmanager
def served(bench):
    """Yield the address of a real server around an application, in a thread."""
    from whenbuy.serve.server import Server, bound

    socket = bound("127.0.0.1", 0)
    server = Server(bench.app, bench.engine, socket, grace_s=2.0)
    thread = threading.Thread(target=server.run)
    thread.start()
    server.started.wait(10)
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
