"""The recurrences that torch brings along, under one roof: layers that share names of weights, order and packing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from whenbuy.models.neural.engine import Tensor, Tensors, Weights, dropped, spread_evenly

PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def first_weights(rng: np.random.Generator, width: int, depth: int, gates: int) -> dict[str, Any]:
    """Return first weights of so many layers with so many gates, as torch names and shapes them: uniform within 1 / sqrt(width)."""
    made: dict[str, Any] = {}
    for layer in range(depth):
        for part in PARTS:
            drawn = spread_evenly(rng, width, gates * width)
            made[f"{layer}/{part}"] = np.ascontiguousarray(drawn.T) if part.startswith("weight") else drawn[0].copy()
    return made


def passed(run: Callable[..., Any], weights: Tensors, x: Tensor, depth: int, states: int, dropout: float, chance: Any) -> Tensor:
    """Return the outputs of torch's own recurrence (time x rows x width), started from nothing; dropout lies between the layers."""
    begin = x.new_zeros(1, x.shape[1], x.shape[2])
    start = (begin,) * states if states > 1 else begin
    for layer in range(depth):
        own = [weights[f"{layer}/{part}"] for part in PARTS]
        x = run(x, start, own, True, 1, 0.0, False, False, False)[0]
        x = dropped(x, dropout, chance if layer < depth - 1 else None)
    return x


def packed(weights: Weights, depth: int, *, summed: bool) -> Weights:
    """Return the weights as one flat array: biases (added up where a cell needs their sum alone), then both matrices, input by input."""
    parts: list[Any] = []
    for layer in range(depth):
        of_input, of_state, one, other = (weights[f"{layer}/{part}"] for part in PARTS)
        parts += [one + other] if summed else [one, other]
        parts += [np.ascontiguousarray(of_input.T), np.ascontiguousarray(of_state.T)]
    return {"flat": np.concatenate([part.ravel() for part in parts]).astype(np.float32)}
