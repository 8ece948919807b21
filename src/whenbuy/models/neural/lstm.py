"""An LSTM: a cell behind three gates (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.models.neural import gated
from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, torch
from whenbuy.models.neural.kernels import steps


@dataclass(frozen=True, slots=True)
class Lstm:
    """A stack of LSTMs.

    Parameters
    ----------
    width
        Numbers of each layer.
    depth
        Layers.
    dropout
        Share of what passes between two layers that is dropped in training.
    """

    width: int = 64
    depth: int = 1
    dropout: float = 0.0
    live: ClassVar[bool] = True
    cell: ClassVar[int] = steps.LSTM

    def __post_init__(self) -> None:
        require_sizes("An LSTM", width=self.width, depth=self.depth)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"lstm-{self.width}x{self.depth}"

    @property
    def state_size(self) -> int:
        """How many numbers its state holds."""
        return 2 * self.depth * self.width

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights, as torch draws them."""
        return gated.first_weights(rng, self.width, self.depth, 4)

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        del gap_days  # the tokens tell it
        return gated.passed(torch().lstm, weights, x, self.depth, 2, self.dropout, chance)

    def packed(self, weights: Weights) -> Weights:
        """Return its weights as one flat array for the kernels."""
        return gated.packed(weights, self.depth, summed=True)


TYPES: Final[dict[str, type]] = {"Lstm": Lstm}
"""What a stored model of this file may be made of."""
