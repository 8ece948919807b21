"""The pump: from a source into the journal. Effect and position are one transaction, so a restart goes on where the effect ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from whenbuy.core.errors import AccessError, BusyError, DependencyError
from whenbuy.ingest.sources.stream import Chunk, Stream
from whenbuy.serve.journal import Journal

PATIENCE_S: Final = 30.0
"""The longest wait between two tries, in seconds."""
_FIRST_WAIT_S: Final = 0.2
_MENDABLE: Final = (AccessError, BusyError, DependencyError)


@dataclass(frozen=True, slots=True)
class Pumped:
    """What became of the rows of one source since it was opened: how many were sent, and how many of these have each status."""

    sent: int
    accepted: int
    duplicate: int
    dead: int
    late: int


def pump(
    journal: Journal,
    stream: Stream,
    *,
    follow: bool,
    now: Callable[[], int],
    stop: threading.Event,
    poll_s: float = 0.5,
    most: int = 1_000,
    say: Callable[[str], None] = lambda _: None,
) -> Pumped:
    """Bring what a source has into the journal; return what became of it.

    Where the source or the journal fails, a pump that follows tries again, ever more slowly, with the same rows; another one gives up.

    Parameters
    ----------
    journal
        Where the events go.
    stream
        Where they come from.
    follow
        Whether to wait for more where there is nothing new.
    now
        Says what time it is.
    stop
        Set to end the pump after the rows that it holds.
    poll_s
        How long to wait for more, in seconds.
    most
        How many rows one transaction takes.
    say
        Told of each failure that is tried again.

    Raises
    ------
    AccessError, BusyError, DependencyError
        When the source or the journal fails and `follow` is off.
    """
    counts, wait_s = Counter[str](), _FIRST_WAIT_S
    chunk: Chunk | None = None
    while not stop.is_set():
        try:
            chunk = stream.read(journal.position, most, now()) if chunk is None else chunk
            if chunk is not None:
                counts.update(journal.take(chunk.rows, (chunk.source, chunk.position)).statuses)
                taken, chunk = chunk, None
                stream.done(taken)
                wait_s = _FIRST_WAIT_S
                continue
        except _MENDABLE as error:
            if not follow:
                raise
            say(f"{error} Trying again in {wait_s:.1f} s.")
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, PATIENCE_S)
            continue
        if not follow:
            break
        stop.wait(poll_s)
    return Pumped(counts.total(), counts["accepted"], counts["duplicate"], counts["dead"], counts["late"])
