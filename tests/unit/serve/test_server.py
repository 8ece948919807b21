"""The running server: a real socket, real connections, an end with everything kept, and load beyond what it can."""

import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.unit.serve.doubles import Bench, served
from whenbuy.core.errors import AccessError, UsageError
from whenbuy.serve.limits import Limits
from whenbuy.serve.server import bound, is_own

AT = "2026-10-31T09:00:00Z"


OWN = {"127.0.0.1": True, "127.3.2.1": True, "::1": True, "localhost": True}
OTHERS = {"0.0.0.0": False, "::": False, "10.0.0.1": False, "shop.example": False}


@pytest.mark.parametrize(("host", "own"), [*OWN.items(), *OTHERS.items()])
def test_only_this_machines_own_address_is_its_own(host, own):
    assert is_own(host) == own


def test_an_address_that_cannot_be_used_is_named():
    taken = bound("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(AccessError, match="port"):
        bound("127.0.0.1", taken.getsockname()[1])
    taken.close()
    with pytest.raises(UsageError):
        bound("no such host.invalid", 1)


def test_events_in_and_forecasts_out(tmp_path):
    bench = Bench(tmp_path)
    with served(bench) as url, httpx.Client(base_url=url) as client:
        answer = client.post("/v1/events?forecast=true", json={"event_id": 1, "user_id": "a/b", "kind": "view", "time": AT})
        assert answer.json()["forecasts"][0]["events"] == 1
        assert client.get("/v1/forecasts/a%2Fb").json()["forecast"]["events"] == 1
        assert client.get("/v1/health/ready").json()["ready"]
        assert "server" not in answer.headers
    bench.journal.close()


def test_a_body_that_comes_slowly_holds_nobody_up(tmp_path):
    bench = Bench(tmp_path, limits=Limits(body_s=0.3))
    with served(bench) as url:
        port = int(url.rpartition(":")[2])
        slow = socket.create_connection(("127.0.0.1", port))
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert httpx.get(f"{url}/v1/health/live").status_code == 200
        slow.settimeout(5)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        slow.close()
    bench.journal.close()


def test_the_end_finishes_what_is_in_hand(tmp_path):
    class Slow(Bench):
        pass

    bench = Slow(tmp_path)
    real = bench.journal.take
    begun = threading.Event()
    bench.journal.begin = lambda batch: None
    bench.journal.take = lambda batch, position=None: (begun.set(), time.sleep(0.3), real(batch, position))[2]
    found = []
    with served(bench) as url:
        sending = threading.Thread(
            target=lambda: found.append(httpx.post(f"{url}/v1/events", json={"event_id": 1, "user_id": "u", "kind": "view", "time": AT}))
        )
        sending.start()
        assert begun.wait(30)
    sending.join(10)
    assert found[0].json()["accepted"] == 1
    assert bench.live.seq == 1
    bench.journal.close()


def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def overload(url, connections, seconds):
    """Ask as fast as the other side answers, on many connections; return (status, seconds, has Retry-After) of each."""
    port, end, found = int(url.rpartition(":")[2]), time.monotonic() + seconds, []

    def one(number):
        client, mine = socket.create_connection(("127.0.0.1", port)), []
        read = client.makefile("rb")
        for i in range(10**9):
            if time.monotonic() > end:
                break
            body = json.dumps(
                [{"event_id": f"{number}-{i}-{j}", "user_id": f"u{j}", "kind": "view", "time": AT} for j in range(20)]
            ).encode()
            begun = time.perf_counter()
            client.sendall(b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            status = int(read.readline().split()[1])
            took = time.perf_counter() - begun
            headers = dict(line.rstrip().lower().split(b": ", 1) for line in iter(read.readline, b"\r\n"))
            read.read(int(headers[b"content-length"]))
            mine.append((status, took, b"retry-after" in headers))
            if status != 200:
                time.sleep(0.005)
        client.close()
        found.extend(mine)

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(one, range(connections)))
    return found


def test_load_beyond_what_it_can_is_refused_and_all_is_well_after(tmp_path):  # R6; the minute of it runs at night, apart
    bench = Bench(tmp_path, limits=Limits(most_waiting=8, per_second=1e9, most_lag_s=60, burst=1e9))
    with served(bench) as url:
        overload(url, 2, 0.2)
        before = rss()
        found = overload(url, 24, 1.5)
        statuses = {status for status, _, _ in found}
        assert statuses == {200, 503}
        assert all(told for status, _, told in found if status == 503)
        assert rss() - before < 64 << 20
        calm = [httpx.get(f"{url}/v1/forecasts/u1").status_code for _ in range(5)]
        assert calm == [200] * 5
        counts = bench.journal.counts()
        accepted = sum(20 for status, _, _ in found if status == 200)
        assert counts.whole
        assert counts.accepted >= accepted  # the 0.2 s before are in it as well
    bench.journal.close()
