"""Learning from all events, without labels: what comes next, or what was hidden. The nets of a question, a shop or a group begin there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, torch
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.next_event import NextEvent, NextHead, following_losses, next_of
from whenbuy.models.neural.reading import Reading, first_weights, padded, part_of, states_of
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.tokens import Inputs, Reader, Tokens
from whenbuy.models.neural.training import Course, Losses, Tell, Training, train


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How an encoder learns from events alone.

    Parameters
    ----------
    encoder
        Reads the events.
    task
        ``next``: to tell the event after each. ``masked``: to tell the names of hidden events, from those before and from their own
        time and numbers.
    masked
        The share of events that are hidden, for the second.
    inputs
        What is read of an event.
    head
        What is told of an event.
    training
        How long and in what portions.
    """

    encoder: Encoder = LinearRecurrence()
    task: Literal["next", "masked"] = "next"
    masked: float = 0.15
    inputs: Inputs = Inputs()
    head: NextHead = NextHead(share=1.0)
    training: Training = Training()

    def __post_init__(self) -> None:
        if self.task not in ("next", "masked") or not 0.0 < self.masked < 1.0 or self.encoder.width == 0:
            raise SettingsError(
                f"{self.encoder.name} was to learn the task {self.task!r} with a share of {self.masked} hidden events.",
                "An encoder of events learns 'next' or 'masked', with a share between 0 and 1.",
                "Change them.",
            )

    def learn(
        self,
        sequences: Sequences,
        valid: Sequences | None = None,
        *,
        folder: Path | None = None,
        tell: Tell | None = None,
        clock: Callable[[], float] = time.process_time,
    ) -> Events:
        """Return what these events teach; what only the longest sequence of a user holds is learned from once. See `train`.

        Without ``valid`` a share of the streams is kept back.

        Raises
        ------
        NotEnoughDataError
            When fewer than two streams hold two events.
        UsageError
            When torch is not installed.
        """
        torch()
        streams = long_enough(sequences)
        away = np.zeros(len(streams), bool)
        if valid is None:
            count = max(1, round(self.training.held_out * len(streams)))
            away[np.random.default_rng((self.training.seed, 1)).permutation(len(streams))[:count]] = True
        judged = streams.part(np.flatnonzero(away)) if valid is None else long_enough(valid)
        learns = streams.part(np.flatnonzero(~away))
        if not len(learns) or not len(judged):
            raise NotEnoughDataError(
                f"{len(streams):,} users have two events or more.", "Some are learned from and others judged on.", "Give a longer log."
            )
        reader = self.inputs.learn(sequences, tokens_of(learns))
        rng = np.random.default_rng(self.training.seed)
        weights = first_weights(self.encoder, reader, rng)
        weights |= {f"next/{name}": part for name, part in self.head.weights(reader, self.encoder.width, rng).items()}
        told = reader.read(sequences)
        task = _Events(self, reader, told, learns, told if valid is None else reader.read(valid), judged)
        best, course = train(task, weights, self.training, folder=folder, tell=tell, clock=clock)
        return Events(self, reader, best, course)


