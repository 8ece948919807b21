"""CPU of the server for what comes over HTTP: one event in and its customer's forecast out, beside the same over FastAPI and pydantic."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import load
from benchmarks.rows import ROOT, Row

ONE = Row(area="live", name="http_us", unit="µs of the server's CPU", better="lower", peer=560, target=190)
RATIO = Row(area="live", name="http_vs_fastapi", unit="×", better="higher", target=3)
BATCH = Row(area="live", name="http_batch_us", unit="µs of the server's CPU", better="lower", peer=23, target=15)
CONNECTIONS = 32
EVENTS = 6_400


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        shop(Path(folder))
        ours = min(cost(folder, "ours", 1) for _ in range(3))
        theirs = min(cost(folder, "fastapi", 1) for _ in range(2))
        batch = min(cost(folder, "ours", 100) for _ in range(3))
    note = f"{CONNECTIONS} connections, one process; every event is on the disk before it is acknowledged"
    yield replace(ONE.got(ours * 1e6, peer_measured=theirs * 1e6, note=note))
    yield RATIO.got(theirs / ours, note="FastAPI with pydantic structures before the same journal and the same live state")
    yield BATCH.got(batch * 1e6, note="100 events a request, per event, forecasts not asked for")


def shop(folder: Path) -> None:
    """Make a simulated shop with a champion, learned in a second: a forecast's own cost is another row."""
    from whenbuy.config import Settings, ShopSettings
    from whenbuy.ingest.simulate import simulate
    from whenbuy.ingest.store import write_log
    from whenbuy.models.when.boosted_curve import DirectHorizons
    from whenbuy.models.when.floors import KaplanMeier
    from whenbuy.pipeline.keeping.registry import Registry
    from whenbuy.pipeline.keeping.shop import Shop
    from whenbuy.pipeline.learning.learn import fit

    def candidates(answer, grid):
        return {"purchase": (DirectHorizons(grid.days),), "orders": (KaplanMeier(grid.days),)}.get(answer, ())

    history = simulate(300, 200, 5).history
    made = Shop.create(folder / "shop", Settings(ShopSettings(currency="EUR")))
    write_log(history, made.log)
    registry = Registry(made.models)
    id = registry.keep(fit(history, candidates=candidates), {}, time.time_ns() // 1000)
    registry.promote(id, "force", time.time_ns() // 1000)


def cost(folder: str, which: str, batch: int) -> float:
    """CPU seconds of a server per event, after it is warm."""
    with served(folder, which) as (port, process):
        path = "/v1/events?forecast=true" if batch == 1 else "/v1/events"
        run = f"{time.time_ns()}"
        connections, events = (CONNECTIONS, EVENTS) if batch == 1 else (4, 8 * EVENTS)
        apart = load.PLACES // connections // batch + 1  # connections begin so far apart: they share neither customers nor pairs for long

        def requests(start: int, count: int):
            return lambda number: (
                load.request(load.body(start + apart * number + i, batch, f"{run}-{number}-{start}"), path, "")
                for i in range(count // connections // batch)
            )

        load.send(port, connections, requests(apart // 2, events // 4))
        before = spent(process)
        found = load.send(port, connections, requests(0, events))
        took = spent(process) - before
        assert {status for status, _ in found} == {200}
        assert kept(folder, which) == len(found) * batch + events // 4, "some were taken for double clicks"
        return took / (len(found) * batch)


def kept(folder: str, which: str) -> int:
    """How many events the last server of a kind accepted."""
    journal = max(Path(folder).glob(f"{which}-*.sqlite"))
    with closing(sqlite3.connect(journal)) as link:
        return link.execute("SELECT seq FROM facts").fetchone()[0]


def spent(process: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(folder: str, which: str) -> Iterator[tuple[int, int]]:
    """Yield port and number of the process of a server."""
    command = [sys.executable, "-m", "benchmarks.speed.http", which, folder]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process.pid
        finally:
            process.terminate()
            process.wait(30)


def serve(which: str, folder: str) -> None:
    """Serve the shop; print the port."""
    from whenbuy.ingest.reception import Reception
    from whenbuy.ingest.store import open_log
    from whenbuy.pipeline.keeping.shop import Shop
    from whenbuy.serve.api import application
    from whenbuy.serve.engine import Engine
    from whenbuy.serve.entrance import CleanEntrance, rules_of
    from whenbuy.serve.keys import KeyFile, Keys
    from whenbuy.serve.limits import Limits
    from whenbuy.serve.readying import readied
    from whenbuy.serve.running import settle
    from whenbuy.serve.server import Server, bound
    from whenbuy.serve.sqlite_journal import SqliteJournal

    made = Shop(Path(folder, "shop"))
    entrance = CleanEntrance(rules_of(made).entry, open_log(made.log))
    journal = SqliteJournal(Path(folder, f"{which}-{time.time_ns()}.sqlite"), entrance=entrance)

    def now() -> int:
        return time.time_ns() // 1000

    first = readied(made, journal, None, now)
    settle()
    engine = Engine(journal, Reception(), first.model, first.live, first.known_at, now)
    if which == "ours":
        limits = Limits(per_second=1e9, burst=1e9, most_lag_s=60)
        app = application(engine, Keys(KeyFile(Path(folder, "keys")), False), limits)
    else:
        app = fastapi(engine)
    listening = bound("127.0.0.1", 0)
    port = listening.getsockname()[1]
    Server(app, engine, listening, begun=lambda: print(port, flush=True)).run()


def fastapi(engine):
    """The same service as one would write it with FastAPI and pydantic."""
    from datetime import datetime

    from fastapi import FastAPI
    from pydantic import BaseModel, ConfigDict

    class Event(BaseModel):
        model_config = ConfigDict(extra="allow")
        event_id: str
        user_id: str
        kind: str
        time: datetime
        item_id: str | None = None
        category: str | None = None
        unit_price: float | None = None
        channel: str | None = None

    answers = engine.live.when
    Forecast = __import__("pydantic").create_model("Forecast", **{n: (t, ...) for n, t in answers.__annotations__.items()})

    class Sent(BaseModel):
        status: str
        seq: int | None
        reason: str | None

    class Taken(BaseModel):
        events: list[Sent]
        model_id: str
        data_age_s: float | None
        degraded: str | None
        forecasts: list[Forecast]  # type: ignore[valid-type]

    app = FastAPI()

    @app.post("/v1/events", response_model=Taken)
    async def events(event: Event, forecast: bool = False):
        row = engine.reception.row(event.model_dump(), "http", engine.now())
        receipt = await engine.take([row])
        found = engine.forecasts([event.user_id], engine.moment(), False) if forecast else []
        standing = engine.standing(engine.now())
        return {
            "events": [
                {"status": receipt.statuses[0], "seq": receipt.accepted[0], "reason": receipt.reasons[0] or None},
            ],
            "model_id": standing.model, "data_age_s": standing.data_age_s, "degraded": standing.degraded,
            "forecasts": [{name: getattr(each, name) for name in answers.__struct_fields__} for each in found],
        }  # fmt: skip

    return app


if __name__ == "__main__":
    serve(*sys.argv[1:])
