"""A GRU: gates that say how much of the state is kept and how much of it a new one may see (Cho et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.models.neural import gated
from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, torch
from whenbuy.models.neural.kernels import steps


@dataclass(frozen=True, slots=True)
class Gru:
    """A stack of GRUs.

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
    cell: ClassVar[int] = steps.GRU

    def __post_init__(self) -> None:
        require_sizes("A GRU", width=self.width, depth=self.depth)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"gru-{self.width}x{self.depth}"

    @property
    def state_size(self) -> int:
        """How many numbers its state holds."""
        return self.depth * self.width

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights, as torch draws them."""
        return gated.first_weights(rng, self.width, self.depth, 3)

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        del gap_days  # the tokens tell it
        return gated.passed(torch().gru, weights, x, self.depth, 1, self.dropout, chance)

    def packed(self, weights: Weights) -> Weights:
        """Return its weights as one flat array for the kernels."""
        return gated.packed(weights, self.depth, summed=False)


TYPES: Final[dict[str, type]] = {"Gru": Gru}
"""What a stored model of this file may be made of."""
