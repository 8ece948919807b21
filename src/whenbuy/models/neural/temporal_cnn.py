"""A temporal convolution: each layer looks a little further back, never ahead (Oord et al. 2016; Bai et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Activation, Tensor, Tensors, Weights, activate, dropped, torch, zeros


@dataclass(frozen=True, slots=True)
class TemporalCnn:
    """A stack of causal convolutions with residual paths; layer l reaches (size - 1) * 2**l events further back. It needs torch to answer.

    Parameters
    ----------
    width
        Numbers of each layer.
    depth
        Layers.
    size
        Events that a convolution sees at once.
    activation
        Behind each convolution.
    dropout
        Share of what each layer adds that is dropped in training.
    """

    width: int = 64
    depth: int = 4
    size: int = 3
    activation: Activation = "relu"
    dropout: float = 0.0
    live: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_sizes("A temporal CNN", width=self.width, depth=self.depth, size=self.size)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"cnn-{self.width}x{self.depth}"

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights."""
        bound = 1.0 / np.sqrt(self.width * self.size)
        made: dict[str, Any] = {}
        for layer in range(self.depth):
            made[f"{layer}/weight"] = rng.uniform(-bound, bound, (self.width, self.width, self.size)).astype(np.float32)
            made[f"{layer}/bias"] = zeros(self.width)
        return made

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        del gap_days  # the tokens tell it
        functional = torch().nn.functional
        x = x.permute(1, 2, 0)
        for layer in range(self.depth):
            step = 2**layer
            seen = functional.pad(x, ((self.size - 1) * step, 0))
            y = functional.conv1d(seen, weights[f"{layer}/weight"], weights[f"{layer}/bias"], dilation=step)
            x = x + dropped(activate(self.activation, y), self.dropout, chance)
        return x.permute(2, 0, 1)


TYPES: Final[dict[str, type]] = {"TemporalCnn": TemporalCnn}
"""What a stored model of this file may be made of."""
