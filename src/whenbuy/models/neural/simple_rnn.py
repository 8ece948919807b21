"""The simple recurrence: the new state is one layer of the token and the old state (Elman 1990)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np

from whenbuy.models.neural import gated
from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, torch
from whenbuy.models.neural.kernels import steps


@dataclass(frozen=True, slots=True)
class SimpleRnn:
    """A stack of simple recurrences.

    Parameters
    ----------
    width
        Numbers of each layer.
    depth
        Layers.
    activation
        The function that makes the new state.
    dropout
        Share of what passes between two layers that is dropped in training.
    """

    width: int = 64
    depth: int = 1
    activation: Literal["tanh", "relu"] = "tanh"
    dropout: float = 0.0
    live: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_sizes("A simple RNN", width=self.width, depth=self.depth)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"rnn-{self.width}x{self.depth}"

    @property
    def cell(self) -> int:
        """Which kernel takes its steps."""
        return steps.RNN_TANH if self.activation == "tanh" else steps.RNN_RELU

    @property
    def state_size(self) -> int:
        """How many numbers its state holds."""
        return self.depth * self.width

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights, as torch draws them."""
        return gated.first_weights(rng, self.width, self.depth, 1)

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        del gap_days  # the tokens tell it
        run = torch().rnn_tanh if self.activation == "tanh" else torch().rnn_relu
        return gated.passed(run, weights, x, self.depth, 1, self.dropout, chance)

    def packed(self, weights: Weights) -> Weights:
        """Return its weights as one flat array for the kernels."""
        return gated.packed(weights, self.depth, summed=True)


TYPES: Final[dict[str, type]] = {"SimpleRnn": SimpleRnn}
"""What a stored model of this file may be made of."""
