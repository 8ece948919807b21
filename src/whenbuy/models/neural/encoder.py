"""What every encoder offers: one pass over many events at once and, where it is recurrent, the same one event at a time."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from whenbuy.core.errors import SettingsError
from whenbuy.models.neural.engine import Tensor, Tensors, Weights


class Encoder(Protocol):
    """Reads a stream of tokens and says, after each of them, what it has made of those so far. It never looks ahead.

    Attributes
    ----------
    live
        Whether one event updates its state by compiled kernels, without torch. Such an encoder also has ``cell`` (which kernel of ``steps``
        takes its steps), ``depth``, ``state_size`` (how many numbers its state holds; those of the top layer's output stand last) and
        ``packed(weights)`` (its weights as one flat array for the kernels, as ``{"flat": ...}``).
    """

    live: ClassVar[bool]

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def width(self) -> int:
        """How many numbers stand for a token, and for what was made of all up to it."""

    def weights(self, rng: np.random.Generator) -> Weights:
        """Return first weights, by name."""

    def passed(self, weights: Tensors, x: Tensor, gap_days: Tensor, chance: Any) -> Tensor:
        """Return what is made of each token and those before it (time x rows x width).

        Parameters
        ----------
        weights
            Its weights, by name.
        x
            The tokens (time x rows x width).
        gap_days
            Days from the token before to each (time x rows), 0 for the first.
        chance
            A torch generator from which dropout is drawn; None where nothing is dropped.
        """


def require_sizes(name: str, **sizes: int) -> None:
    """Raise SettingsError when a width or depth is below 1."""
    for what, size in sizes.items():
        if size < 1:
            raise SettingsError(f"{name} was asked for with {what} {size}.", "It must be at least 1.", "Ask for more.")
