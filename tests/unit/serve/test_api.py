"""The application: what is sent is understood or refused with the reason, and each answer says what it stands on."""

import asyncio
import io
import json
import re

import pytest

from tests.unit.serve.doubles import NOW, Bench, Counting, played
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.ingest.reception import Reception
from whenbuy.serve.limits import Limits
from whenbuy.serve.logs import MOST_A_SECOND, Log
from whenbuy.serve.metrics import Metrics

AT = "2026-10-31T09:00:00Z"
EVENT = {"event_id": "e1", "user_id": "u1", "kind": "view", "time": AT}


def kept(bench):
    return [event for _, event in bench.journal.events()]


@pytest.mark.parametrize(
    ("body", "content_type", "count"),
    [
        (json.dumps(EVENT), "application/json", 1),
        (json.dumps(EVENT, indent=2), "application/json", 1),  # one object on many lines
        (json.dumps([EVENT, {**EVENT, "event_id": "e2"}], indent=2), "application/json", 2),
        ("\n".join(json.dumps({**EVENT, "event_id": i}) for i in range(3)), "application/x-ndjson", 3),
        ("\n\n".join(json.dumps({**EVENT, "event_id": i}) for i in range(3)) + "\n", "", 3),
        (json.dumps(EVENT), "application/x-ndjson; charset=utf-8", 1),
        ("  " + json.dumps([EVENT]), "text/plain", 1),
    ],
)
def test_events_come_in_three_forms(tmp_path, body, content_type, count):
    bench = Bench(tmp_path)

    async def play(client):
        answer = await client.post("/v1/events", content=body.encode(), headers={"content-type": content_type} if content_type else {})
        assert (answer.status_code, answer.json()["accepted"]) == (200, count), answer.text
        assert [each["seq"] for each in answer.json()["events"]] == list(range(1, count + 1))
        assert len(kept(bench)) == count

    played(bench, play)


