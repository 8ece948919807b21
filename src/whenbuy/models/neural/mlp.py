"""A multilayer perceptron on window features: a net that reads no events, only what was counted of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.models.neural.engine import Tensor, Tensors, Weights


@dataclass(frozen=True, slots=True)
class Mlp:
    """No encoder: the layers behind it (``hidden`` of the net) see the window features alone."""

    live: ClassVar[bool] = True
    width: ClassVar[int] = 0
    name: ClassVar[str] = "mlp"

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return nothing: it has no weights of its own."""
        del rng
        return {}

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return the tokens as they are; none is ever read. See `Encoder`."""
        del weights, gap_days, chance
        return x


TYPES: Final[dict[str, type]] = {"Mlp": Mlp}
"""What a stored model of this file may be made of."""
