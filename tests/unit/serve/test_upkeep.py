"""A promoted model is taken up without a restart, a step back too; a bad one is refused, and the one before answers on (R12)."""

import asyncio
import io
import json

from tests.unit.serve.doubles import NOW, Bench, Counting, played
from whenbuy.core.errors import BusyError, DamagedError
from whenbuy.pipeline.keeping.registry import POINTER
from whenbuy.serve.logs import Log
from whenbuy.serve.upkeep import Keeping, ModelWatch, Ready


class Registry:
    """A registry whose champion a test names."""

    def __init__(self, folder):
        self.folder, self.named = folder, "m1"
        self.name("m1")

    def name(self, id):
        self.named = id
        (self.folder / POINTER).write_text(id)

    def champion(self):
        if self.named == "damaged":
            raise DamagedError("It is not what was written.")
        return self.named


def watched(bench, folder, tell=None):
    registry, told = Registry(folder), []

    def ready(id):
        if id == "bad":
            raise DamagedError("A byte is wrong.")
        if id == "broken":
            raise ZeroDivisionError
        return Ready(id, Counting(id), NOW)

    async def noted(event, facts):
        told.append((event, facts["model"]))

    return registry, ModelWatch(bench.engine, registry, ready, Log(io.StringIO(), lambda: NOW), noted, every_s=0.01), told


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_champion_is_taken_up_while_events_come_and_back_again(tmp_path):
    bench = Bench(tmp_path)
    registry, watch, told = watched(bench, tmp_path)

    async def play(client):
        running = asyncio.ensure_future(watch.run())
        await asyncio.sleep(0.03)
        for i, id in enumerate(("m2", "m1", "m3"), 1):
            await client.post("/v1/events", json={"event_id": i, "user_id": "u", "kind": "view", "time": "2026-10-31T09:00:00Z"})
            registry.name(id)
            await until(lambda: bench.engine.model == id)  # noqa: B023
            answer = (await client.get("/v1/forecasts/u")).json()
            assert (answer["model_id"], answer["forecast"]["events"], answer["degraded"]) == (id, i, None)
        await until(lambda: len(told) == 3)  # it is told after the answer has changed
        assert told == [("model.changed", id) for id in ("m2", "m1", "m3")]
        running.cancel()

    played(bench, play)


def test_a_bad_model_is_refused_and_the_one_before_answers_on(tmp_path):
    bench = Bench(tmp_path)
    registry, watch, told = watched(bench, tmp_path)

    async def play(client):
        running = asyncio.ensure_future(watch.run())
        await asyncio.sleep(0.03)
        for bad in ("bad", "broken", "damaged"):
            told.clear()
            registry.name(bad)
            await until(lambda: told)
            answer = (await client.get("/v1/forecasts/u")).json()
            assert answer["model_id"] == "m1"
            assert "refused" in answer["degraded"]
        registry.name("m2")
        await until(lambda: bench.engine.model == "m2")
        assert (await client.get("/v1/forecasts/u")).json()["degraded"] is None
        running.cancel()

    played(bench, play)


def test_what_fails_now_and_then_is_said_and_tried_again():
    written, calls = io.StringIO(), []

    async def work():
        calls.append(1)
        if len(calls) == 1:
            raise BusyError("Another process is writing.")
        return {"added": 3}

    async def play():
        running = asyncio.ensure_future(Keeping("compacted", work, 0.01, Log(written, lambda: NOW)).run())
        await until(lambda: len(calls) > 1)
        running.cancel()

    asyncio.run(play())
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["what"] for line in lines[:2]] == ["compacted failed", "compacted"]
    assert lines[1]["added"] == 3