@dataclass(frozen=True, eq=False)
class Events:
    """An encoder that has learned from events, and what it tells of the next one."""

    settings: Pretraining
    reader: Reader
    weights: Weights
    course: Course

    def next(self, sequences: Sequences) -> NextEvent:
        """Return what comes after the latest event of each key. Torch is not needed where the encoder is live.

        Raises
        ------
        UsageError
            When the encoder learned to tell hidden events, or needs torch and it is not installed.
        """
        if self.settings.task != "next":
            raise SettingsError("Hidden events were learned, not next ones.", "The next event is told by the task 'next'.", "Learn that.")
        own, tokens = part_of(self.weights, "next"), part_of(self.weights, "tokens")
        return next_of(self.settings.head, self.reader, own, tokens, self.reading.read_out(sequences))

    @cached_property
    def reading(self) -> Reading:
        """How it reads events."""
        return Reading(self.settings.encoder, self.reader, self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class _Streamed:
    """Some whole streams as tensors, ``true`` the names before any was hidden, ``hidden`` which ones were."""

    tokens: Mapping[str, Tensor]
    length: Ints
    named: str

    @property
    def size(self) -> int:
        """How many events they are."""
        return int(self.length.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """The task of learning from events alone."""

    settings: Pretraining
    reader: Reader
    told: Tokens
    learns: Streams
    judged_told: Tokens
    judged: Streams

    @property
    def shares(self) -> Mapping[str, float]:
        """How much each loss counts; the mean of all leads."""
        names = [f"next {column.column}" for column in self.settings.head.told(self.reader)]
        time_too = ["next time"] if self.settings.task == "next" else []
        return {"all": 1.0, **dict.fromkeys((*time_too, *names), 0.0)}

    @property
    def sparse(self) -> tuple[str, ...]:
        """The weights that a batch moves only in the rows that it names."""
        return ("tokens/large",)

    @property
    def fingerprint(self) -> str:
        """A sha256 over the events."""
        digest = hashlib.sha256()
        for part in (self.told.codes, self.told.numbers, self.learns.start, self.learns.length, self.judged.start, self.judged.length):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def batches(self, rng: np.random.Generator) -> Iterator[_Streamed]:
        """Return the batches of an epoch."""
        for streams in self.learns.batches(self.settings.training.batch_tokens, 2**62, rng):
            yield self._batch(self.told, self.learns, streams, rng)

    def held_out(self) -> Iterator[_Streamed]:
        """Return the batches on which an epoch is judged: with the same events hidden each time."""
        rng = np.random.default_rng(self.settings.training.seed)
        for streams in self.judged.batches(4 * self.settings.training.batch_tokens, 2**62):
            yield self._batch(self.judged_told, self.judged, streams, rng)

    def losses(self, weights: Tensors, batch: _Streamed, chance: Any) -> Losses:
        """Return the loss of each name and of the time, and their sum."""
        library, settings = torch(), self.settings
        states = states_of(settings.encoder, self.reader, weights, batch.tokens, chance)
        drawn = chance or library.Generator().manual_seed(settings.training.seed)
        if settings.task == "next":
            found = following_losses(settings.head, self.reader, weights, states, batch.tokens, batch.length, drawn)
        else:
            own, tokens, hidden = part_of(weights, "next"), part_of(weights, "tokens"), batch.tokens["hidden"]
            at = batch.tokens["true"][hidden], batch.tokens["gap_days"][hidden]
            found = {
                f"next {name}": pair for name, pair in settings.head.losses(own, tokens, self.reader, states[hidden], *at, drawn).items()
            }
            del found["next time"]  # it was not hidden
        return {"all": (sum(part for part, _ in found.values()), next(iter(found.values()))[1]), **found}

    def _batch(self, told: Tokens, streams: Streams, some: Ints, rng: np.random.Generator) -> _Streamed:
        library, settings = torch(), self.settings
        start, length = streams.start[some], streams.length[some]
        tokens = padded(told, start, length)
        tokens["true"] = tokens["codes"]
        codes = tokens["codes"].numpy()
        share = settings.masked if settings.task == "masked" else 0.0
        hidden = (rng.random(codes.shape[:2]) < share) & (np.arange(len(codes))[:, None] < length)
        if share and not hidden.any():
            hidden[0, 0] = True
        unmet = hidden[..., None] | (rng.random(codes.shape) < settings.inputs.mask)
        tokens["codes"] = library.from_numpy(np.where(unmet, np.array(self.reader.unmet, np.int32), codes))
        tokens["hidden"] = library.from_numpy(hidden)
        return _Streamed(tokens, length, f"streams from token {int(start[0]):,} on")


def long_enough(sequences: Sequences) -> Streams:
    """Return the streams of at least two events."""
    streams = Streams.of(sequences)
    return streams.part(np.flatnonzero(streams.length > 1))


def tokens_of(streams: Streams) -> Ints:
    """Return the tokens of some streams."""
    before = np.cumsum(streams.length) - streams.length
    return np.asarray(np.repeat(streams.start - before, streams.length) + np.arange(streams.length.sum()))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Pretraining, Events)}
"""What a stored model of this file may be made of."""
