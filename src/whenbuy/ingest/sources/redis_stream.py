"""Streams of Redis or Valkey, read by a consumer group: an entry is acknowledged after it is durable here."""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.ingest.reception import Event, Reception, Refused, bytes_of
from whenbuy.ingest.sources.stream import Chunk, Positions

SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
_PATIENCE_S: Final = 10
_ABANDONED_MS: Final = 60_000

_Entry = tuple[bytes, "dict[bytes, bytes] | None"]


class RedisStream:
    """A stream as a source. Entries that a consumer of the group was given and never acknowledged are taken over after a minute.

    An entry holds an event as fields, or as JSON in its only field. An entry may be given twice; the journal counts it once, by its
    ``event_id`` or else by its number in the stream.

    Parameters
    ----------
    address
        ``redis://user:password@host:6379/0?stream=events&group=whenbuy&consumer=one``; also ``rediss``, ``valkey``, ``valkeys``.
    reception
        How events are understood.

    Raises
    ------
    UsageError
        When the address names no stream.
    """

    def __init__(self, address: str, reception: Reception) -> None:
        split = urlsplit(address)
        said = dict(parse_qsl(split.query))
        if not said.get("stream"):
            raise UsageError("The address names no stream.", "It ends with ?stream=NAME.", "Add the stream that holds the events.")
        self._key, self._group = said.pop("stream"), said.pop("group", "whenbuy")
        self._consumer = said.pop("consumer", "whenbuy")
        rest = "&".join(f"{name}={value}" for name, value in said.items())
        self._address = urlunsplit((split.scheme.replace("valkey", "redis"), split.netloc, split.path, rest, ""))
        self.name = f"redis:{split.hostname or 'localhost'}{f':{split.port}' if split.port else ''}{split.path.rstrip('/')}/{self._key}"
        self._reception = reception
        self._client: Any = None
        self._own: bytes | None = b"0"
        self._ready: deque[_Entry] = deque()

    def read(self, positions: Positions, most: int, now: int) -> Chunk | None:
        """Return what comes next; see `Stream.read`."""
        if not self._ready:
            self._ready.extend(self._asked(lambda client: self._next(client, most)))
        entries = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        if not entries:
            return None
        rows = [self._row(number.decode(), fields, now) for number, fields in entries if fields]  # deleted ones are empty
        return Chunk(rows, self.name, ",".join(number.decode() for number, _ in entries))

    def done(self, chunk: Chunk) -> None:
        """Acknowledge the entries of a chunk."""
        numbers = chunk.position.split(",")
        self._asked(lambda client: client.xack(self._key, self._group, *numbers))

    def close(self) -> None:
        """Let the connection go."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _next(self, client: Any, most: int) -> list[_Entry]:
        """Return entries: first those that this consumer holds already, then new ones, then those that another one left."""
        if self._own is not None:
            found = _entries(client.xreadgroup(self._group, self._consumer, {self._key: self._own}, count=most))
            self._own = found[-1][0] if found else None
            if found:
                return found
        found = _entries(client.xreadgroup(self._group, self._consumer, {self._key: ">"}, count=most))
        if found:
            return found
        return list(client.xautoclaim(self._key, self._group, self._consumer, _ABANDONED_MS, "0-0", count=most)[1])

    def _row(self, number: str, fields: dict[bytes, bytes], now: int) -> Event | Refused:
        if len(fields) == 1 and (raw := next(iter(fields.values()))).lstrip()[:1] == b"{":
            return self._reception.one(raw, self.name, now, number)
        try:
            row = {name.decode(): value.decode() for name, value in fields.items()}
        except UnicodeDecodeError as error:
            raw = b"\n".join(name + b"=" + value for name, value in fields.items())
            return Refused(self.name, raw, f"The entry {number} is no text ({error}). Fields are UTF-8. Correct it and add it again.", now)
        return self._reception.row(row, self.name, now, number, bytes_of(row))

    def _asked(self, question: Any) -> Any:
        redis = _redis()
        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    self._address, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S, decode_responses=False
                )
                self._grouped(redis)
            return question(self._client)
        except redis.RedisError as error:
            self._client, self._own = None, b"0"
            raise DependencyError(f"{self.name} did not answer ({error}).", "It must be reachable.", "Look at the server.") from error

    def _grouped(self, redis: Any) -> None:
        """Make the group where there is none: it begins with the first entry."""
        try:
            self._client.xgroup_create(self._key, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise


def _entries(answer: Any) -> list[_Entry]:
    """Return the entries of an answer, which a server gives as a list or as a map of streams."""
    if not answer:
        return []
    streams = list(answer.values()) if isinstance(answer, dict) else [entries for _, entries in answer]
    found = streams[0]
    return list(found[0]) if found and isinstance(found[0], list) else list(found)


def _redis() -> Any:
    try:
        import redis
    except ImportError as error:
        raise DependencyError(
            "redis is not installed.", "Reading a stream of Redis or Valkey needs it.", "Install it with: pip install 'whenbuy[redis]'"
        ) from error
    return redis
