"""A net: an encoder of events, the layers behind it, and its heads, as data. It answers without torch where its encoder can."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import DamagedError
from whenbuy.core.examples import Examples
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import ACTIVATIONS, Activation, Tensor, Tensors, Weights, activate, dropped, spread_evenly, torch
from whenbuy.models.neural.heads import Head
from whenbuy.models.neural.kernels.steps import layers_of_rows
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.reading import Reading, first_weights
from whenbuy.models.neural.tokens import Reader
from whenbuy.models.neural.windows import SILENCE, Windows, silence

SEQUENCES: Final = "sequences"
"""The block of examples that nets read."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a net is built, before it has learned anything.

    Parameters
    ----------
    encoder
        Reads the events; `Mlp` reads none.
    hidden
        Widths of the layers between what is read and the heads.
    activation
        Between these layers.
    reader
        How tokens are read; None where none are.
    windows
        How the features are read that join at the read-out.
    heads
        What it answers.
    following
        What is told of the next event after each; None where nothing is.
    """

    encoder: Encoder
    hidden: tuple[int, ...]
    activation: Activation
    reader: Reader | None
    windows: Windows
    heads: tuple[Head, ...]
    following: NextHead | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers enter the first layer behind the encoder, and leave each."""
        enter = self.windows.width + (self.encoder.width + SILENCE if self.reader is not None else 0)
        return (enter, *self.hidden, sum(head.outputs for head in self.heads))

    def weights(self, rng: np.random.Generator, first: Singles) -> Weights:
        """Return first weights; the last layer answers what everybody would be answered."""
        made: dict[str, Singles] = {}
        if self.reader is not None:
            made |= first_weights(self.encoder, self.reader, rng)
            if self.following is not None:
                made |= {f"next/{name}": part for name, part in self.following.weights(self.reader, self.encoder.width, rng).items()}
        for layer, (inputs, outputs) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            made[f"layers/{layer}"] = spread_evenly(rng, inputs, outputs) * np.float32(1.0 if layer < len(self.hidden) else 0.1)
            made[f"layers/{layer}_bias"] = np.zeros(outputs, np.float32) if layer < len(self.hidden) else first.astype(np.float32)
        return made

    def answered(self, weights: Tensors, read: Tensor, share: float = 0.0, chance: Any = None) -> Tensor:
        """Return the outputs of all heads for each read-out (n x outputs), by torch."""
        last = len(self.sizes) - 2
        for layer in range(last + 1):
            read = torch().addmm(weights[f"layers/{layer}_bias"], read, weights[f"layers/{layer}"])
            if layer < last:
                read = dropped(activate(self.activation, read), share, chance)
        return read


@dataclass(frozen=True, eq=False)
class Net:
    """A net that has learned.

    Parameters
    ----------
    shape
        How it is built.
    weights
        What it learned, by name.

    Raises
    ------
    DamagedError
        When the weights are not those of such a net.
    """

    shape: Shape
    weights: Weights

    def __post_init__(self) -> None:
        outputs = sum(head.outputs for head in self.shape.heads)
        wanted = self.shape.weights(np.random.default_rng(0), np.zeros(outputs, np.float32))
        same = set(wanted) == set(self.weights) and all(self.weights[name].shape == part.shape for name, part in wanted.items())
        if not same or any(not np.isfinite(part).all() for part in self.weights.values()):
            raise DamagedError("The weights of a net do not fit it.", "They must be those that training made.", "Fit again.")

    def outputs(self, examples: Examples) -> Singles:
        """Return the outputs of all heads for each key (n x outputs). See `Reading.read_out`.

        Raises
        ------
        WhenbuyError
            When the examples carry no sequences, and the net reads them.
        ColumnError
            When the table lacks a feature.
        UsageError
            When the encoder needs torch, and it is not installed.
        """
        read = self.shape.windows.read(examples.table)
        if self.reading is not None:
            sequences = examples.block(SEQUENCES, Sequences)
            read = np.hstack([self.reading.read_out(sequences), silence(sequences.since_days), read])
        return layers_of_rows(*self.layers, np.ascontiguousarray(read, np.float32))

    @cached_property
    def reading(self) -> Reading | None:
        """How it reads events; None where it reads none."""
        return None if self.shape.reader is None else Reading(self.shape.encoder, self.shape.reader, self.weights)

    @cached_property
    def layers(self) -> tuple[Singles, Ints, int]:
        """The layers behind the encoder as the kernels want them: biases and weights in one array, sizes, activation."""
        names = [f"layers/{layer}{part}" for layer in range(len(self.shape.sizes) - 1) for part in ("_bias", "")]
        flat = np.concatenate([self.weights[name].ravel() for name in names])
        return flat, np.array(self.shape.sizes, np.int64), ACTIVATIONS.index(self.shape.activation)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Shape, Net)}
"""What a stored model of this file may be made of."""
