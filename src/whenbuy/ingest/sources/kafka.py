"""Topics of a Kafka broker. The positions are ours and lie beside the events; the broker only hears of them.

The client (librdkafka) is the one that most use, and is tested with its own simulated cluster; a real broker was not tested.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.stream import Chunk, Positions

SCHEMES: Final = ("kafka",)
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.2
_ASK_AGAIN_US: Final = 30_000_000
"""How often new partitions are looked for, in microseconds."""


class KafkaTopic:
    """All partitions of a topic as a source.

    The partitions are read by this process alone: what each has given is kept in the journal in the transaction of its events, and reading
    goes on from there whatever the broker's group believes. The group is told nevertheless, so that its lag can be watched.

    Parameters
    ----------
    address
        ``kafka://host:9092,host2:9092/topic?group=whenbuy``; further settings of librdkafka behind it, such as ``security.protocol=SSL``.
    reception
        How events are understood.
    settings
        Further settings of librdkafka, such as passwords, that do not belong into an address.

    Raises
    ------
    UsageError
        When the address names no topic.
    """

    def __init__(self, address: str, reception: Reception, settings: dict[str, Any] | None = None) -> None:
        split = urlsplit(address)
        self._topic = split.path.strip("/")
        if not self._topic or not split.netloc:
            raise UsageError("The address names no topic.", "It looks like kafka://host:9092/topic.", "Add the topic with the events.")
        said = dict(parse_qsl(split.query))
        self._settings = {
            "bootstrap.servers": split.netloc, "group.id": said.pop("group", "whenbuy"), "enable.auto.commit": False,
            "enable.auto.offset.store": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
            "enable.partition.eof": False, **said, **(settings or {}),
        }  # fmt: skip
        self.name = f"kafka:{self._topic}"
        self._reception = reception
        self._consumer: Any = None
        self._asked_at: int | None = None
        self._assigned: dict[int, int] = {}
        self._ready: dict[int, deque[Any]] = {}

    def read(self, positions: Positions, most: int, now: int) -> Chunk | None:
        """Return what comes next, from one partition; see `Stream.read`."""
        if not any(self._ready.values()):
            self._fetch(positions, most, now)
        for partition, messages in self._ready.items():
            if messages:
                taken = [messages.popleft() for _ in range(min(most, len(messages)))]
                source = f"{self.name}/{partition}"
                return Chunk([self._row(message, source, now) for message in taken], source, str(taken[-1].offset() + 1))
        return None

    def done(self, chunk: Chunk) -> None:
        """Tell the broker's group how far a partition has been read."""
        client = _client()
        partition = int(chunk.source.rpartition("/")[2])
        if self._consumer is not None:
            self._consumer.commit(offsets=[client.TopicPartition(self._topic, partition, int(chunk.position))], asynchronous=True)

    def close(self) -> None:
        """Let the broker go."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _fetch(self, positions: Positions, most: int, now: int) -> None:
        client = _client()
        try:
            if self._consumer is None:
                self._consumer = client.Consumer(self._settings)
            if self._asked_at is None or now - self._asked_at >= _ASK_AGAIN_US:
                self._assign(client, positions)
                self._asked_at = now
            for message in self._consumer.consume(most, _POLL_S):
                if (error := message.error()) is not None:
                    raise client.KafkaException(error)
                self._ready.setdefault(message.partition(), deque()).append(message)
        except client.KafkaException as error:
            raise DependencyError(f"The topic {self._topic} cannot be read ({error}).", "The broker must answer.", "Look at it.") from error

    def _assign(self, client: Any, positions: Positions) -> None:
        """Add partitions that are not read yet, each from where it was left."""
        about = self._consumer.list_topics(self._topic, timeout=_PATIENCE_S).topics[self._topic]
        if about.error is not None:
            raise client.KafkaException(about.error)
        new = []
        for partition in about.partitions:
            if partition not in self._assigned:
                position = positions(f"{self.name}/{partition}")
                self._assigned[partition] = client.OFFSET_BEGINNING if position is None else int(position)
                new.append(client.TopicPartition(self._topic, partition, self._assigned[partition]))
        if new:
            self._consumer.incremental_assign(new)

    def _row(self, message: Any, source: str, now: int) -> Event | Refused:
        raw, place = message.value(), str(message.offset())
        if raw is None:
            reason = f"The message {place} is empty. An event is one JSON object. A message that only deletes needs no answer."
            return Refused(source, b"", reason, now)
        return self._reception.one(raw, source, now, place)


def _client() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise DependencyError(
            "confluent-kafka is not installed.", "Reading a topic needs it.", "Install it with: pip install 'whenbuy[kafka]'"
        ) from error
    return confluent_kafka
