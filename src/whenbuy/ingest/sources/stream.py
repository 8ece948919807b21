"""What every source of a stream promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from whenbuy.ingest.reception import Event, Refused

Positions = Callable[[str], str | None]
"""Says how far the source of a name has been read; None where it has not."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows of a source.

    Parameters
    ----------
    rows
        What the reception made of them.
    source
        The name under which the position is kept: a source of many parts (files, partitions) has one per part.
    position
        How far the source has been read with these rows.
    """

    rows: Sequence[Event | Refused]
    source: str
    position: str


class Stream(Protocol):
    """A source that can be read on from where it was left."""

    name: str
    """How messages call it: without a password."""

    def read(self, positions: Positions, most: int, now: int) -> Chunk | None:
        """Return what comes next, None where there is nothing new.

        Parameters
        ----------
        positions
            How far the parts of the source have been read; it is asked once for each.
        most
            How many rows at a time.
        now
            The instant of their arrival.

        Raises
        ------
        DependencyError, AccessError, NotFoundError, InputError
            When the source does not answer or is not what it should be.
        """

    def done(self, chunk: Chunk) -> None:
        """Hear that a chunk is durable: it need not be sent again."""

    def close(self) -> None:
        """Let the source go."""
