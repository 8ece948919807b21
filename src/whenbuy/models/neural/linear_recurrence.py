"""A linear recurrence: gates that look at the token alone, so that a whole stream passes in one compiled scan.

For each layer, with x the token and s the logistic function (minGRU, Feng et al. 2024, with an output gate and a residual path)::

    z, o, c = x W + b
    h[t]    = (1 - s(z)) * exp(-rate * gap_days) * h[t - 1] + s(z) * c
    y       = x + (h * o * s(o)) V + d

``rate`` is learned per number of the state and lets it fade with the days between events, not only with their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, dropped, spread_evenly, torch, zeros
from whenbuy.models.neural.kernels import steps
from whenbuy.models.neural.kernels.scan import scan_backward, scan_forward

_DAYS: Final = (2.0, 400.0)
"""At first the states fade over times between these."""


@dataclass(frozen=True, slots=True)
class LinearRecurrence:
    """A stack of linear recurrences.

    Parameters
    ----------
    width
        Numbers of each layer.
    depth
        Layers.
    decay
        Whether the state fades with time.
    dropout
        Share of what each layer lets out that is dropped in training.
    """

    width: int = 64
    depth: int = 2
    decay: bool = True
    dropout: float = 0.0
    live: ClassVar[bool] = True
    cell: ClassVar[int] = steps.LINEAR

    def __post_init__(self) -> None:
        require_sizes("A linear recurrence", width=self.width, depth=self.depth)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"linear-{self.width}x{self.depth}"

    @property
    def state_size(self) -> int:
        """How many numbers its state holds."""
        return (self.depth + 1) * self.width

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights: gates that keep about nine tenths, and times of fading spread evenly on the logarithm."""
        made: dict[str, Any] = {}
        width = self.width
        for layer in range(self.depth):
            made[f"{layer}/in"] = spread_evenly(rng, width, 3 * width)
            made[f"{layer}/in_bias"] = np.concatenate([rng.uniform(-3.0, -1.0, width), np.zeros(2 * width)]).astype(np.float32)
            made[f"{layer}/out"] = spread_evenly(rng, width, width)
            made[f"{layer}/out_bias"] = zeros(width)
            if self.decay:
                made[f"{layer}/rate"] = (-rng.uniform(np.log(_DAYS[0]), np.log(_DAYS[1]), width)).astype(np.float32)
        return made

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        library = torch()
        width = self.width
        for layer in range(self.depth):
            parts = library.addmm(weights[f"{layer}/in_bias"], x.reshape(-1, width), weights[f"{layer}/in"]).view(*x.shape[:2], 3 * width)
            log_faded = -gap_days[..., None] * weights[f"{layer}/rate"].exp() if self.decay else None
            let_out = scanned(parts, log_faded).view(-1, width)
            y = library.addmm(weights[f"{layer}/out_bias"], let_out, weights[f"{layer}/out"]).view(x.shape)
            x = x + dropped(y, self.dropout, chance)
        return x

    def packed(self, weights: Weights) -> Weights:
        """Return its weights as one flat array for the kernels."""
        parts = []
        for layer in range(self.depth):
            rate = np.exp(weights[f"{layer}/rate"]) if self.decay else zeros(self.width)
            parts += [rate, *(weights[f"{layer}/{part}"] for part in ("in_bias", "in", "out_bias", "out"))]
        return {"flat": np.concatenate([part.ravel() for part in parts]).astype(np.float32)}


def scanned(parts: Tensor, log_faded: Tensor | None) -> Tensor:
    """Return what the gates let out of the state after each token (time x rows x width), with its slopes.

    ``parts`` holds z, o and c side by side (time x rows x 3 width); ``log_faded`` is -rate * gap_days, None where nothing fades.
    """
    return _scan().apply(parts, log_faded)


@cache
def _scan() -> Any:
    """Return the recurrence as torch sees it; made at first use, because torch is imported then."""
    library = torch()

    class Scan(library.autograd.Function):  # type: ignore[misc, name-defined]
        """The compiled scan with its hand-written slopes."""

        @staticmethod
        def forward(context: Any, parts: Tensor, log_faded: Tensor | None) -> Tensor:
            parts = parts.contiguous()
            width = parts.shape[-1] // 3
            gates = library.sigmoid(parts[..., : 2 * width]).contiguous()
            faded = library.ones_like(parts[..., :width]) if log_faded is None else log_faded.exp()
            state, out = library.empty_like(faded), library.empty_like(faded)
            scan_forward(parts.numpy(), gates.numpy(), faded.numpy(), state.numpy(), out.numpy())
            context.save_for_backward(parts, gates, faded, state)
            return out

        @staticmethod
        def backward(context: Any, slope: Tensor) -> tuple[Tensor, Tensor | None]:
            parts, gates, faded, state = context.saved_tensors
            part_slope, fade_slope = library.empty_like(parts), library.empty_like(faded)
            carried, given = library.zeros_like(faded[0]), slope.contiguous()
            scan_backward(*(each.numpy() for each in (parts, gates, faded, state, given, carried, part_slope, fade_slope)))
            return part_slope, fade_slope if context.needs_input_grad[1] else None

    return Scan


TYPES: Final[dict[str, type]] = {"LinearRecurrence": LinearRecurrence}
"""What a stored model of this file may be made of."""
