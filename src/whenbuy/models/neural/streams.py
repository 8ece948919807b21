"""Streams: the tokens of a user, passed once, and read out wherever one of her cutoffs stands. Batches of them by a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.blocks import Sequences


@dataclass(frozen=True, slots=True, eq=False)
class Streams:
    """Streams of tokens and where they are read out.

    Keys whose sequences begin at the same token share a stream. What a key reads depends on its own tokens alone, whoever else is asked.

    Parameters
    ----------
    start
        The first token of each stream (s).
    length
        How many tokens are passed (s): up to the last read-out.
    offsets
        The read-outs of stream i are ``offsets[i] : offsets[i + 1]`` (s + 1).
    row
        Which key each read-out is of (n).
    place
        How many tokens of its stream each read-out has behind it (n), rising within a stream.
    """

    start: Ints
    length: Ints
    offsets: Ints
    row: Ints
    place: Ints

    @classmethod
    def of(cls, sequences: Sequences, rows: Ints | None = None) -> Streams:
        """Return the streams of the sequences, or of some of their rows."""
        rows = np.arange(len(sequences)) if rows is None else rows
        start, stop = sequences.start[rows], sequences.stop[rows]
        order = np.lexsort((stop, start))
        start, place = start[order], (stop - start)[order]
        first = np.flatnonzero(np.diff(start, prepend=-1))
        offsets = np.append(first, len(order)).astype(np.int64)
        length = place[offsets[1:] - 1] if len(first) else np.zeros(0, np.int64)
        return cls(start[first], length, offsets, rows[order], place)

    @classmethod
    def without_tokens(cls, rows: Ints) -> Streams:
        """Return a stream without tokens for each row: what is left for a net that reads no events."""
        nothing = np.zeros(len(rows), np.int64)
        return cls(nothing, nothing, np.arange(len(rows) + 1), rows, nothing)

    def __len__(self) -> int:
        return len(self.start)

    def part(self, streams: Ints) -> Streams:
        """Return some of the streams with all their read-outs."""
        reads, own = self.reads(streams)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=len(streams)))]).astype(np.int64)
        return Streams(self.start[streams], self.length[streams], offsets, self.row[reads], self.place[reads])

    def batches(self, tokens: int, reads: int, rng: np.random.Generator | None = None) -> Iterator[Ints]:
        """Yield streams of like length together: at most so many tokens, padding counted, and so many read-outs; one stream at least.

        With ``rng`` streams of the same length meet others each time, and the batches come in any order.
        """
        tie = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        order = np.lexsort((tie, self.length))
        counts = np.diff(self.offsets)[order]
        found, begin = [], 0
        total = 0
        for end in range(len(order)):
            total += int(counts[end])
            if end > begin and ((end + 1 - begin) * int(self.length[order[end]]) > tokens or total > reads):
                found.append(order[begin:end])
                begin, total = end, int(counts[end])
        if len(order):
            found.append(order[begin:])
        for place in np.arange(len(found)) if rng is None else rng.permutation(len(found)):
            yield found[place]

    def reads(self, streams: Ints, most: int = 2**62, rng: np.random.Generator | None = None) -> tuple[Ints, Ints]:
        """Return the read-outs of some streams and the place of the stream among them; of more than ``most`` in one, some by chance."""
        count = np.diff(self.offsets)[streams]
        own = np.repeat(np.arange(len(streams)), count)
        read = np.repeat(self.offsets[streams] - np.cumsum(count) + count, count) + np.arange(count.sum())
        if rng is None or not len(count) or count.max() <= most:
            return read, own
        order = np.lexsort((rng.random(len(read)), own))
        rank = np.arange(len(read)) - np.repeat(np.cumsum(count) - count, count)
        kept = np.sort(order[rank < most])
        return read[kept], own[kept]
