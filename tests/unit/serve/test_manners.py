"""Every address answers every method, with the reason; what is too much is refused before anything is made of it."""

import json
import socket
from contextlib import contextmanager

import httpx
import pytest

from tests.unit.serve.doubles import Bench, played, served
from whenbuy.serve.limits import Limits

PATHS = (
    "/v1/events",
    "/v1/forecasts",
    "/v1/forecasts/u1",
    "/v1/model",
    "/v1/health/live",
    "/v1/health/ready",
    "/metrics",
    "/v1/openapi.json",
)
EVENT = {"event_id": 1, "user_id": "u", "kind": "view", "time": "2026-10-31T09:00:00Z"}


def test_every_address_answers_every_method_with_the_reason(tmp_path):
    bench = Bench(tmp_path)

    async def play(asked):
        for path in PATHS:
            may = (await asked.options(path)).headers["allow"].split(", ")
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY"):
                answer = await asked.request(method, path, content=json.dumps(EVENT) if method == "POST" else None)
                assert "x-request-id" in answer.headers
                if method not in may:
                    assert answer.status_code == 405, (method, path)
                    assert answer.headers["allow"].split(", ") == may
                    assert {"got", "need", "do"} <= answer.json().keys() if method != "HEAD" else True
                else:
                    assert answer.status_code in (200, 422), (method, path, answer.text)
        answer = await asked.request("OPTIONS", "/v1/events", headers={"origin": "http://127.0.0.1"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await asked.options("/v1/nothing")).status_code == 404

    played(bench, play)


def test_head_is_get_without_a_body(tmp_path):
    bench = Bench(tmp_path)
    with served(bench) as url, httpx.Client(base_url=url) as asked:
        for path in ("/v1/forecasts/u1", "/v1/health/live", "/v1/model"):
            head, got = asked.head(path), asked.get(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
    bench.journal.close()


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON", 200), ("application/x-ndjson", 200),
        ("text/plain;charset=UTF-8", 200), ("application/x-www-form-urlencoded", 200), ("application/vnd.shop+json", 200), ("", 200),
        ("text/csv", 415), ("application/xml", 415), ("multipart/form-data; boundary=x", 415), ("application/octet-stream", 415),
        ("application/json; charset=utf-16", 415),
    ],
)  # fmt: skip
def test_a_body_that_says_it_is_no_json_is_refused_with_the_reason(tmp_path, content_type, status):
    bench = Bench(tmp_path)

    async def play(asked):
        answer = await asked.post("/v1/events", content=json.dumps(EVENT), headers={"content-type": content_type})
        assert answer.status_code == status
        assert status == 200 or "JSON" in answer.json()["need"]
        assert bench.journal.counts().sent == (status == 200)

    played(bench, play)


# ------------------------------------------------------------------------------------------------ what is too much


class Wire:
    """One connection on which raw bytes are sent."""

    def __init__(self, url):
        self.link = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)
        self.read = self.link.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.read.close()
        self.link.close()

    def send(self, data):
        self.link.sendall(data)

    def answer(self):
        status = int(self.read.readline().split()[1])
        headers = dict(line.rstrip().lower().split(b": ", 1) for line in iter(self.read.readline, b"\r\n"))
        return status, headers, self.read.read(int(headers[b"content-length"]))


def request(path, body=b"", method="POST", more=""):
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@contextmanager
def full(tmp_path):
    """A server that has all the work in hand that it takes."""
    bench = Bench(tmp_path, limits=Limits(per_second=1e9, burst=1e9))
    with served(bench) as url:
        bench.app.gate.inside = 1e9
        yield bench, url
    bench.journal.close()


def test_what_is_too_much_is_refused_before_its_body_is_there(tmp_path):
    with full(tmp_path) as (bench, url), Wire(url) as wire:
        whole = request("/v1/events", json.dumps(EVENT).encode())
        head, body = whole.split(b"\r\n\r\n")
        wire.send(head + b"\r\n\r\n")
        status, headers, told = wire.answer()
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert json.loads(told)["request"].encode() == headers[b"x-request-id"]
        wire.send(body)  # it is thrown away, and the connection goes on
        wire.send(request("/v1/health/ready", method="GET"))
        assert wire.answer()[0] == 200
        bench.app.gate.inside = 0.0
        wire.send(whole)
        assert wire.answer()[0] == 200
        assert bench.journal.counts().sent == 1


def test_who_looks_after_the_server_is_let_in_however_much_there_is(tmp_path):
    with full(tmp_path) as (_, url), httpx.Client(base_url=url) as asked:
        for path in ("/v1/health/live", "/v1/health/ready", "/metrics", "/v1/model", "/v1/openapi.json"):
            assert asked.get(path).status_code == 200
        for path in ("/v1/forecasts/u", "/v1/events"):
            assert asked.get(path).status_code == 503
        text = asked.get("/metrics").text
        assert 'whenbuy_refused_total{reason="load"} 2' in text
        assert "whenbuy_work_limit " in text


def test_requests_that_come_at_once_on_one_connection_are_answered_in_their_order(tmp_path):
    with full(tmp_path) as (bench, url), Wire(url) as wire:
        bench.app.gate.inside = 0.0
        body = json.dumps(EVENT).encode()
        wire.send(b"".join(request("/v1/events", body) + request("/v1/health/live", method="GET") for _ in range(5)))
        assert [wire.answer()[0] for _ in range(10)] == [200] * 10
        bench.app.gate.inside = 1e9
        wire.send(b"".join(request("/v1/events", body) + request("/v1/health/live", method="GET") for _ in range(5)))
        assert [wire.answer()[0] for _ in range(10)] == [503, 200] * 5
        assert bench.journal.counts().sent == 5


def test_a_connection_that_is_to_close_closes(tmp_path):
    with full(tmp_path) as (_, url), Wire(url) as wire:
        wire.send(request("/v1/events", b"{}", more="Connection: close\r\n"))
        assert wire.answer()[0] == 503
        assert wire.read.read() == b""


def test_a_request_that_waits_to_send_its_body_is_refused_without_it(tmp_path):
    with full(tmp_path) as (_, url), Wire(url) as wire:
        wire.send(b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
        assert wire.answer()[0] == 503
