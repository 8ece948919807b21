"""How a net is made of examples: what it reads is learned from the training rows, then its weights are trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import ACTIVATIONS, Activation, torch
from whenbuy.models.neural.feed import Feed, Part
from whenbuy.models.neural.heads import Head
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.net import SEQUENCES, Net, Shape
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.pretrain import Events
from whenbuy.models.neural.tokens import Inputs, Reader
from whenbuy.models.neural.training import Course, Tell, Training, train
from whenbuy.models.neural.windows import Windows

_LEAST: Final = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """What a net reads and how it is layered, whatever it answers.

    Parameters
    ----------
    encoder
        Reads the events.
    inputs
        What is read of an event.
    hidden
        Widths of the layers between what is read and the heads.
    activation
        Between these layers.
    dropout
        Share of these layers that is dropped in training.
    windows
        Whether the window features join at the read-out. A net that reads no events always has them.
    """

    encoder: Encoder
    inputs: Inputs = Inputs()
    hidden: tuple[int, ...] = (128, 64)
    activation: Activation = "relu"
    dropout: float = 0.3
    windows: bool = True

    def __post_init__(self) -> None:
        if min((1, *self.hidden)) < 1 or self.activation not in ACTIVATIONS or not 0.0 <= self.dropout < 1.0:
            raise SettingsError(
                f"Layers of {self.hidden} with {self.activation!r} between them and a dropout of {self.dropout} were asked for.",
                f"Widths from 1, one of {', '.join(ACTIVATIONS)} and a share from 0 to below 1 are needed.",
                "Change them.",
            )

    def shape(self, examples: Examples, rows: Ints, heads: tuple[Head, ...], following: NextHead | None = None) -> Shape:
        """Return the net as these rows of the examples say that it is to be built."""
        table = examples.table.take(rows)
        windows = Windows.learn(
            table if self.windows or isinstance(self.encoder, Mlp) else replace(table, names=(), values=table.values[:, :0])
        )
        reader = None if isinstance(self.encoder, Mlp) else self._reader(examples.block(SEQUENCES, Sequences), rows)
        return Shape(self.encoder, self.hidden, self.activation, reader, windows, heads, following)

    def _reader(self, sequences: Sequences, rows: Ints) -> Reader:
        seen = np.zeros(len(sequences.time) + 1, np.int64)
        np.add.at(seen, sequences.start[rows], 1)
        np.add.at(seen, sequences.stop[rows], -1)
        return self.inputs.learn(sequences, np.flatnonzero(np.cumsum(seen)[:-1] > 0))


def learned(
    layout: Layout,
    heads: tuple[Head, ...],
    how: Training,
    train_on: Examples,
    valid: Examples | None,
    *,
    folder: Path | None = None,
    tell: Tell | None = None,
    start: Net | Events | None = None,
    following: NextHead | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Net, Course]:
    """Return a net and how it learned; the first head leads. See `train`.

    Without validation examples a share of the users is kept back, chosen by the seed. ``start`` is what learned before, from all events or
    in another shop: the net reads events as it does, and begins with those of its weights that fit.

    Raises
    ------
    NotEnoughDataError
        When there are fewer than two users, or nothing came true.
    """
    torch()
    rows = np.arange(len(train_on))
    if valid is None:
        away = _kept_back(train_on, how)
        part, judged = rows[~away], (train_on, rows[away])
    else:
        part, judged = rows, (valid, np.arange(len(valid)))
    if not len(part) or not len(judged[1]):
        raise NotEnoughDataError(
            f"{len(train_on):,} training examples of {len(np.unique(train_on.keys.code)):,} users cannot be parted.",
            "A net learns from some users and is judged on others.",
            "Give a log of more users.",
        )
    shape = layout.shape(train_on, part, heads, following)
    if start is not None:
        shape = _as_before(shape, start)
    feed_train = Part.of(shape, train_on, part)
    weights = shape.weights(np.random.default_rng(how.seed), feed_train.first(shape))
    if start is not None:
        old = start.weights
        weights = {name: old[name] if name in old and old[name].shape == own.shape else own for name, own in weights.items()}
    feed = Feed(shape, feed_train, Part.of(shape, *judged), how, layout.dropout, layout.inputs.mask)
    best, course = train(feed, weights, how, folder=folder, tell=tell, clock=clock)
    return Net(shape, best), course


def _as_before(shape: Shape, start: Net | Events) -> Shape:
    """Return the net with the eyes of what learned before.

    Raises
    ------
    UsageError
        When that has another encoder.
    """
    encoder = start.settings.encoder if isinstance(start, Events) else start.shape.encoder
    if encoder != shape.encoder:
        raise UsageError(
            f"A net with {shape.encoder.name} was to begin as one with {encoder.name}.",
            "Both need the same encoder.",
            "Change one of them.",
        )
    if isinstance(start, Events):
        return replace(shape, reader=start.reader)
    windows = start.shape.windows if set(start.shape.windows.names) <= set(shape.windows.names) else shape.windows
    return replace(shape, reader=start.shape.reader, windows=windows)


def _kept_back(examples: Examples, how: Training) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which examples are those of users that are kept back."""
    users = np.unique(examples.keys.code)
    count = max(1, round(how.held_out * len(users))) if len(users) >= _LEAST else 0
    away = np.random.default_rng((how.seed, 1)).permutation(users)[:count]
    return np.isin(examples.keys.code, away)
