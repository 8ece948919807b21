"""Structured logs: one JSON object a line, without personal data: no user, no address, no key, no body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TextIO

import msgspec

_ENCODE: Final = msgspec.json.Encoder(enc_hook=str).encode
MOST_A_SECOND: Final = 50
"""How many lines a second are written of one kind; how many more there were is said with the next."""


class Log:
    """Writes what happened.

    Parameters
    ----------
    stream
        Where to; None for nowhere.
    now
        Says what time it is, as an instant.
    """

    def __init__(self, stream: TextIO | None, now: Callable[[], int]) -> None:
        self._stream, self._now = stream, now
        self._counts: dict[str, tuple[int, int]] = {}

    def write(self, what: str, **facts: Any) -> None:
        """Write one line: what happened, and facts about it that name nobody."""
        if self._stream is None:
            return
        now = self._now()
        second, count = self._counts.get(what, (0, 0))
        if second == now // 1_000_000 and count >= MOST_A_SECOND:
            self._counts[what] = (second, count + 1)
            return
        unsaid = max(count - MOST_A_SECOND, 0) if second != now // 1_000_000 else 0
        self._counts[what] = (now // 1_000_000, 1 if second != now // 1_000_000 else count + 1)
        line = {"at": now / 1_000_000, "what": what, **facts} | ({"unsaid": unsaid} if unsaid else {})
        try:
            self._stream.write(_ENCODE(line).decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more: the server goes on
            self._stream = None
