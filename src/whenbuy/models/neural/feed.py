"""The feed: examples as batches of streams and read-outs, and the losses of all heads on them. This is the task of a net of forecasts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.examples import Examples
from whenbuy.models.neural.engine import Tensor, Tensors, torch
from whenbuy.models.neural.heads import Targets
from whenbuy.models.neural.net import SEQUENCES, Shape
from whenbuy.models.neural.next_event import following_losses
from whenbuy.models.neural.reading import padded, states_of
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.tokens import FURTHEST, GAP, Tokens, minutes
from whenbuy.models.neural.training import Losses, Training
from whenbuy.models.neural.windows import silence


@dataclass(frozen=True, slots=True, eq=False)
class ReadOuts:
    """Some streams and where they are read out.

    Parameters
    ----------
    tokens
        The tokens as tensors, ``true`` the names before any was made unknown; None for a net that reads none.
    length
        How many tokens of each stream are its own (s).
    place
        How many tokens each read-out has behind it (r).
    stream
        In which of the streams it stands (r).
    rows
        Which example it is (r).
    named
        Who they are, for messages.
    """

    tokens: Mapping[str, Tensor] | None
    length: Ints
    place: Ints
    stream: Ints
    rows: Ints
    named: str

    @property
    def size(self) -> int:
        """How many read-outs they are."""
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Examples as a net reads them.

    Parameters
    ----------
    tokens, streams
        Their events.
    beside
        What joins at the read-out: silence and window features (n x b).
    targets
        What came true, by head.
    users
        The name of each row's user, for messages.
    """

    tokens: Tokens | None
    streams: Streams
    beside: Singles
    targets: Mapping[str, Targets]
    users: tuple[str, ...]

    @classmethod
    def of(cls, shape: Shape, examples: Examples, rows: Ints) -> Part:
        """Return some of the examples."""
        beside = shape.windows.read(examples.table)
        targets = {head.name: head.targets(examples) for head in shape.heads}
        users = tuple(examples.keys.ids().to_list())
        if shape.reader is None:
            return cls(None, Streams.without_tokens(rows), beside, targets, users)
        sequences = examples.block(SEQUENCES, Sequences)
        beside = np.hstack([silence(sequences.since_days), beside])
        return cls(shape.reader.read(sequences), Streams.of(sequences, rows), beside, targets, users)

    def first(self, shape: Shape) -> Singles:
        """Return what everybody would be answered by each head, side by side."""
        rows = self.streams.row
        return np.concatenate([head.first({name: part[rows] for name, part in self.targets[head.name].items()}) for head in shape.heads])


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The task of a net of forecasts: to answer at every read-out what came true.

    Parameters
    ----------
    shape
        The net.
    train, valid
        What it learns from, and what it is judged on.
    how
        In what portions.
    dropout
        The share of the layers behind the encoder that is dropped in training.
    mask
        The share of names that are read as not met in training.
    """

    shape: Shape
    train: Part
    valid: Part
    how: Training
    dropout: float
    mask: float

    @property
    def shares(self) -> Mapping[str, float]:
        """How much the loss of each head counts."""
        shares = {head.name: head.share for head in self.shape.heads}
        following, reader = self.shape.following, self.shape.reader
        if following is None or reader is None:
            return shares
        return shares | {f"next {name}": following.share for name in ("time", *(column.column for column in following.told(reader)))}

    @property
    def sparse(self) -> tuple[str, ...]:
        """The weights that a batch moves only in the rows that it names."""
        return ("tokens/large",)

    @property
    def fingerprint(self) -> str:
        """A sha256 over the rows and what came true for them."""
        digest = hashlib.sha256()
        for part in (self.train, self.valid):
            for array in (
                part.streams.start,
                part.streams.place,
                part.beside,
                *(t for each in part.targets.values() for t in each.values()),
            ):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def batches(self, rng: np.random.Generator) -> Iterator[ReadOuts]:
        """Return the batches of an epoch."""
        for streams in self.train.streams.batches(self.how.batch_tokens, self.how.batch_reads, rng):
            batch = self._batch(self.train, streams, rng)
            if len(batch.rows):
                yield batch

    def held_out(self) -> Iterator[ReadOuts]:
        """Return the batches on which an epoch is judged."""
        for streams in self.valid.streams.batches(4 * self.how.batch_tokens, 8 * self.how.batch_reads):
            yield self._batch(self.valid, streams, None)

    def losses(self, weights: Tensors, batch: ReadOuts, chance: Any) -> Losses:
        """Return the losses of all heads."""
        library = torch()
        part = self.train if chance is not None else self.valid
        found: dict[str, tuple[Tensor, Tensor]] = {}
        read = library.from_numpy(part.beside[batch.rows])
        if batch.tokens is not None:
            reader = self.shape.reader
            assert reader is not None
            states = states_of(self.shape.encoder, reader, weights, batch.tokens, chance)
            if self.shape.following is not None:
                found |= following_losses(self.shape.following, reader, weights, states, batch.tokens, batch.length, chance)
            place = library.from_numpy(batch.place)
            told = states[(place - 1).clamp(min=0), library.from_numpy(batch.stream)] * (place > 0)[:, None]
            read = library.cat([told, read], dim=1)
        out = self.shape.answered(weights, read, self.dropout, chance)
        at = 0
        for head in self.shape.heads:
            targets = {name: library.from_numpy(one[batch.rows]) for name, one in part.targets[head.name].items()}
            found[head.name] = head.loss(out[:, at : at + head.outputs], targets)
            at += head.outputs
        return found

    def _batch(self, part: Part, streams: Ints, rng: np.random.Generator | None) -> ReadOuts:
        """Return some streams as a batch; in training (with ``rng``) varied, and read out at some of their cutoffs."""
        reads, own = part.streams.reads(streams, self.how.reads, rng)
        place, rows = part.streams.place[reads], part.streams.row[reads]
        named = f"users {', '.join(dict.fromkeys(part.users[row] for row in rows[:50]))}"[:200]
        if part.tokens is None:
            return ReadOuts(None, place * 0, place, own, rows, named)
        start, length = part.streams.start[streams], part.streams.length[streams]
        if rng is None:
            tokens = padded(part.tokens, start, length)
            return ReadOuts(tokens | {"true": tokens["codes"]}, length, place, own, rows, named)
        forgotten = self.how.augment.forgotten(length, rng)
        place = place - forgotten[own]
        kept = place >= (forgotten[own] > 0)
        tokens = padded(
            part.tokens, start + forgotten, length - forgotten, lambda where, left: self.how.augment.reordered(where, left, rng)
        )
        return ReadOuts(self._varied(tokens, rng), length - forgotten, place[kept], own[kept], rows[kept], named)

    def _varied(self, tokens: Mapping[str, Tensor], rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Return the tokens with some names not met and some gaps stretched."""
        library, reader, augment = torch(), self.shape.reader, self.how.augment
        assert reader is not None
        true, numbers, gap = tokens["codes"].numpy(), tokens["numbers"].numpy(), tokens["gap_days"].numpy()
        codes = true
        if codes.shape[-1] and (self.mask or augment.mask):
            unmet = rng.random(codes.shape) < self.mask
            if augment.mask:
                unmet |= (rng.random(codes.shape[:2]) < augment.mask)[..., None]
            codes = np.where(unmet, np.array(reader.unmet, np.int32), codes)
        if augment.jitter and GAP in reader.usual:
            gap = gap * np.exp(augment.jitter * rng.standard_normal(gap.shape)).astype(np.float32)
            at = 2 * tuple(reader.usual).index(GAP)
            mean, deviation = reader.usual[GAP]
            numbers = numbers.copy()
            read = np.clip((minutes(gap) - mean) / deviation, -FURTHEST, FURTHEST)
            numbers[..., at] = np.where(numbers[..., at + 1] > 0, read, 0.0)
        return {
            "codes": library.from_numpy(codes),
            "true": tokens["codes"],
            "numbers": library.from_numpy(numbers),
            "gap_days": library.from_numpy(gap),
        }
