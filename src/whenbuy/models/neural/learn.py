"""How a net is made of examples: what it reads is learned from the training rows, then its weights are trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Bools, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.learner import refuse_leak
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
from whenbuy.models.when.boosted_curve import thinned

RECENCY: Final = "event_recency_days"
"""The feature by which strangers are told: nobody else has none."""
_LEAST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLearner:
    """What every learner of a net is told beside its encoder and its question.

    Parameters
    ----------
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
    max_rows
        Training rows above this number are left out by chance: it bounds the time.
    training
        How long and in what portions it learns.
    """

    inputs: Inputs = Inputs()
    hidden: tuple[int, ...] = (128, 64)
    activation: Activation = "relu"
    dropout: float = 0.3
    windows: bool = True
    max_rows: int = 1_000_000
    training: Training = Training()

    def __post_init__(self) -> None:
        if min((self.max_rows, *self.hidden)) < 1 or self.activation not in ACTIVATIONS or not 0.0 <= self.dropout < 1.0:
            raise SettingsError(
                f"Layers of {self.hidden} with {self.activation!r} between them and a dropout of {self.dropout} were to learn from "
                f"{self.max_rows} rows.",
                f"Widths and rows from 1, one of {', '.join(ACTIVATIONS)} and a share from 0 to below 1 are needed.",
                "Change them.",
            )

    def shape(self, encoder: Encoder, examples: Examples, rows: Ints, heads: tuple[Head, ...], following: NextHead | None) -> Shape:
        """Return the net as these rows of the examples say that it is to be built."""
        table = examples.table.take(rows)
        windows = Windows.learn(table if self.windows or isinstance(encoder, Mlp) else replace(table, names=(), values=table.values[:, :0]))
        reader = None if isinstance(encoder, Mlp) else self._reader(examples.block(SEQUENCES, Sequences), rows)
        return Shape(encoder, self.hidden, self.activation, reader, windows, heads, following)

    def _reader(self, sequences: Sequences, rows: Ints) -> Reader:
        seen = np.zeros(len(sequences.time) + 1, np.int64)
        np.add.at(seen, sequences.start[rows], 1)
        np.add.at(seen, sequences.stop[rows], -1)
        return self.inputs.learn(sequences, np.flatnonzero(np.cumsum(seen)[:-1] > 0))


@dataclass(frozen=True, slots=True, eq=False)
class NetModel:
    """A net that has learned to answer a question.

    Parameters
    ----------
    settings
        How it was learned.
    net
        The net.
    everybody
        What its heads would answer about anybody (outputs): the answer for strangers.
    course
        How the training went.
    known_until
        The end of the last label window that it saw.
    """

    settings: Any
    net: Net
    everybody: Singles
    course: Course
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return str(self.settings.name)

    def told(self, examples: Examples, *, in_sample: bool = False) -> tuple[Singles, Bools]:
        """Return the outputs of its heads for each key (n x outputs), and who is a stranger (n).

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature.
        UsageError
            When the encoder needs torch, and it is not installed.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        out, prior = self.net.outputs(examples), strangers(examples)
        out[prior] = self.everybody
        return out, prior


def strangers(examples: Examples) -> Bools:
    """Return of which keys nothing is known."""
    if RECENCY in examples.table.names:
        return np.isnan(examples.table.column(RECENCY))
    return np.asarray(examples.block(SEQUENCES, Sequences).lengths == 0)


def learned(
    settings: NetLearner,
    encoder: Encoder,
    heads: tuple[Head, ...],
    train_on: Examples,
    valid: Examples | None,
    *,
    folder: Path | None = None,
    tell: Tell | None = None,
    start: Net | Events | None = None,
    following: NextHead | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Net, Singles, Course, int]:
    """Return what a `NetModel` is made of behind its settings; the first head leads. See `train`.

    Without validation examples a share of the users is kept back, chosen by the seed. ``start`` is what learned before, from all events or
    in another shop: the net reads events as it does, and begins with those of its weights that fit.

    Raises
    ------
    NotEnoughDataError
        When there are fewer than two users, or nothing came true.
    """
    torch()
    known_until = max(int(each.label(head.question).end.max(initial=0)) for each in (train_on, valid) if each is not None for head in heads)
    how, train_on = settings.training, thinned(train_on, settings.max_rows, settings.training.seed)
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
    shape = settings.shape(encoder, train_on, part, heads, following)
    if start is not None:
        shape = _as_before(shape, start)
    feed_train = Part.of(shape, train_on, part)
    weights = shape.weights(np.random.default_rng(how.seed), feed_train.first(shape))
    if start is not None:
        old = start.weights
        weights = {name: old[name] if name in old and old[name].shape == own.shape else own for name, own in weights.items()}
    feed = Feed(shape, feed_train, Part.of(shape, *judged), how, settings.dropout, settings.inputs.mask)
    best, course = train(feed, weights, how, folder=folder, tell=tell, clock=clock)
    everybody = np.concatenate([head.first(head.targets(train_on)) for head in heads])
    return Net(shape, best), everybody, course, known_until


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


def _kept_back(examples: Examples, how: Training) -> Bools:
    """Return which examples are those of users that are kept back."""
    users = np.unique(examples.keys.code)
    count = max(1, round(how.held_out * len(users))) if len(users) >= _LEAST else 0
    away = np.random.default_rng((how.seed, 1)).permutation(users)[:count]
    return np.isin(examples.keys.code, away)
