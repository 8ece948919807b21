"""Bodies: read within the limits, and once they are there the work on them is in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from whenbuy.serve.hot import LINES
from whenbuy.serve.limits import Gate, Limits
from whenbuy.serve.replying import Refusals, overloaded
from whenbuy.serve.wire import Refusal, refused

Receive = Callable[[], Any]
_AS_JSON: Final = (b"", b"application/json", b"text/plain", b"application/x-www-form-urlencoded")
"""What is read as JSON: what clients say who think of nothing (curl, and pages that send with a beacon) is among it."""
_WEIGHT: Final = 512
"""A body of so many bytes is as much work as a request without one."""


_LOOKED_AT: Final = frozenset({b"content-length", b"content-encoding", b"content-type"})
_MOST_FINE: Final = 1_000


class GoneError(Exception):
    """The sender went away."""


class InHand:
    """What a server has in hand: work, and bytes of bodies.

    Parameters
    ----------
    limits
        How much that may be.
    gate
        How much work is let in now.
    refusals
        Where it is counted what was not let in.

    Attributes
    ----------
    fine
        Headers of bodies that were looked at and are as they must be: senders say the same again.
    """

    def __init__(self, limits: Limits, gate: Gate, refusals: Refusals) -> None:
        self.limits, self.gate, self._refusals = limits, gate, refusals
        self.held = 0
        self.fine: set[tuple[bytes, bytes]] = set()

    def hold(self, size: int) -> None:
        """Count bytes of bodies that are in hand; refuse when there are too many."""
        self.held += size
        if self.held > self.limits.most_held:
            self._refusals.count("memory")
            raise refused(503, "The server holds too much already.", "Bodies wait in small numbers.", "Try again in a moment.", 1.0)

    def enter(self, weight: float) -> None:
        """Take work in hand; refuse where there is too much."""
        if not self.gate.enter(weight):
            raise self.overloaded()

    def leave(self, weight: float, size: int) -> None:
        """Say that work, and bytes, are in hand no more."""
        self.gate.leave(weight)
        self.held -= size

    def overloaded(self) -> Refusal:
        """Return the refusal of what is more than the server can do."""
        self._refusals.count("load")
        return overloaded()


class Body:
    """The body of one request."""

    __slots__ = ("_costs", "_in_hand", "_receive", "_scope", "_size", "_weight")

    def __init__(self, in_hand: InHand, scope: Mapping[str, Any], receive: Receive, *, costs: bool) -> None:
        self._in_hand, self._scope, self._receive, self._costs = in_hand, scope, receive, costs
        self._size, self._weight = 0, 0.0

    async def read(self) -> bytes:
        """Return the body."""
        self._check_headers()
        try:
            async with asyncio.timeout(self._in_hand.limits.body_s):
                found = await self._read()
        except TimeoutError:
            raise refused(
                408, "The body did not come in time.", f"It comes within {self._in_hand.limits.body_s:g} s.", "Send it again."
            ) from None
        self.enter()
        return found

    def take(self, raw: bytes) -> None:
        """Take a body that is there."""
        self._check_headers()
        self._add(len(raw))
        self.enter()

    def enter(self) -> None:
        """Take the work on it in hand; refuse where there is too much."""
        weight = 1.0 + self._size / _WEIGHT
        if self._costs:
            self._in_hand.enter(weight)
            self._weight = weight

    async def _read(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise GoneError
            part = message.get("body", b"")
            self._add(len(part))
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _add(self, size: int) -> None:
        self._size += size
        self._in_hand.hold(size)
        self._require_short(self._size)

    def release(self) -> None:
        """Say that it is in hand no more."""
        self._in_hand.leave(self._weight, self._size)

    def _check_headers(self) -> None:
        fine = self._in_hand.fine
        for header in self._scope["headers"]:
            if header in fine:
                continue
            name, value = header
            if name == b"content-length" and value.isdigit():
                self._require_short(int(value))
            elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise refused(415, "The body is compressed.", "Bodies are sent as they are.", "Send it without Content-Encoding.")
            elif name == b"content-type":
                _require_json(value)
            if name in _LOOKED_AT and len(fine) < _MOST_FINE:
                fine.add(header)

    def _require_short(self, size: int) -> None:
        most = self._in_hand.limits.most_bytes
        if size > most:
            raise refused(413, "The body is too long.", f"At most {most:,} bytes are read.", "Send it in parts.")


def _require_json(content_type: bytes) -> None:
    """Refuse what says that it is something else than JSON in UTF-8."""
    kind, _, said = content_type.lower().partition(b";")
    kind, charset = kind.strip(), said.partition(b"charset=")[2].strip(b' "')
    if not (kind in _AS_JSON or kind.endswith(b"+json") or kind.decode("latin-1") in LINES):
        raise refused(
            415, f"The body is {kind.decode('latin-1')[:60]!r}.", "JSON is read here, or one JSON object a line.",
            "Send application/json or application/x-ndjson; files are read by `whenbuy ingest`.",
        )  # fmt: skip
    if charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
        raise refused(415, f"The body is written in {charset.decode('latin-1')[:40]!r}.", "JSON is UTF-8.", "Encode it as UTF-8.")
