"""Telling webhooks what happens to a server, in threads of their own: a slow other side holds nobody up."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from whenbuy.core.errors import WhenbuyError
from whenbuy.serve.logs import Log
from whenbuy.serve.webhooks import Webhook

_MOST: Final = 20
"""So many messages may be under way; what comes beyond is not sent, and the log says so."""


class Telling:
    """Tells all webhooks.

    Parameters
    ----------
    hooks
        Who is told.
    log
        Where it is said what was not taken.
    now
        Says what time it is, as an instant.
    """

    def __init__(self, hooks: Sequence[Webhook], log: Log, now: Callable[[], int]) -> None:
        self._hooks, self._log, self._now = hooks, log, now
        self._stop, self._free = threading.Event(), threading.Semaphore(_MOST)

    async def tell(self, event: str, facts: Mapping[str, Any]) -> None:
        """Send a message to everybody; return at once."""
        for hook in self._hooks:
            if not self._free.acquire(blocking=False):
                self._log.write("webhook", event=event, error="too many messages are under way")
                continue
            threading.Thread(target=self._send, args=(hook, event, dict(facts)), name="webhook", daemon=True).start()

    def end(self) -> None:
        """Give up what is tried again and again."""
        self._stop.set()

    def _send(self, hook: Webhook, event: str, facts: Mapping[str, Any]) -> None:
        try:
            hook.send(event, facts, secrets.token_hex(8), now=self._now, stop=self._stop)
        except WhenbuyError as error:
            self._log.write("webhook", event=event, error=error.got)
        finally:
            self._free.release()
