"""Optimisers: what moves the weights, how fast, and how a move is bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from whenbuy.core.errors import SettingsError
from whenbuy.models.neural.engine import Tensor, torch


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How weights move.

    Parameters
    ----------
    method
        ``adam`` and ``adamw`` (Kingma and Ba 2015; Loshchilov and Hutter 2019) or ``sgd`` with momentum .9. Rows of large tables of names
        are moved only where a batch names them, by a sparse Adam (or plain gradient descent).
    learning_rate
        The largest step.
    weight_decay
        How strongly weights are drawn to 0: by ``adamw`` apart from the slope, by the others as a part of it. Biases and names are not.
    clip
        A slope longer than this is shortened to it; 0 for no bound.
    warm_up
        Epochs in which the step grows from 0.
    schedule
        Whether it then falls along half a cosine to a hundredth at the last epoch, or stays.
    """

    method: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    warm_up: float = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        numbers = (self.learning_rate, self.weight_decay, self.clip, self.warm_up)
        if self.learning_rate <= 0 or not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise SettingsError(
                f"Weights were to move by {self}.", "A learning rate above 0 and no negative number are needed.", "Start from the defaults."
            )

    def pace(self, epoch: float, epochs: int) -> float:
        """Return the step at a moment of the training, in epochs."""
        rising = min(1.0, (epoch + 1e-3) / self.warm_up) if self.warm_up else 1.0
        if self.schedule == "constant":
            return self.learning_rate * rising
        done = min(1.0, max(0.0, epoch - self.warm_up) / max(epochs - self.warm_up, 1e-9))
        return self.learning_rate * rising * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)

    def movers(self, weights: Mapping[str, Tensor], sparse: Sequence[str]) -> tuple[Any, ...]:
        """Return torch's optimisers for these weights: one for the dense, one for the sparse where there are any."""
        optim = torch().optim
        decayed = [part for name, part in weights.items() if part.ndim > 1 and name not in sparse and not name.startswith("tokens/")]
        others = [part for name, part in weights.items() if name not in sparse and all(part is not one for one in decayed)]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        rows = [weights[name] for name in sparse if name in weights]
        if self.method == "sgd":
            dense = optim.SGD(groups, lr=self.learning_rate, momentum=0.9)
            return (dense, optim.SGD(rows, lr=self.learning_rate)) if rows else (dense,)
        kind = optim.Adam if self.method == "adam" else optim.AdamW
        dense = kind(groups, lr=self.learning_rate)
        return (dense, optim.SparseAdam(rows, lr=self.learning_rate)) if rows else (dense,)

    def move(self, movers: Sequence[Any], pace: float) -> None:
        """Take one step along the slopes that the weights hold."""
        held = [part for mover in movers for group in mover.param_groups for part in group["params"] if part.grad is not None]
        if self.clip:
            for part in held:
                if part.grad.is_sparse:
                    part.grad = part.grad.coalesce()
            slopes = [part.grad.values() if part.grad.is_sparse else part.grad for part in held]
            norm = math.sqrt(sum(float(slope.square().sum()) for slope in slopes))
            if norm > self.clip:
                for slope in slopes:
                    slope.mul_(self.clip / norm)
        for mover in movers:
            for group in mover.param_groups:
                group["lr"] = pace
            mover.step()
            mover.zero_grad(set_to_none=True)


TYPES: Final[dict[str, type]] = {"Optimiser": Optimiser}
"""What a stored model of this file may be made of."""
