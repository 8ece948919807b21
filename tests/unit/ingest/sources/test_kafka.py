"""Topics of librdkafka's own simulated cluster; a real broker was not tested."""

import json
from contextlib import contextmanager

import pytest

from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.kafka import KafkaTopic

confluent_kafka = pytest.importorskip("confluent_kafka")
NOW = 1_700_000_000_000_000
T = "2023-11-14T20:00:00Z"


@pytest.fixture(scope="module")
def cluster():
    """Yield a simulated broker's address; it lives as long as the client that made it."""
    admin = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    (broker,) = admin.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    admin.flush(1)


@pytest.fixture
def topic(cluster, request):
    name = request.node.name.replace("[", "_").replace("]", "_")[:60]
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster})

    def send(*values, partition=0):
        for value in values:
            producer.produce(name, value, partition=partition)
        producer.flush(10)

    send.address = f"kafka://{cluster}/{name}?group=shop"
    send.name = name
    return send


@contextmanager
def opened(address):
    stream = KafkaTopic(address, Reception(), {"topic.metadata.refresh.interval.ms": 200, "fetch.wait.max.ms": 50})
    try:
        yield stream
    finally:
        stream.close()


def event(i) -> bytes:
    return json.dumps({"user_id": f"u{i}", "kind": "view", "time": T}).encode()


def read(stream, positions, most=100, wanted=None, tries=25) -> list[Event | Refused]:
    """Read until nothing comes, as the pump does."""
    found = []
    for _ in range(tries):
        chunk = stream.read(positions.get, most, NOW)
        if chunk is not None:
            positions[chunk.source] = chunk.position
            stream.done(chunk)
            found += chunk.rows
        if wanted is not None and len(found) >= wanted:
            break
    return found


def test_messages_come_once_and_a_restart_goes_on(topic) -> None:
    topic(*(event(i) for i in range(30)))
    positions = {}
    with opened(topic.address) as stream:
        assert [row.user for row in read(stream, positions, most=7, wanted=14)] == [f"u{i}" for i in range(14)]
    assert positions == {f"kafka:{topic.name}/0": "14"}
    with opened(topic.address) as stream:
        assert [row.user for row in read(stream, positions, wanted=16)] == [f"u{i}" for i in range(14, 30)]
        topic(event(30))
        assert [row.user for row in read(stream, positions, wanted=1)] == ["u30"]


def test_what_was_read_and_not_taken_comes_again_with_the_same_ids(topic) -> None:
    topic(*(event(i % 2) for i in range(6)))
    with opened(topic.address) as stream:
        first = read(stream, {}, wanted=6)
    with opened(topic.address) as stream:
        again = read(stream, {}, wanted=6)
    assert [(row.source, row.event_id) for row in again] == [(row.source, row.event_id) for row in first]
    assert len({row.event_id for row in first}) == 6


def test_every_partition_has_its_own_position(topic) -> None:
    topic(event(0), event(1))
    topic(event(2), partition=1)
    positions = {}
    with opened(topic.address) as stream:
        rows = read(stream, positions, wanted=3)
    assert sorted(row.user for row in rows) == ["u0", "u1", "u2"]
    assert {row.source for row in rows} == set(positions) == {f"kafka:{topic.name}/{i}" for i in (0, 1)}


def test_what_is_no_event_is_refused_as_it_came(topic) -> None:
    topic(b"\xff\x00", event(1), None, b"{}")
    with opened(topic.address) as stream:
        rows = read(stream, {}, wanted=4)
    assert [row.raw for row in rows if isinstance(row, Refused)] == [b"\xff\x00", b"", b"{}"]
    assert [row.user for row in rows if isinstance(row, Event)] == ["u1"]


def test_a_broker_that_is_not_there_is_told(monkeypatch) -> None:
    monkeypatch.setattr("whenbuy.ingest.sources.kafka._PATIENCE_S", 0.3)
    with opened("kafka://127.0.0.1:1/events?log_level=0") as stream, pytest.raises(DependencyError, match="cannot be read"):
        read(stream, {})
    with pytest.raises(UsageError, match="no topic"):
        KafkaTopic("kafka://127.0.0.1:9092", Reception())