def test_what_is_sent_is_understood_by_the_shops_own_words(tmp_path):
    words = Reception({"user_id": "kunde", "time": "wann", "kind": "was"}, {"gekauft": "purchase"}, Clock("Europe/Berlin"))
    bench = Bench(tmp_path, reception=words)
    sent = [
        {"kunde": 17850, "wann": "2026-10-31 10:00:00", "was": "gekauft", "amount": "12.50", "quantity": "2"},
        {"kunde": "17850", "wann": 1_793_437_200, "was": "gekauft", "amount": 1},
        {"kunde": 17850.0, "wann": 1_793_437_200_000, "was": "view"},
    ]

    async def play(client):
        answer = await client.post("/v1/events?forecast=true", json=sent)
        assert answer.json()["accepted"] == 3, answer.text
        events = kept(bench)
        assert {event.user for event in events} == {"17850"}
        assert [event.kind for event in events] == ["purchase", "purchase", "view"]
        assert [event.time // 1_000_000 for event in events] == [1_793_437_200] * 3  # ten o'clock in Berlin
        assert events[0].values["amount"] == 12.5
        found = (await client.post("/v1/forecasts", json={"users": ["17850", 17850, 17850.0, " 17850 "]})).json()["forecasts"]
        assert [each["events"] for each in found] == [3, 3, 3, 3]

    played(bench, play)


def test_an_event_is_answered_with_when_and_a_question_with_everything_unless_it_says_so(tmp_path):
    live = Counting()
    bench = Bench(tmp_path, live=live)

    async def play(client):
        for said, wanted in (("", False), ("&answers=usual", True), ("&answers=when", False), ("&answers=all", "further")):
            answer = await client.post(f"/v1/events?forecast=true{said}", json={**EVENT, "event_id": said})
            assert (answer.status_code, live.everything) == (200, wanted), answer.text
        for said, wanted in (("", True), ("?answers=when", False), ("?answers=all", "further")):
            assert (await client.get(f"/v1/forecasts/anna{said}")).status_code == 200
            assert live.everything is wanted
        for more, wanted in (({}, True), ({"answers": "when"}, False), ({"answers": "all"}, "further")):
            assert (await client.post("/v1/forecasts", json={"users": ["anna"], **more})).status_code == 200
            assert live.everything is wanted
        assert (await client.get("/v1/forecasts/anna?answers=some")).status_code == 422

    played(bench, play)


def test_each_row_is_told_what_became_of_it(tmp_path):
    bench = Bench(tmp_path)
    old = {**EVENT, "event_id": "old", "time": "2020-01-01T00:00:00Z"}

    async def play(client):
        first = await client.post("/v1/events", json=[EVENT, EVENT, {"user_id": "u2"}, old])
        told = first.json()
        assert [each["status"] for each in told["events"]] == ["accepted", "duplicate", "dead", "late"]
        assert all("reason" in each for each in told["events"][1:])
        assert (told["accepted"], told["duplicate"], told["dead"], told["late"]) == (1, 1, 1, 1)
        assert bench.journal.counts().whole
        alone = await client.post("/v1/events", json={"user_id": "u2"})
        assert (alone.status_code, alone.json()["dead"]) == (422, 1)  # it is kept all the same
        assert (await client.post("/v1/events", json=[EVENT])).status_code == 200  # sent again: well

    played(bench, play)


def test_a_forecast_knows_the_event_that_it_came_with(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        for i in range(1, 6):
            answer = await client.post("/v1/events?forecast=1", json={**EVENT, "event_id": i})
            assert [each["events"] for each in answer.json()["forecasts"]] == [i]
            assert (await client.get("/v1/forecasts/u1")).json()["forecast"]["events"] == i
        assert "forecasts" not in (await client.post("/v1/events", json={**EVENT, "event_id": 9})).json()

    played(bench, play)


def test_an_answer_from_data_older_than_it_looks_ahead_says_so(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        await client.post("/v1/events", json=EVENT)
        said = []
        for late in (0, 1):
            bench.clock.now = NOW + 28 * DAY + late
            said.append([(await client.get(path)).json()["degraded"] for path in ("/v1/forecasts/u1", "/v1/model", "/v1/health/ready")])
            assert ("whenbuy_degraded 1" in (await client.get("/metrics")).text) == bool(late)
        assert said[0] == [None] * 3
        assert "for 28 days, and forecasts look 28 days ahead" in said[1][0]
        assert said[1] == [said[1][0]] * 3
        again = await client.post("/v1/events", json=EVENT | {"event_id": "another", "time": "2026-11-28T10:00:00Z"})
        assert (again.json()["accepted"], again.json()["degraded"]) == (1, None)

    played(bench, play)


def test_each_answer_names_the_model_and_the_age_of_its_data(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        before = (await client.get("/v1/model")).json()
        assert (before["model_id"], before["data_age_s"]) == ("m1", None)
        await client.post("/v1/events", json=EVENT)
        bench.clock.now = NOW + 90_000_000
        for method, path, body in (
            ("GET", "/v1/forecasts/u1", None),
            ("POST", "/v1/forecasts", {"users": ["u1"]}),
            ("GET", "/v1/model", None),
        ):
            told = (await client.request(method, path, json=body)).json()
            assert (told["model_id"], told["data_age_s"], told["degraded"]) == ("m1", 90.0, None)
        await bench.engine.take_up("m2", Counting("second"), NOW)
        assert (await client.get("/v1/forecasts/u1")).json()["model_id"] == "m2"

    played(bench, play)


def test_a_disk_that_is_full_acknowledges_nothing_and_forecasts_go_on(tmp_path):  # R9
    bench = Bench(tmp_path)

    async def play(client):
        await client.post("/v1/events", json=EVENT)
        bench.journal.full = True
        answer = await client.post("/v1/events", json={**EVENT, "event_id": "e2"})
        assert (answer.status_code, int(answer.headers["retry-after"])) == (503, 1)
        told = (await client.get("/v1/forecasts/u1")).json()
        assert "cannot be kept" in told["degraded"]
        assert told["forecast"]["events"] == 1
        assert (await client.get("/v1/health/ready")).json()["degraded"]
        bench.journal.full = False
        assert (await client.post("/v1/events", json={**EVENT, "event_id": "e2"})).json()["accepted"] == 1
        told = (await client.get("/v1/forecasts/u1")).json()
        assert (told["degraded"], told["forecast"]["events"]) == (None, 2)

    played(bench, play)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v1/events", b"", 422, "empty"),
        ("POST", "/v1/events", b" \n", 422, "empty"),
        ("POST", "/v1/events", b"[]", 422, "no event"),
        ("POST", "/v1/events", json.dumps([1] * 1001).encode(), 422, "1,001"),
        ("POST", "/v1/events?forecast=perhaps", b"{}", 422, "perhaps"),
        ("POST", "/v1/events?source=a/b", b"{}", 422, "source"),
        ("POST", "/v1/events?x=1", b"{}", 422, "'x'"),
        ("POST", "/v1/events?forecast=1&forecast=0", b"{}", 422, "twice"),
        ("POST", "/v1/events?%ff", b"{}", 422, "behind ?"),
        ("POST", "/v1/forecasts", b"{", 422, "body"),
        ("POST", "/v1/forecasts", b'{"users": "u1"}', 422, "users"),
        ("POST", "/v1/forecasts", b'{"users": [null]}', 422, "users"),
        ("POST", "/v1/forecasts", b'{"users": [""]}', 422, "empty"),
        ("POST", "/v1/forecasts", b'{"users": ["a"], "when": 1}', 422, "when"),
        ("POST", "/v1/forecasts", b'{"users": ["a\\u0000"]}', 422, "control"),
        ("POST", "/v1/forecasts", json.dumps({"users": ["u"] * 1001}).encode(), 422, "1,001"),
        ("GET", "/v1/forecasts/%ff", None, 422, "UTF-8"),
        ("GET", "/v1/forecasts/", None, 422, "empty"),
        ("GET", "/v1/forecasts/u?at=soon", None, 422, "soon"),
        ("GET", "/v1/forecasts/u?at=9999-01-01", None, 422, "2200"),
        ("GET", "/v1/forecasts/a/b", None, 404, "address"),
        ("GET", "/v1/nothing", None, 404, "address"),
        ("GET", "/", None, 404, "address"),
        ("PUT", "/v1/events", b"{}", 405, "POST"),
        ("GET", "/docs", None, 404, "address"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(tmp_path, method, path, body, status, said):
    bench = Bench(tmp_path)

    async def play(client):
        answer = await client.request(method, path, content=body)
        assert answer.status_code == status, answer.text
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status
        assert said in problem["title"]
        assert problem["request"] == answer.headers["x-request-id"]
        assert all(problem[part] for part in ("got", "need", "do"))
        assert bench.journal.counts().sent == 0

    played(bench, play)


def test_the_past_cannot_be_asked_of_a_live_state(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        await client.post("/v1/events", json=EVENT)
        assert (await client.get("/v1/forecasts/u1?at=2026-10-01")).status_code == 422
        later = await client.get("/v1/forecasts/u1?at=2026-12-01T00:00:00Z")
        assert later.json()["forecast"]["as_of"] == 1_796_083_200_000_000
        assert (await client.post("/v1/forecasts", json={"users": ["u1"], "at": 1_796_083_200})).json()["forecasts"][0][
            "as_of"
        ] == 1_796_083_200_000_000

    played(bench, play)


def test_ids_of_all_kinds_come_through_the_address(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        for user in ("a/b", "ü", "a b", "a%2Fb", "..", "a?b#c", "100%"):
            from urllib.parse import quote

            answer = await client.get("/v1/forecasts/" + quote(user, safe=""))
            assert answer.json().get("forecast", {}).get("user_id") == user or user == ".."  # a client takes `..` away itself

    played(bench, play)


def test_a_bug_is_no_secret_and_tells_no_secret(tmp_path):
    class Broken(Counting):
        def forecasts(self, users, at, *, everything=True):
            raise RuntimeError(f"{users} has a secret")

    written = io.StringIO()
    bench = Bench(tmp_path, live=Broken(), log=Log(written, lambda: NOW))

    async def play(client):
        answer = await client.get("/v1/forecasts/anna")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        line = json.loads(written.getvalue().splitlines()[0])
        assert (line["what"], line["error"], line["request"]) == ("bug", "RuntimeError", answer.json()["request"])
        assert (await client.get("/v1/health/live")).status_code == 200

    played(bench, play)


def test_the_log_names_nobody(tmp_path):
    written = io.StringIO()
    bench = Bench(tmp_path, required=True, log=Log(written, lambda: NOW))
    _, secret = bench.key("events:write")

    async def play(client):
        own = {"authorization": f"Bearer {secret}"}
        await client.get("/v1/forecasts/anna@example.org?at=anna", headers=own)
        await client.get("/v1/anna")
        await client.post("/v1/events", json={"user_id": "anna", "time": "anna"}, headers=own)
        await client.post("/v1/events?source=anna/x", content=b"anna", headers=own)
        await client.post("/v1/events", content=b"anna", headers={"authorization": "Bearer anna"})

    played(bench, play)
    text = written.getvalue()
    assert len(text.splitlines()) >= 4
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
    assert not re.search(rf"anna|{re.escape(secret)}|127\.0\.0\.1", text)


def test_a_log_is_not_flooded_and_a_reader_may_go():
    written, now = io.StringIO(), [NOW]
    log = Log(written, lambda: now[0])
    for _ in range(1000):
        log.write("refused", status=429)
    assert len(written.getvalue().splitlines()) == MOST_A_SECOND
    now[0] += 1_000_000
    log.write("refused", status=429)
    assert json.loads(written.getvalue().splitlines()[-1])["unsaid"] == 1000 - MOST_A_SECOND
    written.close()
    log.write("refused", status=429)


def test_metrics_are_read_by_prometheus(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        await client.post("/v1/events", json=[EVENT, EVENT, {}])
        await client.get("/v1/forecasts/u1")
        await client.get("/v1/nothing")
        answer = await client.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.text.splitlines()
        plain = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\d+(\.\d+)?(e-?\d+)?|\+Inf)')
        assert all(line.startswith("# ") or plain.fullmatch(line) for line in lines), lines
        assert 'whenbuy_events_total{status="accepted"} 1' in lines
        assert 'whenbuy_events_total{status="dead"} 1' in lines
        assert 'whenbuy_requests_total{route="POST /v1/events",status="200"} 1' in lines
        assert 'whenbuy_requests_total{route="none",status="404"} 1' in lines
        assert "u1" not in answer.text

    played(bench, play)


def test_a_histogram_adds_up():
    metrics = Metrics()
    for seconds in (0.0001, 0.0005, 0.02, 9.0):
        metrics.seen("GET /x", 200, seconds)
    lines = metrics.text([])
    assert 'whenbuy_request_seconds_bucket{route="GET /x",le="0.0005"} 2' in lines
    assert 'whenbuy_request_seconds_bucket{route="GET /x",le="+Inf"} 4' in lines
    assert 'whenbuy_request_seconds_count{route="GET /x"} 4' in lines


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8750"}, 200),
        ({"host": "[::1]:8750"}, 200),
        ({"host": "shop.example.org"}, 403),  # a name that was made to stand for this machine
        ({"host": "127.0.0.1.example.org"}, 403),
        ({"origin": "https://example.org"}, 403),  # a page of another site
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
    ],
)
def test_without_keys_only_this_machine_itself_may_ask(tmp_path, headers, status):
    bench = Bench(tmp_path)

    async def play(client):
        assert (await client.get("/v1/forecasts/u", headers=headers)).status_code == status

    played(bench, play)


def test_what_another_model_answers_is_described_anew(tmp_path):
    import msgspec

    bench = Bench(tmp_path)

    async def play(client):
        named = (await client.get("/v1/openapi.json")).json()["components"]["schemas"]
        assert set(named["Told"]["properties"]) == {"user_id", "as_of", "events", "model", "degraded"}
        other = Counting()
        other.answer = msgspec.defstruct("Other", [("p_purchase_9d", float)])
        await bench.engine.take_up("m2", other, None)
        named = (await client.get("/v1/openapi.json")).json()["components"]["schemas"]
        assert set(named["Other"]["properties"]) == {"p_purchase_9d"}

    played(bench, play)


def test_who_goes_away_is_not_waited_for(tmp_path):
    bench = Bench(tmp_path)

    async def play(client):
        scope = {
            "type": "http", "method": "POST", "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b"", "headers": [],
            "client": ("127.0.0.1", 1),
        }  # fmt: skip
        sent = []

        async def gone():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await asyncio.wait_for(bench.app(scope, gone, send), 5)
        assert not sent
        assert bench.app._inside == 0

    played(bench, play)


def test_load_is_shed_before_work_is_done(tmp_path):
    bench = Bench(tmp_path, limits=Limits(most_waiting=5))

    async def play(client):
        found = await asyncio.gather(*(client.post("/v1/events", json={**EVENT, "event_id": i}) for i in range(40)))
        codes = [answer.status_code for answer in found]
        assert set(codes) == {200, 503}
        assert all(answer.headers["retry-after"] == "1" for answer in found if answer.status_code == 503)
        assert bench.journal.counts().accepted == codes.count(200)

    played(bench, play)
