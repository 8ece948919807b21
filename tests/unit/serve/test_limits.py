"""Limits: a sender gets its rate and no more, whatever it tries (S8)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serve.doubles import Bench, played
from whenbuy.core.errors import UsageError
from whenbuy.serve.limits import Buckets, Limits


@given(st.floats(0.5, 50), st.floats(1, 20), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_bucket_gives_no_more_than_its_rate(rate, burst, gaps):
    buckets, now, given_out = Buckets(rate, burst), 100.0, 0
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        given_out += wait == 0
        assert wait <= 1 / rate + 1e-9
    assert given_out <= burst + rate * (now - 100.0) + 1e-6


def test_who_waits_as_long_as_was_said_is_let_in():
    buckets = Buckets(2.0, 1.0)
    assert buckets.take("a", 0.0) == 0
    wait = buckets.take("a", 0.0)
    assert wait == 0.5
    assert buckets.take("b", 0.0) == 0  # another sender has a bucket of its own
    assert buckets.take("a", wait) == 0


def test_a_clock_that_goes_back_gives_nothing():
    buckets = Buckets(1.0, 1.0)
    assert buckets.take("a", 10.0) == 0
    assert buckets.take("a", 0.0) > 0


def test_senders_are_forgotten_one_by_one():
    buckets = Buckets(1.0, 1.0)
    for i in range(20_000):
        buckets.take(str(i), 0.0)
    assert len(buckets._found) <= 10_000


@pytest.mark.parametrize("name", ["per_second", "burst", "most_bytes", "most_waiting", "body_s"])
def test_a_limit_of_nothing_is_none(name):
    with pytest.raises(UsageError):
        Limits(**{name: 0})


def test_too_many_requests_are_refused_with_the_time_to_wait(tmp_path):
    bench = Bench(tmp_path, limits=Limits(per_second=0.5, burst=3))
    one, two = (bench.key("forecasts:read")[1] for _ in range(2))

    async def play(client):
        found = [await client.get("/v1/forecasts/u", headers={"authorization": f"Bearer {one}"}) for _ in range(5)]
        assert [answer.status_code for answer in found] == [200, 200, 200, 429, 429]
        assert 1 <= int(found[-1].headers["retry-after"]) <= 3
        assert (await client.get("/v1/forecasts/u", headers={"authorization": f"Bearer {two}"})).status_code == 200

    played(bench, play)


def test_who_guesses_keys_is_slowed_down(tmp_path):
    bench = Bench(tmp_path, required=True, limits=Limits(strangers_per_second=2))

    async def play(client):
        found = [(await client.get("/v1/model", headers={"authorization": f"Bearer wb_{i}"})).status_code for i in range(15)]
        assert found == [401] * 10 + [429] * 5

    played(bench, play)


def test_a_body_has_a_limit_and_a_time(tmp_path):
    bench = Bench(tmp_path, limits=Limits(most_bytes=1000, body_s=0.05))

    async def play(client):
        async def endless():
            while True:
                yield b"x" * 600
                await asyncio.sleep(0)

        async def slow():
            yield b"{"
            await asyncio.sleep(0.2)
            yield b"}"

        assert (await client.post("/v1/events", content=b"x" * 1001)).status_code == 413
        answer = await client.post("/v1/events", content=endless())
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert (await client.post("/v1/events", content=slow())).status_code == 408
        assert (await client.post("/v1/events", content=b"{}", headers={"content-encoding": "gzip"})).status_code == 415
        assert bench.app.in_hand.held == 0
        assert bench.journal.counts().sent == 0

    played(bench, play)


def test_bodies_in_hand_have_a_limit(tmp_path):
    bench = Bench(tmp_path, limits=Limits(most_held=1000))

    async def play(client):
        async def half():
            yield b"[" + b" " * 700
            await asyncio.sleep(0.05)
            yield b"]"

        found = await asyncio.gather(*(client.post("/v1/events", content=half()) for _ in range(3)))
        assert sorted(answer.status_code for answer in found) == [422, 503, 503]
        assert bench.app.in_hand.held == 0

    played(bench, play)
