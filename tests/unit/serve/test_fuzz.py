"""Whatever is sent, the server answers, keeps count, and goes on (R1)."""

import random
from types import SimpleNamespace

import pytest

from tests.unit.serve import fuzz
from tests.unit.serve.doubles import Bench, played
from whenbuy.ingest.reception import Reception
from whenbuy.serve.limits import Limits


def run(folder, cases, seed, **parts):
    """Send so many events; return what became of them."""
    rng = random.Random(seed)
    bench = Bench(folder, limits=Limits(per_second=1e9, burst=1e9), **parts)
    found = SimpleNamespace(sent=0, valid=0, statuses=set(), wrong=[], bench=bench)

    async def play(client):
        while found.sent < cases:
            raw, content_type, count = fuzz.body(rng, found.sent)
            path = "/v1/events?forecast=true" if rng.random() < 0.3 else "/v1/events"
            answer = await client.post(path, content=raw, headers={"content-type": content_type})
            found.sent += count
            found.statuses.add(answer.status_code)
            told = answer.json()
            if answer.status_code >= 500:
                found.wrong.append((answer.status_code, raw[:200], answer.text[:200]))
            if "events" in told:
                found.valid += told["accepted"] + told["duplicate"]
                if len(told["events"]) != told["accepted"] + told["duplicate"] + told["dead"] + told["late"]:
                    found.wrong.append(("count", raw[:200], answer.text[:200]))
        found.counts = bench.journal.counts()
        found.live = bench.live.seq
        users = [f"u{i}" for i in range(50)]
        found.after = (await client.post("/v1/forecasts", json={"users": users})).status_code

    played(bench, play)
    return found


def require_well(found):
    assert not found.wrong
    assert found.statuses <= {200, 422, 413}
    assert found.valid >= 0.3 * found.sent
    assert found.counts.whole
    assert found.live == found.counts.accepted
    assert found.after == 200


def test_the_server_takes_nonsense(tmp_path):
    require_well(run(tmp_path, 700, 1))


@pytest.mark.nightly
def test_the_server_takes_much_nonsense(tmp_path):
    require_well(run(tmp_path, 20_000, 2))


def test_the_harness_finds_a_reception_that_breaks(tmp_path):  # a planted bug
    class Breaking(Reception):
        def one(self, raw, source, now, place=""):
            if b"Infinity" in raw or b"\x00" in raw:
                raise ValueError("no JSON")
            return super().one(raw, source, now, place)

    with pytest.raises(AssertionError):
        require_well(run(tmp_path, 700, 1, reception=Breaking()))
