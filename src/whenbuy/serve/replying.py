"""Replies as they go over the wire, and refusals: counted by reason, in three parts, with the time to come again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from whenbuy.serve.metrics import Counted, Figure
from whenbuy.serve.routes import Reply
from whenbuy.serve.wire import PROBLEM, Problem, Refusal, encode, refused

Send = Callable[[Mapping[str, Any]], Any]
SAME: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""Headers of every answer."""
CLOSE: Final = (b"connection", b"close")
"""Says that the sender is not listened to any more."""


class Refusals:
    """How many requests were not let in, by reason."""

    def __init__(self) -> None:
        self._found: dict[str, float] = {}

    def count(self, reason: str) -> None:
        """Count one."""
        self._found[reason] = self._found.get(reason, 0.0) + 1

    def figures(self) -> list[Figure]:
        """Return what Prometheus is told of it."""
        by_reason: Counted = {(("reason", reason),): count for reason, count in self._found.items()}
        return [("whenbuy_refused_total", "counter", "Requests that were not let in, by reason.", by_reason)]


def overloaded() -> Refusal:
    """Return the refusal of what is more than the server can do."""
    return refused(503, "The server has more to do than it can.", "Requests wait in small numbers.", "Try again in a moment.", 1.0)


def reply_of(refusal: Refusal, id: str) -> Reply:
    """Return a refusal as an answer."""
    error, wait = refusal.error, refusal.wait_s
    problem = Problem(refusal.status, str(error), error.got, error.need, error.do, id)
    headers = refusal.headers
    if wait is not None:
        headers = (*headers, (b"retry-after", str(max(1, -int(-wait // 1))).encode()))
    if refusal.status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    if refusal.status in (408, 413):  # the rest of the body is not read
        headers = (*headers, CLOSE)
    return Reply(refusal.status, encode(problem), PROBLEM, headers)


def _headers(reply: Reply, id: str) -> list[tuple[bytes, bytes]]:
    length = str(len(reply.body)).encode()
    return [(b"content-type", reply.content_type), (b"content-length", length), (b"x-request-id", id.encode()), *SAME, *reply.headers]


async def send_reply(send: Send, reply: Reply, id: str) -> None:
    """Send an answer."""
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, id)})
    await send({"type": "http.response.body", "body": reply.body})


def rendered(reply: Reply, id: str) -> bytes:
    """Return an answer as it goes over the wire."""
    body = reply.body
    if reply.status == 200 and not reply.headers:
        return _USUAL % (reply.content_type, len(body), id.encode(), body)
    head = b"HTTP/1.1 %d %s\r\n" % (reply.status, HTTPStatus(reply.status).phrase.encode())
    return head + _lines(_headers(reply, id)) + b"\r\n" + body


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % pair for pair in headers)


_USUAL: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" + _lines(SAME) + b"\r\n%b"
