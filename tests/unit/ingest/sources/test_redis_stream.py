"""Streams of a real Valkey server: an entry is acknowledged after it is taken, and given again until then."""

import json

import pytest

from tests.services import free_port, valkey
from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.redis_stream import RedisStream

NOW = 1_700_000_000_000_000
T = "2023-11-14T20:00:00Z"


@pytest.fixture(scope="module")
def server():
    with valkey() as address:
        yield address


@pytest.fixture
def client(server):
    import redis

    made = redis.Redis.from_url(server)
    made.flushall()
    yield made
    made.close()


@pytest.fixture
def opened(server, client):
    made = []

    def make(consumer="one"):
        made.append(RedisStream(f"{server}?stream=events&group=shop&consumer={consumer}", Reception()))
        return made[-1]

    yield make
    for stream in made:
        stream.close()


def read(stream, most=10):
    return stream.read(lambda _: None, most, NOW)


def add(client, *ids) -> None:
    for i in ids:
        client.xadd("events", {"event": json.dumps({"user_id": f"u{i}", "kind": "view", "time": T})})


def test_entries_come_in_order_and_are_acknowledged(client, opened) -> None:
    add(client, *range(5))
    stream, found = opened(), []
    while (chunk := read(stream, 2)) is not None:
        assert client.xpending("events", "shop")["pending"] == len(chunk.rows)
        found += [row.user for row in chunk.rows]
        stream.done(chunk)
    assert found == [f"u{i}" for i in range(5)]
    assert client.xpending("events", "shop")["pending"] == 0
    add(client, 5)
    assert [row.user for row in read(stream).rows] == ["u5"]


def test_what_was_not_acknowledged_comes_again_with_the_same_ids(client, opened) -> None:
    add(client, *range(4))
    first = read(opened())
    stream = opened()
    again = read(stream)
    assert [(row.source, row.event_id) for row in again.rows] == [(row.source, row.event_id) for row in first.rows]
    stream.done(again)
    assert read(stream) is None


def test_what_another_consumer_left_is_taken_over(client, opened, monkeypatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.sources.redis_stream._ABANDONED_MS", 0)
    add(client, 0, 1)
    left = read(opened("other"))
    stream = opened("one")
    taken = read(stream)
    assert [row.event_id for row in taken.rows] == [row.event_id for row in left.rows]
    stream.done(taken)
    assert client.xpending("events", "shop")["pending"] == 0


def test_an_entry_is_fields_or_one_field_of_json(client, opened) -> None:
    client.xadd("events", {"user_id": "a", "kind": "purchase", "time": T, "amount": "2.50"})
    client.xadd("events", {"data": '{"user_id": "b", "kind": "view", "time": 5}'})
    client.xadd("events", {"user_id": b"\xff", "kind": "view"})
    client.xadd("events", {"anything": "not json"})
    fields, *bad = read(opened()).rows
    assert isinstance(fields, Event)
    assert (fields.user, fields.values) == ("a", {"amount": 2.5})
    assert [row.raw for row in bad] == [
        b'{"user_id": "b", "kind": "view", "time": 5}', b"user_id=\xff\nkind=view", b'{"anything":"not json"}',
    ]  # fmt: skip
    assert all(isinstance(row, Refused) for row in bad)


def test_a_deleted_entry_is_passed_over(client, opened) -> None:
    add(client, 0, 1)
    first = read(opened())
    client.xdel("events", first.position.split(",")[0])
    stream = opened()
    again = read(stream)
    assert [row.user for row in again.rows] == ["u1"]
    stream.done(again)
    assert read(stream) is None


def test_a_connection_that_is_lost_is_made_again(client, opened) -> None:
    add(client, *range(9))
    stream, found = opened(), []
    while (chunk := read(stream, 2)) is not None:
        client.client_kill_filter(_type="normal", skipme=True)
        found += [row.user for row in chunk.rows]
        stream.done(chunk)
    assert found == [f"u{i}" for i in range(9)]


def test_a_server_that_is_not_there_is_told() -> None:
    stream = RedisStream(f"redis://user:secret@127.0.0.1:{free_port()}/0?stream=events", Reception())
    assert "secret" not in stream.name
    with pytest.raises(DependencyError, match="did not answer"):
        read(stream)
    with pytest.raises(UsageError, match="no stream"):
        RedisStream("redis://127.0.0.1", Reception())
