"""The door to torch: imported when a net is trained, and by encoders that only torch can run. Nothing else here needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np

from whenbuy.core.arrays import Singles
from whenbuy.core.errors import UsageError

Tensor = Any
"""A torch tensor."""
Weights = Mapping[str, Singles]
"""What a net has learned: arrays by name."""
Tensors = Mapping[str, Tensor]
"""The same while it is learned."""
Activation = Literal["relu", "tanh", "silu", "identity"]
ACTIVATIONS: Final[tuple[Activation, ...]] = ("relu", "tanh", "silu", "identity")
"""The functions between layers; kernels know them by their place here."""


def installed() -> bool:
    """Return whether torch is installed: whether nets can be trained here."""
    return find_spec("torch") is not None


def torch() -> Any:
    """Return the library.

    Raises
    ------
    UsageError
        When it is not installed.
    """
    try:
        return import_module("torch")
    except ImportError as error:
        raise UsageError(
            "Nets are trained with torch, which is not installed.",
            "MLP, RNN, GRU, LSTM and linear recurrence answer without it; training them, and the other encoders, need it.",
            "Install whenbuy[deep].",
        ) from error


@contextmanager
def threads(count: int) -> Iterator[Any]:
    """Give torch so many threads for a while; the same number gives the same bytes.

    Meanwhile numbers below 1e-38 are read as 0, here and in kernels: slopes that fade back through a long stream become so small, and a
    processor takes a hundred times as long for each of them.
    """
    library = torch()
    before, flushed = library.get_num_threads(), not library.tensor([1e-40]).mul(1.0).item()
    library.set_num_threads(count)
    library.set_flush_denormal(True)
    try:
        yield library
    finally:
        library.set_num_threads(before)
        library.set_flush_denormal(flushed)


def activate(name: Activation, x: Tensor) -> Tensor:
    """Return a tensor behind an activation."""
    library = torch()
    return {"relu": library.relu, "tanh": library.tanh, "silu": library.nn.functional.silu, "identity": lambda x: x}[name](x)


def dropped(x: Tensor, share: float, chance: Any) -> Tensor:
    """Return a tensor of which a share was set to 0 by chance, the rest raised so that the mean stays; as it is without ``chance``."""
    if chance is None or share <= 0.0:
        return x
    kept = torch().rand(x.shape, generator=chance) >= share
    return x * kept / (1.0 - share)


def spread_evenly(rng: np.random.Generator, inputs: int, outputs: int) -> Singles:
    """Return first weights of a layer (inputs x outputs): uniform within 1 / sqrt(inputs), which keeps the size of what passes."""
    bound = 1.0 / np.sqrt(max(inputs, 1))
    return rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)


def zeros(*shape: int) -> Singles:
    """Return first weights that say nothing."""
    return np.zeros(shape, np.float32)
