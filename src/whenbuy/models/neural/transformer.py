"""A Transformer that looks back only, at the latest events, and knows how many events and how many days lie between two of them.

Attention (Vaswani et al. 2017) with the norm before each part. Queries and keys are rotated (Su et al. 2021): half of their numbers by the
place of the event, half by its time in days, so what one event makes of another depends on both distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.core.errors import SettingsError
from whenbuy.models.neural.encoder import require_sizes
from whenbuy.models.neural.engine import Activation, Tensor, Tensors, Weights, activate, dropped, spread_evenly, torch, zeros

_EVENTS: Final = 256.0
_DAYS: Final = 730.0
"""The slowest rotations take about so many events and days."""


@dataclass(frozen=True, slots=True)
class Transformer:
    """A stack of causal self-attention. It needs torch to answer.

    Parameters
    ----------
    width
        Numbers of each layer; four times the heads, or a multiple of it.
    depth
        Layers.
    heads
        Attentions side by side.
    span
        Each layer looks back at so many events; memory grows with it, not with the length of a stream.
    activation
        Inside the layers behind the attention.
    dropout
        Share of what each part adds that is dropped in training.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    span: int = 128
    activation: Activation = "relu"
    dropout: float = 0.1
    live: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_sizes("A Transformer", width=self.width, depth=self.depth, heads=self.heads, span=self.span)
        if self.width % (4 * self.heads):
            raise SettingsError(
                f"A Transformer of width {self.width} was asked for with {self.heads} heads.",
                "The width must be a multiple of four times the heads.",
                "Change one of them.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"transformer-{self.width}x{self.depth}"

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights."""
        made: dict[str, Any] = {}
        width = self.width
        for layer in range(self.depth):
            for part, inputs, outputs in (
                ("look", width, 3 * width),
                ("seen", width, width),
                ("wide", width, 2 * width),
                ("back", 2 * width, width),
            ):
                made[f"{layer}/{part}"] = spread_evenly(rng, inputs, outputs)
                made[f"{layer}/{part}_bias"] = zeros(outputs)
            for norm in ("norm_look", "norm_wide"):
                made[f"{layer}/{norm}"] = np.ones(width, np.float32)
        return made

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it. See `Encoder`."""
        library = torch()
        norm = library.nn.functional.layer_norm
        steps, rows, width = x.shape
        turns = self._turns(gap_days)
        x = x.transpose(0, 1)
        for layer in range(self.depth):
            own = {name.removeprefix(f"{layer}/"): part for name, part in weights.items() if name.startswith(f"{layer}/")}
            asked = (norm(x, (width,), own["norm_look"]) @ own["look"] + own["look_bias"]).view(rows, steps, 3, self.heads, -1)
            query, key, value = asked.permute(2, 0, 3, 1, 4)
            seen = self._attended(_turned(query, turns), _turned(key, turns), value).transpose(1, 2).reshape(rows, steps, width)
            x = x + dropped(seen @ own["seen"] + own["seen_bias"], self.dropout, chance)
            wide = activate(self.activation, norm(x, (width,), own["norm_wide"]) @ own["wide"] + own["wide_bias"])
            x = x + dropped(wide @ own["back"] + own["back_bias"], self.dropout, chance)
        return x.transpose(0, 1)

    def _turns(self, gap_days: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of the angle of each pair of numbers (rows x 1 x time x pairs)."""
        library = torch()
        pairs = self.width // self.heads // 2
        place = library.arange(len(gap_days), dtype=gap_days.dtype)[:, None].expand(gap_days.shape)
        share = library.arange(pairs // 2, dtype=gap_days.dtype) / max(pairs // 2, 1)
        angles = [when[..., None] * longest ** (-share) for when, longest in ((place, _EVENTS), (gap_days.cumsum(0), _DAYS))]
        angle = library.cat(angles, dim=-1).transpose(0, 1)[:, None]
        return angle.cos(), angle.sin()

    def _attended(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return what each place has seen of itself and the ``span`` - 1 places before it (rows x heads x time x size).

        Places are taken in blocks of the span: each looks into its own block and the one before.
        """
        library = torch()
        rows, heads, steps, size = query.shape
        span = min(self.span, steps)
        blocks = -(-steps // span)
        query, key, value = (library.nn.functional.pad(part, (0, 0, 0, blocks * span - steps)) for part in (query, key, value))
        query = query.view(rows, heads, blocks, span, size)
        both = [
            library.cat([library.nn.functional.pad(part, (0, 0, 0, 0, 1, 0))[:, :, :-1], part], dim=3)
            for part in (key.view(query.shape), value.view(query.shape))
        ]
        back = library.arange(span)[:, None] + span - library.arange(2 * span)
        near = (back >= 0) & (back < span)
        told = near[None] & ((library.arange(2 * span) >= span) | (library.arange(blocks) > 0)[:, None])[:, None]
        seen = library.nn.functional.scaled_dot_product_attention(query, *both, attn_mask=told)
        return seen.reshape(rows, heads, blocks * span, size)[:, :, :steps]


def _turned(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Return numbers, two by two, turned by angles."""
    cos, sin = turns
    one, other = x.chunk(2, dim=-1)
    return torch().cat([one * cos - other * sin, one * sin + other * cos], dim=-1)


TYPES: Final[dict[str, type]] = {"Transformer": Transformer}
"""What a stored model of this file may be made of."""
