"""A crowd that asks on its own schedule, whether it was answered or not: one thread, many connections, raw HTTP."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Told:
    """What a crowd was told: status, seconds to the answer, whether a refusal said when to come again; and what was not asked in time."""

    answers: list[tuple[int, float, bool]] = field(default_factory=list)
    dropped: int = 0
    unsent: int = 0

    def seconds(self, *statuses: int) -> list[float]:
        return sorted(took for status, took, _ in self.answers if status in statuses)

    def count(self, *statuses: int) -> int:
        return sum(status in statuses for status, _, _ in self.answers)


def share(seconds: list[float], part: float) -> float:
    """The seconds in which such a part of all answers came; 0 where there is none."""
    return seconds[min(int(len(seconds) * part), len(seconds) - 1)] if seconds else 0.0


class _Link:
    """One connection: what is still to be sent, and what came of the answer."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        self.socket = self.opened()
        self.begun, self.got, self.rest = 0.0, b"", b""

    def opened(self) -> socket.socket:
        made = socket.create_connection(self.place)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return made

    def answer(self) -> tuple[int, bool] | None:
        """The status of a whole answer and whether it names a time to come again; None where it has not come yet."""
        head, found, rest = self.got.partition(b"\r\n\r\n")
        if not found:
            return None
        low = head.lower()
        at = low.find(b"content-length:")
        if len(rest) < int(low[at + 15 :].split(b"\r\n", 1)[0]):
            return None
        return int(head[9:12]), b"retry-after:" in low


def ask(
    url: str, requests: Iterator[bytes], seconds: float, links: int, per_second: float | None = None,
) -> Told:  # fmt: skip
    """Ask for so many seconds; so often a second, or, where nothing is said, as fast as answers come.

    Parameters
    ----------
    url
        Where the server is.
    requests
        Whole requests.
    seconds
        For how long.
    links
        On how many connections. Who would ask while all of them wait is counted as unsent.
    per_second
        How many requests a second, whatever becomes of those before.
    """
    parts, told = urlsplit(url), Told()
    place = (str(parts.hostname), int(parts.port or 80))
    watch, idle = selectors.DefaultSelector(), [_Link(place) for _ in range(links)]
    everyone = list(idle)
    for link in everyone:
        watch.register(link.socket, selectors.EVENT_READ, link)
    begun = time.perf_counter()
    due = begun
    waiting: set[int] = set()
    while (now := time.perf_counter()) < begun + seconds or (waiting and now < begun + seconds + 5):
        while now < begun + seconds and (per_second is None or due <= now):
            if not idle:
                if per_second is None:
                    break
                told.unsent += 1
            else:
                link = idle.pop()
                _send(link, next(requests), watch)
                waiting.add(id(link))
            if per_second is not None:
                due += 1 / per_second
        for key, _ in watch.select(0.001 if per_second is not None else 0.05):
            link = key.data
            if _heard(link, watch, told):
                waiting.discard(id(link))
                idle.append(link)
    for link in everyone:
        watch.unregister(link.socket)
        link.socket.close()
    watch.close()
    told.unsent += len(waiting)
    return told


def _send(link: _Link, request: bytes, watch: selectors.BaseSelector) -> None:
    link.begun, link.got = time.perf_counter(), b""
    try:
        gone = link.socket.send(request)
    except (BlockingIOError, OSError):
        gone = 0
    link.rest = request[gone:]
    if link.rest:
        watch.modify(link.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, link)


def _heard(link: _Link, watch: selectors.BaseSelector, told: Told) -> bool:
    """Read and write what can be; return whether the link is free again."""
    try:
        if link.rest:
            link.rest = link.rest[link.socket.send(link.rest) :]
            if not link.rest:
                watch.modify(link.socket, selectors.EVENT_READ, link)
        part = link.socket.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        part = b""
    if not part:  # the server closed it
        told.dropped += 1
        watch.unregister(link.socket)
        link.socket.close()
        link.socket = link.opened()
        watch.register(link.socket, selectors.EVENT_READ, link)
        return True
    link.got += part
    found = link.answer()
    if found is None:
        return False
    told.answers.append((found[0], time.perf_counter() - link.begun, found[1]))
    return True


def request(path: str, body: bytes, method: str = "POST") -> bytes:
    """A whole request."""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def events(run: str, batch: int, users: int = 200, path: str = "/v1/events") -> Iterator[bytes]:
    """Requests with so many new events each, as a till would send them."""
    number = 0
    while True:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        rows = [
            {
                "event_id": f"{run}-{number}-{i}", "user_id": f"u{(number * batch + i) % users}", "kind": "view", "time": at,
                "item_id": f"{run}-i{(number * batch + i) // users % 500}", "unit_price": "12.50",
            }
            for i in range(batch)
        ]  # fmt: skip
        yield request(path, json.dumps(rows if batch > 1 else rows[0]).encode())
        number += 1


def taken_in_turns(*sources: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        for source in sources:
            yield next(source)
